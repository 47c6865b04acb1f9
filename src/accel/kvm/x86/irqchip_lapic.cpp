// The node of the local APICs when they live in KVM, in "kernel" and in "split" mode.
#include <fmt/core.h>
#include <sys/ioctl.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "accel/kvm/x86/irqchip_devices.h"
#include "accel/kvm/x86/irqchip_state.h"
#include "accel/kvm/x86/msr.h"
#include "base/log.h"
#include "models/apic/local_apics.h"
#include "models/apic/register_names.h"
#include "models/apic/specifier.h"

namespace solder::accel::kvm::x86 {

namespace {

using device::Archive;
using models::apic::kLvtLint1;
using models::apic::kMsrApicBase;
using models::apic::kMsrTscDeadline;

class KernelLapics final : public device::Device,
                           public interrupt::Controller,
                           public interrupt::Sink,
                           public interrupt::MessageTarget,
                           public memory::MmioHandler {
 public:
  KernelLapics(device::Ports& ports, Vm& vm, const IrqchipOptions& options)
      : ports_(ports), vm_(vm), options_(options) {
    ports.window(0, *this);
    ports.provide_controller(*this);
    ports.provide_messages(*this);
  }

  [[nodiscard]] std::string describe() const override {
    return fmt::format("local APICs of {} CPUs in KVM", ports_.cpu_count());
  }

  Status start() override {
    if (options_.kernel_pic) return {};
    // Split: the i8259 is ours, and KVM asks for its vector (ExtINT).
    boot_cpu_ = &ports_.cpus()[0].vcpu();
    if (auto* legacy = ports_.legacy_controller()) boot_cpu_->set_cpu_interface(legacy);
    if (lint0_.load()) boot_cpu_->set_line(cpu::Line::irq, true);
    return {};
  }

  Result<Input> input(std::span<const u32> specifier, u32) override {
    Input out = SOLDER_TRY(models::apic::parse_lint_specifier(specifier));
    out.sink = this;
    return out;
  }

  void set_level(u32 pin, bool level) override {
    if (options_.kernel_pic) {
      // LINT0 belongs to KVM's own i8259, and KVM has no call for LINT1. (An i8259 in KVM drives no wire of ours.)
      if (level && !complained_.exchange(true))
        log::warn(ports_.node().place() + ": KVM connects the LINT pins by itself; what another device sends is lost");
      return;
    }
    if (pin == 0) {
      lint0_.store(level);
      if (boot_cpu_ != nullptr) boot_cpu_->set_line(cpu::Line::irq, level);
    } else if (pin == 1) {
      if (level && !lint1_.exchange(true)) raise_lint1();
      if (!level) lint1_.store(false);
    }
  }

  bool deliver(const interrupt::Message& message) override {
    if (!models::apic::parse_message(message)) return false;
    kvm_msi msi{};
    msi.address_lo = static_cast<u32>(message.address);
    msi.address_hi = static_cast<u32>(message.address >> 32);
    msi.data = message.data;
    // How many CPUs accepted it (Documentation/virt/kvm/api.rst, KVM_SIGNAL_MSI); an error: the destination names none.
    const auto done = vm_.call_value(SOLDER_KVM(KVM_SIGNAL_MSI), &msi);
    return done && *done > 0;
  }

  void add_eoi_listener(interrupt::EoiListener& listener) override {
    listeners_.push_back(&listener);
    vm_.set_eoi_handler([this](u8 vector) {
      for (interrupt::EoiListener* each : listeners_) each->end_of_interrupt(vector);
    });
  }

  // The CPUs' accesses end in KVM. Others (DMA, a debugger) find nothing.
  u64 read(u64, unsigned) override { return 0; }
  void write(u64, unsigned, u64) override {}
  [[nodiscard]] std::string register_name(u64 offset) const override {
    return models::apic::lapic_register_name(offset);
  }

  void reset() override {
    for (u32 cpu = 0; cpu < ports_.cpu_count(); ++cpu) {
      models::apic::LapicState power_on;
      power_on.id = static_cast<u32>(ports_.cpu_hardware_id(cpu));
      power_on.waits_for_startup = cpu != 0;
      if (cpu == 0) {
        power_on.base |= models::apic::kBaseBsp;
        power_on.lvt[models::apic::kLvtLint0] = static_cast<u32>(models::apic::Delivery::external) << 8;
      }
      load(cpu, power_on);
    }
  }

  void state(Archive& archive) override {
    for (u32 cpu = 0; cpu < ports_.cpu_count(); ++cpu) {
      models::apic::LapicState record;
      if (archive.mode() == Archive::Mode::save) record = lapic_record(get(cpu));
      archive("apic", record);
      if (archive.mode() == Archive::Mode::load && archive.status()) load(cpu, record);
    }
  }

 private:
  [[nodiscard]] KernelLapic get(u32 cpu) {
    KernelLapic out;
    out.wide_ids = options_.wide_ids;
    const int fd = vm_.vcpu_fd(cpu);
    check(control(fd, SOLDER_KVM(KVM_GET_LAPIC), &out.page));
    kvm_mp_state run{};
    check(control(fd, SOLDER_KVM(KVM_GET_MP_STATE), &run));
    out.run_state = run.mp_state;
    out.base = read_msr(fd, kMsrApicBase).value_or(0);
    out.tsc_deadline = read_msr(fd, kMsrTscDeadline).value_or(0);  // 0: a KVM without deadlines
    return out;
  }

  void load(u32 cpu, const models::apic::LapicState& record) {
    KernelLapic now = get(cpu);
    const KernelLapic before = now;
    apply(record, now);
    const int fd = vm_.vcpu_fd(cpu);
    // The mode before the registers: the ID's form follows from it. The deadline after them: the timer's mode allows
    // it.
    if (now.base != before.base) report(write_msr(fd, kMsrApicBase, now.base));
    check(control(fd, SOLDER_KVM(KVM_SET_LAPIC), &now.page));
    if (now.tsc_deadline != 0) report(write_msr(fd, kMsrTscDeadline, now.tsc_deadline));
    if (now.run_state == before.run_state) return;
    kvm_mp_state run{};
    run.mp_state = now.run_state;
    check(control(fd, SOLDER_KVM(KVM_SET_MP_STATE), &run));
  }

  void check(const Result<int>& done) const {
    if (!done) report(std::unexpected(done.error()));
  }
  void report(const Status& done) const {
    if (!done) log::warn(ports_.node().place() + ": " + done.error().text());
  }

  // KVM_NMI does not look at the local vector table: it is looked at here, on the CPU's thread, between two entries.
  void raise_lint1() {
    if (boot_cpu_ == nullptr) return;
    ports_.cpus()[0].post([this] {
      KernelLapic now = get(0);
      const u32 entry = lapic_record(now).lvt[kLvtLint1];
      const bool enabled = (now.base & models::apic::kBaseEnable) != 0;
      const bool nmi = (entry & models::apic::kLvtMasked) == 0 && (entry >> 8 & 7) == 4;
      if (!enabled || nmi) boot_cpu_->raise_nmi();
    });
  }

  device::Ports& ports_;
  Vm& vm_;
  const IrqchipOptions options_;
  cpu::Vcpu* boot_cpu_ = nullptr;
  std::atomic<bool> lint0_{false};
  std::atomic<bool> lint1_{false};
  std::atomic<bool> complained_{false};
  std::vector<interrupt::EoiListener*> listeners_;
};

}  // namespace

std::unique_ptr<device::Device> make_kernel_lapic(device::Ports& ports, Vm& vm, const IrqchipOptions& options) {
  return std::make_unique<KernelLapics>(ports, vm, options);
}

}  // namespace solder::accel::kvm::x86
