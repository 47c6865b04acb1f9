#include "machine/acpi_interrupts.h"

#include <fmt/format.h>

namespace solder::machine {

namespace {

using boot::acpi::Interrupt;
using boot::acpi::Polarity;
using boot::acpi::Trigger;

/// Pins of an I/O APIC, as PCs and KVM have them.
constexpr u32 kIoApicPins = 24;
/// ISA's interrupts.
constexpr u32 kIsaInterrupts = 16;

// The second cell: 0 falling edge, 1 level high, 2 level low, 3 rising edge.
void set_sense(Interrupt& interrupt, u32 sense) {
  interrupt.trigger = sense == 1 || sense == 2 ? Trigger::level : Trigger::edge;
  interrupt.polarity = sense == 0 || sense == 2 ? Polarity::low : Polarity::high;
}

}  // namespace

Result<AcpiInterrupts> AcpiInterrupts::create(const tree::Tree& tree, const Plan& plan) {
  AcpiInterrupts out;
  for (const auto& entry : plan.nodes) {
    const tree::Node& node = *entry.node;
    if (!entry.kept()) continue;
    if (node.is_compatible("intel,i8259")) out.pic_ = &node;
    if (!node.is_compatible("intel,ce4100-ioapic")) continue;
    const auto reg = SOLDER_TRY(tree::translate_reg(tree, node));
    if (reg.empty()) return fail(node.place("reg"), "an I/O APIC needs its address here");
    if (reg[0].address > 0xffffffff) return fail(node.place("reg"), "ACPI's I/O APICs lie below 4 GiB", "move it");
    const auto first = static_cast<u32>(out.io_apics_.size() * kIoApicPins);
    out.first_gsi_[&node] = first;
    out.io_apics_.push_back({static_cast<u32>(reg[0].address), first});
  }
  out.legacy_ = out.pic_ != nullptr;
  for (const auto& entry : plan.nodes)
    if (entry.kept() && entry.node->is_compatible("solder,gsi")) SOLDER_TRY_STATUS(out.add_routes(tree, *entry.node));

  const tree::Resolver resolver(tree);
  std::map<u32, u32> users;
  for (const auto& entry : plan.nodes) {
    if (entry.role != Role::modelled) continue;
    for (const auto& specifier : SOLDER_TRY(resolver.interrupts(*entry.node))) {
      if (specifier.controller == nullptr) continue;
      if (const auto interrupt = out.translate(specifier)) {
        out.interrupts_[entry.node].push_back(*interrupt);
        ++users[interrupt->gsi];
      }
    }
  }
  for (auto& [node, interrupts] : out.interrupts_)
    for (Interrupt& interrupt : interrupts) interrupt.shared = users[interrupt.gsi] > 1;
  return out;
}

Status AcpiInterrupts::add_routes(const tree::Tree& tree, const tree::Node& node) {
  const auto cells = node.cell_list("solder,route");
  if (cells.empty() || cells.size() % 4 != 0)
    return fail(node.place("solder,route"), "is not a list of <first count &controller pin>");
  auto& routes = fan_outs_[&node];
  for (usize i = 0; i < cells.size(); i += 4) {
    const tree::Node* controller = tree.by_phandle(cells[i + 2]);
    if (controller == nullptr)
      return fail(node.place("solder,route"), fmt::format("entry {} refers to no node", i / 4));
    routes.push_back({cells[i], cells[i + 1], controller, cells[i + 3]});
  }
  return {};
}

std::optional<u32> AcpiInterrupts::pin_number(const std::vector<Route>& routes, u32 interrupt) const {
  for (const Route& route : routes) {
    if (interrupt < route.first || interrupt - route.first >= route.count) continue;
    const auto base = first_gsi_.find(route.controller);
    const u64 pin = u64{route.pin} + (interrupt - route.first);
    if (base != first_gsi_.end() && pin < kIoApicPins) return base->second + static_cast<u32>(pin);
  }
  return std::nullopt;
}

std::optional<u8> AcpiInterrupts::isa_number(const std::vector<Route>& routes, u32 interrupt) const {
  for (const Route& route : routes) {
    if (interrupt < route.first || interrupt - route.first >= route.count) continue;
    const u64 pin = u64{route.pin} + (interrupt - route.first);
    if (route.controller == pic_ && pin < kIsaInterrupts) return static_cast<u8>(pin);
  }
  return std::nullopt;
}

std::optional<Interrupt> AcpiInterrupts::translate(const tree::InterruptSpecifier& specifier) const {
  if (specifier.cells.empty()) return std::nullopt;
  const u32 number = specifier.cells[0];
  Interrupt out;
  set_sense(out, specifier.cells.size() > 1 ? specifier.cells[1] : 3);
  if (const auto base = first_gsi_.find(specifier.controller); base != first_gsi_.end()) {
    if (number >= kIoApicPins) return std::nullopt;
    out.gsi = base->second + number;
    return out;
  }
  if (const auto fan_out = fan_outs_.find(specifier.controller); fan_out != fan_outs_.end()) {
    out.isa = isa_number(fan_out->second, number);
    const auto gsi = pin_number(fan_out->second, number);
    // Without an I/O APIC, global system interrupts are the i8259 pair's (section 5.2.13).
    if (!gsi && (!out.isa || !io_apics_.empty())) return std::nullopt;
    out.gsi = gsi ? *gsi : *out.isa;
    return out;
  }
  if (pic_ != nullptr && specifier.controller == pic_ && number < kIsaInterrupts && io_apics_.empty()) {
    out.isa = static_cast<u8>(number);
    out.gsi = number;
    return out;
  }
  return std::nullopt;
}

const std::vector<Interrupt>& AcpiInterrupts::of(const tree::Node& node) const {
  static const std::vector<Interrupt> kNone;
  const auto found = interrupts_.find(&node);
  return found == interrupts_.end() ? kNone : found->second;
}

std::vector<boot::acpi::Override> AcpiInterrupts::overrides() const {
  std::vector<boot::acpi::Override> out;
  // As their first user asks for them; wiring sees to it that users agree.
  std::map<u32, Interrupt> used;
  for (const auto& [node, interrupts] : interrupts_)
    for (const Interrupt& interrupt : interrupts) used.emplace(interrupt.gsi, interrupt);
  for (u32 isa = 0; isa < kIsaInterrupts; ++isa) {
    for (const auto& [node, routes] : fan_outs_) {
      const auto gsi = pin_number(routes, isa);
      if (!gsi) continue;
      const auto user = used.find(*gsi);
      const Trigger trigger = user == used.end() ? Trigger::edge : user->second.trigger;
      const Polarity polarity = user == used.end() ? Polarity::high : user->second.polarity;
      if (*gsi != isa || trigger != Trigger::edge || polarity != Polarity::high)
        out.push_back({static_cast<u8>(isa), *gsi, trigger, polarity});
      break;
    }
  }
  return out;
}

}  // namespace solder::machine
