/// Specifiers of an x86 board's tree as global system interrupts.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "boot/acpi/description.h"
#include "machine/plan.h"
#include "tree/resolve.h"

namespace solder::machine {

/// Knows the I/O APICs, their pins' numbers, and where `solder,route` leads.
class AcpiInterrupts {
 public:
  /// Errors: a malformed solder,route, an I/O APIC that is not below 4 GiB.
  [[nodiscard]] static Result<AcpiInterrupts> create(const tree::Tree& tree, const Plan& plan);

  [[nodiscard]] const std::vector<boot::acpi::IoApic>& io_apics() const { return io_apics_; }
  [[nodiscard]] bool legacy_controller() const { return legacy_; }
  /// The interrupts of `node` that ACPI can name; others (a cascade into a local APIC) are left out.
  [[nodiscard]] const std::vector<boot::acpi::Interrupt>& of(const tree::Node& node) const;
  /// ISA interrupts that differ from the default at the I/O APIC.
  [[nodiscard]] std::vector<boot::acpi::Override> overrides() const;

 private:
  // solder,route: interrupts [first, first + count) drive pins from `pin` on.
  struct Route {
    u32 first = 0;
    u32 count = 0;
    const tree::Node* controller = nullptr;
    u32 pin = 0;
  };
  Status add_routes(const tree::Tree& tree, const tree::Node& node);
  [[nodiscard]] std::optional<boot::acpi::Interrupt> translate(const tree::InterruptSpecifier& specifier) const;
  [[nodiscard]] std::optional<u32> pin_number(const std::vector<Route>& routes, u32 interrupt) const;
  [[nodiscard]] std::optional<u8> isa_number(const std::vector<Route>& routes, u32 interrupt) const;

  std::vector<boot::acpi::IoApic> io_apics_;
  std::map<const tree::Node*, u32> first_gsi_;
  std::map<const tree::Node*, std::vector<Route>> fan_outs_;
  const tree::Node* pic_ = nullptr;
  bool legacy_ = false;
  std::map<const tree::Node*, std::vector<boot::acpi::Interrupt>> interrupts_;
};

}  // namespace solder::machine
