// ARM PrimeCell real-time clock (PL031), DDI 0224C. Counts the machine's wall clock in seconds.
#include "device/registry.h"

namespace solder::models::rtc {
namespace {

constexpr u64 kSecond = 1'000'000'000;

class Pl031 final : public device::Device {
 public:
  explicit Pl031(device::Ports& ports)
      : ports_(ports), wire_(ports.level_wire(0)), alarm_(ports.timers(), [this] { alarm_passed(); }) {
    device::RegisterBlock& block = ports.window(0, 0x1000);
    block.ro("RTCDR", 0x00, [this] { return counter(); });
    block.reg(
        "RTCMR", 0x04, [this] { return match_; },
        [this](u32 value) {
          match_ = value;
          set_alarm();
        });
    block.reg(
        "RTCLR", 0x08, [this] { return load_; },
        [this](u32 value) {
          load_ = value;
          offset_ += value - counter();
          set_alarm();
        });
    // Section 3.3.4: once started it stays started; it is at reset, as the host's clock always runs.
    block.reg(
        "RTCCR", 0x0c, [] { return 1u; }, [](u32) {});
    block.rw("RTCIMSC", 0x10, mask_, 1, [this] { update(); });
    block.ro("RTCRIS", 0x14, raw_);
    block.ro("RTCMIS", 0x18, [this] { return raw_ & mask_; });
    block.wo("RTCICR", 0x1c, [this](u32 value) {
      raw_ &= ~value;
      update();
    });
    block.primecell_id(0x031, 0);
  }

  void reset() override {
    // The count goes on: a reset of the machine does not change the time.
    alarm_.cancel();
    match_ = load_ = mask_ = raw_ = 0;
    update();
  }

  void state(device::Archive& archive) override {
    archive("match", match_)("load", load_)("mask", mask_)("raw", raw_)("offset", offset_);
    if (archive.mode() != device::Archive::Mode::load) return;
    update();
    set_alarm();
  }

  void stop() override { alarm_.cancel(); }

 private:
  [[nodiscard]] u32 counter() const { return static_cast<u32>(ports_.clock().wall_seconds()) + offset_; }

  void set_alarm() {
    const u32 distance = match_ - counter();
    if (distance == 0) return fire();
    // The count changes when machine time passes whole seconds.
    const time::Nanoseconds now = ports_.clock().now();
    alarm_.arm((now / kSecond + distance) * kSecond);
  }

  void fire() {
    raw_ = 1;
    update();
  }

  /// On the timer thread.
  void alarm_passed() {
    const std::lock_guard guard(ports_.lock());
    // Fired a little early, or the clock was set back: wait for the rest. Late by up to a day: it has matched.
    const u32 late = counter() - match_;
    if (late < 86'400) {
      fire();
    } else {
      set_alarm();
    }
  }

  void update() { wire_.set((raw_ & mask_) != 0); }

  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  time::Timer alarm_;
  u32 match_ = 0;
  u32 load_ = 0;
  u32 mask_ = 0;
  u32 raw_ = 0;
  u32 offset_ = 0;  ///< what the guest set it ahead of the wall clock, modulo 2^32
};

const device::Registration kPl031{"arm,pl031", device::make<Pl031>, "ARM PrimeCell real-time clock (PL031, DDI 0224)"};

}  // namespace
}  // namespace solder::models::rtc
