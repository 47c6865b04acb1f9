// The PC's clock and its battery-backed memory: Motorola MC146818A (data sheet ADI1026), at ports 0x70 and 0x71, with
// the century and the memory sizes where a PC's firmware keeps them.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "device/registry.h"
#include "models/firmware/guest_memory.h"

namespace solder::models::rtc {
namespace {

constexpr i64 kSecond = 1'000'000'000;
constexpr i64 kDay = 86'400;
constexpr u64 kCrystalHz = 32'768;
/// The update takes 1984 us, and UIP announces it 244 us before ("Update cycle"). New values show at its end.
constexpr i64 kUpdate = 2'228'000;

// Registers.
constexpr u8 kRegisterA = 0x0a, kRegisterB = 0x0b, kRegisterC = 0x0c, kRegisterD = 0x0d;
constexpr u8 kCentury = 0x32;
constexpr std::array<u8, 3> kAlarm{0x01, 0x03, 0x05};

constexpr u8 kUpdateInProgress = 0x80;  // A
constexpr u8 kDividerMask = 0x70;       // A
constexpr u8 kDividerRunning = 0x20;    // A: 32768 Hz
constexpr u8 kDividerReset = 0x60;      // A: 0x60 and 0x70
constexpr u8 kSet = 0x80;               // B
constexpr u8 kSquareWave = 0x08;        // B
constexpr u8 kBinary = 0x04;            // B
constexpr u8 k24Hours = 0x02;           // B
constexpr u8 kPeriodic = 0x40;          // B and C
constexpr u8 kAlarmFlag = 0x20;         // B and C
constexpr u8 kUpdateEnded = 0x10;       // B and C
constexpr u8 kInterrupts = kPeriodic | kAlarmFlag | kUpdateEnded;
constexpr u8 kInterruptRequest = 0x80;  // C
constexpr u8 kValid = 0x80;             // D
constexpr u8 kAfternoon = 0x80;         // hours, of 12
constexpr u8 kAnyTime = 0xc0;           // alarm: both bits set match everything

// The time's registers in the order of `Fields`.
enum Field : u8 { seconds, minutes, hours, weekday, day, month, year, century, field_count };
constexpr std::array<u8, field_count> kTimeRegisters{0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, kCentury};

std::optional<Field> time_field(u8 index) {
  const auto it = std::ranges::find(kTimeRegisters, index);
  if (it == kTimeRegisters.end()) return std::nullopt;
  return static_cast<Field>(it - kTimeRegisters.begin());
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, and back. Months count from March, so that the leap day is
/// the last one of a year of 365.25 days less the centuries' corrections.
i64 days_of(i64 y, i64 m, i64 d) {
  y += (m - 1) / 12;
  m = (m - 1) % 12 + 1;
  if (m <= 2) {
    --y;
    m += 12;
  }
  y += 400;  // no negative divisions
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d - 719'469 - 146'097;
}

struct Date {
  i64 year = 0;
  i64 month = 0;
  i64 day = 0;
};
Date date_of(i64 days) {
  const i64 from_march_0 = days + 719'468 + 146'097;
  const i64 era = from_march_0 / 146'097;
  const i64 in_era = from_march_0 % 146'097;
  const i64 y = (in_era - in_era / 1'460 + in_era / 36'524 - in_era / 146'096) / 365;
  const i64 in_year = in_era - (365 * y + y / 4 - y / 100);
  const i64 m = (5 * in_year + 2) / 153;
  return {era * 400 - 400 + y + (m >= 10 ? 1 : 0), m < 10 ? m + 3 : m - 9, in_year - (153 * m + 2) / 5 + 1};
}
/// What the registers can show: years 0 to 9999.
constexpr i64 kFirstSecond = -62'167'219'200;
constexpr i64 kLastSecond = 253'402'300'799;

class Mc146818 final : public device::Device {
 public:
  explicit Mc146818(device::Ports& ports)
      : ports_(ports), wire_(ports.level_wire(0)), timer_(ports.timers(), [this] { event_passed(); }) {
    // The wall clock's seconds begin with machine time's, at a distance that never changes.
    u64 before = 0;
    do {
      before = ports.clock().now() / kSecond;
      wall_ = static_cast<i64>(ports.clock().wall_seconds() - before);
    } while (ports.clock().now() / kSecond != before);
    seen_ = now();
    device::RegisterBlock& block = ports.window(0, 2);
    block.add({.name = "INDEX",
               .offset = 0,
               .width = 1,
               .stride = 1,
               // Write-only in a PC; bit 7 is the mask of the NMI.
               .read = [](u32) -> u64 { return 0xff; },
               .write = [this](u32, u64 value) { index_ = value & 0x7f; }});
    block.add({.name = "DATA",
               .offset = 1,
               .width = 1,
               .stride = 1,
               .read = [this](u32) -> u64 { return read(index_); },
               .write = [this](u32, u64 value) { write(index_, static_cast<u8>(value)); }});
    // Only accesses to DATA look at it.
    block.deferrable(0, 1);
    memory_[kRegisterA] = kDividerRunning | 6;
    memory_[kRegisterB] = k24Hours;
    memory_[kRegisterD] = kValid;
    describe_memory();
  }

  void reset() override {
    // The battery keeps all but what the RESET pin clears (data sheet, "RESET").
    memory_[kRegisterB] &= static_cast<u8>(~(kInterrupts | kSquareWave));
    flags_ = 0;
    index_ = 0;
    timer_.cancel();
    wire_.set(false);
  }

  void state(device::Archive& archive) override {
    archive("index", index_)("memory", memory_)("flags", flags_)("ahead", ahead_)("phase", phase_)(
        "weekday", weekday_ahead_)("seen", seen_);
    // A machine that goes on with this record may have begun to count at another hour of the host.
    i64 wall = wall_;
    archive("wall", wall);
    if (archive.mode() != device::Archive::Mode::load) return;
    // Far outside of what `ahead_` is held within below, and within 64 bits.
    ahead_ = std::clamp(ahead_, 2 * kFirstSecond, 2 * kLastSecond);
    ahead_ += std::clamp(wall, kFirstSecond, kLastSecond) - wall_;
    index_ &= 0x7f;
    phase_ %= static_cast<u32>(kSecond);
    weekday_ahead_ %= 7;
    ahead_ = std::clamp(ahead_, 2 * kFirstSecond, 2 * kLastSecond);
    seen_ = std::min(seen_, now());
    wire_.set(requested());
    arm();
  }

  void stop() override { timer_.cancel(); }

 private:
  [[nodiscard]] i64 now() const { return static_cast<i64>(ports_.clock().now()); }

  [[nodiscard]] bool divider_runs() const { return (memory_[kRegisterA] & kDividerMask) == kDividerRunning; }
  /// Whether the registers follow the time; else they hold what the guest wrote, or the time at which they stopped.
  [[nodiscard]] bool running() const { return (memory_[kRegisterB] & kSet) == 0 && divider_runs(); }

  /// The divider chain's time: nanoseconds whose whole seconds are updates.
  [[nodiscard]] i64 chain(i64 time) const { return time + phase_; }
  [[nodiscard]] i64 clock_seconds(i64 time) const {
    return std::clamp(wall_ + ahead_ + chain(time) / kSecond, kFirstSecond, kLastSecond);
  }

  u8 read(u8 index) {
    const i64 time = now();
    if (const auto field = time_field(index)) return running() ? shown(*field, time) : memory_[index];
    switch (index) {
      case kRegisterA: {
        const bool updating = running() && chain(time) % kSecond >= kSecond - kUpdate;
        return memory_[index] | (updating ? kUpdateInProgress : u8{0});
      }
      case kRegisterC: {
        advance(time);
        const u8 value = static_cast<u8>(flags_ | (requested() ? kInterruptRequest : 0));
        flags_ = 0;
        wire_.set(false);
        arm();
        return value;
      }
      default:
        return memory_[index];
    }
  }

  void write(u8 index, u8 value) {
    const i64 time = now();
    // What happened before the write happened under the old settings.
    advance(time);
    if (const auto field = time_field(index)) {
      const bool live = running();
      if (live) freeze(time);
      memory_[index] = value;
      if (live) thaw(time);
    } else if (index == kRegisterA) {
      write_divider(value & ~kUpdateInProgress & 0xff, time);
    } else if (index == kRegisterB) {
      const bool was = running();
      // SET stops the update and its interrupt (data sheet, "SET").
      if ((value & kSet) != 0) value &= static_cast<u8>(~kUpdateEnded);
      if (was && (value & kSet) != 0) freeze(time);
      memory_[index] = value;
      if (!was && running()) thaw(time);
    } else if (index != kRegisterC && index != kRegisterD) {
      memory_[index] = value;
    }
    wire_.set(requested());
    arm();
  }

  void write_divider(u8 value, i64 time) {
    const bool was = running();
    const bool runs = (value & kDividerMask) == kDividerRunning;
    if (was && !runs) freeze(time);
    const bool from_reset = (memory_[kRegisterA] & kDividerReset) == kDividerReset;
    memory_[kRegisterA] = value;
    // The first update comes half a second after the divider leaves its reset ("Divider control").
    if (runs && from_reset) set_phase(kSecond / 2, time);
    if (!was && running()) thaw(time);
  }

  void set_phase(i64 part, i64 time) { phase_ = static_cast<u32>((part - time % kSecond + kSecond) % kSecond); }

  [[nodiscard]] u8 encode(i64 value) const {
    return static_cast<u8>((memory_[kRegisterB] & kBinary) != 0 ? value : value / 10 << 4 | value % 10);
  }
  [[nodiscard]] i64 decode(u8 value) const {
    return (memory_[kRegisterB] & kBinary) != 0 ? value : (value >> 4) * 10 + (value & 0xf);
  }
  [[nodiscard]] u8 encode_hours(i64 value) const {
    if ((memory_[kRegisterB] & k24Hours) != 0) return encode(value);
    return static_cast<u8>(encode(value % 12 == 0 ? 12 : value % 12) | (value >= 12 ? kAfternoon : 0));
  }
  [[nodiscard]] i64 decode_hours(u8 value) const {
    if ((memory_[kRegisterB] & k24Hours) != 0) return decode(value);
    return decode(value & ~kAfternoon & 0xff) % 12 + ((value & kAfternoon) != 0 ? 12 : 0);
  }

  [[nodiscard]] u8 shown(Field field, i64 time) const {
    const i64 total = clock_seconds(time);
    const i64 days = (total - kFirstSecond) / kDay + kFirstSecond / kDay;
    const i64 of_day = total - days * kDay;
    switch (field) {
      case seconds:
        return encode(of_day % 60);
      case minutes:
        return encode(of_day / 60 % 60);
      case hours:
        return encode_hours(of_day / 3'600);
      case weekday:
        // 1970-01-01 was a Thursday; Sunday is 1.
        return encode(((days + 4) % 7 + 7 + weekday_ahead_) % 7 + 1);
      case day:
        return encode(date_of(days).day);
      case month:
        return encode(date_of(days).month);
      case year:
        return encode(date_of(days).year % 100);
      default:
        return encode(date_of(days).year / 100);
    }
  }

  void freeze(i64 time) {
    for (u8 f = 0; f < field_count; ++f) memory_[kTimeRegisters[f]] = shown(static_cast<Field>(f), time);
  }

  /// The registers become the time.
  void thaw(i64 time) {
    const auto value = [this](Field f) { return decode(memory_[kTimeRegisters[f]]); };
    const i64 days = days_of(value(century) * 100 + value(year), std::max<i64>(value(month), 1), value(day));
    const i64 wanted =
        days * kDay + decode_hours(memory_[kTimeRegisters[hours]]) * 3'600 + value(minutes) * 60 + value(seconds);
    ahead_ = std::clamp(wanted, kFirstSecond, kLastSecond) - wall_ - chain(time) / kSecond;
    const u8 day_of_week = memory_[kTimeRegisters[weekday]];
    weekday_ahead_ = 0;
    weekday_ahead_ = static_cast<u8>((decode(day_of_week) - decode(shown(weekday, time)) + 7 * 256) % 7);
  }

  // --- flags and interrupts

  [[nodiscard]] bool requested() const { return (flags_ & memory_[kRegisterB] & kInterrupts) != 0; }

  /// log2 of the periodic interrupt's period in crystal ticks (data sheet, table 5 for 32768 Hz).
  [[nodiscard]] std::optional<unsigned> periodic_shift() const {
    const unsigned rate = memory_[kRegisterA] & 0xf;
    if (rate == 0 || !divider_runs()) return std::nullopt;
    return rate <= 2 ? rate + 6 : rate - 1;
  }
  static u64 crystal_ticks(i64 ns) {
    return static_cast<u64>(static_cast<u128>(ns) * kCrystalHz / static_cast<u64>(kSecond));
  }

  /// Machine time of the first alarm after `time`.
  [[nodiscard]] std::optional<i64> next_alarm(i64 time) const {
    const i64 of_day = ((clock_seconds(time) - kFirstSecond) % kDay + kDay) % kDay;
    const auto matching = [this](u8 index, i64 end) {
      const u8 wanted = memory_[index];
      std::vector<i64> out;
      for (i64 value = 0; value < end; ++value)
        if ((wanted & kAnyTime) == kAnyTime || (index == kAlarm[2] ? decode_hours(wanted) : decode(wanted)) == value)
          out.push_back(value);
      return out;
    };
    const std::vector<i64> at_seconds = matching(kAlarm[0], 60);
    const std::vector<i64> at_minutes = matching(kAlarm[1], 60);
    const std::vector<i64> at_hours = matching(kAlarm[2], 24);
    if (at_seconds.empty() || at_minutes.empty() || at_hours.empty()) return std::nullopt;
    for (const i64 h : at_hours) {
      for (const i64 m : at_minutes) {
        const i64 minute = (h * 60 + m) * 60;
        if (minute + at_seconds.back() <= of_day) continue;
        const auto s = std::ranges::upper_bound(at_seconds, of_day - minute);
        return update_after(time, minute + *s - of_day);
      }
    }
    const i64 first = (at_hours.front() * 60 + at_minutes.front()) * 60 + at_seconds.front();
    return update_after(time, first + kDay - of_day);
  }
  /// Machine time of the `count`-th update after `time`.
  [[nodiscard]] i64 update_after(i64 time, i64 count) const {
    return (chain(time) / kSecond + count) * kSecond - phase_;
  }

  /// Sets the flags of what happened since the last call.
  void advance(i64 time) {
    if (time <= seen_) return;
    if (running()) {
      if (update_after(seen_, 1) <= time) flags_ |= kUpdateEnded;
      if (const auto alarm = next_alarm(seen_); alarm && *alarm <= time) flags_ |= kAlarmFlag;
    }
    if (const auto shift = periodic_shift();
        shift && crystal_ticks(chain(seen_)) >> *shift != crystal_ticks(chain(time)) >> *shift)
      flags_ |= kPeriodic;
    seen_ = time;
  }

  /// Arms the timer for the next event that interrupts; while one is pending there is none.
  void arm() {
    const u8 enabled = memory_[kRegisterB];
    std::optional<i64> next;
    const auto consider = [&next](std::optional<i64> at) {
      if (at && (!next || *at < *next)) next = at;
    };
    if (!requested()) {
      if (const auto shift = periodic_shift(); shift && (enabled & kPeriodic) != 0) {
        const u64 tick = ((crystal_ticks(chain(seen_)) >> *shift) + 1) << *shift;
        const u128 ns = (static_cast<u128>(tick) * static_cast<u64>(kSecond) + kCrystalHz - 1) / kCrystalHz;
        consider(static_cast<i64>(ns) - phase_);
      }
      if (running() && (enabled & kUpdateEnded) != 0) consider(update_after(seen_, 1));
      if (running() && (enabled & kAlarmFlag) != 0) consider(next_alarm(seen_));
    }
    if (next) {
      timer_.arm(static_cast<time::Nanoseconds>(std::max<i64>(*next, 0)));
    } else {
      timer_.cancel();
    }
  }

  /// On the timer thread.
  void event_passed() {
    const std::lock_guard guard(ports_.lock());
    advance(now());
    wire_.set(requested());
    arm();
  }

  /// Where a PC's firmware finds the memory's size: in KiB below 640 KiB and from 1 MiB on, in 64 KiB from 16 MiB on
  /// and from 4 GiB on.
  void describe_memory() {
    u64 low = 0;   // the end of what begins at 0
    u64 high = 0;  // bytes from 4 GiB on
    for (const firmware::MemoryRange& range : firmware::guest_memory(ports_.node())) {
      if (range.address == 0) low = std::min(range.size, 4_GiB);
      const u64 end = range.address + range.size;
      if (end > 4_GiB) high += end - std::max(range.address, 4_GiB);
    }
    const auto put = [this](u8 index, u64 value, unsigned bytes) {
      for (unsigned i = 0; i < bytes; ++i) memory_[index + i] = static_cast<u8>(value >> (8 * i));
    };
    const u64 extended = low > 1_MiB ? std::min<u64>((low - 1_MiB) / 1_KiB, 0xffff) : 0;
    put(0x15, std::min(low, 640_KiB) / 1_KiB, 2);
    put(0x17, extended, 2);
    put(0x30, extended, 2);
    put(0x34, low > 16_MiB ? std::min<u64>((low - 16_MiB) / 64_KiB, 0xffff) : 0, 2);
    put(0x5b, std::min<u64>(high / 64_KiB, 0xff'ffff), 3);
    // Equipment: a coprocessor, a pointing device.
    memory_[0x14] = 0x06;
  }

  device::Ports& ports_;
  interrupt::LevelWire& wire_;
  time::Timer timer_;
  i64 wall_ = 0;  ///< the wall clock less machine time, in seconds
  u8 index_ = 0;
  /// All registers; the time's only while they do not run.
  std::array<u8, 128> memory_{};
  u8 flags_ = 0;          ///< register C's, without the request
  i64 ahead_ = 0;         ///< seconds that the guest set it ahead of the wall clock
  u32 phase_ = 0;         ///< how far the divider chain is ahead of machine time's seconds, in nanoseconds
  u8 weekday_ahead_ = 0;  ///< the guest may count weekdays as it likes
  i64 seen_ = 0;          ///< machine time until which `flags_` are up to date
};

const device::Registration kMc146818{"motorola,mc146818", device::make<Mc146818>,
                                     "PC clock and CMOS memory (Motorola MC146818A, ADI1026)"};

}  // namespace
}  // namespace solder::models::rtc
