/// The registry of models by `compatible`. A model registers itself with a static object; nothing lists the models.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "device/device.h"

namespace solder::device {

/// Makes the device of one node. Errors are the tree's: a missing property, a value out of range.
using Factory = Result<std::unique_ptr<Device>> (*)(Ports& ports);

/// One line of the registry. Lives in static storage.
struct ModelInfo {
  std::string_view compatible;
  Factory factory = nullptr;  ///< null: the node needs no device (a fixed clock, a simple bus); it is only known
  std::string_view summary;   ///< what it is and which document describes it, for the manual and `solder match`
  bool bus = false;           ///< children are on the machine's bus (simple-bus)
  /// What ACPI calls such a device: its _HID ("LNRO0005"). Several, separated by blanks: a device each, of which the
  /// first gets the node's addresses and each one interrupt. Empty: the node's "pnpPNP,501" says it, else nothing does.
  std::string_view acpi_hid;
  /// There is no model in this process: such a node is in the machine only where the accelerator runs it in the kernel.
  bool kernel_only = false;
};

/// Says in a Registration that the line is `kernel_only`.
struct KernelOnly {};
inline constexpr KernelOnly kKernelOnly;

/// Adds a line to the registry at start-up:
///   const Registration pl031{"arm,pl031", make<Pl031>, "ARM PrimeCell real-time clock (PL031)"};
class Registration {
 public:
  Registration(std::string_view compatible, Factory factory, std::string_view summary, bool bus = false,
               std::string_view acpi_hid = {});
  Registration(KernelOnly, std::string_view compatible, std::string_view summary);
};

/// A factory for models whose constructor takes Ports& and cannot fail.
template <class T>
Result<std::unique_ptr<Device>> make(Ports& ports) {
  return std::make_unique<T>(ports);
}

/// The model for the first of `compatibles` that has one; null when none.
[[nodiscard]] const ModelInfo* find_model(std::span<const std::string> compatibles);
/// All of them, sorted by compatible.
[[nodiscard]] std::vector<const ModelInfo*> all_models();

}  // namespace solder::device
