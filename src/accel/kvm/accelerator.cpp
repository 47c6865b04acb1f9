#include "accel/kvm/accelerator.h"

#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/memory_slots.h"
#include "accel/kvm/platform.h"
#include "accel/kvm/run_gate.h"
#include "base/log.h"

namespace solder::accel::kvm {

Kvm::Kvm(std::unique_ptr<Vm> vm) : vm_(std::move(vm)), gate_(std::make_unique<RunGate>()) {}
Kvm::~Kvm() = default;

Result<std::unique_ptr<Kvm>> Kvm::create(const std::string& path) {
  auto vm = SOLDER_TRY(Vm::open(path));
  if (vm->check(KVM_CAP_USER_MEMORY) == 0) return fail(path, "has no KVM_CAP_USER_MEMORY");
  std::unique_ptr<Kvm> kvm(new Kvm(std::move(vm)));
  kvm->platform_ = SOLDER_TRY(Platform::create(*kvm->vm_, *kvm->gate_));
  return kvm;
}

Status Kvm::attach(memory::AddressSpace& memory) {
  if (slots_) return {};
  slots_ = std::make_shared<MemorySlots>(*vm_, *gate_);
  memory.listen([weak = std::weak_ptr(slots_)](const memory::FlatMap&, const memory::FlatMap& after) {
    const auto slots = weak.lock();
    if (!slots) return;
    // The change itself cannot be refused any more. Memory without a slot still works, an exit for each access.
    if (const Status done = slots->update(after); !done) log::warn(done.error().text());
  });
  return slots_->update(memory.map());
}

Result<std::unique_ptr<cpu::Vcpu>> Kvm::create_vcpu(const cpu::CpuRequest& request) {
  if (!slots_ && request.memory != nullptr) SOLDER_TRY_STATUS(attach(*request.memory));
  return platform_->create_vcpu(request);
}

device::KernelDevices* Kvm::kernel_devices() {
  return platform_->kernel_devices();
}

bool Kvm::parks_cpus() const {
  return platform_->parks_cpus();
}

std::string Kvm::statistics() const {
  return statistics_ ? gate_->statistics() : std::string{};
}

}  // namespace solder::accel::kvm
