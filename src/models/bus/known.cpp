// Nodes that need no device: buses that only hold others, and supplies and clocks that are always there.
#include "device/registry.h"

namespace solder::models::bus {
namespace {

const device::Registration kSimpleBus{"simple-bus", nullptr, "Bus whose devices are mapped as they are", true};
const device::Registration kIsa{"isa", nullptr, "ISA bus: I/O ports and memory (IEEE 1275 binding)", true};
const device::Registration kSimplePmBus{"simple-pm-bus", nullptr, "Bus with a power domain, which is always on", true};
const device::Registration kSimpleMfd{"simple-mfd", nullptr, "Several devices in one block", true};
const device::Registration kAmbaBus{"arm,amba-bus", nullptr, "Bus of PrimeCells", true};
const device::Registration kFixedClock{"fixed-clock", nullptr, "Clock of one frequency, always running"};
const device::Registration kFixedFactor{"fixed-factor-clock", nullptr, "Clock at a fixed ratio of another"};
const device::Registration kFixedRegulator{"regulator-fixed", nullptr, "Supply of one voltage, always on"};

}  // namespace
}  // namespace solder::models::bus
