#include "accel/kvm/probe.h"

#include <utility>

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/vm.h"

namespace solder::accel::kvm {

// arm64's KVM has no emulator of instructions to fall back to: where a CPU can be made, the processor runs it.
Probe probe(const std::string& path, std::chrono::nanoseconds) {
  auto vm = Vm::open(path);
  if (!vm) return {false, false, vm.error().where + ": " + vm.error().what, vm.error().fix};
  kvm_vcpu_init init{};
  if (const Status target = (*vm)->call(SOLDER_KVM(KVM_ARM_PREFERRED_TARGET), &init); !target) {
    return {false, false, target.error().what, "use --accel translator"};
  }
  return {true, true, "KVM runs arm64 guests at the processor's speed", {}, std::move(*vm)};
}

}  // namespace solder::accel::kvm
