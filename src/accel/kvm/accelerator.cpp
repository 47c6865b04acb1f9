#include "accel/kvm/accelerator.h"

#include "accel/kvm/deferred_writes.h"
#include "accel/kvm/doorbells.h"
#include "accel/kvm/kvm_abi.h"
#include "accel/kvm/memory_slots.h"
#include "accel/kvm/platform.h"
#include "accel/kvm/run_gate.h"
#include "base/log.h"

namespace solder::accel::kvm {

Kvm::Kvm(std::unique_ptr<Vm> vm)
    : vm_(std::move(vm)),
      gate_(std::make_unique<RunGate>()),
      no_ports_(std::make_unique<memory::AddressSpace>("nothing")) {}
Kvm::~Kvm() = default;

Result<std::unique_ptr<Kvm>> Kvm::create(const std::string& path, u32 dirty_ring_entries) {
  auto vm = SOLDER_TRY(Vm::open(path));
  if (vm->check(KVM_CAP_USER_MEMORY) == 0) return fail(path, "has no KVM_CAP_USER_MEMORY");
  // A host without them has the log.
  if (dirty_ring_entries != 0) {
    [[maybe_unused]] const Status rings = vm->enable_dirty_rings(dirty_ring_entries);
  }
  std::unique_ptr<Kvm> kvm(new Kvm(std::move(vm)));
  kvm->platform_ = SOLDER_TRY(Platform::create(*kvm->vm_, *kvm->gate_));
  return kvm;
}

// Windows whose writes KVM takes.
void Kvm::follow(memory::AddressSpace& space, bool ports) {
  const WindowSpace which = ports ? WindowSpace::ports : WindowSpace::memory;
  const auto update = [which, deferred = std::weak_ptr(deferred_),
                       doorbells = std::weak_ptr(doorbells_)](const memory::FlatMap& map) {
    if (const auto writes = deferred.lock()) writes->update(which, map);
    if (const auto bells = doorbells.lock()) bells->update(which, map);
  };
  const auto observe = [which, deferred = std::weak_ptr(deferred_),
                        doorbells = std::weak_ptr(doorbells_)](bool observed) {
    if (const auto writes = deferred.lock()) writes->observe(which, observed);
    if (const auto bells = doorbells.lock()) bells->observe(which, observed);
  };
  space.listen([update](const memory::FlatMap&, const memory::FlatMap& after) { update(after); });
  space.listen_observation(observe);
  update(space.map());
  observe(space.observed());
}

Status Kvm::attach(memory::AddressSpace& memory, memory::AddressSpace* ports) {
  if (slots_) return {};
  slots_ = std::make_shared<MemorySlots>(*vm_, *gate_);
  memory.listen([weak = std::weak_ptr(slots_)](const memory::FlatMap&, const memory::FlatMap& after) {
    const auto slots = weak.lock();
    if (!slots) return;
    // The change itself cannot be refused any more. Memory without a slot still works, an exit for each access.
    if (const Status done = slots->update(after); !done) log::warn(done.error().text());
  });
  vm_->set_dirty_ring_handler([weak = std::weak_ptr(slots_)]() -> Status {
    const auto slots = weak.lock();
    return slots ? slots->ring_full() : Status{};
  });
  deferred_ = std::make_shared<DeferredWrites>(*vm_, memory, ports != nullptr ? *ports : *no_ports_);
  doorbells_ = std::make_shared<Doorbells>(*vm_, *deferred_);
  vm_->set_deferred_writes(deferred_.get());
  follow(memory, false);
  if (ports != nullptr) follow(*ports, true);
  return slots_->update(memory.map());
}

void Kvm::machine_starts(cpu::CpuSet& cpus) {
  if (deferred_) deferred_->start();
  if (doorbells_) doorbells_->start(cpus);
}

void Kvm::machine_stops() {
  if (doorbells_) doorbells_->stop();
}

Result<std::unique_ptr<cpu::Vcpu>> Kvm::create_vcpu(const cpu::CpuRequest& request) {
  if (!slots_ && request.memory != nullptr) SOLDER_TRY_STATUS(attach(*request.memory, request.ports));
  return platform_->create_vcpu(request);
}

device::KernelDevices* Kvm::kernel_devices() {
  return platform_->kernel_devices();
}

bool Kvm::parks_cpus() const {
  return platform_->parks_cpus();
}

std::string Kvm::statistics() const {
  if (!statistics_) return {};
  std::string out = gate_->statistics();
  if (doorbells_) {
    out += "\ndoorbells answered without an exit: " + std::to_string(doorbells_->count());
    out += "\nwrites deferred to the next exit: " + std::to_string(deferred_->count());
  }
  return out;
}

}  // namespace solder::accel::kvm
