/// The life of a machine from the first start to the end: shutdown, reset, faults, signals.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "machine/accelerator.h"
#include "machine/backends.h"
#include "machine/boot_files.h"
#include "machine/machine.h"

namespace solder::machine {

/// `irqchip` is no end of the run: a user wants the interrupt controllers elsewhere.
enum class EndReason : u8 { shutdown, reset, quit, signal, fault, irqchip };

/// Hears the guest's requests; the thread in `wait` acts on the first one.
class Control final : public cpu::MachineControl {
 public:
  Control();
  void request_shutdown() override;
  void request_reset() override;
  void report_fault(std::string text) override;
  /// Ctrl-A x.
  void request_quit();
  /// The machine's interrupt controllers move to `mode` (Shorthand::irqchip). RunWatcher::irqchip_moved tells the end.
  void request_irqchip(std::string mode);

  struct End {
    EndReason reason = EndReason::shutdown;
    std::string text;  ///< of a fault; the mode of irqchip
    int signal = 0;
  };
  /// Waits for the first request, or for a signal of `signal_fd` (a signalfd; -1: none).
  [[nodiscard]] End wait(int signal_fd);
  /// Forgets a reset or irqchip, which were done. Other requests stay.
  void clear();

 private:
  void request(End end);
  std::mutex mutex_;
  bool ended_ = false;
  End end_;
  UniqueFd event_;
};

/// Hears of each machine of a run (a reset makes another), on the thread of `run_machine`.
class RunWatcher {
 public:
  virtual ~RunWatcher() = default;
  /// The machine is built and loaded; its CPUs are about to start. `control` takes requests as long as the machine is.
  virtual void machine_starts(Machine& machine, Control& control) = 0;
  /// The machine is about to stop: after this the watcher does nothing to it any more.
  virtual void machine_stops(Machine& machine) = 0;
  /// It has stopped: nothing in it runs. It goes when this returns.
  virtual void machine_goes(Machine& machine) = 0;
  /// A Control::request_irqchip was carried out: a new machine has started, paused. Or it was not: nothing has changed,
  /// or the machine stops (then this is told also when nobody asked).
  virtual void irqchip_moved(const Status& status) { (void)status; }
};

struct RunOptions {
  bool no_reboot = false;
  RunWatcher* watcher = nullptr;  ///< outlives the run
};

/// Runs the machine of `tree` until it ends. SIGINT, SIGTERM and SIGHUP stop it cleanly; they are blocked in all
/// threads made after this call. Returns how it ended: shutdown, quit, a reset that was not to be followed, or a
/// signal. Errors: the machine cannot be built, or cannot go on.
[[nodiscard]] Result<Control::End> run_machine(const tree::Tree& tree, const cpu::AcceleratorFactory& accelerator,
                                               const RunOptions& options);

}  // namespace solder::machine
