// Power State Coordination Interface 1.1 (DEN 0022D) with the SMC Calling Convention 1.1 (DEN 0028) queries that go
// with it. The firmware of machines that have none.
#include <fmt/format.h>

#include <atomic>
#include <optional>
#include <vector>

#include "cpu/cpu_set.h"
#include "device/registry.h"

namespace solder::models::psci {
namespace {

// Function identifiers, section 5.1; bit 30 marks the 64-bit calling convention.
constexpr u32 k64 = 0x4000'0000;
constexpr u32 kVersion = 0x8400'0000;
constexpr u32 kCpuSuspend = 0x8400'0001;
constexpr u32 kCpuOff = 0x8400'0002;
constexpr u32 kCpuOn = 0x8400'0003;
constexpr u32 kAffinityInfo = 0x8400'0004;
constexpr u32 kMigrateInfoType = 0x8400'0006;
constexpr u32 kSystemOff = 0x8400'0008;
constexpr u32 kSystemReset = 0x8400'0009;
constexpr u32 kFeatures = 0x8400'000a;
constexpr u32 kSystemReset2 = 0x8400'0012;
constexpr u32 kSmcccVersion = 0x8000'0000;
constexpr u32 kSmcccArchFeatures = 0x8000'0001;

// Section 5.2.2.
constexpr i64 kSuccess = 0;
constexpr i64 kNotSupported = -1;
constexpr i64 kInvalidParameters = -2;
constexpr i64 kAlreadyOn = -4;
constexpr i64 kInvalidAddress = -9;

constexpr u64 kAffinityMask = 0xff'00ff'ffff;  // MPIDR's Aff3..Aff0

class Psci final : public device::Device, public cpu::FirmwareCalls {
 public:
  Psci(device::Ports& ports, bool smc) : ports_(ports), smc_(smc), waiting_(ports.cpu_count()) {
    // Version 0.1 has no fixed identifiers: the tree gives them.
    if (!ports.node().is_compatible("arm,psci")) return;
    const tree::Node& node = ports.node();
    const auto old = [&](std::string_view name, u32 function) {
      if (const auto id = node.u32_value(name)) old_ids_.push_back({.id = *id, .function = function});
    };
    old("cpu_suspend", kCpuSuspend | k64);
    old("cpu_off", kCpuOff);
    old("cpu_on", kCpuOn | k64);
  }

  Status start() override {
    for (u32 i = 0; i < ports_.cpu_count(); ++i) ports_.cpus()[i].vcpu().set_firmware(this);
    return {};
  }

  [[nodiscard]] std::string describe() const override { return smc_ ? "PSCI 1.1 by SMC" : "PSCI 1.1 by HVC"; }

  bool call(u32 cpu, bool secure_conduit, std::span<u64, 4> registers) override {
    if (secure_conduit != smc_ || cpu >= waiting_.size()) return false;
    const auto result = dispatch(cpu, function(static_cast<u32>(registers[0])), registers);
    if (!result) return false;
    registers[0] = static_cast<u64>(*result);
    return true;
  }

  bool take_wait(u32 cpu) override { return cpu < waiting_.size() && waiting_[cpu].exchange(false); }

 private:
  struct OldId {
    u32 id;
    u32 function;
  };

  [[nodiscard]] u32 function(u32 id) const {
    for (const OldId& old : old_ids_) {
      if (old.id == id) return old.function;
    }
    return id;
  }

  /// Nullopt: no such function.
  std::optional<i64> dispatch(u32 cpu, u32 function, std::span<u64, 4> registers) {
    // 32-bit calls have 32-bit arguments.
    const bool wide = (function & k64) != 0;
    const auto argument = [&](usize i) { return wide ? registers[i] : static_cast<u32>(registers[i]); };
    switch (function) {
      case kVersion:
        return 1 << 16 | 1;
      case kSmcccVersion:
        return 1 << 16 | 1;
      case kFeatures:
      case kSmcccArchFeatures:
        return supported(static_cast<u32>(registers[1])) ? kSuccess : kNotSupported;
      case kMigrateInfoType:
        return 2;  // no trusted OS that could need migration
      case kCpuOn:
      case kCpuOn | k64:
        return cpu_on(argument(1), argument(2), argument(3));
      case kAffinityInfo:
      case kAffinityInfo | k64:
        return affinity_info(argument(1), argument(2));
      case kCpuSuspend:
      case kCpuSuspend | k64:
        // Any power state may be entered as the shallowest, standby, which is what WFI does (section 5.4.1).
        waiting_[cpu] = true;
        return kSuccess;
      case kCpuOff:
        leave(cpu);
        return kSuccess;
      case kSystemOff:
        ports_.control().request_shutdown();
        leave(cpu);
        return kSuccess;
      case kSystemReset2:
      case kSystemReset2 | k64:
        // Architectural warm reset is type 0; vendor types have bit 31 set.
        if (argument(1) != 0) return kInvalidParameters;
        [[fallthrough]];
      case kSystemReset:
        ports_.control().request_reset();
        leave(cpu);
        return kSuccess;
      default:
        return std::nullopt;
    }
  }

  [[nodiscard]] static bool supported(u32 function) {
    switch (function) {
      case kVersion:
      case kFeatures:
      case kMigrateInfoType:
      case kCpuOff:
      case kSystemOff:
      case kSystemReset:
      case kCpuOn:
      case kCpuOn | k64:
      case kAffinityInfo:
      case kAffinityInfo | k64:
      case kCpuSuspend:
      case kCpuSuspend | k64:
      case kSystemReset2:
      case kSystemReset2 | k64:
      case kSmcccVersion:
      case kSmcccArchFeatures:
        return true;
      default:
        return false;
    }
  }

  /// The calling CPU executes nothing more.
  void leave(u32 cpu) {
    cpu::VcpuThread& thread = ports_.cpus()[cpu];
    waiting_[cpu] = true;
    thread.power_off();
    thread.vcpu().kick();
  }

  [[nodiscard]] std::optional<u32> find_cpu(u64 affinity) const {
    for (u32 i = 0; i < ports_.cpu_count(); ++i) {
      if ((ports_.cpu_hardware_id(i) & kAffinityMask) == (affinity & kAffinityMask)) return i;
    }
    return std::nullopt;
  }

  i64 cpu_on(u64 target, u64 entry, u64 context) {
    const auto cpu = find_cpu(target);
    if (!cpu) return kInvalidParameters;
    if ((entry & 3) != 0) return kInvalidAddress;  // AArch64 code is aligned
    waiting_[*cpu] = false;
    const bool started = ports_.cpus()[*cpu].power_on({.pc = entry, .arguments = {context}});
    return started ? kSuccess : kAlreadyOn;
  }

  /// 0 on, 1 off. Above affinity level 0: on when any CPU there is.
  [[nodiscard]] i64 affinity_info(u64 target, u64 level) const {
    if (level > 3) return kInvalidParameters;
    static constexpr u64 kIgnored[4] = {0, 0xff, 0xffff, 0xff'ffff};
    bool found = false;
    for (u32 i = 0; i < ports_.cpu_count(); ++i) {
      if (((ports_.cpu_hardware_id(i) ^ target) & kAffinityMask & ~kIgnored[level]) != 0) continue;
      if (!ports_.cpus()[i].off()) return 0;
      found = true;
    }
    return found ? 1 : kInvalidParameters;
  }

  device::Ports& ports_;
  bool smc_;
  std::vector<std::atomic<bool>> waiting_;
  std::vector<OldId> old_ids_;
};

Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const auto method = ports.node().string("method");
  if (!method || (*method != "hvc" && *method != "smc")) {
    return fail(ports.node().place("method"),
                method ? fmt::format("\"{}\" is no way to call PSCI", *method) : "the property is missing",
                "write method = \"hvc\" or \"smc\"");
  }
  return std::make_unique<Psci>(ports, *method == "smc");
}

constexpr std::string_view kSummary = "Power State Coordination Interface 1.1 (DEN 0022)";
const device::Registration kPsci10{"arm,psci-1.0", create, kSummary};
const device::Registration kPsci02{"arm,psci-0.2", create, kSummary};
const device::Registration kPsci01{"arm,psci", create, kSummary};

}  // namespace
}  // namespace solder::models::psci
