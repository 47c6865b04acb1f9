/// Connecting what models asked for to what the tree says: windows to addresses, wires to controllers' inputs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/fabric.h"
#include "machine/node_ports.h"

namespace solder::machine {

/// Places windows and RAM; refuses overlaps in words that name both sides.
class Placer {
 public:
  explicit Placer(Fabric& fabric) : fabric_(fabric) {}
  /// Takes [range) for entry `index` of the node's `reg`, with `region` saying what is there.
  [[nodiscard]] Status place(const tree::Node& node, u32 index, tree::AddressRange range, memory::Ram* ram,
                             memory::MmioHandler* handler, bool read_only = false);

 private:
  struct Taken {
    const tree::Node* node;
    u32 index;
    tree::AddressRange range;
  };
  Fabric& fabric_;
  std::vector<Taken> taken_;
};

/// Connects every wire that models asked for. Level-triggered inputs may be shared, and then get an OR gate, kept in
/// `gates`. Errors: a specifier that its controller refuses, one input used as edge and as level, an edge input that is
/// shared, controllers in a circle. Interrupts that end at a controller without a model are named in `loose`.
[[nodiscard]] Status connect_wires(Fabric& fabric, std::span<NodePorts* const> nodes,
                                   std::vector<std::unique_ptr<interrupt::OrGate>>& gates,
                                   std::vector<std::string>& loose);

[[nodiscard]] std::string_view trigger_name(interrupt::Controller::Trigger trigger);
/// "interrupts" or "interrupts-extended", whichever counts.
[[nodiscard]] std::string_view interrupt_property(const tree::Node& node);

}  // namespace solder::machine
