/// Runs one vCPU: the dispatch loop between translated blocks, and TLB maintenance.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cpu/vcpu.h"
#include "translator/host_x64/compiler.h"
#include "translator/interpreter/interpreter.h"
#include "translator/ir/guest.h"
#include "translator/run/context_pool.h"
#include "translator/run/engine.h"
#include "translator/run/guest_memory.h"
#include "translator/run/mailbox.h"

namespace solder::run {

struct RunnerCounts {
  u64 enters = 0;
  u64 lookups = 0;
  u64 dispatches = 0;
  u64 interpreted = 0;
  u64 interrupts = 0;
  u64 regime_switches = 0;
  u64 flushes = 0;
  u64 shootdowns = 0;
};

class Runner final : public ir::TlbControl, private GuestMemoryOwner {
 public:
  Runner(Engine& engine, std::unique_ptr<ir::GuestCpu> guest, u32 index);
  ~Runner() override;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Runs until there is a reason to stop; on the vCPU's own thread.
  cpu::ExitReason run();
  /// Makes `run` return `kicked`; any thread.
  void kick() { state_.exit_request.fetch_or(ir::kExitKick, std::memory_order_seq_cst); }

  [[nodiscard]] ir::GuestCpu& guest() { return *guest_; }
  [[nodiscard]] const ir::GuestCpu& guest() const { return *guest_; }
  [[nodiscard]] ir::CoreState& state() { return state_; }
  [[nodiscard]] Mailbox& mailbox() { return mailbox_; }
  [[nodiscard]] GuestMemory& memory() { return memory_; }
  [[nodiscard]] const RunnerCounts& counts() const { return counts_; }
  [[nodiscard]] const MemoryCounts& memory_counts() const { return memory_.counts(); }
  /// What went wrong when `run` returned `fault`.
  [[nodiscard]] const std::string& fault_text() const { return fault_; }

  // ir::TlbControl
  void flush_all(bool broadcast) override;
  void flush_asid(u32 asid, bool broadcast) override;
  void flush_range(u64 address, u64 length, std::optional<u32> asid, bool broadcast) override;
  void barrier() override;
  void regime_changed() override;

  /// The entry points that translated code calls.
  [[nodiscard]] static host_x64::RuntimeHooks hooks();

 private:
  void retry_alone() override { alone_ = true; }
  void leave_for_device() override;
  void back_from_device() override;

  cpu::ExitReason loop();
  /// Handles exit_request; true: `reason` says why run returns.
  bool service(cpu::ExitReason& reason);
  bool halted(cpu::ExitReason& reason);
  void trace() const;
  void take_interrupt();
  /// The block at state.pc, or null: a fault was raised, or it must run alone.
  TranslatedBlock* find_block();
  void run_alone();
  void step_host();
  void step_interpreter();
  void drain();
  void act(const Shootdown& request);
  u32 protect(CodePage& page, u8 writers);
  void send(const Shootdown& request);
  ir::TranslateRequest request(u64 pc, bool single);
  u64 random();

  Engine& engine_;
  std::unique_ptr<ir::GuestCpu> guest_;
  ir::CoreState& state_;
  u32 index_;
  Mailbox mailbox_;
  ContextPool pool_;
  GuestMemory memory_;
  interpreter::Interpreter interpreter_;

  bool attention_ = true;  ///< mode or interrupts may have changed: look before the next block
  bool alone_ = false;     ///< the next instruction is to run alone
  u64 epoch_ = 0;
  u64 translated_since_flush_ = 0;
  struct Sent {
    Runner* to;
    u64 ticket;
  };
  std::vector<Sent> sent_;  ///< shootdowns that `barrier` waits for

  /// Single-instruction blocks, by pc; valid while the code's bytes are the same.
  struct Single {
    u64 key = ~u64{0};
    std::vector<u8> bytes;
    ir::Block block;
  };
  std::vector<Single> singles_;

  u64 random_state_ = 0;
  u32 delay_ = 0;  ///< blocks until a pending interrupt may be taken (random-irq)
  bool delayed_ = false;
  std::string fault_;
  RunnerCounts counts_;
};

}  // namespace solder::run
