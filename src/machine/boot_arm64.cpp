#include "machine/boot_arm64.h"

#include <fmt/format.h>

#include "boot/arm64.h"
#include "machine/guest_tree.h"

namespace solder::machine {

Status check_arm64(const BootFiles& files) {
  SOLDER_TRY(boot::parse_arm64_header(files.kernel, files.kernel_name));
  return {};
}

Result<cpu::EntryState> load_arm64(Machine& machine, const BootFiles& files) {
  GuestTreeOptions options;
  options.seed = random_seed();
  if (!files.initrd.empty()) options.initrd = GuestTreeOptions::Initrd{0, files.initrd.size()};
  // Once to know its size, once with the addresses that follow from it.
  auto guest = make_guest_tree(machine.tree(), machine.plan(), options);
  boot::PlacementRequest request;
  request.header = SOLDER_TRY(boot::parse_arm64_header(files.kernel, files.kernel_name));
  request.image_bytes = files.kernel.size();
  request.initrd_bytes = files.initrd.size();
  request.dtb_bytes = tree::write_dtb(*guest).size();
  request.kernel_name = files.kernel_name;
  std::vector<boot::Extent> ram;
  for (const auto& range : machine.ram()) ram.push_back({range.address, range.size});
  const auto reserved = SOLDER_TRY(reserved_extents(machine.tree()));
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
