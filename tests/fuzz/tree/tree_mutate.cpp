// Damaged documents: whatever they hold, they are read or refused, never a crash, a hang or a tree that cannot be
// written and read again. Run long: TREE_MUTATIONS=100000 fuzz_tree (and TREE_SEED=n), best built with sanitizers.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/resolve.h"

namespace solder::tree {
namespace {

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

const std::filesystem::path kDocuments = std::filesystem::path(SOLDER_SOURCE_DIR) / "tests/golden/tree";

/// Everything that can be asked of a composed tree; the answers do not matter.
u64 ask(const Tree& tree) {
  u64 answers = 0;
  const Resolver resolver(tree);
  tree.walk([&](Node& n) {
    answers += translate_reg(tree, n).has_value();
    answers += resolver.interrupts(n).has_value();
    answers += resolver.cascade(n).has_value();
    answers += resolver.msi_target(n, 0x108).has_value();
    answers += resolver.iommu_map(n, 0x108).has_value();
    answers += resolver.dma_path(n).has_value();
    answers += resolver.phandle_list(n, "clocks", "#clock-cells").has_value();
    answers += n.enabled() + n.compatible().size() + n.place("reg").size();
  });
  return answers;
}

/// What composes must survive writing, reading, printing and parsing unchanged.
void exercise(Composer& composer) {
  const auto finished = composer.finish();
  if (!finished) {
    EXPECT_FALSE(finished.error().what.empty());
    return;
  }
  const Tree& tree = **finished;
  ask(tree);
  const auto stripped = strip_host_side(tree);
  const auto bytes = write_dtb(*stripped);
  const auto read = read_dtb(bytes, "written.dtb");
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(write_dtb(**read), bytes);
  Composer printed;
  const std::string text = print_dts(tree);
  const auto parsed = printed.add_text(text, "printed.dts");
  ASSERT_TRUE(parsed) << parsed.error().text() << "\n" << text;
  const auto again = printed.finish();
  ASSERT_TRUE(again) << again.error().text() << "\n" << text;
  (*again)->boot_cpu = tree.boot_cpu;  // source text cannot say it
  EXPECT_EQ(write_dtb(**again), write_dtb(tree)) << text;
  EXPECT_FALSE(write_dtb(tree, true).empty());
}

class Mutator {
 public:
  explicit Mutator(u64 seed) : random_(seed) {}
  u64 below(u64 n) { return n == 0 ? 0 : random_() % n; }

  void damage_bytes(std::string& bytes) {
    for (u64 i = 1 + below(4); i > 0 && !bytes.empty(); --i) {
      const usize at = below(bytes.size());
      switch (below(3) > 0 ? below(3) : below(7)) {
        case 0:
          bytes[at] = static_cast<char>(random_());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 2:  // a cell with a number that is likely to matter
          if (at + 4 <= bytes.size()) store_be<u32>(bytes.data() + at / 4 * 4, interesting());
          break;
        case 3:
          bytes.erase(at, 1 + below(16));
          break;
        case 4:
          bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(32)));
          break;
        case 5:
          bytes.resize(at);
          break;
        case 6:  // header or structure block
          if (bytes.size() >= 64) store_be<u32>(bytes.data() + below(16) * 4, interesting());
          break;
      }
    }
  }

  /// Well-formed all over, but with wrong numbers, and with properties and nodes that are missing or elsewhere.
  void damage_tree(Tree& tree) {
    std::vector<Node*> nodes;
    tree.walk([&](Node& n) { nodes.push_back(&n); });
    for (u64 i = 1 + below(8); i > 0; --i) {
      Node& node = *nodes[below(nodes.size())];
      auto& properties = node.properties();
      if (properties.empty()) continue;
      Property& p = properties[below(properties.size())];
      switch (below(6)) {
        case 0:
          properties.erase(properties.begin() + static_cast<std::ptrdiff_t>(below(properties.size())));
          break;
        case 1:
          p.value.resize(below(p.value.size() + 9));
          break;
        case 2: {
          const Node& other = *nodes[below(nodes.size())];
          if (!other.properties().empty()) {
            const Property& from = other.properties()[below(other.properties().size())];
            node.set(from.name, from.value);
          }
          break;
        }
        default:
          if (p.value.size() >= 4) store_be<u32>(p.value.data() + below(p.value.size() / 4) * 4, interesting());
          break;
      }
      tree.walk([&](Node& n) {
        for (Property& q : n.properties()) {
          std::erase_if(q.references, [&](const Reference& r) {
            return r.kind == Reference::Kind::path || u64{r.offset} + 4 > q.value.size();
          });
        }
      });
    }
  }

  void damage_text(std::string& text) {
    static constexpr const char* kPieces[] = {"{",
                                              "}",
                                              "};",
                                              ";",
                                              "<",
                                              ">",
                                              "&",
                                              "&{/}",
                                              "&uart",
                                              "/ {",
                                              "\"",
                                              "'",
                                              "(",
                                              ")",
                                              "[",
                                              "]",
                                              "=",
                                              ",",
                                              "/*",
                                              "//",
                                              "0",
                                              "0xffffffffffffffff",
                                              "-",
                                              "~",
                                              "?",
                                              ":",
                                              "<<",
                                              "/bits/ 64 <1>",
                                              "/include/ \"grammar.dts\"",
                                              "/delete-node/ a;",
                                              "/delete-node/ &uart;",
                                              "/delete-property/ reg;",
                                              "/omit-if-no-ref/ ",
                                              "/plugin/;",
                                              "/memreserve/ 1 2;",
                                              "/incbin/(\"grammar.bin\")",
                                              "x: ",
                                              "uart: ",
                                              "\\",
                                              "\n# 5 \"f\"\n",
                                              "__overlay__ {",
                                              "__symbols__ { a = \"/soc\"; };",
                                              "__fixups__ { uart = \"/soc:reg:0\"; };",
                                              "phandle = <1>;",
                                              "solder,delete-node = \"/\", &uart;",
                                              "solder,delete-property = \"reg\";",
                                              "solder,delete-node = \"soc\";",
                                              "interrupt-parent = <&uart>;",
                                              "a@1 { };"};
    for (u64 i = 1 + below(3); i > 0 && !text.empty(); --i) {
      const usize at = below(text.size());
      // A whole line, most of the time: what is left is often still a document.
      const usize line = text.rfind('\n', at) == std::string::npos ? 0 : text.rfind('\n', at) + 1;
      const usize length = std::min(text.find('\n', line), text.size() - 1) + 1 - line;
      switch (below(3) > 0 ? 5 + below(3) : below(5)) {
        case 5:
          text.erase(line, length);
          break;
        case 6:
          text.insert(line, std::string(kPieces[below(std::size(kPieces))]) + "\n");
          break;
        case 7: {
          const auto digit = text.find_first_of("0123456789", at);
          if (digit != std::string::npos) text[digit] = static_cast<char>('0' + below(10));
          break;
        }
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(24));
          break;
        case 2:
        case 3:
          text.insert(at, kPieces[below(std::size(kPieces))]);
          break;
        case 4:
          text.insert(at, text.substr(below(text.size()), 1 + below(200)));
          break;
      }
    }
  }

 private:
  u32 interesting() {
    static constexpr u32 kValues[] = {0,  1,  2,  3,  4,          5,          8,          9,
                                      16, 17, 36, 40, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};
    return below(3) == 0 ? static_cast<u32>(below(64)) : kValues[below(std::size(kValues))];
  }
  std::mt19937_64 random_;
};

class TreeMutate : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"grammar.dts", "overlay-base.dts", "walks.dts"}) {
      sources_.push_back(slurp(kDocuments / name));
      ASSERT_FALSE(sources_.back().empty());
      Composer composer;
      ASSERT_TRUE(composer.add(kDocuments / name));
      auto tree = composer.finish();
      ASSERT_TRUE(tree) << tree.error().text();
      for (const bool symbols : {false, true}) {
        const auto bytes = write_dtb(**tree, symbols);
        blobs_.emplace_back(bytes.begin(), bytes.end());
      }
    }
    for (const char* name : {"overlay-sugar.dtso", "overlay-fragments.dtso"}) {
      overlay_sources_.push_back(slurp(kDocuments / name));
      auto tree = read_document(kDocuments / name);
      ASSERT_TRUE(tree) << tree.error().text();
      const auto bytes = write_dtb(**tree, true);
      overlay_blobs_.emplace_back(bytes.begin(), bytes.end());
    }
  }

  Status add(Composer& composer, const std::string& document, bool blob) {
    if (blob) return composer.add_bytes({reinterpret_cast<const u8*>(document.data()), document.size()}, "mutated.dtb");
    // Includes must be found, so the text is parsed as if it lay beside them.
    auto tree = parse_dts(document, "mutated.dts", kDocuments);
    if (!tree) return std::unexpected(tree.error());
    return composer.add_tree(std::move(*tree));
  }

  std::vector<std::string> sources_, blobs_, overlay_sources_, overlay_blobs_;
};

TEST_F(TreeMutate, NothingBreaks) {
  const u64 count = from_environment("TREE_MUTATIONS", 2000);
  const u64 seed = from_environment("TREE_SEED", 1);
  u64 refused = 0;
  for (u64 i = 0; i < count && !HasFatalFailure(); ++i) {
    SCOPED_TRACE("TREE_SEED=" + std::to_string(seed) + ", mutation " + std::to_string(i));
    Mutator mutator(seed * 1'000'003 + i);
    const bool blob = mutator.below(2) == 0;
    const bool overlay = mutator.below(4) == 0;
    auto& pool = overlay ? (blob ? overlay_blobs_ : overlay_sources_) : (blob ? blobs_ : sources_);
    std::string document = pool[mutator.below(pool.size())];
    if (blob && mutator.below(2) == 0) {
      auto tree = read_dtb({reinterpret_cast<const u8*>(document.data()), document.size()}, "sound.dtb");
      ASSERT_TRUE(tree);
      mutator.damage_tree(**tree);
      const auto bytes = write_dtb(**tree);
      document.assign(bytes.begin(), bytes.end());
    } else if (blob) {
      mutator.damage_bytes(document);
    } else {
      mutator.damage_text(document);
    }
    Composer composer;
    if (overlay || mutator.below(4) == 0) {
      // Onto another tree, from source or from a blob.
      const bool base_blob = mutator.below(2) == 0;
      ASSERT_TRUE(add(composer, base_blob ? blobs_[3] : sources_[1], base_blob));
    }
    const auto added =
        blob || mutator.below(2) == 0 ? add(composer, document, blob) : composer.add_text(document, "mutated.dts");
    if (added) {
      exercise(composer);
    } else {
      EXPECT_FALSE(added.error().what.empty());
      ++refused;
    }
  }
  // Both roads must be travelled for this to mean anything.
  EXPECT_GT(refused, count / 10);
  EXPECT_LT(refused, count * 9 / 10);
}

TEST_F(TreeMutate, NestingIsBounded) {
  const auto refused = [](const std::string& text) {
    const auto tree = parse_dts(text, "deep.dts", "");
    return !tree && tree.error().what.find("nested deeper") != std::string::npos;
  };
  std::string nodes = "/ ";
  for (int i = 0; i < 100000; ++i) nodes += "{ a ";
  EXPECT_TRUE(refused(nodes));
  EXPECT_TRUE(refused("/ { a = <" + std::string(100000, '(')));
  EXPECT_TRUE(refused("/ { a = <(" + std::string(100000, '-')));
  std::string ternaries = "/ { a = <(";
  for (int i = 0; i < 100000; ++i) ternaries += "1 ? ";
  EXPECT_TRUE(refused(ternaries));
  EXPECT_FALSE(parse_dts("/include/ \"includes-itself.dtsi\"", "a.dts", kDocuments)) << "a circle of includes";
}

}  // namespace
}  // namespace solder::tree
