// dtc and fdtoverlay are independent readers of the same formats: what they make of a document, Solder must make, too.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include <unistd.h>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/typing.h"

namespace solder::tree {
namespace {

namespace fs = std::filesystem;

const fs::path kDocuments = fs::path(SOLDER_SOURCE_DIR) / "tests/golden/tree";

class DtcAgreement : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("dtc --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "dtc is not installed";
    char name[] = "/tmp/solder-tree-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    work_ = name;
  }
  void TearDown() override {
    if (!work_.empty()) fs::remove_all(work_);
  }

  void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }
  static std::string slurp(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }
  static void spill(const fs::path& path, const std::vector<u8>& bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  /// A blob as dtc's sorted source text.
  std::string sorted(const fs::path& blob) {
    run("dtc -q -I dtb -O dts -s -o " + (work_ / "sorted").string() + " " + blob.string());
    return slurp(work_ / "sorted");
  }
  std::string by_dtc(const fs::path& source, const std::string& options = "") {
    run("dtc -q " + options + " -I dts -O dtb -o " + (work_ / "dtc.dtb").string() + " " + source.string());
    return sorted(work_ / "dtc.dtb");
  }

  /// Compiles, decompiles and recompiles `source` in every combination of us and dtc.
  void check(const fs::path& source, bool overlay) {
    SCOPED_TRACE(source.string());
    const std::string expected = by_dtc(source);
    std::unique_ptr<Tree> tree;
    if (overlay) {
      auto read = read_document(source);
      ASSERT_TRUE(read) << read.error().text();
      tree = std::move(*read);
    } else {
      Composer composer;
      const auto added = composer.add(source);
      ASSERT_TRUE(added) << added.error().text();
      auto finished = composer.finish();
      ASSERT_TRUE(finished) << finished.error().text();
      tree = std::move(*finished);
    }
    spill(work_ / "ours.dtb", write_dtb(*tree));
    EXPECT_EQ(sorted(work_ / "ours.dtb"), expected) << "our compiler against dtc";

    std::ofstream(work_ / "printed.dts") << print_dts(*tree);
    EXPECT_EQ(by_dtc(work_ / "printed.dts"), expected) << "dtc on what we print";

    auto back = read_document(work_ / "dtc.dtb");
    ASSERT_TRUE(back) << back.error().text();
    std::ofstream(work_ / "decompiled.dts") << print_dts(**back);
    EXPECT_EQ(by_dtc(work_ / "decompiled.dts"), expected) << "dtc on what we decompile";
    spill(work_ / "ours.dtb", write_dtb(**back));
    EXPECT_EQ(sorted(work_ / "ours.dtb"), expected) << "what we read and write again";
    std::ofstream(work_ / "located.dts") << print_dts(**back, {.locations = true});
    EXPECT_EQ(by_dtc(work_ / "located.dts"), expected) << "with locations as comments";
  }

  fs::path work_;
};

TEST_F(DtcAgreement, Grammar) {
  check(kDocuments / "grammar.dts", false);
}
TEST_F(DtcAgreement, Board) {
  check(kDocuments / "overlay-base.dts", false);
}
TEST_F(DtcAgreement, Walks) {
  check(kDocuments / "walks.dts", false);
}
TEST_F(DtcAgreement, OverlayWithFragments) {
  check(kDocuments / "overlay-fragments.dtso", true);
}
TEST_F(DtcAgreement, OverlayWithReferences) {
  check(kDocuments / "overlay-sugar.dtso", true);
}

TEST_F(DtcAgreement, Symbols) {
  const std::string expected = by_dtc(kDocuments / "grammar.dts", "-@");
  auto tree = read_document(work_ / "dtc.dtb");
  ASSERT_TRUE(tree) << tree.error().text();
  EXPECT_EQ((*tree)->root().child("__symbols__"), nullptr) << "symbols have become labels";
  ASSERT_NE((*tree)->by_label("second_name"), nullptr);
  EXPECT_EQ((*tree)->by_label("second_name")->path(), "/soc/interrupt-controller@0");
  spill(work_ / "ours.dtb", write_dtb(**tree));
  EXPECT_EQ(sorted(work_ / "ours.dtb"), expected) << "and are symbols again in the blob";
  std::ofstream(work_ / "printed.dts") << print_dts(**tree);
  EXPECT_EQ(by_dtc(work_ / "printed.dts"), expected);

  // From source: every labelled node gets a phandle, for overlays to come.
  Composer composer;
  ASSERT_TRUE(composer.add(kDocuments / "overlay-base.dts"));
  auto source = composer.finish();
  ASSERT_TRUE(source);
  spill(work_ / "ours.dtb", write_dtb(**source, true));
  EXPECT_EQ(sorted(work_ / "ours.dtb"), by_dtc(kDocuments / "overlay-base.dts", "-@"));
}

/// Node by node and property by property, with phandles replaced by the path of the node they mean: the numbers that an
/// overlay's nodes get are each program's own business.
std::map<std::string, std::string> meaning(const Tree& tree) {
  std::map<u32, const Node*> by_phandle;
  tree.walk([&](Node& n) {
    if (n.phandle()) by_phandle[n.phandle()] = &n;
  });
  const PhandleLookup lookup = [&](u32 p) { return by_phandle.contains(p) ? by_phandle[p] : nullptr; };
  std::map<std::string, std::string> out;
  tree.walk([&](Node& n) {
    if (n.path().starts_with("/__")) return;
    out[n.path()] = "";
    for (const Property& p : n.properties()) {
      if (p.name == "phandle") continue;
      std::string text;
      std::vector<u32> offsets = phandle_offsets(n, p, lookup);
      for (usize i = 0; i < p.value.size(); ++i) {
        if (!offsets.empty() && offsets.front() == i) {
          text += "<" + by_phandle[load_be<u32>(p.value.data() + i)]->path() + ">";
          offsets.erase(offsets.begin());
          i += 3;
        } else {
          char byte[4];
          std::snprintf(byte, sizeof byte, "%02x ", p.value[i]);
          text += byte;
        }
      }
      out[n.path() + ": " + p.name] = text;
    }
  });
  return out;
}

TEST_F(DtcAgreement, OverlaysAreAppliedAsByFdtoverlay) {
  if (std::system("fdtoverlay --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "fdtoverlay is not installed";
  const std::string dir = work_.string();
  const std::string documents = kDocuments.string();
  run("dtc -q -@ -I dts -O dtb -o " + dir + "/base.dtb " + documents + "/overlay-base.dts");
  for (const char* name : {"overlay-sugar", "overlay-fragments"})
    run("dtc -q -@ -I dts -O dtb -o " + dir + "/" + name + ".dtbo " + documents + "/" + name + ".dtso");
  run("fdtoverlay -i " + dir + "/base.dtb -o " + dir + "/expected.dtb " + dir + "/overlay-sugar.dtbo " + dir +
      "/overlay-fragments.dtbo");
  const auto expected = read_document(work_ / "expected.dtb");
  ASSERT_TRUE(expected);
  const auto meant = meaning(**expected);
  ASSERT_TRUE(meant.contains("/new-node"));

  // Source and blob in all combinations.
  for (const fs::path& base : {work_ / "base.dtb", kDocuments / "overlay-base.dts"}) {
    for (const fs::path& sugar : {work_ / "overlay-sugar.dtbo", kDocuments / "overlay-sugar.dtso"}) {
      for (const fs::path& fragments : {work_ / "overlay-fragments.dtbo", kDocuments / "overlay-fragments.dtso"}) {
        SCOPED_TRACE(base.string() + " " + sugar.string() + " " + fragments.string());
        Composer composer;
        for (const auto& document : {base, sugar, fragments}) {
          const auto added = composer.add(document);
          ASSERT_TRUE(added) << added.error().text();
        }
        const auto tree = composer.finish();
        ASSERT_TRUE(tree) << tree.error().text();
        EXPECT_EQ(meaning(**tree), meant);
      }
    }
  }
}

}  // namespace
}  // namespace solder::tree
