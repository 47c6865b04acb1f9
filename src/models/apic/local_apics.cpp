#include "models/apic/local_apics.h"

#include <fmt/format.h>

#include "base/bits.h"
#include "cpu/current.h"
#include "device/registry.h"
#include "models/apic/register_names.h"
#include "models/apic/specifier.h"

namespace solder::models::apic {

namespace {

// Offsets from here on, beyond the page, name MSRs in traces.
constexpr u64 kMsrNames = 0x10000;

constexpr u64 kWindow = 0x1000;
constexpr u64 kResetVector = 0xffff'fff0;

// ICR (figure 11-12).
constexpr u32 kIcrWritable = 0x000c'cfff;
constexpr u32 kIcrBusy = 1u << 12;
enum class Shorthand : u8 { none, self, all, others };

// Which registers x2APIC mode has, and what of them may be written; other bits raise #GP (table 11-6,
// section 11.12.1.3).
bool x2apic_readable(u32 number) {
  if (number >= kRegIsr && number < kRegEsr) return true;
  if (number >= kRegLvt && number < kRegLvt + kLvtCount) return true;
  switch (number) {
    case kRegId:
    case kRegVersion:
    case kRegTpr:
    case kRegPpr:
    case kRegLdr:
    case kRegSvr:
    case kRegEsr:
    case kRegIcr:
    case kRegInitialCount:
    case kRegCurrentCount:
    case kRegDivide:
      return true;
    default:
      return false;
  }
}

// nullopt: read-only, or not there.
std::optional<u64> x2apic_writable(u32 number) {
  switch (number) {
    case kRegTpr:
    case kRegSelfIpi:
      return 0xff;
    case kRegEoi:
    case kRegEsr:
      return 0;
    case kRegSvr:
      return 0x1ff;
    case kRegIcr:
      return 0xffff'ffff'0000'0000 | kIcrWritable;
    case kRegLvt + kLvtTimer:
      return 0x7'10ff;
    case kRegLvt + kLvtThermal:
    case kRegLvt + kLvtPerformance:
      return 0x1'17ff;
    case kRegLvt + kLvtLint0:
    case kRegLvt + kLvtLint1:
      return 0x1'f7ff;
    case kRegLvt + kLvtError:
      return 0x1'10ff;
    case kRegInitialCount:
      return 0xffff'ffff;
    case kRegDivide:
      return 0xb;
    default:
      return std::nullopt;
  }
}

}  // namespace

class LocalApics::Interface final : public interrupt::CpuInterface {
 public:
  Interface(LocalApics& apics, u32 cpu) : apics_(apics), cpu_(cpu) {}
  std::optional<u8> acknowledge() override { return apics_.acknowledge(cpu_); }
  [[nodiscard]] u8 task_priority() const override {
    const std::lock_guard guard(apics_.lock_);
    return static_cast<u8>(apics_.cpus_[cpu_].apic->state().task_priority >> 4);
  }
  void set_task_priority(u8 priority) override {
    const std::lock_guard guard(apics_.lock_);
    Lapic& apic = *apics_.cpus_[cpu_].apic;
    // A CPU that gives back the priority it was told does not clear TPR's sub-class.
    if (apic.state().task_priority >> 4 != (priority & 0xf)) apic.write(kRegTpr, (priority & 0xfu) << 4);
  }

 private:
  LocalApics& apics_;
  u32 cpu_;
};

LocalApics::LocalApics(device::Ports& ports)
    : ports_(ports), path_(ports.node().path()), lock_(ports.lock()), cpus_(ports.cpu_count()) {
  for (u32 i = 0; i < cpus_.size(); ++i) {
    cpus_[i].interface = std::make_unique<Interface>(*this, i);
    cpus_[i].apic = std::make_unique<Lapic>(i, static_cast<u32>(ports.cpu_hardware_id(i)),
                                            ports.window_address(0) & ~u64{0xfff}, ports.timers(), [this, i] {
                                              const std::lock_guard guard(lock_);
                                              cpus_[i].apic->timer_due();
                                            });
  }
  ports.window(0, *this);
  ports.provide_controller(*this);
  ports.provide_messages(*this);
}

LocalApics::~LocalApics() = default;

Status LocalApics::start() {
  legacy_ = ports_.legacy_controller();
  for (u32 i = 0; i < cpus_.size(); ++i) {
    cpu::Vcpu& vcpu = ports_.cpus()[i].vcpu();
    {
      const std::lock_guard guard(lock_);
      cpus_[i].apic->connect(vcpu);
    }
    vcpu.add_system_registers(*this);
    vcpu.set_cpu_interface(cpus_[i].interface.get());
  }
  return {};
}

void LocalApics::reset() {
  const std::lock_guard guard(lock_);
  for (Cpu& cpu : cpus_) {
    cpu.apic->reset(false);
    cpu.power.init = false;
    cpu.power.startup.reset();
  }
}

void LocalApics::state(device::Archive& archive) {
  const std::lock_guard guard(lock_);
  for (Cpu& cpu : cpus_) {
    LapicState state = cpu.apic->save();
    archive("apic", state);
    if (archive.mode() == device::Archive::Mode::load) cpu.apic->load(state);
  }
}

std::string LocalApics::describe() const {
  return fmt::format("local APICs of {} CPUs{}", cpus_.size(),
                     !cpus_.empty() && cpus_[0].apic->has_deadline() ? ", TSC deadline" : "");
}

Result<interrupt::Controller::Input> LocalApics::input(std::span<const u32> specifier, u32 cpu) {
  (void)cpu;
  Input out = SOLDER_TRY(parse_lint_specifier(specifier));
  out.sink = this;
  return out;
}

void LocalApics::set_level(u32 pin, bool level) {
  const std::lock_guard guard(lock_);
  if (pin < 2 && !cpus_.empty()) cpus_[0].apic->set_lint(pin, level);
}

std::optional<u8> LocalApics::acknowledge(u32 cpu) {
  {
    const std::lock_guard guard(lock_);
    if (!cpus_[cpu].apic->external() || legacy_ == nullptr) return cpus_[cpu].apic->take();
  }
  // Without our lock: the i8259 has its own, and drives our pin under it.
  return legacy_->acknowledge();
}

void LocalApics::end_of_interrupt(u32 cpu) {
  std::optional<u8> ended;
  {
    const std::lock_guard guard(lock_);
    ended = cpus_[cpu].apic->end_of_interrupt();
  }
  if (!ended) return;
  for (interrupt::EoiListener* listener : listeners_) listener->end_of_interrupt(*ended);
}

// --- Registers ---

u64 LocalApics::read(u64 offset, unsigned size) {
  const u32 cpu = cpu::current_cpu();
  if (offset >= kWindow || cpu >= cpus_.size()) return 0;
  const std::lock_guard guard(lock_);
  Lapic& apic = *cpus_[cpu].apic;
  // In x2APIC mode, and disabled, nobody answers here.
  if (!apic.state().enabled() || apic.state().x2apic()) return mask64(8 * size);
  // Registers are 32 bits, 16 bytes apart (section 11.4.1.1); parts of them can be read.
  const u32 byte = static_cast<u32>(offset & 0xf);
  if (byte >= 4) return 0;
  return apic.read(static_cast<u32>(offset >> 4)) >> (8 * byte) & mask64(8 * size);
}

void LocalApics::write(u64 offset, unsigned size, u64 value) {
  const u32 cpu = cpu::current_cpu();
  if (offset >= kWindow || cpu >= cpus_.size() || (offset & 0xf) != 0 || size < 4) return;
  {
    const std::lock_guard guard(lock_);
    const LapicState& state = cpus_[cpu].apic->state();
    if (!state.enabled() || state.x2apic()) return;
  }
  write_register(cpu, static_cast<u32>(offset >> 4), static_cast<u32>(value));
}

std::string LocalApics::register_name(u64 offset) const {
  if (offset < kMsrNames) return lapic_register_name(offset);
  const u64 msr = offset - kMsrNames;
  if (msr == kMsrApicBase) return "IA32_APIC_BASE";
  if (msr == kMsrTscDeadline) return "IA32_TSC_DEADLINE";
  const u32 number = static_cast<u32>(msr) - kMsrX2apicFirst;
  return number == kRegIcr ? "ICR" : lapic_register_name(u64{number} << 4);
}

std::optional<cpu::SystemRegisters::TraceName> LocalApics::trace_name(u32 encoding) const {
  return TraceName{&path_, this, kMsrNames + encoding};
}

void LocalApics::write_register(u32 cpu, u32 number, u64 value) {
  if (number == kRegEoi) {
    end_of_interrupt(cpu);
    return;
  }
  const std::lock_guard guard(lock_);
  Lapic& apic = *cpus_[cpu].apic;
  const bool x2apic = apic.state().x2apic();
  if (number == kRegIcr) {
    const u64 high = x2apic ? value & ~u64{0xffff'ffff} : apic.state().command & ~u64{0xffff'ffff};
    send(cpu, high | (value & kIcrWritable), x2apic);
  } else if (number == kRegSelfIpi && x2apic) {
    // As ICR with the shorthand, but ICR stays as it is (section 11.12.11).
    if (value < 16) {
      apic.report_error(kErrorSendVector);
    } else if (apic.accepts()) {
      apic.accept(static_cast<u8>(value), false);
    }
  } else {
    apic.write(number, static_cast<u32>(value));
  }
}

bool LocalApics::has(u32 encoding) const {
  if (encoding == kMsrTscDeadline) return !cpus_.empty() && cpus_[0].apic->has_deadline();
  return encoding == kMsrApicBase || (encoding >= kMsrX2apicFirst && encoding <= kMsrX2apicLast);
}

bool LocalApics::allows(u32 cpu, u32 encoding, bool write, u64 value) {
  const std::lock_guard guard(lock_);
  if (cpu >= cpus_.size()) return false;
  const Lapic& apic = *cpus_[cpu].apic;
  if (encoding == kMsrApicBase) return !write || apic.allows_base(value);
  if (encoding == kMsrTscDeadline) return apic.has_deadline();
  if (encoding < kMsrX2apicFirst || encoding > kMsrX2apicLast || !apic.state().x2apic()) return false;
  const u32 number = encoding - kMsrX2apicFirst;
  if (!write) return x2apic_readable(number);
  const auto writable = x2apic_writable(number);
  return writable && (value & ~*writable) == 0;
}

u64 LocalApics::read(u32 cpu, u32 encoding) {
  if (!allows(cpu, encoding, false, 0)) return 0;
  const std::lock_guard guard(lock_);
  Lapic& apic = *cpus_[cpu].apic;
  if (encoding == kMsrApicBase) return apic.read_base();
  if (encoding == kMsrTscDeadline) return apic.state().tsc_deadline;
  const u32 number = encoding - kMsrX2apicFirst;
  return number == kRegIcr ? apic.state().command : apic.read(number);
}

void LocalApics::write(u32 cpu, u32 encoding, u64 value) {
  if (!allows(cpu, encoding, true, value)) return;
  if (encoding >= kMsrX2apicFirst) {
    write_register(cpu, encoding - kMsrX2apicFirst, value);
    return;
  }
  const std::lock_guard guard(lock_);
  if (encoding == kMsrApicBase) {
    cpus_[cpu].apic->write_base(value);
  } else {
    cpus_[cpu].apic->write_deadline(value);
  }
}

// --- Interrupts between CPUs ---

void LocalApics::send(u32 from, u64 command, bool x2apic) {
  Lapic& apic = *cpus_[from].apic;
  const u32 low = static_cast<u32>(command);
  const auto shorthand = static_cast<Shorthand>(bits(low, 19, 18));
  // Delivered at once: the delivery status is never busy.
  apic.set_command(command & ~u64{kIcrBusy});
  Request request;
  request.vector = static_cast<u8>(low);
  request.delivery = static_cast<Delivery>(bits(low, 10, 8));
  request.logical = bit(low, 11);
  request.wide = x2apic;
  request.destination = static_cast<u32>(x2apic ? command >> 32 : command >> 56);
  const bool vectored = request.delivery == Delivery::fixed || request.delivery == Delivery::lowest;
  if (vectored && request.vector < 16) {
    apic.report_error(kErrorSendVector);
    return;
  }
  // INIT level de-assert means nothing any more (section 11.6.1).
  if (request.delivery == Delivery::init && !bit(low, 14) && bit(low, 15)) return;
  switch (shorthand) {
    case Shorthand::none:
      deliver_locked(request);
      break;
    case Shorthand::self:
      // Only fixed ones are valid (table 11-3).
      if (request.delivery == Delivery::fixed) deliver_to(from, request);
      break;
    case Shorthand::all:
      if (!vectored) break;
      request.destination = 0xffff'ffff;
      deliver_locked(request);
      break;
    case Shorthand::others:
      request.destination = 0xffff'ffff;
      deliver_locked(request, from);
      break;
  }
}

bool LocalApics::deliver(const interrupt::Message& message) {
  const auto request = parse_message(message);
  if (!request) return false;
  const std::lock_guard guard(lock_);
  return deliver_locked(*request);
}

bool LocalApics::deliver_locked(const Request& request, std::optional<u32> except) {
  const u32 count = static_cast<u32>(cpus_.size());
  if (request.delivery == Delivery::lowest) {
    std::optional<u32> chosen;
    // Equals take turns.
    for (u32 i = 0; i < count; ++i) {
      const u32 cpu = (next_ + i) % count;
      const Lapic& apic = *cpus_[cpu].apic;
      if (cpu == except || !apic.accepts() || !apic.matches(request)) continue;
      if (!chosen || apic.arbitration_priority() < cpus_[*chosen].apic->arbitration_priority()) chosen = cpu;
    }
    if (!chosen) return false;
    next_ = (*chosen + 1) % count;
    return deliver_to(*chosen, request);
  }
  bool taken = false;
  for (u32 cpu = 0; cpu < count; ++cpu) {
    if (cpu == except || !cpus_[cpu].apic->matches(request)) continue;
    taken |= deliver_to(cpu, request);
  }
  return taken;
}

bool LocalApics::deliver_to(u32 cpu, const Request& request) {
  Lapic& apic = *cpus_[cpu].apic;
  switch (request.delivery) {
    case Delivery::fixed:
    case Delivery::lowest:
      return apic.accepts() && apic.accept(request.vector, request.level);
    case Delivery::nmi:
      // A CPU that waits for its start-up takes none.
      if (apic.state().waits_for_startup) return false;
      apic.raise_nmi();
      return true;
    case Delivery::init:
      change_power(cpu, true, std::nullopt);
      return true;
    case Delivery::startup:
      // Only the first after INIT counts (section 9.4.3).
      if (!apic.state().waits_for_startup) return false;
      change_power(cpu, false, request.vector);
      return true;
    case Delivery::smi:
    case Delivery::reserved:
    case Delivery::external:
      // No SMM; and who answers an ExtINT is wired to LINT0.
      return false;
  }
  return false;
}

void LocalApics::change_power(u32 cpu, bool init, std::optional<u8> startup) {
  PowerChange& power = cpus_[cpu].power;
  Lapic& apic = *cpus_[cpu].apic;
  if (init) {
    power.init = true;
    power.startup.reset();
    // The bootstrap processor starts by itself, at the reset vector (section 9.4.2).
    apic.set_waits_for_startup((apic.state().base & kBaseBsp) == 0);
  } else {
    power.startup = startup;
    apic.set_waits_for_startup(false);
  }
  if (power.posted) return;
  power.posted = true;
  ports_.cpus()[cpu].post([this, cpu] { apply_power(cpu); });
}

void LocalApics::apply_power(u32 cpu) {
  PowerChange change;
  bool waits = false;
  {
    const std::lock_guard guard(lock_);
    change = cpus_[cpu].power;
    cpus_[cpu].power = {};
    if (change.init) cpus_[cpu].apic->reset(true);
    waits = cpus_[cpu].apic->state().waits_for_startup;
  }
  cpu::VcpuThread& thread = ports_.cpus()[cpu];
  if (change.init) thread.power_off();
  cpu::EntryState entry;
  entry.mode = cpu::EntryMode::real;
  if (change.startup) {
    entry.pc = u64{*change.startup} << 12;
    thread.power_on(entry);
  } else if (change.init && !waits) {
    entry.pc = kResetVector;
    thread.power_on(entry);
  }
}

namespace {

const device::Registration kLapic{"intel,ce4100-lapic", device::make<LocalApics>,
                                  "Local APICs, xAPIC and x2APIC (Intel SDM volume 3, chapter 11)"};

}  // namespace

}  // namespace solder::models::apic
