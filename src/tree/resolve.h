/// The walks: what a tree's numbers mean. All errors name file, line, node and property.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tree/node.h"

namespace solder::tree {

/// Which space an address lies in: x86's I/O ports are one of their own.
enum class Space : u8 { memory, port };

/// One `reg` entry, translated to the root's address space, or an I/O port of an ISA bus that maps ports nowhere.
struct AddressRange {
  u64 address = 0;
  u64 size = 0;
  Space space = Space::memory;
};

/// The node's own `reg`, untranslated, by the parent's #address-cells and #size-cells.
struct RawReg {
  std::vector<u32> address;
  std::vector<u32> size;
};
[[nodiscard]] Result<std::vector<RawReg>> raw_reg(const Node& node);
/// All `reg` entries translated through every `ranges` up to the root. An entry that cannot be translated (a bus
/// without `ranges`, an address outside of them) is an error.
[[nodiscard]] Result<std::vector<AddressRange>> translate_reg(const Tree& tree, const Node& node);

/// One interrupt of a node: the controller its specifier belongs to.
struct InterruptSpecifier {
  const Node* controller = nullptr;
  std::vector<u32> cells;
  /// Every hop from the node to `controller`: through interrupt-map nexuses. For explain.
  struct Hop {
    const Node* node = nullptr;
    std::vector<u32> cells;
    std::string note;  ///< "interrupt-parent from /soc (board.dts:12)", "interrupt-map entry 3 of /pcie"
  };
  std::vector<Hop> path;
};
/// The node's interrupts (interrupts-extended wins over interrupts), mapped through nexus nodes to real controllers. An
/// empty place of interrupts-extended (phandle 0) has no controller. A node without interrupts has none.
[[nodiscard]] Result<std::vector<InterruptSpecifier>> interrupts(const Tree& tree, const Node& node);
/// Resolves one specifier given in the domain of `parent` (for PCI INTx: child unit address cells plus pin).
[[nodiscard]] Result<InterruptSpecifier> map_interrupt(const Tree& tree, const Node& parent,
                                                       std::span<const u32> unit_address, std::span<const u32> cells,
                                                       const Node& asker);
/// The chain of cascades from a controller to the root one: a controller that has interrupts itself is cascaded. Each
/// element is the first interrupt of the controller before it; empty for a root controller (it has none, or to itself).
/// Errors: a loop.
[[nodiscard]] Result<std::vector<InterruptSpecifier>> cascade(const Tree& tree, const Node& controller);

/// MSI: nullopt when neither the node nor a PCI bus above it has msi-parent or msi-map, or the map leaves `rid` out.
/// The controller and the device id that the requester's `rid` becomes (msi-parent, msi-map with mask).
struct MsiTarget {
  const Node* controller = nullptr;
  u32 device_id = 0;
};
[[nodiscard]] Result<std::optional<MsiTarget>> msi_target(const Tree& tree, const Node& node, u32 rid);

/// DMA: bus address windows from `dma-ranges` up to the root (empty: identity), and the IOMMU in the way.
struct DmaWindow {
  u64 bus = 0;
  u64 cpu = 0;
  u64 size = 0;
};
struct DmaPath {
  std::vector<DmaWindow> windows;
  bool identity = true;
  struct Iommu {
    const Node* node = nullptr;
    std::vector<u32> cells;
  };
  std::vector<Iommu> iommus;
};
[[nodiscard]] Result<DmaPath> dma_path(const Tree& tree, const Node& node);
[[nodiscard]] Result<std::optional<DmaPath::Iommu>> iommu_map(const Tree& tree, const Node& node, u32 rid);

/// A list of phandle-with-arguments (clocks, gpios, iommus): each target with the cells that its #…-cells says.
/// A phandle 0 is an empty place: a null target. `cells_property` empty: phandles without arguments. Without the
/// property in `node`: an empty list.
struct PhandleArgs {
  const Node* target = nullptr;
  std::vector<u32> cells;
};
[[nodiscard]] Result<std::vector<PhandleArgs>> phandle_list(const Tree& tree, const Node& node,
                                                            std::string_view property, std::string_view cells_property);

/// The same walks with one index of phandles behind them all, for whoever asks about many nodes of a tree that does not
/// change meanwhile. The functions above make one for each call.
class Resolver {
 public:
  explicit Resolver(const Tree& tree);
  ~Resolver();
  [[nodiscard]] Result<std::vector<InterruptSpecifier>> interrupts(const Node& node) const;
  [[nodiscard]] Result<InterruptSpecifier> map_interrupt(const Node& parent, std::span<const u32> unit_address,
                                                         std::span<const u32> cells, const Node& asker) const;
  [[nodiscard]] Result<std::vector<InterruptSpecifier>> cascade(const Node& controller) const;
  [[nodiscard]] Result<std::optional<MsiTarget>> msi_target(const Node& node, u32 rid) const;
  [[nodiscard]] Result<DmaPath> dma_path(const Node& node) const;
  [[nodiscard]] Result<std::optional<DmaPath::Iommu>> iommu_map(const Node& node, u32 rid) const;
  [[nodiscard]] Result<std::vector<PhandleArgs>> phandle_list(const Node& node, std::string_view property,
                                                              std::string_view cells_property) const;
  /// The node with this phandle; null when there is none.
  [[nodiscard]] const Node* by_phandle(u32 phandle) const;

  struct State;  ///< the room's own

 private:
  std::unique_ptr<State> state_;
};

}  // namespace solder::tree
