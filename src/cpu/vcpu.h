/// The accelerator's contract: what a virtual CPU is to the rest of the machine, whoever runs it.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "interrupt/wire.h"
#include "memory/address_space.h"
#include "time/clock.h"

namespace solder::cpu {

/// Why `Vcpu::run` returned.
enum class ExitReason : u8 {
  kicked,    ///< `kick` was called, or work is queued
  halted,    ///< WFI/HLT or a CPU that is off: nothing to do until `wake`
  shutdown,  ///< the guest asked the machine to stop (also through MachineControl)
  reset,     ///< … to restart
  debug,     ///< breakpoint, single step; `fault_text` says which
  fault,     ///< an internal fault; `fault_text` says what and where
};

/// A register system of a device that the CPU reaches by instructions, not addresses (GICv3's ICC_*, a local APIC's
/// MSRs). `encoding` on arm64: op0:op1:CRn:CRm:op2 packed as A64 MRS has it in bits 20..5 (16 bits); on x86: the MSR's
/// number. A write that the architecture answers with an exception (#GP) throws nothing: `allows` says so before.
class SystemRegisters {
 public:
  virtual ~SystemRegisters() = default;
  [[nodiscard]] virtual bool has(u32 encoding) const = 0;
  virtual u64 read(u32 cpu, u32 encoding) = 0;
  virtual void write(u32 cpu, u32 encoding, u64 value) = 0;
  /// Whether an access may be made; false raises #GP. `value` is what is written.
  [[nodiscard]] virtual bool allows(u32 cpu, u32 encoding, bool write, u64 value) {
    (void)cpu;
    (void)encoding;
    (void)write;
    (void)value;
    return true;
  }
  /// For a trace: the node, and the offset by which `handler` names the register (`register_name`). Both live as long
  /// as the machine.
  struct TraceName {
    const std::string* node = nullptr;
    const memory::MmioHandler* handler = nullptr;
    u64 offset = 0;
  };
  /// None: accesses to this register are not traced.
  [[nodiscard]] virtual std::optional<TraceName> trace_name(u32 encoding) const {
    (void)encoding;
    return std::nullopt;
  }
};

/// What firmware calls do (HVC/SMC of PSCI): models register one. Registers are x0..x3 in, x0..x3 out.
class FirmwareCalls {
 public:
  virtual ~FirmwareCalls() = default;
  /// `secure_conduit`: SMC rather than HVC. Returns false when the call is not known (the caller returns
  /// NOT_SUPPORTED).
  virtual bool call(u32 cpu, bool secure_conduit, std::span<u64, 4> registers) = 0;
  /// Asked after each call: whether the CPU waits, as WFI does, before it goes on (PSCI CPU_SUSPEND). Asking clears it.
  virtual bool take_wait(u32 cpu) {
    (void)cpu;
    return false;
  }
};

/// Input lines of a CPU, from its interrupt controller.
enum class Line : u8 { irq, fiq, nmi, count };

/// The mode an x86 CPU starts in.
enum class EntryMode : u8 {
  real,        ///< CS selector pc >> 4, IP 0: what a start-up IPI does; pc 0xfffffff0: the reset vector
  protected_,  ///< 32 bits, flat segments, paging off: PVH, multiboot
  long_,       ///< 64 bits, flat segments, paging on with `page_table`: Linux' 64-bit entry
};

/// How a CPU starts: entry state for boot, for PSCI CPU_ON and for a start-up IPI.
struct EntryState {
  u64 pc = 0;
  std::array<u64, 4> arguments{};  ///< x0..x3 / a0..a3; x86: rbx, rsi, rax, rsp
  u8 exception_level = 1;
  EntryMode mode = EntryMode::real;  ///< x86 only
  u64 page_table = 0;                ///< x86, long_: CR3
  u64 descriptor_table = 0;          ///< x86: GDT's guest physical address, 0: none
  /// The CPU exists but is held by its accelerator until another starts it (KVM: INIT/SIPI, PSCI CPU_ON in the kernel).
  bool parked = false;
};

/// The architectural state that both accelerators read and write: one record, named registers.
struct RegisterValue {
  std::string name;
  std::array<u64, 2> value{};  ///< 128 bits; most use the first
};

/// One virtual CPU. `run` is called by its own thread only; all others from any thread unless said otherwise.
class Vcpu {
 public:
  virtual ~Vcpu() = default;
  [[nodiscard]] virtual u32 index() const = 0;

  /// Runs guest code until there is a reason to return.
  virtual ExitReason run() = 0;
  /// Makes `run` return soon (also if it is not running yet).
  virtual void kick() = 0;
  /// What has become due for the CPU since it last ran, and would be noticed only when it runs again (a timer of the
  /// kernel's), becomes part of its state and its controllers'. Executes no instruction. Instead of `run`, by the
  /// thread that has paused the CPU.
  virtual void catch_up() {}
  /// Whether a halted CPU has a reason to run: an enabled interrupt is pending (masked or not, as WFI says), or an
  /// event.
  [[nodiscard]] virtual bool has_wake_reason() const = 0;

  /// Level of an input line. Wakes the CPU through the callback given to `set_wake`.
  virtual void set_line(Line line, bool level) = 0;
  virtual void set_wake(std::function<void()> wake) = 0;

  /// Puts the CPU into its reset state, entering at `entry`. Only while it is off or before it starts.
  virtual void reset(const EntryState& entry) = 0;

  /// Outputs of the CPU itself: arm64's timer lines in the order of the arm,armv8-timer binding
  /// (secure physical, non-secure physical, virtual, hypervisor), then PMU. Before the CPU runs.
  virtual void connect_output(u32 index, interrupt::LevelWire wire) = 0;
  virtual void add_system_registers(SystemRegisters& registers) = 0;
  virtual void set_firmware(FirmwareCalls* firmware) = 0;
  /// x86: who answers the INTA cycle of `Line::irq`. Before the CPU runs.
  virtual void set_cpu_interface(interrupt::CpuInterface* interface) { (void)interface; }
  /// A pulse of the non-maskable interrupt. Any thread.
  virtual void raise_nmi() {}
  /// x86: the time-stamp counter as the guest reads it now, and its rate, for a local APIC outside of the accelerator,
  /// whose TSC-deadline timer compares with it. None: the rate is not known, and the guest is offered no such timer.
  /// Before the CPU runs, and on its own thread.
  struct TscReading {
    u64 value = 0;
    u64 hz = 0;  ///< not 0
  };
  [[nodiscard]] virtual std::optional<TscReading> read_tsc() const { return std::nullopt; }

  /// All registers, for snapshots, debuggers and fault reports. Only while the CPU does not run.
  [[nodiscard]] virtual std::vector<RegisterValue> registers() const = 0;
  [[nodiscard]] virtual Status set_register(const RegisterValue& value) = 0;
  [[nodiscard]] virtual std::string fault_text() const = 0;
};

/// How the guest, or a model for it, ends or restarts the machine. Returns at once; the machine acts on its own thread.
class MachineControl {
 public:
  virtual ~MachineControl() = default;
  virtual void request_shutdown() = 0;
  virtual void request_reset() = 0;
  /// An internal fault: the machine stops and `solder` exits non-zero with this text.
  virtual void report_fault(std::string text) = 0;
};

/// What a CPU node of the tree asks for.
struct CpuRequest {
  u32 index = 0;
  u64 hardware_id = 0;        ///< `reg`: MPIDR affinity, hart id, APIC id
  std::string compatible;     ///< the first one
  u64 timer_hz = 62'500'000;  ///< CNTFRQ
  time::Clock* clock = nullptr;
  time::TimerQueue* timers = nullptr;
  memory::AddressSpace* memory = nullptr;
  memory::AddressSpace* ports = nullptr;  ///< x86's I/O ports
  MachineControl* control = nullptr;
};

}  // namespace solder::cpu

namespace solder::device {
class KernelDevices;
}

namespace solder::cpu {

class CpuSet;

/// One accelerator of one machine.
class Accelerator {
 public:
  virtual ~Accelerator() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  /// The machine's address spaces (`ports`: x86's I/O ports), with its RAM and nothing else yet. They may outlive the
  /// accelerator. Errors: the host does not take them.
  [[nodiscard]] virtual Status take_spaces(memory::AddressSpace& memory, memory::AddressSpace& ports) {
    (void)memory;
    (void)ports;
    return {};
  }
  [[nodiscard]] virtual Result<std::unique_ptr<Vcpu>> create_vcpu(const CpuRequest& request) = 0;
  /// A line per figure, for `--translator stats` and the like; may be empty.
  [[nodiscard]] virtual std::string statistics() const { return {}; }
  /// How a CPU's access to `range`, of the memory or of the I/O ports, gets to what is there, for people: "memory slot
  /// 2, read-only", "KVM_EXIT_MMIO". Any thread.
  [[nodiscard]] virtual std::string reach(const memory::FlatRange& range, bool ports) const {
    (void)ports;
    return range.ram != nullptr ? "directly" : "a call of the model";
  }
  /// The devices that the accelerator can run in the host's kernel (device/kernel_devices.h); null: none.
  [[nodiscard]] virtual device::KernelDevices* kernel_devices() { return nullptr; }
  /// Whether CPUs other than the first wait inside the accelerator until the guest starts them: the machine then powers
  /// them on with `EntryState::parked`.
  [[nodiscard]] virtual bool parks_cpus() const { return false; }
  /// Whether its CPUs run code: a machine whose CPUs do not needs nothing to boot.
  [[nodiscard]] virtual bool runs_code() const { return true; }
  /// The CPUs' threads are about to start. Threads of the accelerator that serve guests (doorbells) pause with `cpus`:
  /// they work between its enter_work and leave_work only.
  virtual void machine_starts(CpuSet& cpus) { (void)cpus; }
  /// The machine stops: what the accelerator does to it on threads of its own, other than running vCPUs, has ended when
  /// this returns.
  virtual void machine_stops() {}
};

}  // namespace solder::cpu
