#include "machine/memory_shorthand.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

namespace solder::machine {

namespace {

constexpr u64 kPage = 4096;

struct Window {
  u64 address = 0;
  u64 size = 0;
};

u64 number(std::span<const u32> cells) {
  u64 out = 0;
  for (const u32 cell : cells) out = out << 32 | cell;
  return out;
}

std::string cells_of(u64 value, u32 cells) {
  return cells <= 1 ? fmt::format("{:#x}", value) : fmt::format("{:#x} {:#x}", value >> 32, value & 0xffffffff);
}

Result<std::vector<Window>> windows_of(const tree::Node& node, u32 address_cells, u32 size_cells) {
  const auto cells = node.cell_list("solder,memory-windows");
  const usize entry = usize{address_cells} + size_cells;
  if (address_cells > 2 || size_cells > 2 || entry == 0 || cells.empty() || cells.size() % entry != 0)
    return fail(node.place("solder,memory-windows"), "is not a list of addresses and sizes, as reg has them");
  std::vector<Window> out;
  const std::span<const u32> all(cells);
  for (usize i = 0; i < cells.size(); i += entry) {
    const Window window = {number(all.subspan(i, address_cells)), number(all.subspan(i + address_cells, size_cells))};
    if (window.address % kPage != 0 || window.size % kPage != 0)
      return fail(node.place("solder,memory-windows"), fmt::format("entry {} is not made of whole pages", i / entry));
    out.push_back(window);
  }
  return out;
}

std::string sized(u64 bytes) {
  return bytes % 1_MiB == 0 ? fmt::format("{} MiB", bytes / 1_MiB) : fmt::format("{} bytes", bytes);
}

}  // namespace

Result<std::string> memory_edit(const tree::Tree& tree, u64 size) {
  std::vector<const tree::Node*> present;
  for (const auto& child : tree.root().children())
    if (child->string("device_type") == "memory" && child->enabled()) present.push_back(child.get());
  if (size == 0 || size % kPage != 0)
    return fail("--memory", fmt::format("{} bytes are not a number of 4 KiB pages", size));
  const u32 address_cells = tree.root().u32_value("#address-cells").value_or(2);
  const u32 size_cells = tree.root().u32_value("#size-cells").value_or(1);

  std::string name = "memory@0";
  std::string place;
  std::vector<Window> windows = {{0, ~u64{0}}};
  if (!present.empty()) {
    const tree::Node& node = *present.front();
    name = node.name();
    if (node.has("solder,memory-windows")) {
      windows = SOLDER_TRY(windows_of(node, address_cells, size_cells));
      place = node.place("solder,memory-windows");
    } else {
      const auto cells = node.cell_list("reg");
      if (!cells.empty()) windows[0].address = cells[0];
      if (address_cells == 2 && cells.size() >= 2) windows[0].address = u64{cells[0]} << 32 | cells[1];
    }
  }
  std::string reg;
  u64 left = size;
  for (const Window& window : windows) {
    const u64 part = std::min(left, window.size);
    if (part == 0) continue;
    if (size_cells < 2 && part > 0xffffffff)
      return fail("--memory", "4 GiB and more do not fit this tree's one-cell sizes (#size-cells of the root)");
    reg += fmt::format("{}<{} {}>", reg.empty() ? "" : ", ", cells_of(window.address, address_cells),
                       cells_of(part, size_cells));
    left -= part;
  }
  if (left != 0)
    return fail(
        "--memory",
        fmt::format("{} are {} more than the machine's memory windows hold ({})", sized(size), sized(left), place),
        "ask for less, or widen the windows");
  std::string out = fmt::format("/dts-v1/;\n/ {{\n  {} {{ device_type = \"memory\"; reg = {}; }};\n", name, reg);
  for (usize i = 1; i < present.size(); ++i) out += fmt::format("  /delete-node/ {};\n", present[i]->name());
  return out + "};\n";
}

}  // namespace solder::machine
