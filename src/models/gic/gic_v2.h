/// GICv2 without the Security Extensions: both groups, GIC-400's frames.
#pragma once

#include <memory>
#include <vector>

#include "cpu/vcpu.h"
#include "device/device.h"
#include "models/gic/end_watchers.h"
#include "models/gic/interrupt_state.h"

namespace solder::models::gic {

/// "arm,gic-400" and its relatives, binding interrupt-controller/arm,gic: `reg` 0 is the distributor, 1 the CPU
/// interface, 2 and 3 the virtual interface's, which are RAZ/WI.
class GicV2 final : public device::Device, public interrupt::Controller, public interrupt::Sink {
 public:
  /// Errors: more than 8 CPUs, no CPU interface frame.
  static Result<std::unique_ptr<device::Device>> create(device::Ports& ports);
  ~GicV2() override;

  void reset() override;
  void state(device::Archive& archive) override;
  Status start() override;
  [[nodiscard]] std::string describe() const override;

  Result<Input> input(std::span<const u32> specifier, u32 cpu) override;
  void set_level(u32 pin, bool level) override;
  void pulse(u32 pin) override;
  void watch_eoi(u32 pin, std::function<void()> watcher) override;

 private:
  class DistributorWindow;
  class CpuWindow;
  class ReservedWindow;

  struct Cpu {
    cpu::Vcpu* vcpu = nullptr;
    u32 control = 0;  ///< GICC_CTLR
    CpuInterface interface;
    std::array<u8, 16> sgi_sources{};  ///< by SGI: which CPUs' requests are pending
    bool irq = false;                  ///< levels last given to the CPU
    bool fiq = false;
  };

  explicit GicV2(device::Ports& ports);

  u32 read_distributor(u32 cpu, u32 offset);
  void write_distributor(u32 cpu, u32 offset, u32 value);
  void write_byte(u32 cpu, u32 offset, u8 value);
  u32 read_interface(u32 cpu, u32 offset);
  void write_interface(u32 cpu, u32 offset, u32 value);

  [[nodiscard]] u8 targets(u32 cpu, u32 id) const;
  void set_targets(u32 id, u8 mask);
  void send_sgi(u32 cpu, u32 value);
  void set_sgi_sources(u32 cpu, u32 id, u8 sources);

  [[nodiscard]] Best best(u32 cpu) const;
  /// The id as GICC_IAR and GICC_HPPIR show it, with an SGI's source.
  [[nodiscard]] u32 shown_id(u32 cpu, const Best& best) const;
  /// `alias`: through the AIAR and AHPPIR registers, which see group 1 only.
  [[nodiscard]] u32 visible_id(u32 cpu, const Best& best, bool alias) const;
  u32 acknowledge(u32 cpu, bool alias);
  void end_of_interrupt(u32 cpu, u32 value);
  /// Before a write of the CPU interface that deactivates an interrupt: tells who watches. Without the lock.
  void tell_end(u32 cpu, u32 offset, u32 value);
  void update(u32 cpu);
  void update_all();
  void update_interrupt(u32 cpu, u32 id);

  device::Ports& ports_;
  std::mutex& lock_;
  std::vector<Cpu> cpus_;
  InterruptState interrupts_;
  u32 words_;        ///< of 32 ids that exist, the private one included
  u32 control_ = 0;  ///< GICD_CTLR
  std::vector<u8> target_masks_;
  EndWatchers watchers_;
  std::vector<std::unique_ptr<memory::MmioHandler>> windows_;
};

}  // namespace solder::models::gic
