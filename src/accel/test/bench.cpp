#include "accel/test/bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <chrono>
#include <optional>

#include "cpu/current.h"

namespace solder::accel::test {

namespace {

// More deadlines than this in one step are a timer that rearms itself for the same moment.
constexpr u64 kMostTimers = 1'000'000;
// The clock counts nanoseconds in 63 bits; halfway there nothing overflows.
constexpr u64 kLatest = u64{1} << 62;
constexpr u64 kMostBytes = 32_KiB;
constexpr u64 kLongestWaitMs = 60'000;
constexpr std::array<std::string_view, 3> kLineNames = {"irq", "fiq", "nmi"};

std::optional<u64> parse_number(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<cpu::Line> parse_line(std::string_view text) {
  for (usize i = 0; i < kLineNames.size(); ++i)
    if (text == kLineNames[i]) return static_cast<cpu::Line>(i);
  return std::nullopt;
}

std::string hex(u64 value) {
  return fmt::format("{:#x}", value);
}

// While it lives, models take this thread for that of CPU `index`.
class AsCpu {
 public:
  explicit AsCpu(u32 index) : before_(cpu::current_cpu()) { cpu::set_current_cpu(index); }
  ~AsCpu() { cpu::set_current_cpu(before_); }
  AsCpu(const AsCpu&) = delete;
  AsCpu& operator=(const AsCpu&) = delete;

 private:
  u32 before_;
};

}  // namespace

/// The words of a command, taken one by one.
struct TestBench::Words {
  std::string_view rest;
  u32 as_cpu = 0;  // who makes the access

  std::string_view next() {
    const usize begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos) {
      rest = {};
      return {};
    }
    rest.remove_prefix(begin);
    const usize end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end);
    return word;
  }
  [[nodiscard]] bool empty() const { return rest.find_first_not_of(' ') == std::string_view::npos; }
  Result<u64> number(std::string_view what, u64 most = ~u64{0}) {
    const std::string_view word = next();
    if (word.empty()) return fail("", fmt::format("{} is missing", what));
    const auto value = parse_number(word);
    if (!value) return fail("", fmt::format("{} is not a number of at most 64 bits", what));
    if (*value > most) return fail("", fmt::format("{} is more than {:#x}", what, most));
    return *value;
  }
};

TestBench::TestBench(std::shared_ptr<Commander> commander)
    : commander_(std::move(commander)), lines_(std::make_shared<Lines>()) {}
TestBench::~TestBench() = default;

void TestBench::machine_stops() {
  if (commander_) commander_->bench_stops(*this);
}

Result<std::unique_ptr<cpu::Vcpu>> TestBench::create_vcpu(const cpu::CpuRequest& request) {
  if (cpus_.empty()) {
    memory_ = request.memory;
    ports_ = request.ports;
    clock_ = request.clock;
    timers_ = request.timers;
    control_ = request.control;
    // Time passes when a command says so, and starts at zero: a script sees the same each time.
    clock_->pause();
    clock_->set(0);
    timers_->clock_changed();
  }
  // The machine starts its first CPU when it is complete.
  std::function<void()> started;
  if (commander_ && cpus_.empty()) started = [this] { commander_->bench_starts(*this); };
  auto vcpu = std::make_unique<TestVcpu>(request.index, lines_, std::move(started));
  cpus_.push_back(vcpu.get());
  return vcpu;
}

void TestBench::interrupt_wait() {
  const std::lock_guard guard(lines_->mutex);
  interrupted_ = true;
  lines_->changed.notify_all();
}

Result<time::Nanoseconds> TestBench::step(time::Nanoseconds by) {
  const time::Nanoseconds now = clock_->now();
  if (by > kLatest || now + by > kLatest) return fail("", "machine time ends before that");
  const time::Nanoseconds reached = timers_->step(now + by, kMostTimers);
  if (reached < now + by)
    return fail("", fmt::format("after {} timers machine time is {}, and more are due", kMostTimers, reached));
  return reached;
}

std::string TestBench::execute(std::string_view command) {
  if (cpus_.empty()) return "ERR there is no machine";
  Words words{command};
  const Answer answer = dispatch(words);
  if (!answer) return "ERR " + answer.error().what;
  return answer->empty() ? "OK" : "OK " + *answer;
}

TestBench::Answer TestBench::dispatch(Words& words) {
  struct Width {
    std::string_view name;
    bool write;
    bool port;
    unsigned size;
  };
  static constexpr std::array kWidths = {
      Width{"read8", false, false, 1},  Width{"read16", false, false, 2}, Width{"read32", false, false, 4},
      Width{"read64", false, false, 8}, Width{"write8", true, false, 1},  Width{"write16", true, false, 2},
      Width{"write32", true, false, 4}, Width{"write64", true, false, 8}, Width{"in8", false, true, 1},
      Width{"in16", false, true, 2},    Width{"in32", false, true, 4},    Width{"out8", true, true, 1},
      Width{"out16", true, true, 2},    Width{"out32", true, true, 4},
  };
  struct Entry {
    std::string_view name;
    Answer (TestBench::*run)(Words&);
  };
  static constexpr std::array kEntries = {
      Entry{"memread", &TestBench::memory_read},
      Entry{"memwrite", &TestBench::memory_write},
      Entry{"clock_step", &TestBench::clock_step},
      Entry{"clock_set", &TestBench::clock_set},
      Entry{"irq", &TestBench::lines},
      Entry{"wait_irq", &TestBench::wait_line},
      Entry{"sysreg_read", &TestBench::system_read},
      Entry{"sysreg_write", &TestBench::system_write},
      Entry{"firmware", &TestBench::firmware_call},
      Entry{"acknowledge", &TestBench::acknowledge},
      Entry{"output", &TestBench::output},
      Entry{"cpu", &TestBench::cpu_state},
  };
  std::string_view verb = words.next();
  // "@2 read32 0x8000": as CPU 2.
  if (verb.starts_with('@')) {
    const auto index = parse_number(verb.substr(1));
    if (!index || *index >= cpus_.size()) return fail("", "there is no such CPU");
    words.as_cpu = static_cast<u32>(*index);
    verb = words.next();
  }
  const AsCpu as(words.as_cpu);
  for (const Width& width : kWidths)
    if (width.name == verb) return access(verb, width.write, width.size, width.port, words);
  for (const Entry& entry : kEntries) {
    if (entry.name != verb) continue;
    auto answer = (this->*entry.run)(words);
    if (answer && !words.empty()) return fail("", fmt::format("{} takes no more words", verb));
    return answer;
  }
  if (verb == "reset" && words.empty()) {
    ending_ = true;
    control_->request_reset();
    return "";
  }
  if (verb == "shutdown" && words.empty()) {
    ending_ = true;
    control_->request_shutdown();
    return "";
  }
  std::vector<std::string_view> known;
  known.reserve(std::size(kWidths) + std::size(kEntries));
  for (const Width& width : kWidths) known.push_back(width.name);
  for (const Entry& entry : kEntries) known.push_back(entry.name);
  return fail("", fmt::format("there is no command \"{}\"; there are: {}, reset, shutdown", verb.substr(0, 40),
                              fmt::join(known, " ")));
}

TestBench::Answer TestBench::access(std::string_view verb, bool write, unsigned size, bool port, Words& words) {
  const u64 address = SOLDER_TRY(words.number("the address", port ? 0xffff : ~u64{0}));
  u64 value = 0;
  if (write) value = SOLDER_TRY(words.number("the value", size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1));
  if (!words.empty()) return fail("", fmt::format("{} takes no more words", verb));
  const memory::AddressSpace& space = port ? *ports_ : *memory_;
  // As on a bus: what nobody answers reads as ones, and a write is lost.
  if (write) {
    space.store(address, size, value);
    return "";
  }
  const auto loaded = space.load(address, size);
  const u64 mask = size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
  return hex(loaded.ok ? loaded.value & mask : mask);
}

TestBench::Answer TestBench::memory_read(Words& words) {
  const u64 address = SOLDER_TRY(words.number("the address"));
  std::vector<u8> bytes(SOLDER_TRY(words.number("the length", kMostBytes)));
  if (!memory_->read(address, bytes.data(), bytes.size())) return fail("", "not all of that is there");
  return fmt::format("0x{:02x}", fmt::join(bytes, ""));
}

TestBench::Answer TestBench::memory_write(Words& words) {
  const u64 address = SOLDER_TRY(words.number("the address"));
  std::string_view text = words.next();
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.empty() || text.size() % 2 != 0) return fail("", "the data is not pairs of hexadecimal digits");
  if (text.size() / 2 > kMostBytes) return fail("", fmt::format("the data is more than {} bytes", kMostBytes));
  std::vector<u8> bytes(text.size() / 2);
  for (usize i = 0; i < bytes.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, bytes[i], 16);
    if (error != std::errc{} || end != begin + 2) return fail("", "the data is not pairs of hexadecimal digits");
  }
  if (!memory_->write(address, bytes.data(), bytes.size())) return fail("", "not all of that can be written");
  return "";
}

TestBench::Answer TestBench::clock_step(Words& words) {
  if (!words.empty()) {
    const u64 by = SOLDER_TRY(words.number("the time", kLatest));
    return fmt::to_string(SOLDER_TRY(step(by)));
  }
  // To the next deadline.
  const time::Nanoseconds next = timers_->next_deadline();
  const time::Nanoseconds now = clock_->now();
  if (next > kLatest) return fail("", "no timer is armed");
  return fmt::to_string(SOLDER_TRY(step(next > now ? next - now : 0)));
}

TestBench::Answer TestBench::clock_set(Words& words) {
  const u64 to = SOLDER_TRY(words.number("the time", kLatest));
  const time::Nanoseconds now = clock_->now();
  if (to < now) return fail("", "machine time does not run backwards");
  return fmt::to_string(SOLDER_TRY(step(to - now)));
}

Result<TestVcpu*> TestBench::cpu(Words& words) {
  const u64 index = SOLDER_TRY(words.number("the CPU"));
  if (index >= cpus_.size()) return fail("", "there is no such CPU");
  return cpus_[index];
}

TestBench::Answer TestBench::lines(Words& words) {
  const TestVcpu& one = words.empty() ? *cpus_[words.as_cpu] : *SOLDER_TRY(cpu(words));
  return fmt::format("irq={:d} fiq={:d} nmi={:d} nmis={}", one.line(cpu::Line::irq), one.line(cpu::Line::fiq),
                     one.line(cpu::Line::nmi), one.nmis());
}

TestBench::Answer TestBench::wait_line(Words& words) {
  const TestVcpu& one = *SOLDER_TRY(cpu(words));
  const auto line = parse_line(words.next());
  if (!line) return fail("", "the line is not irq, fiq or nmi");
  const bool level = SOLDER_TRY(words.number("the level", 1)) != 0;
  const u64 ms = words.empty() ? 1000 : SOLDER_TRY(words.number("the time in milliseconds", kLongestWaitMs));
  // Host time: backends and their threads do not wait for machine time.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (one.line(*line) != level) {
    std::unique_lock lock(lines_->mutex);
    if (interrupted_) return fail("", "the machine stops");
    if (lines_->changed.wait_until(lock,
                                   std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds(20))) ==
            std::cv_status::timeout &&
        std::chrono::steady_clock::now() >= until)
      break;
  }
  if (one.line(*line) != level) return fail("", fmt::format("the line did not change within {} ms", ms));
  return fmt::format("{:d}", level);
}

TestBench::Answer TestBench::system_read(Words& words) {
  const auto encoding = static_cast<u32>(SOLDER_TRY(words.number("the register", 0xffff'ffff)));
  cpu::SystemRegisters* registers = cpus_[words.as_cpu]->system_registers(encoding);
  if (registers == nullptr) return fail("", "no device has this register");
  if (!registers->allows(words.as_cpu, encoding, false, 0)) return fail("", "the access faults");
  return hex(registers->read(words.as_cpu, encoding));
}

TestBench::Answer TestBench::system_write(Words& words) {
  const auto encoding = static_cast<u32>(SOLDER_TRY(words.number("the register", 0xffff'ffff)));
  const u64 value = SOLDER_TRY(words.number("the value"));
  cpu::SystemRegisters* registers = cpus_[words.as_cpu]->system_registers(encoding);
  if (registers == nullptr) return fail("", "no device has this register");
  if (!registers->allows(words.as_cpu, encoding, true, value)) return fail("", "the access faults");
  registers->write(words.as_cpu, encoding, value);
  return "";
}

TestBench::Answer TestBench::firmware_call(Words& words) {
  const std::string_view conduit = words.next();
  if (conduit != "hvc" && conduit != "smc") return fail("", "the conduit is not hvc or smc");
  std::array<u64, 4> registers{};
  for (usize i = 0; i < registers.size() && !words.empty(); ++i)
    registers[i] = SOLDER_TRY(words.number(fmt::format("x{}", i)));
  cpu::FirmwareCalls* firmware = cpus_[words.as_cpu]->firmware();
  if (firmware == nullptr || !firmware->call(words.as_cpu, conduit == "smc", registers))
    return fail("", "no firmware takes this call");
  return fmt::format("{:#x} {:#x} {:#x} {:#x}", registers[0], registers[1], registers[2], registers[3]);
}

TestBench::Answer TestBench::acknowledge(Words& words) {
  (void)words;
  interrupt::CpuInterface* interface = cpus_[words.as_cpu]->cpu_interface();
  if (interface == nullptr) return fail("", "the CPU has no controller that gives vectors");
  const auto vector = interface->acknowledge();
  return vector ? hex(*vector) : std::string("none");
}

TestBench::Answer TestBench::output(Words& words) {
  const u64 index = SOLDER_TRY(words.number("the output"));
  const bool level = SOLDER_TRY(words.number("the level", 1)) != 0;
  interrupt::LevelWire* wire = cpus_[words.as_cpu]->output(static_cast<u32>(std::min<u64>(index, 1000)));
  if (wire == nullptr) return fail("", "the CPU has no such output that is connected");
  wire->set(level);
  return "";
}

TestBench::Answer TestBench::cpu_state(Words& words) {
  const TestVcpu& one = words.empty() ? *cpus_[words.as_cpu] : *SOLDER_TRY(cpu(words));
  return fmt::format("starts={} entry={:#x}", one.starts(), one.entry());
}

}  // namespace solder::accel::test
