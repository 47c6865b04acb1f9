/// One CPU's local APIC (Intel SDM volume 3, chapter 11): its registers, what it accepts, what its CPU takes next.
/// How interrupts travel between them is local_apics.h.
#pragma once

#include <array>
#include <mutex>
#include <optional>

#include "cpu/vcpu.h"
#include "models/apic/lapic_state.h"
#include "models/apic/lapic_timer.h"
#include "models/apic/message.h"

namespace solder::models::apic {

/// Registers by number: a sixteenth of their offset in the xAPIC window, 0x800 below their MSR in x2APIC mode.
enum Register : u32 {
  kRegId = 0x02,
  kRegVersion = 0x03,
  kRegTpr = 0x08,
  kRegApr = 0x09,
  kRegPpr = 0x0a,
  kRegEoi = 0x0b,
  kRegLdr = 0x0d,
  kRegDfr = 0x0e,
  kRegSvr = 0x0f,
  kRegIsr = 0x10,
  kRegTmr = 0x18,
  kRegIrr = 0x20,
  kRegEsr = 0x28,
  kRegIcr = 0x30,
  kRegIcrHigh = 0x31,
  kRegLvt = 0x32,
  kRegInitialCount = 0x38,
  kRegCurrentCount = 0x39,
  kRegDivide = 0x3e,
  kRegSelfIpi = 0x3f,
};

/// Errors (ESR, section 11.5.3).
constexpr u32 kErrorSendVector = 1u << 5;
constexpr u32 kErrorReceiveVector = 1u << 6;
constexpr u32 kErrorRegister = 1u << 7;

/// All calls under the model's lock.
class Lapic {
 public:
  /// CPU 0 is the bootstrap processor. `timer_due`: see LapicTimer.
  Lapic(u32 index, u32 id, u64 base, time::TimerQueue& timers, std::function<void()> timer_due);
  Lapic(const Lapic&) = delete;
  Lapic& operator=(const Lapic&) = delete;
  void connect(cpu::Vcpu& vcpu);

  /// Power-on, or INIT, which leaves the ID and IA32_APIC_BASE (section 11.4.7.3).
  void reset(bool init);
  [[nodiscard]] LapicState save() const;
  void load(const LapicState& state);
  [[nodiscard]] const LapicState& state() const { return state_; }
  void set_waits_for_startup(bool waits) { state_.waits_for_startup = waits; }

  /// Registers but EOI, ICR's low half and self IPI, which concern others. The value of an unknown one is 0, and an
  /// error (ESR).
  [[nodiscard]] u32 read(u32 number);
  void write(u32 number, u32 value);
  void set_command(u64 command) { state_.command = command; }
  [[nodiscard]] u64 read_base() const { return state_.base; }
  /// Whether IA32_APIC_BASE may become `value` (figure 11-23).
  [[nodiscard]] bool allows_base(u64 value) const;
  void write_base(u64 value);
  [[nodiscard]] bool has_deadline() const { return deadline_; }
  void write_deadline(u64 value) { timer_.write_deadline(value); }

  /// Whether a destination names this one (section 11.6.2).
  [[nodiscard]] bool matches(const Request& request) const;
  /// Whether it takes fixed interrupts: enabled in IA32_APIC_BASE and SVR.
  [[nodiscard]] bool accepts() const { return state_.enabled() && state_.software_enabled(); }
  /// False: the vector is illegal, which is an error (ESR) and no interrupt.
  bool accept(u8 vector, bool level);
  void raise_nmi();
  void report_error(u32 error);
  /// Level of a local interrupt pin, 0 or 1.
  void set_lint(u32 pin, bool level);
  /// After the timer's callback.
  void timer_due();

  /// Whether the CPU's interrupt is the i8259's (ExtINT).
  [[nodiscard]] bool external() const;
  /// The INTA cycle for the own ones.
  [[nodiscard]] std::optional<u8> take();
  /// EOI: the vector whose end is broadcast, if it was level-triggered.
  [[nodiscard]] std::optional<u8> end_of_interrupt();
  [[nodiscard]] u32 processor_priority() const;
  /// For lowest priority delivery; the lowest wins (section 11.6.2.4).
  [[nodiscard]] u32 arbitration_priority() const;

 private:
  void update();
  void write_lvt(u32 entry, u32 value);
  void fire(u32 entry);

  u32 index_;
  u32 id_;
  u64 base_;
  bool deadline_ = false;  // the TSC-deadline timer can be had
  bool line_ = false;      // level last given to the CPU
  std::array<bool, 2> lint_{};
  cpu::Vcpu* vcpu_ = nullptr;
  LapicState state_;
  LapicTimer timer_;
};

}  // namespace solder::models::apic
