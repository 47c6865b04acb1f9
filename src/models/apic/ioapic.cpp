#include "models/apic/ioapic.h"

#include <fmt/format.h>

#include "base/bits.h"
#include "device/registry.h"
#include "models/apic/message.h"
#include "models/apic/register_names.h"
#include "models/apic/specifier.h"

namespace solder::models::apic {

namespace {

constexpr u64 kSelect = 0x00;
constexpr u64 kData = 0x10;
constexpr u64 kEoi = 0x40;

// Indirect registers (82093AA, section 3.2).
constexpr u32 kId = 0;
constexpr u32 kVersionRegister = 1;
constexpr u32 kArbitration = 2;
constexpr u32 kTable = 0x10;
constexpr u32 kVersion = 0x20 | (kIoApicPins - 1) << 16;

bool same(const std::optional<interrupt::Message>& a, const std::optional<interrupt::Message>& b) {
  return a.has_value() == b.has_value() && (!a || (a->address == b->address && a->data == b->data));
}

}  // namespace

Result<std::unique_ptr<device::Device>> IoApic::create(device::Ports& ports) {
  for (const auto& line : ports.routes().report()) {
    if (line.virq < kIoApicPins)
      return fail(ports.node().place(),
                  fmt::format("interrupts 0 to {} of the machine belong to another I/O APIC already ({})",
                              kIoApicPins - 1, line.label),
                  "leave one I/O APIC in the tree");
  }
  return std::unique_ptr<device::Device>(new IoApic(ports));
}

IoApic::IoApic(device::Ports& ports) : ports_(ports), lock_(ports.lock()) {
  ports.routes().reserve(kIoApicPins);
  std::vector<interrupt::NewRoute> pins;
  for (u32 pin = 0; pin < kIoApicPins; ++pin)
    pins.push_back({pin, fmt::format("{} pin {}", ports.node().path(), pin), {}});
  ports.routes().take(std::move(pins));
  ports.window(0, *this);
  ports.provide_controller(*this);
}

Status IoApic::start() {
  if (auto* target = ports_.routes().message_target()) target->add_eoi_listener(*this);
  return {};
}

void IoApic::reset() {
  const std::lock_guard publishing(publishing_);
  {
    const std::lock_guard guard(lock_);
    const u32 levels = state_.levels;
    state_ = {};
    state_.levels = levels;  // of wires, which others reset
    stale_ = (1u << kIoApicPins) - 1;
  }
  publish();
}

void IoApic::state(device::Archive& archive) {
  const std::lock_guard publishing(publishing_);
  IoApicState record;
  {
    const std::lock_guard guard(lock_);
    record = state_;
    record.requests |= state_.levels & level_pins();
  }
  archive("ioapic", record);
  if (archive.mode() != device::Archive::Mode::load) return;
  {
    const std::lock_guard guard(lock_);
    state_ = record;
    state_.id &= 0xf;
    for (u64& entry : state_.entries) entry &= kEntryWritable | kEntryRemoteIrr;
    const u32 all = (1u << kIoApicPins) - 1;
    state_.levels = (record.levels | (record.requests & level_pins())) & all;
    state_.requests = record.requests & all & ~level_pins();
    stale_ = all;
  }
  publish();
}

Result<interrupt::Controller::Input> IoApic::input(std::span<const u32> specifier, u32 cpu) {
  (void)cpu;
  Input out = SOLDER_TRY(parse_pin_specifier(specifier, kIoApicPins));
  out.sink = this;
  return out;
}

bool IoApic::level_triggered(u32 pin) const {
  // Only fixed and lowest priority interrupts have an end that clears remote IRR; NMI, SMI, INIT and ExtINT are edges
  // whatever the entry says (section 3.2.4).
  return (state_.entries[pin] & kEntryLevel) != 0 && bits(state_.entries[pin], 10, 8) <= 1;
}

u32 IoApic::level_pins() const {
  u32 out = 0;
  for (u32 pin = 0; pin < kIoApicPins; ++pin) out |= u32{level_triggered(pin)} << pin;
  return out;
}

std::optional<interrupt::Message> IoApic::wanted(u32 pin) const {
  const u64 entry = state_.entries[pin];
  if ((entry & kEntryMasked) != 0 && (entry & kEntryRemoteIrr) == 0) return std::nullopt;
  return entry_message(entry);
}

void IoApic::set_level(u32 pin, bool level) {
  if (pin >= kIoApicPins) return;
  const std::lock_guard guard(lock_);
  const u32 mask = 1u << pin;
  const bool rises = level && (state_.levels & mask) == 0;
  state_.levels = level ? state_.levels | mask : state_.levels & ~mask;
  // Edges at a masked pin are lost (section 3.2.4, interrupt mask).
  if (rises && !level_triggered(pin) && (state_.entries[pin] & kEntryMasked) == 0) state_.requests |= mask;
  evaluate(pin);
}

void IoApic::evaluate(u32 pin) {
  const u32 mask = 1u << pin;
  u64& entry = state_.entries[pin];
  if ((stale_ & mask) != 0 || (entry & kEntryMasked) != 0) return;
  if (!level_triggered(pin)) {
    if ((state_.requests & mask) == 0) return;
    state_.requests &= ~mask;
    ports_.routes().raise(pin);
    return;
  }
  if ((state_.levels & mask) == 0 || (entry & kEntryRemoteIrr) != 0) return;
  // Remote IRR is set when local APICs accept the interrupt (section 3.2.4). No EOI ends one that nobody accepted: its
  // pin would be dead. The level stays pending, as in KVM's I/O APIC. A CPU that is done with it before remote IRR is
  // set waits for lock_, in end_of_interrupt().
  if (ports_.routes().raise(pin)) entry |= kEntryRemoteIrr;
}

void IoApic::publish() {
  struct Change {
    u32 pin;
    std::optional<interrupt::Message> message;
  };
  std::vector<Change> changes;
  u32 pins = 0;
  {
    const std::lock_guard guard(lock_);
    pins = stale_;
    for (u32 pin = 0; pin < kIoApicPins; ++pin) {
      if (!bit(pins, pin)) continue;
      // While an interrupt is in service, none of this pin follows: the new route can wait for its end. It has to: KVM
      // (6.1, split) tells the end of an interrupt only while a route names the CPU that has it.
      if ((state_.entries[pin] & kEntryRemoteIrr) != 0 && published_[pin]) {
        pins &= ~(1u << pin);
        continue;
      }
      auto message = wanted(pin);
      if (!same(message, published_[pin])) changes.push_back({pin, message});
    }
  }
  for (const Change& change : changes) {
    std::vector<interrupt::Target> targets;
    if (change.message) targets.emplace_back(*change.message);
    ports_.routes().set(change.pin, std::move(targets));
  }
  const std::lock_guard guard(lock_);
  for (const Change& change : changes) published_[change.pin] = change.message;
  stale_ &= ~pins;
  for (u32 pin = 0; pin < kIoApicPins; ++pin)
    if (bit(pins, pin)) evaluate(pin);
}

void IoApic::entry_changed(u32 pin) {
  u64& entry = state_.entries[pin];
  if (!level_triggered(pin)) entry &= ~kEntryRemoteIrr;
  if (level_triggered(pin) || (entry & kEntryMasked) != 0) state_.requests &= ~(1u << pin);
  stale_ |= 1u << pin;
}

u32 IoApic::read_register() const {
  const u32 index = state_.select;
  if (index >= kTable && index < kTable + 2 * kIoApicPins) {
    const u64 entry = state_.entries[(index - kTable) / 2];
    return static_cast<u32>(index % 2 == 0 ? entry : entry >> 32);
  }
  switch (index) {
    case kId:
    case kArbitration:
      return u32{state_.id} << 24;
    case kVersionRegister:
      return kVersion;
    default:
      return 0;
  }
}

std::string IoApic::register_name(u64 offset) const {
  return ioapic_register_name(offset);
}

void IoApic::write_register(u32 value) {
  const u32 index = state_.select;
  if (index == kId) {
    state_.id = static_cast<u8>(bits(value, 27, 24));
    return;
  }
  if (index < kTable || index >= kTable + 2 * kIoApicPins) return;
  const u32 pin = (index - kTable) / 2;
  u64& entry = state_.entries[pin];
  const u64 half = index % 2 == 0 ? 0xffff'ffff : 0xffff'ffff'0000'0000;
  const u64 shifted = index % 2 == 0 ? value : u64{value} << 32;
  const u64 writable = kEntryWritable & half;
  entry = (entry & ~writable) | (shifted & writable);
  entry_changed(pin);
}

const memory::WriteHints IoApic::kHints{.doorbells = {}, .deferrable = {{kSelect, 4}}};

u64 IoApic::read(u64 offset, unsigned size) {
  const std::lock_guard guard(lock_);
  const u64 byte = offset & 3;
  u32 value = 0;
  if ((offset & ~u64{3}) == kSelect) value = state_.select;
  if ((offset & ~u64{3}) == kData) value = read_register();
  return u64{value} >> (8 * byte) & mask64(8 * size);
}

void IoApic::write(u64 offset, unsigned size, u64 value) {
  if (offset == kSelect) {
    const std::lock_guard guard(lock_);
    state_.select = static_cast<u8>(value);
    return;
  }
  // The other registers are written as 32 bits.
  if (size < 4) return;
  if (offset == kEoi) {
    end_of_interrupt(static_cast<u8>(value));
    return;
  }
  if (offset != kData) return;
  const std::lock_guard publishing(publishing_);
  {
    const std::lock_guard guard(lock_);
    write_register(static_cast<u32>(value));
  }
  publish();
}

void IoApic::watch_eoi(u32 pin, std::function<void()> watcher) {
  if (pin >= kIoApicPins) return;
  const std::lock_guard guard(watching_);
  watchers_[pin] = std::move(watcher);
}

void IoApic::end_of_interrupt(u8 vector) {
  u32 ended = 0;
  {
    const std::lock_guard guard(lock_);
    for (u32 pin = 0; pin < kIoApicPins; ++pin) {
      u64& entry = state_.entries[pin];
      if ((entry & kEntryRemoteIrr) == 0 || (entry & kEntryVector) != vector) continue;
      entry &= ~kEntryRemoteIrr;
      ended |= 1u << pin;
      // A masked one was only kept for this.
      if ((entry & kEntryMasked) != 0) stale_ |= 1u << pin;
    }
  }
  if (ended == 0) return;
  // Sources that cannot see their device's level take it back first; those that still ask raise it again.
  for (u32 pin = 0; pin < kIoApicPins; ++pin) {
    if (!bit(ended, pin)) continue;
    std::function<void()> watcher;
    {
      const std::lock_guard guard(watching_);
      watcher = watchers_[pin];
    }
    if (watcher) watcher();
  }
  bool stale = false;
  {
    const std::lock_guard guard(lock_);
    for (u32 pin = 0; pin < kIoApicPins; ++pin)
      if (bit(ended, pin)) evaluate(pin);
    stale = (stale_ & ended) != 0;
  }
  if (!stale) return;
  const std::lock_guard publishing(publishing_);
  publish();
}

namespace {

const device::Registration kIoApic{"intel,ce4100-ioapic", IoApic::create,
                                   "I/O APIC with 24 pins (82093AA, version 0x20)"};

}  // namespace

}  // namespace solder::models::apic
