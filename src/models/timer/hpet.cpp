// The high precision event timer: IA-PC HPET specification 1.0a. Three timers on a counter of 64 bits at 100 MHz.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bits.h"
#include "device/register_names.h"
#include "device/registry.h"

namespace solder::models::timer {
namespace {

constexpr u32 kTimers = 3;
constexpr u64 kTickNanoseconds = 10;
/// Periods that are shorter interrupt only every n-th time: a host thread makes the interrupts. In ticks.
constexpr u64 kMinimumInterval = 5'000;
/// No match that far away (some hundred years) comes.
constexpr u64 kFar = u64{1} << 60;

// General registers (section 2.3). Registers have 64 bits.
constexpr u64 kCapabilities = 0x000;
constexpr u64 kConfiguration = 0x010;
constexpr u64 kStatus = 0x020;
constexpr u64 kCounter = 0x0f0;
constexpr u64 kFirstTimer = 0x100;
constexpr u64 kTimerStride = 0x20;
constexpr u64 kSize = 0x400;

// Capabilities: the period in femtoseconds, the vendor as PCI has it, 64 bits, revision 1.
constexpr u64 kIdentity = (kTickNanoseconds * 1'000'000) << 32 | u64{0x8086} << 16 | 1U << 13 | (kTimers - 1) << 8 | 1;
constexpr u64 kLegacyCapable = 1U << 15;

constexpr u64 kEnable = 1U << 0;
constexpr u64 kLegacyRoute = 1U << 1;

// A timer's configuration (section 2.3.8).
constexpr u64 kLevel = 1U << 1;
constexpr u64 kInterruptEnable = 1U << 2;
constexpr u64 kPeriodic = 1U << 3;
constexpr u64 kTimerCapable = 1U << 4 | 1U << 5 | 1U << 15;  // periodic, 64 bits, FSB
constexpr u64 kSetValue = 1U << 6;
constexpr u64 k32Bit = 1U << 8;
constexpr unsigned kRouteShift = 9;
constexpr u64 kRouteMask = u64{0x1f} << kRouteShift;
constexpr u64 kFsbEnable = 1U << 14;
constexpr u64 kWritable = kLevel | kInterruptEnable | kPeriodic | kSetValue | k32Bit | kRouteMask | kFsbEnable;

// Section 2.3, under the names of its tables.
constexpr std::array kNames{
    device::RegisterName{"GCAP_ID", kCapabilities, 8},
    device::RegisterName{"GEN_CONF", kConfiguration, 8},
    device::RegisterName{"GINTR_STA", kStatus, 8},
    device::RegisterName{"MAIN_CNT", kCounter, 8},
    device::RegisterName{"TIM_CONF", kFirstTimer, 8, kTimers, kTimerStride},
    device::RegisterName{"TIM_COMP", kFirstTimer + 0x08, 8, kTimers, kTimerStride},
    device::RegisterName{"TIM_FSB", kFirstTimer + 0x10, 8, kTimers, kTimerStride},
};

/// The interrupt numbers that timers may be routed to, in the order of the node's interrupts, and whether two more
/// interrupts of the node stand in for the timer's and the clock's.
struct Routing {
  std::vector<u32> numbers;
  bool legacy = false;
};

class Hpet final : public device::Device, public memory::MmioHandler {
 public:
  Hpet(device::Ports& ports, Routing routing) : ports_(ports), routing_(std::move(routing)) {
    const u32 wires = static_cast<u32>(routing_.numbers.size()) + (routing_.legacy ? 2 : 0);
    for (u32 i = 0; i < wires; ++i) wires_.push_back(&ports.level_wire(i));
    for (const u32 number : routing_.numbers) route_mask_ |= 1U << number;
    for (u32 i = 0; i < kTimers; ++i) timers_[i].due = time::Timer(ports.timers(), [this, i] { due_passed(i); });
    ports.window(0, *this);
  }
  ~Hpet() override {
    for (Timer& t : timers_) {
      t.due = time::Timer();
      if (t.has_virq) ports_.routes().release(t.virq);
    }
  }
  Hpet(const Hpet&) = delete;
  Hpet& operator=(const Hpet&) = delete;

  Status start() override {
    for (u32 i = 0; i < kTimers; ++i) {
      timers_[i].virq = ports_.routes().allocate(fmt::format("{} timer {}", ports_.node().path(), i));
      timers_[i].has_virq = true;
    }
    return {};
  }

  void reset() override {
    configuration_ = status_ = counter_ = started_ = 0;
    for (Timer& t : timers_) {
      t.configuration = t.period = t.fsb = t.match = 0;
      t.comparator = ~u64{0};  // section 2.3.9: all ones
      t.due.cancel();
      route_message(t);
    }
    update();
  }

  void state(device::Archive& archive) override {
    archive("configuration", configuration_)("status", status_)("counter", counter_)("started", started_)("timers",
                                                                                                          timers_);
    if (archive.mode() != device::Archive::Mode::load) return;
    configuration_ &= kEnable | (routing_.legacy ? kLegacyRoute : 0);
    status_ &= mask64(kTimers);
    for (Timer& t : timers_) {
      t.configuration &= kWritable;
      route_message(t);
      arm(t);
    }
    update();
  }

  void stop() override {
    for (Timer& t : timers_) t.due.cancel();
  }

  // Registers have 64 bits and may be accessed in halves (section 2.1); smaller accesses work too.
  u64 read(u64 offset, unsigned size) override {
    const std::lock_guard guard(ports_.lock());
    u64 value = 0;
    for (unsigned done = 0; done < size;) {
      const u64 at = offset + done;
      const unsigned within = at % 8;
      const unsigned bytes = std::min(size - done, 8 - within);
      value |= ((read_register(at - within) >> (8 * within)) & mask64(8 * bytes)) << (8 * done);
      done += bytes;
    }
    return value;
  }

  void write(u64 offset, unsigned size, u64 value) override {
    const std::lock_guard guard(ports_.lock());
    for (unsigned done = 0; done < size;) {
      const u64 at = offset + done;
      const unsigned within = at % 8;
      const unsigned bytes = std::min(size - done, 8 - within);
      const u64 mask = mask64(8 * bytes) << (8 * within);
      write_register(at - within, (value >> (8 * done)) << (8 * within) & mask, mask);
      done += bytes;
    }
  }

  [[nodiscard]] std::string register_name(u64 offset) const override { return device::register_name(kNames, offset); }

 private:
  struct Timer {
    u64 configuration = 0;
    u64 comparator = ~u64{0};
    u64 period = 0;  ///< what a periodic timer adds
    u64 fsb = 0;     ///< the message: data, and from bit 32 on the address
    u64 match = 0;   ///< machine time in ticks at which the counter meets the comparator; 0: does not
    // Not state.
    time::Timer due;
    interrupt::Virq virq = 0;
    bool has_virq = false;
    u64 routed = 0;  ///< the message that the routing table has; 0: none

    void state(device::Archive& archive) {
      archive("configuration", configuration)("comparator", comparator)("period", period)("fsb", fsb)("match", match);
    }
    [[nodiscard]] bool has(u64 bits) const { return (configuration & bits) != 0; }
    [[nodiscard]] u64 width_mask() const { return has(k32Bit) ? 0xffff'ffff : ~u64{0}; }
  };

  [[nodiscard]] u64 tick() const { return ports_.clock().now() / kTickNanoseconds; }
  [[nodiscard]] bool enabled() const { return (configuration_ & kEnable) != 0; }
  [[nodiscard]] u64 counter(u64 now) const { return enabled() ? counter_ + (now - started_) : counter_; }

  u64 read_register(u64 offset) {
    switch (offset) {
      case kCapabilities:
        return kIdentity | (routing_.legacy ? kLegacyCapable : 0);
      case kConfiguration:
        return configuration_;
      case kStatus:
        poll(tick());
        return status_;
      case kCounter:
        return counter(tick());
      default:
        break;
    }
    const u64 index = (offset - kFirstTimer) / kTimerStride;
    if (offset < kFirstTimer || index >= kTimers) return 0;
    const Timer& t = timers_[index];
    switch ((offset - kFirstTimer) % kTimerStride) {
      case 0x00:
        return t.configuration | kTimerCapable | u64{route_mask_} << 32;
      case 0x08:
        poll(tick());
        return t.comparator & t.width_mask();
      case 0x10:
        return t.fsb;
      default:
        return 0;
    }
  }

  void write_register(u64 offset, u64 value, u64 mask) {
    const u64 now = tick();
    // What was due before the write happened before it.
    poll(now);
    switch (offset) {
      case kConfiguration:
        return write_configuration(merge(configuration_, value, mask), now);
      case kStatus:
        status_ &= ~value;
        return update();
      case kCounter:
        counter_ = merge(counter(now), value, mask);
        started_ = now;
        for (Timer& t : timers_) schedule(t, now);
        poll(now);
        return;
      default:
        break;
    }
    const u64 index = (offset - kFirstTimer) / kTimerStride;
    if (offset < kFirstTimer || index >= kTimers) return;
    Timer& t = timers_[index];
    switch ((offset - kFirstTimer) % kTimerStride) {
      case 0x00:
        write_timer(t, merge(t.configuration, value, mask));
        break;
      case 0x08:
        // Section 2.3.9.2.2: for a periodic timer a write goes to the period, and, after VAL_SET, to the comparator
        // too.
        if (!t.has(kPeriodic) || t.has(kSetValue)) t.comparator = merge(t.comparator, value, mask) & t.width_mask();
        if (t.has(kPeriodic)) t.period = merge(t.period, value, mask) & t.width_mask();
        t.configuration &= ~kSetValue;
        break;
      case 0x10:
        t.fsb = merge(t.fsb, value, mask);
        route_message(t);
        return;
      default:
        return;
    }
    schedule(t, now);
    poll(now);
    update();
  }

  static u64 merge(u64 old, u64 value, u64 mask) { return (old & ~mask) | value; }

  void write_configuration(u64 value, u64 now) {
    const u64 before = configuration_;
    const u64 count = counter(now);
    configuration_ = value & (kEnable | (routing_.legacy ? kLegacyRoute : 0));
    if (((before ^ configuration_) & kEnable) != 0) {
      counter_ = count;
      started_ = now;
      for (Timer& t : timers_) schedule(t, now);
      poll(now);
    }
    update();
  }

  void write_timer(Timer& t, u64 value) {
    // A route that does not exist is not taken: the guest reads it back (section 2.3.8).
    const u64 route = (value & kRouteMask) >> kRouteShift;
    if ((route_mask_ >> route & 1) == 0) value = (value & ~kRouteMask) | (t.configuration & kRouteMask);
    t.configuration = value & kWritable;
    if (t.has(k32Bit)) {
      t.comparator &= t.width_mask();
      t.period &= t.width_mask();
    }
    if (!t.has(kLevel)) status_ &= ~(u64{1} << (&t - timers_.data()));
    route_message(t);
  }

  /// Finds when the counter meets the comparator.
  void schedule(Timer& t, u64 now) {
    t.match = 0;
    if (enabled()) {
      const u64 distance = (t.comparator - counter(now)) & t.width_mask();
      if (distance < kFar) t.match = std::max<u64>(now + distance, 1);
    }
    arm(t);
  }

  void arm(Timer& t) {
    if (t.match != 0 && t.match < 2 * kFar) {
      t.due.arm(t.match * kTickNanoseconds);
    } else {
      t.due.cancel();
    }
  }

  /// Lets all timers match that have not yet.
  void poll(u64 now) {
    for (Timer& t : timers_) {
      if (t.match == 0 || now < t.match) continue;
      if (t.has(kPeriodic) && t.period != 0) {
        // Matches that were missed are one.
        const u64 skipped = std::max(now - t.match, kMinimumInterval - 1) / t.period + 1;
        const u64 step = skipped * t.period;
        t.comparator = (t.comparator + step) & t.width_mask();
        t.match = step < kFar ? t.match + step : 0;
      } else if (t.has(k32Bit)) {
        t.match += (((now - t.match) >> 32) + 1) << 32;
      } else {
        t.match = 0;
      }
      arm(t);
      fire(t);
    }
  }

  void fire(Timer& t) {
    if (t.has(kLevel)) {
      status_ |= u64{1} << (&t - timers_.data());
      return update();
    }
    if (!t.has(kInterruptEnable)) return;
    if (t.has(kFsbEnable)) {
      if (t.has_virq) ports_.routes().raise(t.virq);
      return;
    }
    interrupt::LevelWire* wire = wire_of(t);
    if (wire == nullptr || wire->level()) return;
    wire->set(true);
    wire->set(false);
  }

  [[nodiscard]] interrupt::LevelWire* wire_of(const Timer& t) const {
    const auto index = static_cast<usize>(&t - timers_.data());
    if ((configuration_ & kLegacyRoute) != 0 && index < 2) return wires_[routing_.numbers.size() + index];
    const u64 route = (t.configuration & kRouteMask) >> kRouteShift;
    const auto it = std::ranges::find(routing_.numbers, route);
    return it == routing_.numbers.end() ? nullptr : wires_[static_cast<usize>(it - routing_.numbers.begin())];
  }

  /// Wires of level-triggered timers follow the status (section 2.3.6).
  void update() {
    for (interrupt::LevelWire* wire : wires_) {
      bool high = false;
      for (u32 i = 0; i < kTimers; ++i) {
        const Timer& t = timers_[i];
        high = high || (bit(status_, i) && t.has(kLevel) && t.has(kInterruptEnable) && !t.has(kFsbEnable) &&
                        wire_of(t) == wire);
      }
      wire->set(high);
    }
  }

  void route_message(Timer& t) {
    const u64 message = t.has(kFsbEnable) ? t.fsb : 0;
    if (!t.has_virq || message == t.routed) return;
    t.routed = message;
    std::vector<interrupt::Target> targets;
    if (message != 0) targets.emplace_back(interrupt::Message{message >> 32, static_cast<u32>(message), 0});
    ports_.routes().set(t.virq, std::move(targets));
  }

  /// On the timer thread.
  void due_passed(u32 index) {
    const std::lock_guard guard(ports_.lock());
    const Timer& t = timers_[index];
    if (t.match != 0) poll(tick());
  }

  device::Ports& ports_;
  Routing routing_;
  u32 route_mask_ = 0;
  std::vector<interrupt::LevelWire*> wires_;
  u64 configuration_ = 0;
  u64 status_ = 0;
  u64 counter_ = 0;  ///< the main counter at `started_`, in ticks of machine time
  u64 started_ = 0;
  std::array<Timer, kTimers> timers_{};
};

Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const tree::Node& node = ports.node();
  if (ports.window_size(0) < kSize)
    return fail(node.place("reg"), fmt::format("the registers need {:#x} bytes", kSize), "make the entry larger");
  // The guest is told the numbers of the interrupts in the tree: the first cell of each specifier, which follows the
  // controller's phandle in the extended form.
  const bool extended = node.has("interrupts-extended");
  const std::vector<u32> cells = node.cell_list(extended ? "interrupts-extended" : "interrupts");
  const u32 count = ports.interrupt_count();
  Routing routing;
  // Five interrupts: the last two replace those of the 8254 and the clock (LegacyReplacement Route).
  routing.legacy = count == kTimers + 2;
  if (count > kTimers && !routing.legacy)
    return fail(node.place("interrupts"), fmt::format("the node has {} interrupts", count),
                "give it up to three that timers are routed to, and after three the two of the legacy replacement");
  for (u32 i = 0; i < count - (routing.legacy ? 2 : 0); ++i) {
    const usize at = cells.size() / count * i + (extended ? 1 : 0);
    const u32 number = at < cells.size() ? cells[at] : ~0U;
    if (number > 31)
      return fail(node.place("interrupts"), fmt::format("the number of interrupt {} is not in 0 to 31", i),
                  "an HPET's routing capability register has 32 bits");
    routing.numbers.push_back(number);
  }
  return std::make_unique<Hpet>(ports, std::move(routing));
}

const device::Registration kHpet{"intel,ce4100-hpet", create, "High precision event timer (IA-PC HPET 1.0a)", false,
                                 "PNP0103"};

}  // namespace
}  // namespace solder::models::timer
