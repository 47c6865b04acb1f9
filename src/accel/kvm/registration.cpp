// Makes KVM known as an accelerator.
#include "accel/kvm/accelerator.h"
#include "accel/kvm/platform.h"
#include "accel/kvm/probe.h"
#include "cpu/accelerators.h"

namespace solder::accel::kvm {
namespace {

cpu::Suitability suits(std::string_view compatible) {
  if (!Platform::runs(compatible)) {
    return {false, false, "KVM runs only CPUs of the host's own architecture, not \"" + std::string(compatible) + "\"",
            "use --accel translator"};
  }
  Probe found = probe();
  return {found.usable, found.native, std::move(found.text), std::move(found.fix), std::move(found.vm)};
}

Result<cpu::AcceleratorFactory> prepare(const std::string& options, const cpu::Suitability& found) {
  if (!options.empty() && options != "stats") {
    return fail("--accel", "kvm does not know the option \"" + options + "\"",
                "its only option is stats: --accel kvm=stats");
  }
  const bool statistics = options == "stats";
  // A KVM that emulates kernel-mode code enters each page in a dirty ring as often as it is written, and does not look
  // whether the ring is full before it is overrun (Linux 6.18, seen): its log is right.
  const u32 rings = found.fast ? Kvm::kDirtyRingEntries : 0;
  // Shared by the function's copies: none of them keeps the VM when one has made another.
  auto probed = std::make_shared<std::shared_ptr<void>>(found.made);
  return [statistics, rings, probed]() -> Result<std::unique_ptr<cpu::Accelerator>> {
    auto kvm = SOLDER_TRY(Kvm::create("/dev/kvm", rings));
    probed->reset();
    if (statistics) kvm->show_statistics();
    return kvm;
  };
}

const cpu::AcceleratorRegistration kKvm({"kvm", 2, suits, prepare});

}  // namespace
}  // namespace solder::accel::kvm
