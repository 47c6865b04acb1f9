// The paravirtual panic device: the guest writes a byte when its kernel has crashed (QEMU's docs/specs/pvpanic). What
// happens then is the node's `solder,on-panic`: "report" (the default) says so, "reset" and "shutdown" do it too.
#include <fmt/format.h>

#include "base/log.h"
#include "device/registry.h"

namespace solder::models::power {
namespace {

constexpr u8 kPanicked = 1U << 0;
constexpr u8 kCrashLoaded = 1U << 1;  ///< a crash kernel takes over: there is nothing to do

class Pvpanic final : public device::Device {
 public:
  enum class Action : u8 { report, reset, shutdown };

  Pvpanic(device::Ports& ports, Action action) : ports_(ports), action_(action) {
    ports.window(0, 1).add({.name = "EVENTS",
                            .offset = 0,
                            .width = 1,
                            .stride = 1,
                            .read = [](u32) -> u64 { return kPanicked | kCrashLoaded; },
                            .write = [this](u32, u64 value) { event(static_cast<u8>(value)); }});
  }

  void reset() override { reported_ = 0; }
  void state(device::Archive& archive) override { archive("reported", reported_); }

 private:
  void event(u8 value) {
    // Each is told once: a guest cannot fill the terminal.
    const u8 fresh = value & ~reported_ & (kPanicked | kCrashLoaded);
    reported_ |= fresh;
    if ((fresh & kPanicked) != 0) log::warn(fmt::format("{}: the guest's kernel panicked", ports_.node().path()));
    if ((fresh & kCrashLoaded) != 0)
      log::warn(fmt::format("{}: the guest's kernel panicked, and its crash kernel takes over", ports_.node().path()));
    if ((value & kPanicked) == 0) return;
    if (action_ == Action::reset) ports_.control().request_reset();
    if (action_ == Action::shutdown) ports_.control().request_shutdown();
  }

  device::Ports& ports_;
  Action action_;
  u8 reported_ = 0;
};

Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const tree::Node& node = ports.node();
  const std::string action = node.has("solder,on-panic") ? node.string("solder,on-panic").value_or("") : "report";
  if (action == "report") return std::make_unique<Pvpanic>(ports, Pvpanic::Action::report);
  if (action == "reset") return std::make_unique<Pvpanic>(ports, Pvpanic::Action::reset);
  if (action == "shutdown") return std::make_unique<Pvpanic>(ports, Pvpanic::Action::shutdown);
  return fail(node.place("solder,on-panic"), fmt::format("\"{}\" is nothing that can be done", action),
              "use \"report\", \"reset\" or \"shutdown\"");
}

constexpr std::string_view kSummary = "Paravirtual panic notification (QEMU's docs/specs/pvpanic)";
const device::Registration kPvpanic{"qemu,pvpanic", create, kSummary, false, "QEMU0001"};
const device::Registration kPvpanicMmio{"qemu,pvpanic-mmio", create, kSummary, false, "QEMU0001"};

}  // namespace
}  // namespace solder::models::power
