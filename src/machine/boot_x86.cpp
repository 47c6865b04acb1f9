#include "machine/boot_x86.h"

#include <fmt/format.h>

#include <algorithm>

#include "boot/smbios.h"
#include "boot/x86/load.h"
#include "machine/acpi.h"

namespace solder::machine {

namespace {

namespace x86 = boot::x86;

constexpr u64 k4G = u64{1} << 32;
constexpr u64 kPage = 4096;

u32 cpu_count(const Plan& plan) {
  return static_cast<u32>(plan.with_role(Role::cpu).size());
}

// What fw_cfg tells whoever asks; firmware and boot loaders read the sizes from there.
void fill_firmware_items(Machine& machine) {
  device::FirmwareFiles* files = machine.fabric().firmware_files;
  if (files == nullptr) return;
  const auto number = [](u64 value, usize size) {
    std::vector<u8> out(size);
    for (usize i = 0; i < size; ++i) out[i] = static_cast<u8>(value >> (8 * i));
    return out;
  };
  u64 ram = 0;
  for (const auto& range : machine.ram()) ram += range.size;
  const u32 cpus = cpu_count(machine.plan());
  files->set_item(device::FirmwareItem::ram_size, number(ram, 8));
  files->set_item(device::FirmwareItem::cpu_count, number(cpus, 2));
  files->set_item(device::FirmwareItem::max_cpus, number(cpus, 2));
}

}  // namespace

Status check_x86(const BootFiles& files) {
  SOLDER_TRY(x86::parse_kernel(files.kernel, files.kernel_name));
  return {};
}

Result<std::vector<boot::Extent>> memory_of(const tree::Tree& tree, const Plan& plan) {
  std::vector<boot::Extent> out;
  for (const tree::Node* node : plan.with_role(Role::memory)) {
    const auto ranges = SOLDER_TRY(tree::translate_reg(tree, *node));
    for (const auto& range : ranges) {
      if (range.size == 0) continue;
      if (range.address + (range.size - 1) < range.address)
        return fail(node->place("reg"), fmt::format("{:#x} bytes from {:#x} go past the end of the address space",
                                                    range.size, range.address));
      out.push_back({range.address, range.size});
    }
  }
  return out;
}

Result<std::vector<boot::acpi::Table>> acpi_tables(const tree::Tree& tree, const Plan& plan) {
  const auto description = SOLDER_TRY(describe_acpi(tree, plan));
  const auto memory = SOLDER_TRY(memory_of(tree, plan));
  const auto reserved = SOLDER_TRY(reserved_extents(tree));
  x86::Rooms rooms(memory, reserved);
  const u32 size = boot::acpi::tables_size(description);
  if (!rooms.is_ram(x86::kRsdp, x86::kHighStart - x86::kRsdp))
    return fail(tree.root().place(),
                fmt::format("has no memory from {:#x} to {:#x}, where guests look for ACPI's tables", x86::kRsdp,
                            x86::kHighStart),
                "let a memory node start at 0");
  Gpa tables = x86::kAcpiTables;
  if (size > x86::kSmbios - x86::kAcpiTables) {
    const auto high = rooms.highest(size, kPage, x86::kHighStart, k4G);
    if (!high)
      return fail("the machine's memory", fmt::format("has no room for {} KiB of ACPI tables", size / 1024 + 1),
                  "give the machine more memory (--memory)");
    tables = *high;
  }
  return boot::acpi::make_tables(description, x86::kRsdp, static_cast<u32>(tables));
}

Result<cpu::EntryState> load_x86(Machine& machine, const BootFiles& files) {
  const tree::Tree& tree = machine.tree();
  const auto kernel = SOLDER_TRY(x86::parse_kernel(files.kernel, files.kernel_name));
  std::vector<x86::Piece> firmware;
  x86::LoadRequest request;
  for (auto& table : SOLDER_TRY(acpi_tables(tree, machine.plan()))) {
    if (table.address >= x86::kHighStart) {
      const Gpa start = table.address / kPage * kPage;
      const Gpa end = (table.address + table.bytes.size() + kPage - 1) / kPage * kPage;
      request.holes.push_back({start, end - start, x86::MemoryType::acpi});
    }
    firmware.push_back({table.address, std::move(table.bytes), {}, "ACPI's " + table.name});
  }
  boot::SmbiosMachine identity;
  identity.product = tree.root().string("model").value_or("");
  identity.cpus = cpu_count(machine.plan());
  for (const auto& range : machine.ram()) identity.ram.push_back({range.address, range.size});
  firmware.push_back({x86::kSmbios, boot::make_smbios(x86::kSmbios, identity), {}, "SMBIOS"});

  const auto seed = random_seed();
  request.kernel = &kernel;
  request.file = files.kernel;
  request.kernel_name = files.kernel_name;
  request.initrd = files.initrd;
  if (const tree::Node* chosen = tree.find("/chosen")) request.command_line = chosen->string("bootargs").value_or("");
  request.seed = seed;
  request.ram = identity.ram;
  for (const auto& extent : SOLDER_TRY(reserved_extents(tree)))
    request.holes.push_back({extent.address, extent.size, x86::MemoryType::reserved});
  request.rsdp = x86::kRsdp;
  auto loaded = SOLDER_TRY(x86::load(request));

  const memory::AddressSpace& memory = machine.fabric().memory;
  std::ranges::move(firmware, std::back_inserter(loaded.pieces));
  for (const x86::Piece& piece : loaded.pieces) {
    const auto bytes = piece.bytes();
    if (!bytes.empty() && !memory.write(piece.address, bytes.data(), bytes.size()))
      return fail(piece.name, fmt::format("does not fit into RAM at {:#x}", piece.address));
  }
  fill_firmware_items(machine);
  return loaded.entry;
}

}  // namespace solder::machine
