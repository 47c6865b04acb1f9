// ACPI from mutated x86 boards: tables or an error with a place, whatever the numbers say; the tables add up.
// SOLDER_FUZZ_ROUNDS sets how many rounds (default: what takes seconds), SOLDER_FUZZ_SEED another start.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "machine/boards.h"
#include "machine/boot_x86.h"
#include "support/iasl.h"
#include "tree/document.h"

namespace solder::machine {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

Result<std::vector<boot::acpi::Table>> tables_of(std::unique_ptr<tree::Tree> mutated) {
  tree::Composer composer;
  SOLDER_TRY_STATUS(composer.add_bytes(tree::write_dtb(*mutated), "mutated.dtb"));
  const auto tree = SOLDER_TRY(composer.finish());
  const auto plan = SOLDER_TRY(make_plan(*tree, false));
  return acpi_tables(*tree, plan);
}

TEST(AcpiFromTrees, MutatedCells) {
  const std::string board = "virt-x86_64";
  const auto pristine = compose_machine(std::span(&board, 1));
  ASSERT_TRUE(pristine) << pristine.error().text();
  // Slots that are in use, so that they have devices.
  (*pristine)->walk([](tree::Node& node) {
    if (node.is_compatible("virtio,mmio")) node.set_string("solder,virtio", "rng");
  });
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  u64 described = 0;
  u64 refused = 0;
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 2000); ++round) {
    std::mt19937_64 random(seed + round);
    auto tree = (*pristine)->clone();
    std::vector<tree::Property*> properties;
    tree->walk([&](tree::Node& node) {
      for (auto& property : node.properties())
        if (!property.value.empty()) properties.push_back(&property);
    });
    for (u64 n = 1 + random() % 4; n != 0; --n) {
      auto& value = properties[random() % properties.size()]->value;
      if (value.empty()) continue;
      static constexpr u8 kBytes[] = {0, 1, 2, 3, 4, 8, 0x10, 0x7f, 0x80, 0xff};
      value[random() % value.size()] = kBytes[random() % std::size(kBytes)];
      if (random() % 8 == 0) value.resize(random() % 64);
    }
    const auto tables = tables_of(std::move(tree));
    if (!tables) {
      ++refused;
      EXPECT_FALSE(tables.error().what.empty()) << "round " << seed + round;
      continue;
    }
    ++described;
    for (const auto& table : *tables) {
      u8 sum = 0;
      for (const u8 byte : table.bytes) sum = static_cast<u8>(sum + byte);
      if (table.name != "FACS") {
        EXPECT_EQ(sum, 0) << table.name << ", round " << seed + round;
      }
    }
  }
  EXPECT_GT(described, 0U);
  EXPECT_GT(refused, 0U);
}

// Trees that make sense: a random choice of the board's devices, at random addresses and interrupts, with random CPUs.
// What is described is judged by ACPICA's compiler, a part of it (it takes long).
TEST(AcpiFromTrees, RandomBoards) {
  const std::string board = "virt-x86_64";
  const auto pristine = compose_machine(std::span(&board, 1));
  ASSERT_TRUE(pristine) << pristine.error().text();
  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  const u64 judged = testing::have_iasl() ? setting("SOLDER_FUZZ_JUDGED", 6) : 0;
  u64 described = 0;
  for (u64 round = 0; round < setting("SOLDER_FUZZ_ROUNDS", 2000) / 10; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed + round));
    std::mt19937_64 random(seed + round);
    auto tree = (*pristine)->clone();
    for (const char* label :
         {"hpet", "kbc", "rtc", "com1", "fw_cfg", "pvpanic", "ged", "virtio0", "virtio1", "virtio4"}) {
      tree::Node* node = tree->by_label(label);
      ASSERT_NE(node, nullptr) << label;
      if (node->is_compatible("virtio,mmio")) {
        // Anywhere from 1 to 5 TiB.
        const u64 address = (0x100'0000'0000 + (random() >> 22)) & ~u64{0xfff};
        node->set_cells("reg", std::vector<u32>{static_cast<u32>(address >> 32), static_cast<u32>(address), 0,
                                                static_cast<u32>(0x200 << random() % 4)});
        node->set_cells("interrupts",
                        std::vector<u32>{static_cast<u32>(16 + random() % 8), 1 + static_cast<u32>(random() % 2)});
        node->set_string("solder,virtio", "rng");
      }
      if (random() % 3 == 0) node->set_string("status", "disabled");
    }
    tree::Node* cpus = tree->find("/cpus");
    for (u32 n = 0; n < random() % 20; ++n) {
      const u32 id = 1 + n * (1 + static_cast<u32>(random() % 3)) + (random() % 16 == 0 ? 300 : 0);
      if (cpus->child(fmt::format("cpu@{:x}", id)) != nullptr) continue;
      tree::Node& cpu = cpus->add_child(fmt::format("cpu@{:x}", id));
      cpu.set_string("device_type", "cpu");
      cpu.set_string("compatible", "x86-64");
      cpu.set_u32("reg", id);
    }
    const auto tables = tables_of(std::move(tree));
    if (!tables) {
      EXPECT_FALSE(tables.error().where.empty()) << tables.error().text();
      continue;
    }
    if (described++ < judged) {
      EXPECT_EQ(testing::complaints(*tables), "");
    }
  }
  EXPECT_GT(described, 20U);
}

}  // namespace
}  // namespace solder::machine
