#include "machine/life_cycle.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

#include "base/check.h"
#include "base/log.h"
#include "machine/shorthand.h"
#include "machine/transfer.h"

namespace solder::machine {

namespace {

// Signals that end the program, delivered through a descriptor while this lives.
class StopSignals {
 public:
  StopSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~StopSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

void announce(const Machine& machine) {
  std::vector<std::string> paths;
  for (const auto* node : machine.plan().left_out()) paths.push_back(node->path());
  if (!paths.empty()) log::note(fmt::format("left out, having no model: {}", fmt::join(paths, ", ")));
  paths.clear();
  for (const auto* node : machine.plan().with_role(Role::stubbed)) paths.push_back(node->path());
  if (!paths.empty()) log::note(fmt::format("stubbed, having no model: {}", fmt::join(paths, ", ")));
  if (!machine.loose_interrupts().empty())
    log::warn(
        fmt::format("interrupts to controllers without a model: {}", fmt::join(machine.loose_interrupts(), ", ")));
}

bool names_kernel(const tree::Tree& tree) {
  const tree::Node* boot = tree.find("/solder/boot");
  return boot != nullptr && boot->has("solder,kernel");
}

void print_statistics(Machine& machine) {
  const std::string text = machine.fabric().accelerator->statistics();
  if (!text.empty()) log::note(text);
}

}  // namespace

Control::Control() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SOLDER_CHECK(event_.get() >= 0, "an eventfd can always be had");
}

void Control::request(End end) {
  const std::lock_guard guard(mutex_);
  // The first request wins, except that a fault is never hidden, and that who wants out need not ask twice.
  if (ended_ && end_.reason != EndReason::irqchip && end.reason != EndReason::fault &&
      (end.reason != EndReason::quit || end_.reason == EndReason::fault))
    return;
  ended_ = true;
  end_ = std::move(end);
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void Control::request_shutdown() {
  request({EndReason::shutdown, {}, 0});
}
void Control::request_reset() {
  request({EndReason::reset, {}, 0});
}
void Control::report_fault(std::string text) {
  request({EndReason::fault, std::move(text), 0});
}
void Control::request_quit() {
  request({EndReason::quit, {}, 0});
}

void Control::request_irqchip(std::string mode) {
  request({EndReason::irqchip, std::move(mode), 0});
}

Control::End Control::wait(int signal_fd) {
  while (true) {
    {
      const std::lock_guard guard(mutex_);
      if (ended_) return end_;
    }
    pollfd fds[2] = {{event_.get(), POLLIN, 0}, {signal_fd, POLLIN, 0}};
    if (::poll(fds, signal_fd >= 0 ? 2 : 1, -1) < 0 && errno != EINTR) continue;
    signalfd_siginfo info{};
    if (signal_fd >= 0 && ::read(signal_fd, &info, sizeof info) == sizeof info)
      request({EndReason::signal, {}, static_cast<int>(info.ssi_signo)});
  }
}

void Control::clear() {
  const std::lock_guard guard(mutex_);
  if (ended_ && end_.reason != EndReason::reset && end_.reason != EndReason::irqchip) return;
  ended_ = false;
  end_ = {};
  u64 count = 0;
  [[maybe_unused]] const auto got = ::read(event_.get(), &count, sizeof count);
}

namespace {

// What a run has of a machine.
struct Built {
  std::unique_ptr<tree::Tree> edited;  // none: the run's own
  std::unique_ptr<Plan> plan;
  std::unique_ptr<Machine> machine;
};

class Run {
 public:
  Run(const tree::Tree& tree, const cpu::AcceleratorFactory& accelerator, const RunOptions& options)
      : tree_(tree), accelerator_(accelerator), options_(options) {}

  Result<Control::End> run() {
    bool first = true;
    while (true) {
      auto one = SOLDER_TRY(accelerator_());
      built_.plan = std::make_unique<Plan>(SOLDER_TRY(make_plan(tree(), true, one->kernel_devices())));
      // Read once; a machine whose CPUs run no code boots nothing, unless it is told to.
      if (!files_ && (one->runs_code() || names_kernel(tree_))) files_ = SOLDER_TRY(BootFiles::read(tree_));
      built_.machine = SOLDER_TRY(Machine::build(tree(), *built_.plan, std::move(one), backends_, control_));
      if (first) announce(*built_.machine);
      first = false;
      cpu::EntryState entry;
      if (files_) entry = SOLDER_TRY(load_guest(*built_.machine, *files_));
      if (options_.watcher != nullptr) options_.watcher->machine_starts(*built_.machine, control_);
      built_.machine->run(entry);
      Control::End end = control_.wait(signals_.fd());
      while (end.reason == EndReason::irqchip) {
        SOLDER_TRY_STATUS(move_irqchip(end.text));
        end = control_.wait(signals_.fd());
      }
      if (options_.watcher != nullptr) {
        options_.watcher->machine_stops(*built_.machine);
        options_.watcher->irqchip_moved(fail("irqchip", "the machine ends or starts anew"));
      }
      built_.machine->stop();
      if (options_.watcher != nullptr) options_.watcher->machine_goes(*built_.machine);
      print_statistics(*built_.machine);
      if (end.reason == EndReason::fault)
        return fail("", "the machine cannot go on: " + end.text,
                    "the lines above say where it was; if the guest may do that, please report them");
      if (end.reason != EndReason::reset || options_.no_reboot) return end;
      built_.machine.reset();
      control_.clear();
    }
  }

 private:
  [[nodiscard]] const tree::Tree& tree() const { return built_.edited ? *built_.edited : tree_; }

  // Errors: the machine is lost.
  Status move_irqchip(const std::string& mode) {
    control_.clear();
    auto edited = edited_tree(mode);
    if (!edited) {
      if (options_.watcher != nullptr) options_.watcher->irqchip_moved(std::unexpected(edited.error()));
      return {};
    }
    if (options_.watcher != nullptr) options_.watcher->machine_stops(*built_.machine);
    built_.machine->fabric().cpus.pause();
    pause_time(*built_.machine);
    built_.machine->stop();
    const auto saved = save_state(*built_.machine);
    if (options_.watcher != nullptr) options_.watcher->machine_goes(*built_.machine);
    const MachineState& state = SOLDER_TRY(saved);
    auto memory = built_.machine->take_memory();
    built_.machine.reset();
    built_.edited = std::move(*edited);
    auto one = SOLDER_TRY(accelerator_());
    built_.plan = std::make_unique<Plan>(SOLDER_TRY(make_plan(tree(), true, one->kernel_devices())));
    built_.machine =
        SOLDER_TRY(Machine::build(tree(), *built_.plan, std::move(one), backends_, control_, std::move(memory)));
    SOLDER_TRY_STATUS(load_state(*built_.machine, state));
    if (options_.watcher != nullptr) {
      options_.watcher->machine_starts(*built_.machine, control_);
      options_.watcher->irqchip_moved({});
    }
    return {};
  }

  // The tree of the machine in the other mode. Errors: there can be no such machine; found out on one that opens no
  // backends and goes away again.
  Result<std::unique_ptr<tree::Tree>> edited_tree(const std::string& mode) {
    Shorthand shorthand;
    shorthand.irqchip = mode;
    auto edited = SOLDER_TRY(apply_shorthand(tree().clone(), shorthand));
    auto accelerator = SOLDER_TRY(accelerator_());
    // Without what needs a backend: virtio's slots are empty.
    const auto trial = edited->clone();
    trial->walk([](tree::Node& node) { node.remove_property("solder,virtio"); });
    const Plan plan = SOLDER_TRY(make_plan(*trial, true, accelerator->kernel_devices()));
    // The records of other CPUs' states do not say yet who waits for its start.
    for (const tree::Node* node : plan.with_role(Role::cpu))
      if (!node->is_compatible("x86-64"))
        return fail("irqchip", "only machines with x86-64 CPUs move their interrupt controllers");
    Backends dry({}, true);
    Control nobody;
    SOLDER_TRY_STATUS(Machine::build(*trial, plan, std::move(accelerator), dry, nobody));
    return edited;
  }

  const tree::Tree& tree_;
  const cpu::AcceleratorFactory& accelerator_;
  const RunOptions& options_;
  const StopSignals signals_;
  std::optional<BootFiles> files_;
  Control control_;
  Backends backends_{{.quit = [this] { control_.request_quit(); }}};
  Built built_;
};

}  // namespace

Result<Control::End> run_machine(const tree::Tree& tree, const cpu::AcceleratorFactory& accelerator,
                                 const RunOptions& options) {
  return Run(tree, accelerator, options).run();
}

}  // namespace solder::machine
