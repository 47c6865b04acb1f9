#include "machine/boot_files.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "boot/kernel_file.h"
#include "machine/guest_tree.h"

namespace solder::machine {

namespace {

// What the tree keeps for others: /memreserve/ and the fixed entries of /reserved-memory.
Result<std::vector<boot::Extent>> reserved_extents(const Machine& machine) {
  const tree::Tree& tree = machine.tree();
  std::vector<boot::Extent> out;
  for (const auto& reservation : tree.reservations) out.push_back({reservation.address, reservation.size});
  if (const tree::Node* node = tree.find("/reserved-memory")) {
    for (const auto& child : node->children()) {
      if (!child->has("reg") || !child->enabled()) continue;
      for (const auto& range : SOLDER_TRY(tree::translate_reg(tree, *child)))
        out.push_back({range.address, range.size});
    }
  }
  return out;
}

std::array<u8, 40> random_seed() {
  std::array<u8, 40> seed{};
  // Never short for so few bytes; a kernel without getrandom leaves zeroes, which the guest mixes with its own.
  [[maybe_unused]] const auto got = ::getrandom(seed.data(), seed.size(), 0);
  return seed;
}

}  // namespace

Result<BootFiles> BootFiles::read(const tree::Tree& tree) {
  BootFiles files;
  const tree::Node* boot = tree.find("/solder/boot");
  const auto kernel = boot != nullptr ? boot->string("solder,kernel") : std::nullopt;
  if (!kernel || kernel->empty())
    return fail("", "there is nothing to boot: no kernel was given",
                "use --kernel FILE, or solder,kernel in /solder/boot of the machine's tree");
  files.kernel_name = *kernel;
  auto packed = SOLDER_TRY(boot::read_file(*kernel, boot::kMaximumKernelBytes));
  files.kernel = SOLDER_TRY(boot::unwrap_kernel(std::move(packed), *kernel));
  files.header = SOLDER_TRY(boot::parse_arm64_header(files.kernel, *kernel));
  if (const auto initrd = boot->string("solder,initrd"))
    files.initrd = SOLDER_TRY(boot::read_file(*initrd, boot::kMaximumInitrdBytes));
  return files;
}

Result<cpu::EntryState> load_guest(Machine& machine, const BootFiles& files) {
  GuestTreeOptions options;
  options.seed = random_seed();
  if (!files.initrd.empty()) options.initrd = GuestTreeOptions::Initrd{0, files.initrd.size()};
  // Once to know its size, once with the addresses that follow from it.
  auto guest = make_guest_tree(machine.tree(), machine.plan(), options);
  boot::PlacementRequest request;
  request.header = files.header;
  request.image_bytes = files.kernel.size();
  request.initrd_bytes = files.initrd.size();
  request.dtb_bytes = tree::write_dtb(*guest).size();
  request.kernel_name = files.kernel_name;
  std::vector<boot::Extent> ram;
  for (const auto& range : machine.ram()) ram.push_back({range.address, range.size});
  const auto reserved = SOLDER_TRY(reserved_extents(machine));
  const auto placement = SOLDER_TRY(boot::place_arm64(request, ram, reserved));
  if (placement.initrd) {
    options.initrd = GuestTreeOptions::Initrd{placement.initrd->address, placement.initrd->end()};
    guest = make_guest_tree(machine.tree(), machine.plan(), options);
  }
  const std::vector<u8> dtb = tree::write_dtb(*guest);

  const memory::AddressSpace& memory = machine.fabric().memory;
  const auto put = [&](Gpa address, const std::vector<u8>& bytes, const std::string& what) -> Status {
    if (!memory.write(address, bytes.data(), bytes.size()))
      return fail(what, fmt::format("does not fit into RAM at {:#x}", address));
    return {};
  };
  SOLDER_TRY_STATUS(put(placement.kernel, files.kernel, files.kernel_name));
  if (placement.initrd) SOLDER_TRY_STATUS(put(placement.initrd->address, files.initrd, "the initrd"));
  SOLDER_TRY_STATUS(put(placement.dtb, dtb, "the guest's device tree"));

  cpu::EntryState entry;
  entry.pc = placement.kernel;
  entry.arguments = {placement.dtb, 0, 0, 0};
  entry.exception_level = 1;
  return entry;
}

}  // namespace solder::machine
