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
  if (ended_ && end.reason != EndReason::fault && (end.reason != EndReason::quit || end_.reason == EndReason::fault))
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
  if (ended_ && end_.reason != EndReason::reset) return;
  ended_ = false;
  end_ = {};
  u64 count = 0;
  [[maybe_unused]] const auto got = ::read(event_.get(), &count, sizeof count);
}

Result<Control::End> run_machine(const tree::Tree& tree, const cpu::AcceleratorFactory& accelerator,
                                 const RunOptions& options) {
  // Read once; a machine whose CPUs run no code boots nothing, unless it is told to.
  std::optional<BootFiles> files;
  const StopSignals signals;
  Control control;
  Backends backends({.quit = [&control] { control.request_quit(); }});
  bool first = true;
  while (true) {
    auto one = SOLDER_TRY(accelerator());
    const Plan plan = SOLDER_TRY(make_plan(tree, true, one->kernel_devices()));
    if (!files && (one->runs_code() || names_kernel(tree))) files = SOLDER_TRY(BootFiles::read(tree));
    auto machine = SOLDER_TRY(Machine::build(tree, plan, std::move(one), backends, control));
    if (first) announce(*machine);
    first = false;
    cpu::EntryState entry;
    if (files) entry = SOLDER_TRY(load_guest(*machine, *files));
    if (options.watcher != nullptr) options.watcher->machine_starts(*machine, control);
    machine->run(entry);
    Control::End end = control.wait(signals.fd());
    if (options.watcher != nullptr) options.watcher->machine_stops(*machine);
    machine->stop();
    if (options.watcher != nullptr) options.watcher->machine_goes(*machine);
    print_statistics(*machine);
    if (end.reason == EndReason::fault) return fail("", "internal fault: " + end.text, "please report this");
    if (end.reason != EndReason::reset || options.no_reboot) return end;
    machine.reset();
    control.clear();
  }
}

}  // namespace solder::machine
