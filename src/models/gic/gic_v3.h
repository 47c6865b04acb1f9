/// GICv3 without LPIs: one security state (GICD_CTLR.DS is 1), affinity routing always on.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cpu/vcpu.h"
#include "device/device.h"
#include "models/gic/end_watchers.h"
#include "models/gic/interrupt_state.h"

namespace solder::models::gic {

/// "arm,gic-v3". Interrupt controller of the binding interrupt-controller/arm,gic-v3: `reg` 0 is the distributor,
/// then the redistributor regions, then the optional GICv2 compatibility frames, which are RAZ/WI.
class GicV3 final : public device::Device,
                    public interrupt::Controller,
                    public interrupt::Sink,
                    public cpu::SystemRegisters {
 public:
  /// Errors: no room for all CPUs in the redistributor regions, a stride that is not right.
  static Result<std::unique_ptr<device::Device>> create(device::Ports& ports);
  ~GicV3() override;

  void reset() override;
  void state(device::Archive& archive) override;
  Status start() override;
  [[nodiscard]] std::string describe() const override;

  Result<Input> input(std::span<const u32> specifier, u32 cpu) override;
  void set_level(u32 pin, bool level) override;
  void pulse(u32 pin) override;
  /// Of shared interrupts: told when a CPU deactivates one.
  void watch_eoi(u32 pin, std::function<void()> watcher) override;

  [[nodiscard]] bool has(u32 encoding) const override;
  u64 read(u32 cpu, u32 encoding) override;
  void write(u32 cpu, u32 encoding, u64 value) override;

 private:
  class DistributorWindow;
  class RedistributorWindow;
  class ReservedWindow;

  struct Cpu {
    cpu::Vcpu* vcpu = nullptr;
    u32 affinity = 0;  ///< Aff3.Aff2.Aff1.Aff0
    bool last_in_region = false;
    bool asleep = true;  ///< GICR_WAKER.ProcessorSleep
    std::array<bool, 2> group_enabled{};
    CpuInterface interface;
    bool irq = false;  ///< levels last given to the CPU
    bool fiq = false;
  };

  explicit GicV3(device::Ports& ports);
  Status place_redistributors();

  u32 read_distributor(u32 offset);
  void write_distributor(u32 offset, u32 value);
  u32 read_redistributor(u32 cpu, u32 offset);
  void write_redistributor(u32 cpu, u32 offset, u32 value);
  [[nodiscard]] u64 route_register(u32 id) const { return routers_[id]; }
  void set_route_register(u32 id, u64 value);
  void write_priority_byte(u32 cpu, u32 id, u8 value);

  /// Recomputes which CPU gets shared interrupt `id`.
  void resolve_route(u32 id);
  /// The same for the ones that any CPU may take, after a CPU's readiness changed.
  void resolve_shared_routes();
  [[nodiscard]] u32 signalling_groups(const Cpu& cpu) const;
  [[nodiscard]] Best best(u32 cpu) const;
  void update(u32 cpu);
  void update_all();
  /// After interrupt `id` changed: its CPU, or for a private one `cpu`.
  void update_interrupt(u32 cpu, u32 id);

  u32 acknowledge(u32 cpu, u32 group);
  void end_of_interrupt(u32 cpu, u32 group, u32 id);
  void deactivate(u32 cpu, u32 id);
  void send_sgi(u32 cpu, u64 value, u32 group);
  /// Before CPU `cpu` deactivates `id` by a write to EOIR, or to DIR: tells who watches. Without the lock.
  void tell_end(u32 cpu, u32 id, bool by_dir);

  device::Ports& ports_;
  std::mutex& lock_;
  std::vector<Cpu> cpus_;
  InterruptState interrupts_;
  u32 words_;                 ///< of 32 ids that exist, the private one included
  u32 control_ = 0;           ///< GICD_CTLR's two enables
  std::vector<u64> routers_;  ///< GICD_IROUTER by id
  std::vector<i32> targets_;  ///< the CPU each shared id goes to, -1 none
  u32 one_of_n_ = 0;          ///< how many have IROUTER.Interrupt_Routing_Mode set
  std::vector<std::unique_ptr<memory::MmioHandler>> windows_;
  EndWatchers watchers_;
};

}  // namespace solder::models::gic
