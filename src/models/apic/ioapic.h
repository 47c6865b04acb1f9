/// "intel,ce4100-ioapic": an I/O APIC with 24 pins (82093AA, and the EOI register of version 0x20). Every pin's
/// redirection entry is a route: virqs 0 to 23 of the routing table are the pins, their targets the entries' messages.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "device/device.h"
#include "models/apic/ioapic_state.h"

namespace solder::models::apic {

/// Polarity is stored and means nothing: wires carry "asserted".
class IoApic final : public device::Device,
                     public interrupt::Controller,
                     public interrupt::Sink,
                     public interrupt::EoiListener,
                     public memory::MmioHandler {
 public:
  /// Errors: another I/O APIC has the routes already.
  static Result<std::unique_ptr<device::Device>> create(device::Ports& ports);

  void reset() override;
  void state(device::Archive& archive) override;
  Status start() override;
  [[nodiscard]] std::string describe() const override { return "I/O APIC, 24 pins"; }

  Result<Input> input(std::span<const u32> specifier, u32 cpu) override;
  void set_level(u32 pin, bool level) override;
  void watch_eoi(u32 pin, std::function<void()> watcher) override;
  void end_of_interrupt(u8 vector) override;

  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, unsigned size, u64 value) override;
  [[nodiscard]] std::string register_name(u64 offset) const override;
  [[nodiscard]] const memory::WriteHints* write_hints() const override { return &kHints; }

 private:
  // IOREGSEL: only accesses to IOWIN look at it.
  static const memory::WriteHints kHints;
  explicit IoApic(device::Ports& ports);
  [[nodiscard]] u32 read_register() const;
  void write_register(u32 value);
  [[nodiscard]] bool level_triggered(u32 pin) const;
  [[nodiscard]] u32 level_pins() const;
  /// What the routing table should say of the pin: nothing for a masked one, unless its interrupt is under way: a split
  /// irqchip must still see its EOI.
  [[nodiscard]] std::optional<interrupt::Message> wanted(u32 pin) const;
  /// Sends what the pin has to send. Not while its route is about to change: publish() does it then. A level that no
  /// local APIC accepts stays pending, until its entry is written or the pin is driven again.
  void evaluate(u32 pin);
  void entry_changed(u32 pin);
  /// Brings the routing table up to date. With publishing_ held, without lock_.
  void publish();

  device::Ports& ports_;
  // Order: publishing_, then the table's lock, then lock_: the table drives pins with its lock held, so that routes are
  // never set under lock_. watching_ is taken with no other.
  std::mutex publishing_;
  std::mutex& lock_;
  std::mutex watching_;
  IoApicState state_;
  u32 stale_ = 0;  // pins whose route is not yet what wanted() says
  std::array<std::optional<interrupt::Message>, kIoApicPins> published_{};
  std::array<std::function<void()>, kIoApicPins> watchers_;
};

}  // namespace solder::models::apic
