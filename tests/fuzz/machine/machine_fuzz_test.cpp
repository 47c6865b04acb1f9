// Mutated blobs and sources through the whole load path: read, compose, plan, guest's tree, build with CPUs that never
// run, placement. Each gives a machine or an error with a place; nothing crashes, overruns (the sanitizer builds look)
// or hangs. SOLDER_FUZZ_ROUNDS sets how many of each (default: what takes seconds); SOLDER_FUZZ_SEED another start.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/guest_tree.h"
#include "machine/life_cycle.h"
#include "machine/machine.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

// Real machines stay small here: a mutated size must not take the host's memory, which is the host's business to
// refuse.
bool affordable(const tree::Tree& tree, const Plan& plan) {
  u64 total = 0;
  for (const auto* node : plan.with_role(Role::memory)) {
    const auto ranges = tree::translate_reg(tree, *node);
    if (!ranges) continue;
    for (const auto& range : *ranges) total += std::min(range.size, 8_GiB);
  }
  return total <= 4_GiB;
}

struct Counts {
  u64 machines = 0;
  u64 refused = 0;
};

Status load(std::unique_ptr<tree::Tree> composed) {
  const auto tree = SOLDER_TRY(apply_shorthand(std::move(composed), {}));
  const auto plan = SOLDER_TRY(make_plan(*tree));
  const auto guest = make_guest_tree(*tree, plan);
  const auto blob = tree::write_dtb(*guest);
  EXPECT_TRUE(tree::read_dtb(blob, "guest")) << "the guest's tree cannot be read back";
  if (!affordable(*tree, plan)) return {};
  Control control;
  Backends backends({}, true);
  SOLDER_TRY(Machine::build(*tree, plan, make_dry_accelerator(), backends, control));
  return {};
}

void count(const Status& status, Counts& counts, u64 round) {
  ++(status ? counts.machines : counts.refused);
  EXPECT_TRUE(status || !status.error().what.empty()) << "round " << round;
}

Status load_blob(const std::vector<u8>& blob) {
  tree::Composer composer;
  SOLDER_TRY_STATUS(composer.add_bytes(blob, "mutated.dtb"));
  return load(SOLDER_TRY(composer.finish()));
}

Status load_text(const std::string& text) {
  tree::Composer composer;
  SOLDER_TRY_STATUS(composer.add_text(text, "mutated.dts"));
  return load(SOLDER_TRY(composer.finish()));
}

template <class Bytes>
void mutate(Bytes& bytes, std::mt19937_64& random) {
  using Byte = typename Bytes::value_type;
  for (u64 n = 1 + random() % 4; n != 0 && !bytes.empty(); --n) {
    const usize at = random() % bytes.size();
    switch (random() % 6) {
      case 0:
        bytes[at] = static_cast<Byte>(random());
        break;
      case 1:
        bytes[at] = static_cast<Byte>(bytes[at] ^ (1U << random() % 8));
        break;
      case 2:
        bytes[at] = static_cast<Byte>(bytes[at] + (random() % 3) - 1);
        break;
      case 3: {
        const usize length = std::min<usize>(1 + random() % 32, bytes.size() - at);
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at + length));
        break;
      }
      case 4: {
        const usize from = random() % bytes.size();
        const usize length = std::min<usize>(1 + random() % 32, bytes.size() - from);
        const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                          bytes.begin() + static_cast<std::ptrdiff_t>(from + length));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
        break;
      }
      default:
        if (at + 4 <= bytes.size())
          for (usize i = 0; i < 4; ++i) bytes[at + i] = static_cast<Byte>(random() % 2 != 0 ? 0xff : 0);
    }
  }
}

TEST(WholeLoadPath, MutatedBlobs) {
  const auto tree = compose_machine({});
  ASSERT_TRUE(tree) << tree.error().text();
  const auto blob = tree::write_dtb(**tree);
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  Counts counts;
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 1000); ++round) {
    std::mt19937_64 random(seed + round);
    auto mutated = blob;
    mutate(mutated, random);
    count(load_blob(mutated), counts, seed + round);
  }
  RecordProperty("machines", std::to_string(counts.machines));
  EXPECT_GT(counts.machines, 0U);
  EXPECT_GT(counts.refused, 0U);
}

TEST(WholeLoadPath, MutatedSources) {
  const std::string text(find_board(kDefaultBoard)->text);
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  Counts counts;
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 1000); ++round) {
    std::mt19937_64 random(seed + round);
    std::string mutated = text;
    mutate(mutated, random);
    count(load_text(mutated), counts, seed + round);
  }
  EXPECT_GT(counts.machines, 0U);
  EXPECT_GT(counts.refused, 0U);
}

// Numbers are where a tree that still parses goes wrong: cells of blobs that keep their structure.
TEST(WholeLoadPath, MutatedCells) {
  const auto pristine = compose_machine({});
  ASSERT_TRUE(pristine) << pristine.error().text();
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  Counts counts;
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 1000); ++round) {
    std::mt19937_64 random(seed + round);
    auto tree = (*pristine)->clone();
    std::vector<tree::Property*> properties;
    tree->walk([&](tree::Node& node) {
      for (auto& property : node.properties())
        if (!property.value.empty()) properties.push_back(&property);
    });
    for (u64 n = 1 + random() % 3; n != 0; --n) {
      auto& value = properties[random() % properties.size()]->value;
      static constexpr u8 kBytes[] = {0, 1, 2, 3, 4, 8, 0x10, 0x7f, 0x80, 0xff};
      value[random() % value.size()] = kBytes[random() % std::size(kBytes)];
      if (random() % 8 == 0) value.resize(random() % 64);
    }
    count(load_blob(tree::write_dtb(*tree)), counts, seed + round);
  }
  EXPECT_GT(counts.machines, 0U);
  EXPECT_GT(counts.refused, 0U);
}

}  // namespace
}  // namespace solder::machine
