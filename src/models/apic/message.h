/// Interrupts on their way to local APICs: an IPI, an MSI, an entry of an I/O APIC.
#pragma once

#include <optional>

#include "base/bits.h"
#include "interrupt/wire.h"
#include "models/apic/ioapic_state.h"

namespace solder::models::apic {

/// Delivery modes, as ICR, LVT, MSI data and redirection entries code them (Intel SDM vol. 3, section 11.6.1).
enum class Delivery : u8 { fixed, lowest, smi, reserved, nmi, init, startup, external };

/// To whom and what.
struct Request {
  Delivery delivery = Delivery::fixed;
  u8 vector = 0;
  bool level = false;    ///< trigger mode: its EOI is broadcast
  bool logical = false;  ///< destination mode
  bool wide = false;     ///< the destination has 32 bits (an x2APIC's IPI): 0xff is no broadcast
  u32 destination = 0;
};

/// The message format of section 11.11; destination bits 31..8 above bit 32 of the address, as KVM has them
/// (KVM_CAP_X2APIC_API). None: no message for local APICs.
[[nodiscard]] inline std::optional<Request> parse_message(const interrupt::Message& message) {
  if ((message.address & 0xfff0'0000) != 0xfee0'0000 || (message.address >> 32 & 0xff) != 0) return std::nullopt;
  Request out;
  out.destination = static_cast<u32>(bits(message.address, 19, 12) | (message.address >> 32 & 0xffff'ff00));
  out.logical = bit(message.address, 2);
  out.vector = static_cast<u8>(message.data);
  out.delivery = static_cast<Delivery>(bits(message.data, 10, 8));
  out.level = bit(message.data, 15);
  return out;
}

/// What an I/O APIC sends for a redirection entry: the message KVM would make of it, so that a split irqchip knows
/// which vectors are level-triggered. Level-triggered messages carry the level assert bit.
[[nodiscard]] inline interrupt::Message entry_message(u64 entry) {
  interrupt::Message out;
  out.address = 0xfee0'0000 | bits(entry, 63, 56) << 12 | u64{bit(entry, 11)} << 2;
  out.data = static_cast<u32>(entry & 0x7ff);
  if ((entry & kEntryLevel) != 0) out.data |= 3u << 14;
  return out;
}

}  // namespace solder::models::apic
