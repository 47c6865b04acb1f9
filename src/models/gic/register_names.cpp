#include "models/gic/register_names.h"

#include <array>

#include "device/register_names.h"

namespace solder::models::gic {

namespace {

using device::RegisterName;

// What both versions have in the same places.
constexpr std::array kCommon{
    RegisterName{"GICD_CTLR", 0x0},
    RegisterName{"GICD_TYPER", 0x4},
    RegisterName{"GICD_IIDR", 0x8},
    RegisterName{"GICD_IGROUPR", 0x80, 4, 32},
    RegisterName{"GICD_ISENABLER", 0x100, 4, 32},
    RegisterName{"GICD_ICENABLER", 0x180, 4, 32},
    RegisterName{"GICD_ISPENDR", 0x200, 4, 32},
    RegisterName{"GICD_ICPENDR", 0x280, 4, 32},
    RegisterName{"GICD_ISACTIVER", 0x300, 4, 32},
    RegisterName{"GICD_ICACTIVER", 0x380, 4, 32},
    RegisterName{"GICD_IPRIORITYR", 0x400, 4, 255},
    RegisterName{"GICD_ITARGETSR", 0x800, 4, 255},
    RegisterName{"GICD_ICFGR", 0xc00, 4, 64},
    RegisterName{"GICD_NSACR", 0xe00, 4, 64},
    RegisterName{"GICD_SGIR", 0xf00},
    RegisterName{"GICD_CPENDSGIR", 0xf10, 4, 4},
    RegisterName{"GICD_SPENDSGIR", 0xf20, 4, 4},
};

constexpr std::array kOnlyV2{
    // DDI 0471, table 3-1: GIC-400's identification.
    RegisterName{"GICD_PIDR4", 0xfd0}, RegisterName{"GICD_PIDR5", 0xfd4}, RegisterName{"GICD_PIDR6", 0xfd8},
    RegisterName{"GICD_PIDR7", 0xfdc}, RegisterName{"GICD_PIDR0", 0xfe0}, RegisterName{"GICD_PIDR1", 0xfe4},
    RegisterName{"GICD_PIDR2", 0xfe8}, RegisterName{"GICD_PIDR3", 0xfec}, RegisterName{"GICD_CIDR", 0xff0, 4, 4},
};

constexpr std::array kOnlyV3{
    RegisterName{"GICD_TYPER2", 0xc},
    RegisterName{"GICD_STATUSR", 0x10},
    RegisterName{"GICD_SETSPI_NSR", 0x40},
    RegisterName{"GICD_CLRSPI_NSR", 0x48},
    RegisterName{"GICD_SETSPI_SR", 0x50},
    RegisterName{"GICD_CLRSPI_SR", 0x58},
    RegisterName{"GICD_IGRPMODR", 0xd00, 4, 32},
    // Numbered by INTID; the first 32 are reserved.
    RegisterName{"GICD_IROUTER", 0x6000, 8, 1020, 8},
    RegisterName{"GICD_PIDR4", 0xffd0},
    RegisterName{"GICD_PIDR5", 0xffd4},
    RegisterName{"GICD_PIDR6", 0xffd8},
    RegisterName{"GICD_PIDR7", 0xffdc},
    RegisterName{"GICD_PIDR0", 0xffe0},
    RegisterName{"GICD_PIDR1", 0xffe4},
    RegisterName{"GICD_PIDR2", 0xffe8},
    RegisterName{"GICD_PIDR3", 0xffec},
    RegisterName{"GICD_CIDR", 0xfff0, 4, 4},
};

constexpr std::array kCpuInterface{
    RegisterName{"GICC_CTLR", 0x0},         RegisterName{"GICC_PMR", 0x4},     RegisterName{"GICC_BPR", 0x8},
    RegisterName{"GICC_IAR", 0xc},          RegisterName{"GICC_EOIR", 0x10},   RegisterName{"GICC_RPR", 0x14},
    RegisterName{"GICC_HPPIR", 0x18},       RegisterName{"GICC_ABPR", 0x1c},   RegisterName{"GICC_AIAR", 0x20},
    RegisterName{"GICC_AEOIR", 0x24},       RegisterName{"GICC_AHPPIR", 0x28}, RegisterName{"GICC_APR", 0xd0, 4, 4},
    RegisterName{"GICC_NSAPR", 0xe0, 4, 4}, RegisterName{"GICC_IIDR", 0xfc},   RegisterName{"GICC_DIR", 0x1000},
};

constexpr u64 kSgiFrame = 0x10000;
constexpr std::array kRedistributor{
    RegisterName{"GICR_CTLR", 0x0},
    RegisterName{"GICR_IIDR", 0x4},
    RegisterName{"GICR_TYPER", 0x8, 8},
    RegisterName{"GICR_STATUSR", 0x10},
    RegisterName{"GICR_WAKER", 0x14},
    RegisterName{"GICR_MPAMIDR", 0x18},
    RegisterName{"GICR_PARTIDR", 0x1c},
    RegisterName{"GICR_SETLPIR", 0x40, 8},
    RegisterName{"GICR_CLRLPIR", 0x48, 8},
    RegisterName{"GICR_PROPBASER", 0x70, 8},
    RegisterName{"GICR_PENDBASER", 0x78, 8},
    RegisterName{"GICR_INVLPIR", 0xa0, 8},
    RegisterName{"GICR_INVALLR", 0xb0, 8},
    RegisterName{"GICR_SYNCR", 0xc0},
    RegisterName{"GICR_PIDR4", 0xffd0},
    RegisterName{"GICR_PIDR5", 0xffd4},
    RegisterName{"GICR_PIDR6", 0xffd8},
    RegisterName{"GICR_PIDR7", 0xffdc},
    RegisterName{"GICR_PIDR0", 0xffe0},
    RegisterName{"GICR_PIDR1", 0xffe4},
    RegisterName{"GICR_PIDR2", 0xffe8},
    RegisterName{"GICR_PIDR3", 0xffec},
    RegisterName{"GICR_CIDR", 0xfff0, 4, 4},
    RegisterName{"GICR_IGROUPR0", kSgiFrame + 0x80},
    RegisterName{"GICR_ISENABLER0", kSgiFrame + 0x100},
    RegisterName{"GICR_ICENABLER0", kSgiFrame + 0x180},
    RegisterName{"GICR_ISPENDR0", kSgiFrame + 0x200},
    RegisterName{"GICR_ICPENDR0", kSgiFrame + 0x280},
    RegisterName{"GICR_ISACTIVER0", kSgiFrame + 0x300},
    RegisterName{"GICR_ICACTIVER0", kSgiFrame + 0x380},
    RegisterName{"GICR_IPRIORITYR", kSgiFrame + 0x400, 4, 8},
    RegisterName{"GICR_ICFGR", kSgiFrame + 0xc00, 4, 2},
    RegisterName{"GICR_IGRPMODR0", kSgiFrame + 0xd00},
    RegisterName{"GICR_NSACR", kSgiFrame + 0xe00},
};

}  // namespace

std::string distributor_v2_name(u64 offset) {
  std::string name = device::register_name(kCommon, offset);
  return name.empty() ? device::register_name(kOnlyV2, offset) : name;
}

std::string cpu_interface_name(u64 offset) {
  return device::register_name(kCpuInterface, offset);
}

std::string distributor_v3_name(u64 offset) {
  std::string name = device::register_name(kCommon, offset);
  return name.empty() ? device::register_name(kOnlyV3, offset) : name;
}

std::string redistributor_name(u64 offset) {
  return device::register_name(kRedistributor, offset);
}

}  // namespace solder::models::gic
