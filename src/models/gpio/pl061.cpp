// ARM PrimeCell GPIO (PL061), DDI 0190B: eight lines, each an input that can interrupt or an output.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <vector>

#include "device/registry.h"

namespace solder::models::gpio {
namespace {

constexpr u32 kPins = 8;
/// Pins of the sink: a device whose interrupt is active-low or falling drives its line inverted.
constexpr u32 kInverted = 0x100;

class Pl061 final : public device::Device,
                    public device::GpioPort,
                    public interrupt::Controller,
                    public interrupt::Sink {
 public:
  explicit Pl061(device::Ports& ports) : ports_(ports), wire_(ports.level_wire(0)) {
    device::RegisterBlock& block = ports.window(0, 0x1000);
    // Address bits 9..2 are a mask of the lines that an access concerns (section 3.3.1).
    block.bank(
        "GPIODATA", 0x000, 256, [this](u32 mask) { return levels() & mask; },
        [this](u32 mask, u32 value) {
          const u32 lines = mask & direction_;
          data_ = (data_ & ~lines) | (value & lines);
          drive_outputs();
        });
    block.rw("GPIODIR", 0x400, direction_, 0xff, [this] { changed(); });
    block.rw("GPIOIS", 0x404, sense_level_, 0xff, [this] { changed(); });
    block.rw("GPIOIBE", 0x408, both_edges_, 0xff);
    block.rw("GPIOIEV", 0x40c, event_high_, 0xff, [this] { changed(); });
    block.rw("GPIOIE", 0x410, enabled_, 0xff, [this] { changed(); });
    block.ro("GPIORIS", 0x414, [this] { return raw(); });
    block.ro("GPIOMIS", 0x418, [this] { return raw() & enabled_; });
    block.wo("GPIOIC", 0x41c, [this](u32 value) {
      edges_ &= ~value;
      changed();
    });
    block.rw("GPIOAFSEL", 0x420, alternate_, 0xff);
    block.primecell_id(0x061, 0);
    block.allow_narrow();
    ports.provide_gpio(*this);
    ports.provide_controller(*this);
  }

  void reset() override {
    data_ = direction_ = sense_level_ = both_edges_ = event_high_ = enabled_ = edges_ = alternate_ = 0;
    changed();
  }

  void state(device::Archive& archive) override {
    archive("data", data_)("direction", direction_)("is", sense_level_)("ibe", both_edges_)("iev", event_high_)(
        "ie", enabled_)("edges", edges_)("afsel", alternate_)("inputs", inputs_);
    if (archive.mode() == device::Archive::Mode::load) changed();
  }

  [[nodiscard]] std::string describe() const override { return "PL061 GPIO, 8 lines"; }

  void set_input(u32 pin, bool level) override {
    if (pin >= kPins) return;
    const std::lock_guard guard(ports_.lock());
    const u32 before = inputs_;
    inputs_ = level ? inputs_ | 1u << pin : inputs_ & ~(1u << pin);
    // Edges of lines that are inputs and sense edges (section 3.3.5 to 3.3.7).
    const u32 rising = inputs_ & ~before;
    const u32 falling = before & ~inputs_;
    const u32 wanted =
        (both_edges_ & (rising | falling)) | (~both_edges_ & ((event_high_ & rising) | (~event_high_ & falling)));
    edges_ |= wanted & ~sense_level_ & ~direction_;
    changed();
  }

  void watch_output(u32 pin, std::function<void(bool)> watcher) override {
    if (pin >= kPins) return;
    const std::lock_guard guard(ports_.lock());
    watchers_[pin].push_back(std::move(watcher));
  }

  Result<Input> input(std::span<const u32> specifier, u32) override {
    if (specifier.size() != 2) {
      return fail("", fmt::format("a PL061 interrupt has 2 cells, but this one has {}", specifier.size()),
                  "write <line flags>");
    }
    if (specifier[0] >= kPins)
      return fail("", fmt::format("cell 0 (line) is {}: a PL061 has lines 0 to 7", specifier[0]));
    Input out{.sink = this,
              .pin = specifier[0],
              .trigger = Trigger::level_high,
              .name = fmt::format("line {}", specifier[0])};
    switch (specifier[1] & 0xf) {
      case 0:
      case 4:
        break;
      case 1:
      case 3:
        out.trigger = Trigger::edge_rising;
        break;
      case 2:
        out.trigger = Trigger::edge_falling;
        break;
      case 8:
        out.trigger = Trigger::level_low;
        break;
      default:
        return fail("",
                    fmt::format("cell 1 (flags) is {:#x}: it must be 1 (rising), 2 (falling), 3 (both), 4 (high) or 8 "
                                "(low)",
                                specifier[1]));
    }
    if (out.trigger == Trigger::level_low || out.trigger == Trigger::edge_falling) {
      out.pin |= kInverted;
      // Idle is high, from when it is connected on; whoever asks again may do so while it is asserted.
      if ((given_.fetch_or(1u << specifier[0]) >> specifier[0] & 1) == 0) set_input(specifier[0], true);
    }
    return out;
  }

  void set_level(u32 pin, bool level) override { set_input(pin & 7, (pin & kInverted) != 0 ? !level : level); }

 private:
  [[nodiscard]] u32 levels() const { return (data_ & direction_) | (inputs_ & ~direction_); }
  [[nodiscard]] u32 raw() const {
    const u32 matching = ~(inputs_ ^ event_high_) & ~direction_ & 0xff;
    return (sense_level_ & matching) | (~sense_level_ & edges_);
  }

  void drive_outputs() {
    const u32 driven = data_ & direction_;
    u32 different = driven ^ outputs_;
    outputs_ = driven;
    for (u32 pin = 0; pin < kPins; ++pin) {
      if ((different >> pin & 1) == 0) continue;
      for (const auto& watcher : watchers_[pin]) watcher((driven >> pin & 1) != 0);
    }
  }

  void changed() {
    drive_outputs();
    wire_.set((raw() & enabled_) != 0);
  }

  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  std::atomic<u32> given_{0};  // active-low lines that input() has given out
  u32 data_ = 0;
  u32 direction_ = 0;
  u32 sense_level_ = 0;
  u32 both_edges_ = 0;
  u32 event_high_ = 0;
  u32 enabled_ = 0;
  u32 edges_ = 0;  ///< latched
  u32 alternate_ = 0;
  u32 inputs_ = 0;   ///< levels from outside
  u32 outputs_ = 0;  ///< levels last told to watchers
  std::array<std::vector<std::function<void(bool)>>, kPins> watchers_;
};

const device::Registration kPl061{"arm,pl061", device::make<Pl061>, "ARM PrimeCell GPIO (PL061, DDI 0190)"};

}  // namespace
}  // namespace solder::models::gpio
