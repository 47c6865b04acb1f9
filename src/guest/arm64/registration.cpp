// Makes the arm64 guest known to the translator.
#include <algorithm>
#include <array>

#include "guest/arm64/cpu.h"

namespace solder::arm64 {
namespace {

/// Vendors whose CPU nodes are AArch64 cores. The node says which core a board has; what runs is ours, so that any will
/// do.
constexpr std::array<std::string_view, 14> kVendors = {"arm,",       "qcom,",    "nvidia,",  "apple,",      "brcm,",
                                                       "cavium,",    "fujitsu,", "marvell,", "ampere,",     "phytium,",
                                                       "hisilicon,", "samsung,", "apm,",     "solder,arm64"};

bool accepts(std::string_view compatible) {
  return std::ranges::any_of(kVendors, [&](std::string_view vendor) { return compatible.starts_with(vendor); });
}

Result<std::unique_ptr<ir::GuestCpu>> make(const cpu::CpuRequest& request) {
  return std::make_unique<Arm64Cpu>(request);
}

const ir::GuestRegistration kRegistration({"arm64", accepts, make});

}  // namespace
}  // namespace solder::arm64
