// A write to a system controller's register that switches the machine off or resets it
// (bindings power/reset/syscon-poweroff, syscon-reboot).
#include "device/registry.h"

namespace solder::models::power {
namespace {

class SysconPower final : public device::Device {
 public:
  SysconPower(device::Ports& ports, u32 map, u64 offset, u32 value, u32 mask, bool reboot)
      : ports_(ports), map_(map), offset_(offset), value_(value), mask_(mask), reboot_(reboot) {}

  Status start() override {
    device::RegisterMap* map = ports_.registers(map_);
    if (map == nullptr) {
      return fail(ports_.node().place("regmap"), "the node it refers to has no registers to watch",
                  "refer to an enabled node with compatible \"syscon\"");
    }
    map->watch_write(offset_, [this](u32 written) {
      if ((written & mask_) != (value_ & mask_)) return;
      reboot_ ? ports_.control().request_reset() : ports_.control().request_shutdown();
    });
    return {};
  }

 private:
  device::Ports& ports_;
  u32 map_;
  u64 offset_;
  u32 value_;
  u32 mask_;
  bool reboot_;
};

template <bool reboot>
Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const tree::Node& node = ports.node();
  // Without `regmap` the parent is the system controller.
  const u32 map = node.u32_value("regmap").value_or(node.parent() != nullptr ? node.parent()->phandle() : 0);
  if (map == 0) {
    return fail(node.place("regmap"), "the property is missing and the parent is no system controller with a phandle",
                "refer to the syscon node: regmap = <&label>");
  }
  const auto offset = node.has("offset") ? node.number("offset") : node.number("reg");
  if (!offset) return fail(node.place("offset"), "the property is missing", "give the register's offset in bytes");
  const auto value = node.u32_value("value");
  const auto mask = node.u32_value("mask");
  if (!value && !mask) return fail(node.place("value"), "neither value nor mask is there", "give the value to write");
  // A mask alone is the old form of the binding: it is the value.
  return std::make_unique<SysconPower>(ports, map, *offset, value ? *value : *mask, value && mask ? *mask : ~u32{0},
                                       reboot);
}

const device::Registration kOff{"syscon-poweroff", create<false>, "Power-off by a system controller's register"};
const device::Registration kReboot{"syscon-reboot", create<true>, "Reset by a system controller's register"};

}  // namespace
}  // namespace solder::models::power
