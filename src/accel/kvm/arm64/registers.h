/// The registers of a vCPU by name, as the translator's arm64 CPUs name them: one record serves both accelerators.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "cpu/vcpu.h"

namespace solder::accel::kvm::arm64 {

/// "x0".."x30", "pc", "pstate", "SP_EL0", "v0", "SCTLR_EL1" …; "reg_<id in hex>" for what has no name here. `id` is
/// KVM's (Documentation/virt/kvm/api.rst, 4.68).
[[nodiscard]] std::string register_name(u64 id);
/// Bytes of the register's value.
[[nodiscard]] u32 register_size(u64 id);

// Identifiers that the vCPU itself needs.
[[nodiscard]] u64 id_of_x(u32 n);
[[nodiscard]] u64 id_of_pc();
[[nodiscard]] u64 id_of_pstate();
[[nodiscard]] u64 id_of_mpidr();

/// One register of a vCPU's descriptor, up to 128 bits. Errors: KVM's.
using Value = std::array<u64, 2>;
[[nodiscard]] Result<Value> get_register(int vcpu_fd, u64 id);
[[nodiscard]] Status set_register(int vcpu_fd, u64 id, Value value);

/// All registers of a vCPU. "sp", which is SP_EL0 or SP_EL1 as pstate says, and OSLAR_EL1 are made from others.
class RegisterFile {
 public:
  explicit RegisterFile(int vcpu_fd) : fd_(vcpu_fd) {}
  [[nodiscard]] Result<std::vector<cpu::RegisterValue>> read_all();
  /// Errors: no register of this name on this host; a value that KVM refuses.
  [[nodiscard]] Status write(const cpu::RegisterValue& value);
  /// "sp" was set, but which stack pointer it is only pstate tells, which may come later: writes it. Before the CPU
  /// runs.
  [[nodiscard]] Status flush();

 private:
  struct Entry {
    u64 id = 0;
    std::string name;
  };
  Status list();
  [[nodiscard]] Result<u64> stack_pointer_id() const;

  int fd_;
  std::vector<Entry> entries_;  // KVM_GET_REG_LIST, asked once
  std::optional<u64> sp_;
};

}  // namespace solder::accel::kvm::arm64
