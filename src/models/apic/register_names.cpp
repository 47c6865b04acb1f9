#include "models/apic/register_names.h"

#include <array>

#include "device/register_names.h"

namespace solder::models::apic {

namespace {

using device::RegisterName;

constexpr std::array kLapic{
    RegisterName{"ID", 0x20},
    RegisterName{"VERSION", 0x30},
    RegisterName{"TPR", 0x80},
    RegisterName{"APR", 0x90},
    RegisterName{"PPR", 0xa0},
    RegisterName{"EOI", 0xb0},
    RegisterName{"RRD", 0xc0},
    RegisterName{"LDR", 0xd0},
    RegisterName{"DFR", 0xe0},
    RegisterName{"SVR", 0xf0},
    RegisterName{"ISR", 0x100, 4, 8, 16},
    RegisterName{"TMR", 0x180, 4, 8, 16},
    RegisterName{"IRR", 0x200, 4, 8, 16},
    RegisterName{"ESR", 0x280},
    RegisterName{"LVT_CMCI", 0x2f0},
    RegisterName{"ICR_LOW", 0x300},
    RegisterName{"ICR_HIGH", 0x310},
    RegisterName{"LVT_TIMER", 0x320},
    RegisterName{"LVT_THERMAL", 0x330},
    RegisterName{"LVT_PERFORMANCE", 0x340},
    RegisterName{"LVT_LINT0", 0x350},
    RegisterName{"LVT_LINT1", 0x360},
    RegisterName{"LVT_ERROR", 0x370},
    RegisterName{"INITIAL_COUNT", 0x380},
    RegisterName{"CURRENT_COUNT", 0x390},
    RegisterName{"DIVIDE", 0x3e0},
    RegisterName{"SELF_IPI", 0x3f0},  // x2APIC's only, as MSR 0x83f
};

constexpr std::array kIoApic{
    RegisterName{"IOREGSEL", 0x00},
    RegisterName{"IOWIN", 0x10},
    RegisterName{"EOIR", 0x40},
};

}  // namespace

std::string lapic_register_name(u64 offset) {
  return device::register_name(kLapic, offset);
}

std::string ioapic_register_name(u64 offset) {
  return device::register_name(kIoApic, offset);
}

}  // namespace solder::models::apic
