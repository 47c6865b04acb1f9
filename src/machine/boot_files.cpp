#include "machine/boot_files.h"

#include <sys/random.h>

#include <algorithm>
#include <iterator>

#include "boot/kernel_file.h"
#include "machine/boot_arm64.h"
#include "machine/boot_x86.h"

namespace solder::machine {

namespace {

// An architecture is a line here, and a pair of files. The last is for trees that say nothing.
constexpr BootProtocol kProtocols[] = {
    {"x86-64", check_x86, load_x86, {.pc = 0xfffffff0, .mode = cpu::EntryMode::real}},
    {"", check_arm64, load_arm64, {}},
};

const BootProtocol& protocol_of(const tree::Tree& tree) {
  std::string compatible;
  if (const tree::Node* cpus = tree.find("/cpus")) {
    for (const auto& child : cpus->children()) {
      if (child->string("device_type") != "cpu" || !child->enabled()) continue;
      const auto all = child->compatible();
      if (!all.empty()) compatible = all.front();
      break;
    }
  }
  return *std::ranges::find_if(kProtocols, [&](const auto& one) { return compatible.starts_with(one.cpus); });
}

}  // namespace

std::array<u8, 40> random_seed() {
  std::array<u8, 40> seed{};
  // Never short for so few bytes; a kernel without getrandom leaves zeroes, which the guest mixes with its own.
  [[maybe_unused]] const auto got = ::getrandom(seed.data(), seed.size(), 0);
  return seed;
}

Result<std::vector<boot::Extent>> reserved_extents(const tree::Tree& tree) {
  std::vector<boot::Extent> out;
  out.reserve(tree.reservations.size());
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

Result<BootFiles> BootFiles::read(const tree::Tree& tree) {
  BootFiles files;
  files.protocol = &protocol_of(tree);
  const tree::Node* boot = tree.find("/solder/boot");
  files.from_rom = boot != nullptr && boot->has("solder,from-rom");
  if (files.from_rom) return files;
  const auto kernel = boot != nullptr ? boot->string("solder,kernel") : std::nullopt;
  if (!kernel || kernel->empty())
    return fail("", "there is nothing to boot: no kernel was given",
                "use --kernel FILE or --firmware FILE, or solder,kernel in /solder/boot of the machine's tree");
  files.kernel_name = *kernel;
  auto packed = SOLDER_TRY(boot::read_file(*kernel, boot::kMaximumKernelBytes));
  files.kernel = SOLDER_TRY(boot::unwrap_kernel(std::move(packed), *kernel));
  SOLDER_TRY_STATUS(files.protocol->check(files));
  if (const auto initrd = boot->string("solder,initrd"))
    files.initrd = SOLDER_TRY(boot::read_file(*initrd, boot::kMaximumInitrdBytes));
  return files;
}

Result<cpu::EntryState> load_guest(Machine& machine, const BootFiles& files) {
  return files.from_rom ? files.protocol->power_on : files.protocol->load(machine, files);
}

}  // namespace solder::machine
