// "intel,i8259": the pair of interrupt controllers of a PC, the slave on input 2 of the master, and the registers that
// choose level or edge (ELCR, as EISA has them).
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "base/bits.h"
#include "cpu/vcpu.h"
#include "device/registry.h"
#include "models/apic/specifier.h"
#include "models/pic/i8259.h"

namespace solder::models::pic {
namespace {

constexpr u32 kCascade = 2;
constexpr u32 kSpurious = 7;

class Pair final : public device::Device,
                   public interrupt::Controller,
                   public interrupt::Sink,
                   public interrupt::CpuInterface {
 public:
  explicit Pair(device::Ports& ports) : lock_(ports.lock()), output_(ports.level_wire(0)) {
    for (u32 chip = 0; chip < 2; ++chip) {
      auto& block = ports.window(chip, 2);
      block.add(byte_register(
          "COMMAND", 0, [this, chip] { return chips_[chip].read_command(); },
          [this, chip](u8 value) { chips_[chip].write_command(value); }));
      block.add(byte_register(
          "MASK", 1, [this, chip] { return chips_[chip].read_mask(); },
          [this, chip](u8 value) { chips_[chip].write_mask(value); }));
      block.afterwards([this] { tell_ends(); });
    }
    auto& trigger = ports.window(2, 2);
    for (u32 chip = 0; chip < 2; ++chip)
      trigger.add(byte_register(
          "ELCR", chip, [this, chip] { return state_.chips[chip].level_triggered; },
          [this, chip](u8 value) { chips_[chip].write_level_triggered(value & kLevelWritable[chip]); }));
    ports.provide_controller(*this);
    ports.provide_legacy_controller(*this);
  }

  void reset() override {
    const std::lock_guard guard(lock_);
    for (auto& chip : chips_) chip.reset();
    update();
  }

  void state(device::Archive& archive) override {
    const std::lock_guard guard(lock_);
    archive("pic", state_);
    if (archive.mode() != device::Archive::Mode::load) return;
    for (u32 chip = 0; chip < 2; ++chip) {
      ChipState& loaded = state_.chips[chip];
      loaded.lowest &= 7;
      loaded.vector_base &= 0xf8;
      loaded.level_triggered &= kLevelWritable[chip];
      if (loaded.init_state > 3) loaded.init_state = 0;
    }
    update();
  }

  Result<Input> input(std::span<const u32> specifier, u32 cpu) override {
    (void)cpu;
    Input out = SOLDER_TRY(apic::parse_pin_specifier(specifier, 16));
    if (out.pin == kCascade)
      return fail("", "cell 0 (pin) is 2: there the slave is connected", "use another interrupt");
    out.sink = this;
    return out;
  }

  void set_level(u32 pin, bool level) override {
    if (pin >= 16) return;
    const std::lock_guard guard(lock_);
    chips_[pin / 8].set_level(pin % 8, level);
    update();
  }

  void watch_eoi(u32 pin, std::function<void()> watcher) override {
    if (pin >= 16) return;
    const std::lock_guard guard(watching_);
    const u16 mask = static_cast<u16>(1u << pin);
    if (watcher) {
      watched_ |= mask;
    } else {
      watched_ &= static_cast<u16>(~mask);
    }
    watchers_[pin] = std::move(watcher);
  }

  // The INTA cycle. It always has a vector: without a request that of input 7, which is not in service then.
  std::optional<u8> acknowledge() override {
    u8 vector = 0;
    {
      const std::lock_guard guard(lock_);
      vector = acknowledge_locked();
    }
    tell_ends();
    return vector;
  }

 private:
  u8 acknowledge_locked() {
    u32 chip = 0;
    u32 input = chips_[0].pending().value_or(kSpurious + 1);
    if (input <= kSpurious) {
      chips_[0].acknowledge(input);
      if (input == kCascade && cascaded()) {
        chip = 1;
        input = chips_[1].pending().value_or(kSpurious + 1);
        if (input <= kSpurious) chips_[1].acknowledge(input);
      }
    }
    if (input > kSpurious) input = kSpurious;
    update();
    return static_cast<u8>(state_.chips[chip].vector_base + input);
  }

  template <class Read, class Write>
  device::Register byte_register(std::string_view name, u64 offset, Read read, Write write) {
    device::Register out;
    out.name = name;
    out.offset = offset;
    out.width = 1;
    out.read = [this, read](u32) -> u64 {
      const u8 value = read();
      update();  // a poll acknowledges
      return value;
    };
    out.write = [this, write](u32, u64 value) {
      write(static_cast<u8>(value));
      update();
    };
    return out;
  }

  [[nodiscard]] bool cascaded() const { return !state_.chips[0].single; }

  // Who watches the end of an interrupt takes the level back first, and raises it again if its source still asks: the
  // CPU hears of neither in between, since `update` waits for it.
  void tell_ends() {
    u16 ended = 0;
    {
      const std::lock_guard guard(lock_);
      ended = std::exchange(ended_, u16{0});
    }
    if (ended == 0) return;
    for (u32 pin = 0; pin < 16; ++pin) {
      if (!bit(ended, pin)) continue;
      std::function<void()> watcher;
      {
        const std::lock_guard guard(watching_);
        watcher = watchers_[pin];
      }
      if (watcher) watcher();
    }
    const std::lock_guard guard(lock_);
    update();
  }

  void update() {
    ended_ |= static_cast<u16>(chips_[0].take_ended() | chips_[1].take_ended() << 8);
    ended_ &= watched_.load();
    if (ended_ != 0) return;  // `tell_ends` follows
    if (cascaded() && chips_[1].pending()) chips_[0].request(kCascade);
    output_.set(chips_[0].pending().has_value());
  }

  std::mutex& lock_;
  interrupt::LevelWire& output_;
  u16 ended_ = 0;        // inputs whose interrupt has ended, and whose watcher does not know yet
  std::mutex watching_;  // after the model's lock
  std::atomic<u16> watched_{0};
  std::array<std::function<void()>, 16> watchers_;
  PairState state_;
  std::array<I8259, 2> chips_{I8259(state_.chips[0], kCascade), I8259(state_.chips[1])};
};

const device::Registration kPair{"intel,i8259", device::make<Pair>, "Pair of i8259A interrupt controllers, with ELCR"};

}  // namespace
}  // namespace solder::models::pic
