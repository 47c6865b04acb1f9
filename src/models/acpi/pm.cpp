// The fixed ACPI hardware (ACPI 6.5, section 4.8): PM1 event and control registers, the power management timer, and the
// reset register at port 0xcf9. Which value of SLP_TYP switches the machine off is in device/acpi_hardware.h, for the
// tables that tell the guest.
#include <algorithm>
#include <optional>

#include "device/acpi_hardware.h"
#include "device/registry.h"

namespace solder::models::acpi {
namespace {

namespace hw = device::acpi;

/// TMR_STS is set whenever the timer's highest bit changes (section 4.8.3.3).
constexpr unsigned kTimerTop = 31;

// Port 0xcf9: bit 2 going high resets, and bit 1 chooses the whole system rather than a CPU.
constexpr u8 kResetCpu = 1U << 2;
constexpr u8 kResetBits = 0x0e;

constexpr u32 window(hw::PmWindow w) {
  return static_cast<u32>(w);
}

class AcpiPm final : public device::Device {
 public:
  explicit AcpiPm(device::Ports& ports)
      : ports_(ports), wire_(ports.level_wire(0)), overflow_(ports.timers(), [this] { overflowed(); }) {
    // Bytes, because the registers may be accessed by bytes and as a whole.
    device::RegisterBlock& event = ports.window(window(hw::PmWindow::event), 4);
    event.add({.name = "PM1_STS",
               .offset = 0,
               .width = 1,
               .count = 2,
               .stride = 1,
               .read = [this](u32 byte) -> u64 {
                 advance();
                 return status_ >> (8 * byte);
               },
               .write =
                   [this](u32 byte, u64 value) {
                     advance();
                     status_ &= static_cast<u16>(~(value << (8 * byte)));
                     update();
                   }});
    event.add({.name = "PM1_EN",
               .offset = 2,
               .width = 1,
               .count = 2,
               .stride = 1,
               .read = [this](u32 byte) -> u64 { return enable_ >> (8 * byte); },
               .write =
                   [this](u32 byte, u64 value) {
                     advance();
                     const u32 others = enable_ & (0xff00U >> (8 * byte));
                     enable_ = static_cast<u16>((others | value << (8 * byte)) & hw::kPm1Bits);
                     update();
                   }});
    ports.window(window(hw::PmWindow::control), 2)
        .add({.name = "PM1_CNT",
              .offset = 0,
              .width = 1,
              .count = 2,
              .stride = 1,
              // ACPI mode from the start: SCI_EN cannot be cleared.
              .read = [this](u32 byte) -> u64 { return (control_ | hw::kPm1SciEnable) >> (8 * byte); },
              // SLP_TYP and SLP_EN are in the high byte; BM_RLD and GBL_RLS have nobody to talk to.
              .write =
                  [this](u32 byte, u64 value) {
                    if (byte == 1) sleep(static_cast<u16>(value << 8));
                  }});
    ports.window(window(hw::PmWindow::timer), 4).ro("PM_TMR", 0, [this] { return static_cast<u32>(ticks()); });
    if (ports.window_count() > window(hw::PmWindow::reset)) {
      ports.window(window(hw::PmWindow::reset), 1)
          .add({.name = "RST_CNT",
                .offset = 0,
                .width = 1,
                .stride = 1,
                .read = [this](u32) -> u64 { return reset_; },
                .write = [this](u32, u64 value) { write_reset(static_cast<u8>(value)); }});
    }
    seen_ = ticks() >> kTimerTop;
  }

  void reset() override {
    overflow_.cancel();
    status_ = enable_ = control_ = 0;
    reset_ = 0;
    seen_ = ticks() >> kTimerTop;
    update();
  }

  void state(device::Archive& archive) override {
    archive("status", status_)("enable", enable_)("control", control_)("reset", reset_)("seen", seen_);
    if (archive.mode() == device::Archive::Mode::load) update();
  }

  void stop() override { overflow_.cancel(); }

  bool press_power_button() override {
    const std::lock_guard guard(ports_.lock());
    status_ |= hw::kPm1PowerButton;
    update();
    return true;
  }

 private:
  [[nodiscard]] u64 ticks() const { return ports_.clock().ticks(hw::kPmTimerHz); }

  void sleep(u16 value) {
    // SLP_EN is write-only.
    control_ = value & (7U << hw::kPm1SleepTypeShift);
    if ((value & hw::kPm1SleepEnable) != 0 && control_ >> hw::kPm1SleepTypeShift == hw::kSleepTypeS5)
      ports_.control().request_shutdown();
  }

  void write_reset(u8 value) {
    const bool rises = (value & ~reset_ & kResetCpu) != 0;
    reset_ = value & kResetBits;
    if (rises) ports_.control().request_reset();
  }

  /// Notes changes of the timer's highest bit since the last call.
  void advance() {
    const u64 halves = ticks() >> kTimerTop;
    if (halves > seen_) status_ |= hw::kPm1Timer;
    seen_ = halves;
  }

  void update() {
    wire_.set((status_ & enable_) != 0);
    // The host is woken for an overflow only if that interrupts.
    if ((enable_ & hw::kPm1Timer) != 0 && (status_ & hw::kPm1Timer) == 0 && seen_ < ~u64{0} >> kTimerTop) {
      overflow_.arm(time::Clock::time_of_ticks((seen_ + 1) << kTimerTop, hw::kPmTimerHz));
    } else {
      overflow_.cancel();
    }
  }

  /// On the timer thread.
  void overflowed() {
    const std::lock_guard guard(ports_.lock());
    advance();
    update();
  }

  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  time::Timer overflow_;
  u16 status_ = 0;
  u16 enable_ = 0;
  u16 control_ = 0;
  u8 reset_ = 0;
  u64 seen_ = 0;  ///< half periods of the timer that `status_` knows of
};

Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  if (ports.window_count() < 3)
    return fail(ports.node().place("reg"), "the event block, the control block and the timer each need an entry",
                "give them in this order, and the reset register as the fourth if there is one");
  return std::make_unique<AcpiPm>(ports);
}

const device::Registration kPm{"solder,acpi-pm", create,
                               "ACPI's fixed hardware: PM1 blocks, timer, reset (ACPI 6.5, 4.8)"};

}  // namespace
}  // namespace solder::models::acpi
