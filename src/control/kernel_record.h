/// A tracepoint's record in the machine's terms: which node's register, at which machine time.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "base/types.h"
#include "control/kernel_session.h"
#include "machine/machine.h"

namespace solder::control {

/// An access of the guest that the tracepoint tells of.
struct KernelAccess {
  bool write = false;
  bool port = false;
  u64 address = 0;
  u64 bytes = 0;
  std::optional<u64> value;  ///< none: a read that somebody else will answer
  std::string node;          ///< who is there; empty: nobody
  std::string reg;           ///< "MASK", "+0x18"
  bool in_kernel = false;    ///< the node lives in KVM
};

struct KernelRecord {
  u64 host_ns = 0;  ///< CLOCK_MONOTONIC
  u64 machine_ns = 0;
  u32 cpu = KernelSample::kNoCpu;
  std::string thread;   ///< its name when it is no vCPU's
  std::string point;    ///< "kvm_set_irq"
  std::string details;  ///< its fields: "gsi=4 level=1 irq_source_id=0"
  std::optional<KernelAccess> access;
  std::optional<u64> away_ns;  ///< kvm_entry: since the CPU's last kvm_exit
};

/// Makes records of samples, for one machine.
class KernelReport {
 public:
  explicit KernelReport(machine::Machine& machine);
  [[nodiscard]] KernelRecord record(const KernelSample& sample, const std::string& thread);

 private:
  void find_node(KernelAccess& access) const;
  machine::Machine& machine_;
  std::set<std::string> in_kernel_;  // paths
  std::map<u32, u64> exits_;         // by CPU: the last kvm_exit's time
};

/// One line: "12.345678 cpu0 kernel  write /i8259@20 MASK = 0x12  (1 byte at port 0x21)  kvm_pio, handled by KVM".
[[nodiscard]] std::string kernel_text(const KernelRecord& record);
[[nodiscard]] nlohmann::json kernel_json(const KernelRecord& record);

}  // namespace solder::control
