// The PC's programmable interval timer: Intel 8254 (data sheet 231164), and port 0x61, which has the gate and the
// output of counter 2 (IBM PC AT technical reference, "System control port").
#include <algorithm>
#include <optional>

#include "device/registry.h"
#include "models/timer/pit_state.h"

namespace solder::models::timer {
namespace {

constexpr u64 kNanoseconds = 1'000'000'000;
/// A guest that asks for more interrupts gets every n-th: a host thread makes them.
constexpr i64 kMinimumInterval = 50'000;
/// The AT's refresh timer toggles bit 4 of port 0x61 every 18 ticks of the input clock.
constexpr u64 kRefreshTicks = 18;

constexpr u8 kStatusOut = 1U << 7;
constexpr u8 kStatusNull = 1U << 6;
constexpr u8 kPortGate = 1U << 0;
constexpr u8 kPortSpeaker = 1U << 1;

constexpr u8 access(PitAccess a) {
  return static_cast<u8>(a);
}

/// Ticks in `ns`, and the time at which `ticks` have passed.
u64 ticks_of(i64 ns) {
  return ns <= 0 ? 0 : static_cast<u64>(static_cast<u128>(ns) * kPitHz / kNanoseconds);
}
i64 time_of(u64 ticks) {
  const u128 ns = (static_cast<u128>(ticks) * kNanoseconds + kPitHz - 1) / kPitHz;
  return static_cast<i64>(std::min<u128>(ns, u128{1} << 62));
}

/// One counter's behaviour over its record. Times are machine time in nanoseconds.
class Counter {
 public:
  explicit Counter(PitChannel& c) : c_(c) {}

  /// Takes a waiting count whose time has come. Before everything else.
  void settle(i64 now) {
    if (c_.next_count == 0 || c_.next_time == 0 || now < c_.next_time) return;
    const i64 at = c_.next_time;
    load(c_.next_count, at);
  }

  void control(u8 word) {
    const u8 mode = (word >> 1) & 7;
    c_.mode = mode > 5 ? mode & 3 : mode;
    c_.bcd = word & 1;
    c_.rw_mode = (word >> 4) & 3;
    c_.read_state = c_.write_state = c_.rw_mode;
    c_.count_latched = c_.status_latched = 0;
    c_.counting = c_.held = 0;
    c_.held_ticks = 0;
    c_.next_count = 0;
    c_.next_time = 0;
  }

  void write(u8 value, i64 now) {
    switch (static_cast<PitAccess>(c_.write_state)) {
      case PitAccess::low:
        return written(value, now);
      case PitAccess::high:
        return written(u32{value} << 8, now);
      case PitAccess::word_low:
        c_.write_latch = value;
        c_.write_state = access(PitAccess::word_high);
        // Mode 0: the first byte stops the count and lowers the output.
        if (c_.mode == 0) c_.counting = 0;
        return;
      default:
        c_.write_state = access(PitAccess::word_low);
        return written(u32{c_.write_latch} | u32{value} << 8, now);
    }
  }

  u8 read(i64 now) {
    if (c_.status_latched != 0) {
      c_.status_latched = 0;
      return c_.status;
    }
    u8& state = c_.count_latched != 0 ? c_.count_latched : c_.read_state;
    const u16 value = c_.count_latched != 0 ? c_.latched_count : counter(now);
    const bool latched = c_.count_latched != 0;
    switch (static_cast<PitAccess>(state)) {
      case PitAccess::low:
        if (latched) state = 0;
        return static_cast<u8>(value);
      case PitAccess::high:
        if (latched) state = 0;
        return static_cast<u8>(value >> 8);
      case PitAccess::word_low:
        state = access(PitAccess::word_high);
        return static_cast<u8>(value);
      default:
        state = latched ? u8{0} : access(PitAccess::word_low);
        return static_cast<u8>(value >> 8);
    }
  }

  // What is latched stays until it is read: later commands are ignored (data sheet, "Counter latch command").
  void latch_count(i64 now) {
    if (c_.count_latched != 0) return;
    c_.latched_count = counter(now);
    c_.count_latched = c_.rw_mode;
  }
  void latch_status(i64 now) {
    if (c_.status_latched != 0) return;
    const bool null = c_.counting == 0 || c_.next_count != 0;
    c_.status = static_cast<u8>((out(now) ? kStatusOut : 0) | (null ? kStatusNull : 0) | c_.rw_mode << 4 |
                                c_.mode << 1 | c_.bcd);
    c_.status_latched = 1;
  }

  void set_gate(bool level, i64 now) {
    if (level == (c_.gate != 0)) return;
    c_.gate = level ? 1 : 0;
    const bool loaded = c_.counting != 0 || c_.next_count != 0;
    switch (c_.mode) {
      case 1:
      case 5:
        if (level && loaded) load(c_.next_count != 0 ? c_.next_count : c_.count, now);
        break;
      case 2:
      case 3:
        if (level && loaded) load(c_.next_count != 0 ? c_.next_count : c_.count, now);
        if (!level) hold(now);
        break;
      default:
        if (!level) hold(now);
        if (level && c_.held != 0) {
          c_.held = 0;
          c_.count_load_time = now - time_of(c_.held_ticks);
        }
    }
  }

  [[nodiscard]] bool out(i64 now) const {
    if (c_.counting == 0) return c_.mode != 0;
    const u64 n = period();
    const u64 d = elapsed(now);
    switch (c_.mode) {
      case 0:
      case 1:
        return d >= n;
      case 2:
        return c_.held != 0 || d % n != n - 1;
      case 3:
        return c_.held != 0 || d % n < (n + 1) / 2;
      default:
        return d != n;
    }
  }

  /// When the output rises next at or after `from`; none: not without the guest.
  [[nodiscard]] std::optional<i64> next_rise(i64 from) const {
    if (c_.counting == 0 || c_.held != 0) return std::nullopt;
    const u64 n = period();
    u64 at = c_.mode >= 4 ? n + 1 : n;
    if (c_.mode == 2 || c_.mode == 3) {
      // The waiting count begins with a rise.
      if (c_.next_count != 0 && c_.next_time >= from) {
        const i64 in_period = c_.count_load_time + time_of(round_up(from - c_.count_load_time, n));
        return std::min(in_period, c_.next_time);
      }
      at = round_up(from - c_.count_load_time, n);
    }
    const i64 time = c_.count_load_time + time_of(at);
    if (time < from) return std::nullopt;
    return time;
  }

 private:
  /// The first multiple of `n` ticks, but 0, that is not before `since_load` nanoseconds.
  static u64 round_up(i64 since_load, u64 n) {
    const u64 d = ticks_of(since_load);
    u64 at = std::max<u64>(d - d % n, n);
    if (time_of(at) < since_load) at += n;
    return at;
  }

  [[nodiscard]] u64 limit() const { return c_.bcd != 0 ? 10'000 : 0x1'0000; }

  /// The count as a number of ticks.
  [[nodiscard]] u64 period() const {
    u64 n = c_.count;
    if (c_.bcd != 0) {
      n = 0;
      for (int digit = 4; digit >= 0; --digit) n = n * 10 + ((c_.count >> (4 * digit)) & 0xf);
      n %= limit();
    }
    if (n == 0) n = limit();
    // 1 is no count in these modes (data sheet, "Minimum and maximum initial counts").
    return c_.mode == 2 || c_.mode == 3 ? std::max<u64>(n, 2) : n;
  }

  [[nodiscard]] u64 elapsed(i64 now) const {
    if (c_.counting == 0) return 0;
    return c_.held != 0 ? c_.held_ticks : ticks_of(now - c_.count_load_time);
  }

  /// The counting element, as the guest reads it.
  [[nodiscard]] u16 counter(i64 now) const {
    const u64 n = period();
    const u64 d = elapsed(now);
    u64 value = 0;
    switch (c_.mode) {
      case 2:
        value = n - d % n;
        break;
      case 3: {
        // Counts down by two, twice in a period; odd counts are made even first, and are high one tick longer.
        const u64 high = (n + 1) / 2;
        const u64 at = d % n;
        value = (n & ~u64{1}) - 2 * (at < high ? at : at - high);
        break;
      }
      default:
        // Goes on after the end, from the top.
        value = n + limit() - d % limit();
    }
    value %= limit();
    if (c_.bcd == 0) return static_cast<u16>(value);
    u64 digits = 0;
    for (unsigned digit = 0; digit < 4; ++digit, value /= 10) digits |= value % 10 << (4 * digit);
    return static_cast<u16>(digits);
  }

  void written(u32 value, i64 now) {
    const u32 count = value == 0 ? 0x1'0000 : value;
    switch (c_.mode) {
      case 1:
      case 5:
        c_.next_count = count;
        c_.next_time = 0;
        break;
      case 2:
      case 3:
        if (c_.counting == 0) return load(count, now);
        // Taken at the end of the period. (Mode 3 on silicon: of the half period.)
        c_.next_count = count;
        c_.next_time =
            c_.held != 0 ? 0 : c_.count_load_time + time_of(round_up(now - c_.count_load_time + 1, period()));
        break;
      default:
        load(count, now);
    }
  }

  void load(u32 count, i64 now) {
    c_.count = count;
    c_.count_load_time = now;
    c_.counting = 1;
    c_.next_count = 0;
    c_.next_time = 0;
    c_.held_ticks = 0;
    // In modes 1 and 5 the gate only triggers.
    c_.held = c_.gate == 0 && c_.mode != 1 && c_.mode != 5 ? 1 : 0;
  }

  void hold(i64 now) {
    if (c_.counting == 0 || c_.held != 0) return;
    c_.held_ticks = elapsed(now);
    c_.held = 1;
  }

  PitChannel& c_;
};

class I8254 final : public device::Device {
 public:
  explicit I8254(device::Ports& ports)
      : ports_(ports), wire_(ports.level_wire(0)), edge_(ports.timers(), [this] { edge_passed(); }) {
    device::RegisterBlock& block = ports.window(0, 4);
    static constexpr std::string_view kNames[3] = {"COUNTER0", "COUNTER1", "COUNTER2"};
    for (u32 i = 0; i < 3; ++i) {
      block.add({.name = std::string(kNames[i]),
                 .offset = i,
                 .width = 1,
                 .stride = 1,
                 .read = [this, i](u32) -> u64 { return counter(i).read(now()); },
                 .write = [this, i](u32, u64 value) { write_counter(i, static_cast<u8>(value)); }});
    }
    block.add({.name = "CONTROL",
               .offset = 3,
               .width = 1,
               .stride = 1,
               .access = device::RegisterAccess::write_only,
               .read = {},
               .write = [this](u32, u64 value) { write_control(static_cast<u8>(value)); }});
    if (ports.window_count() > 1) {
      ports.window(1, 1).add({.name = "PORTB",
                              .offset = 0,
                              .width = 1,
                              .stride = 1,
                              .read = [this](u32) -> u64 { return read_port(); },
                              .write = [this](u32, u64 value) { write_port(static_cast<u8>(value)); }});
    }
    reset();
  }

  void reset() override {
    edge_.cancel();
    state_ = PitState{};
    state_.edge_time = 0;
    state_.channels[2].gate = 0;
    wire_.set(false);
  }

  void state(device::Archive& archive) override {
    state_.state(archive);
    if (archive.mode() != device::Archive::Mode::load) return;
    for (PitChannel& c : state_.channels) sanitize(c);
    if (state_.edge_time < 0) {
      schedule(now());
    } else if (state_.edge_time > 0) {
      edge_.arm(static_cast<time::Nanoseconds>(state_.edge_time));
    }
    wire_.set(level());
  }

  void stop() override { edge_.cancel(); }

 private:
  [[nodiscard]] i64 now() const { return static_cast<i64>(ports_.clock().now()); }

  /// Records come from files.
  static void sanitize(PitChannel& c) {
    if (c.count == 0 || c.count > 0x1'0000) c.count = 0x1'0000;
    if (c.next_count > 0x1'0000) c.next_count = 0x1'0000;
    if (c.mode > 5) c.mode &= 3;
    c.rw_mode &= 3;
    c.count_latched &= 7;
    if (c.rw_mode == 0) c.rw_mode = access(PitAccess::word_low);
    // Nothing after the machine's time has happened.
    constexpr i64 kFar = i64{1} << 60;
    c.count_load_time = std::clamp(c.count_load_time, -kFar, kFar);
    c.next_time = std::clamp(c.next_time, i64{0}, kFar);
    c.held_ticks = std::min(c.held_ticks, u64{1} << 60);
  }

  Counter counter(u32 index) {
    Counter c(state_.channels[index]);
    c.settle(now());
    return c;
  }

  void write_counter(u32 index, u8 value) {
    const i64 time = now();
    if (index == 0) deliver(time);
    counter(index).write(value, time);
    if (index == 0) follow(time);
  }

  void write_control(u8 word) {
    const i64 time = now();
    const u32 select = word >> 6;
    if (select == 3) {
      // Read-back: bits 1 to 3 choose counters, bits 5 and 4 are low for count and status.
      for (u32 i = 0; i < 3; ++i) {
        if ((word >> (i + 1) & 1) == 0) continue;
        if ((word & 0x20) == 0) counter(i).latch_count(time);
        if ((word & 0x10) == 0) counter(i).latch_status(time);
      }
      return;
    }
    if ((word & 0x30) == 0) return counter(select).latch_count(time);
    if (select == 0) deliver(time);
    counter(select).control(word);
    if (select == 0) follow(time);
  }

  u8 read_port() {
    const i64 time = now();
    const bool refresh = ticks_of(time) / kRefreshTicks % 2 != 0;
    return static_cast<u8>((state_.channels[2].gate != 0 ? kPortGate : 0) |
                           (state_.speaker_data != 0 ? kPortSpeaker : 0) | (refresh ? 1U << 4 : 0) |
                           (counter(2).out(time) ? 1U << 5 : 0));
  }

  void write_port(u8 value) {
    counter(2).set_gate((value & kPortGate) != 0, now());
    state_.speaker_data = (value & kPortSpeaker) != 0 ? 1 : 0;
  }

  // The wire shows the rises of counter 0's output when they happen, and its falls not before the next rise or control
  // word: rises are what interrupts, and a fall would cost the host a wake-up.
  [[nodiscard]] bool level() {
    return state_.hpet_legacy == 0 &&
           (state_.channels[0].mode != 0 || (state_.edge_time == 0 && counter(0).out(now())));
  }

  /// A rise whose time has come.
  void deliver(i64 time) {
    if (state_.edge_time <= 0 || time < state_.edge_time) return;
    state_.edge_time = 0;
    if (state_.hpet_legacy != 0) return;
    wire_.set(false);
    wire_.set(true);
    last_edge_ = time;
  }

  /// After counter 0 was written.
  void follow(i64 time) {
    schedule(time);
    wire_.set(level());
  }

  void schedule(i64 time) {
    const Counter c = counter(0);
    const bool repeats = state_.channels[0].mode == 2 || state_.channels[0].mode == 3;
    const i64 from = repeats && last_edge_ != 0 ? std::max(time + 1, last_edge_ + kMinimumInterval) : time + 1;
    state_.edge_time = c.next_rise(from).value_or(0);
    if (state_.edge_time > 0) {
      edge_.arm(static_cast<time::Nanoseconds>(state_.edge_time));
    } else {
      edge_.cancel();
    }
  }

  /// On the timer thread.
  void edge_passed() {
    const std::lock_guard guard(ports_.lock());
    const i64 time = now();
    // Written again meanwhile: the timer is armed for the new time.
    if (state_.edge_time <= 0 || time < state_.edge_time) return;
    deliver(time);
    schedule(time);
  }

  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  time::Timer edge_;
  PitState state_;
  i64 last_edge_ = 0;  ///< when the last interrupt was made
};

const device::Registration kI8254{"intel,i8254", device::make<I8254>,
                                  "PC interval timer (Intel 8254 data sheet) with port 0x61"};

}  // namespace
}  // namespace solder::models::timer
