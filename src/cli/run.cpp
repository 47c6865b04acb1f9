#include "base/log.h"
#include "cli/subcommands.h"
#include "control/server.h"
#include "machine/accelerator.h"
#include "machine/life_cycle.h"

#include <fmt/format.h>

#include <csignal>

namespace solder::cli {

namespace {

struct RunCommand {
  MachineOptions machine;
  machine::AcceleratorChoice accelerator;
  bool no_reboot = false;
  bool quiet = false;
  bool verbose = false;
  std::string control;
  std::string trace;
  bool trace_kernel = false;

  Result<int> act() const {
    if (quiet) log::set_level(log::Level::quiet);
    if (verbose) log::set_level(log::Level::verbose);
    const auto tree = SOLDER_TRY(machine.compose());
    const auto chosen = SOLDER_TRY(machine::choose_accelerator(accelerator, *tree));
    if (accelerator.accelerator == "auto") {
      log::note(chosen.reason);
    } else {
      log::debug(chosen.reason);
    }
    machine::RunOptions options;
    options.no_reboot = no_reboot;
    std::unique_ptr<control::Server> server;
    if (!control.empty() || !trace.empty() || trace_kernel) {
      server = SOLDER_TRY(control::Server::create({control, trace, chosen.name, chosen.reason, trace_kernel}));
      options.watcher = server.get();
    }
    const auto end = SOLDER_TRY(machine::run_machine(*tree, chosen.make, options));
    if (end.reason == machine::EndReason::signal) {
      log::note(fmt::format("stopped by signal {}", end.signal));
      // As the shell expects of a program that a signal ended.
      return 128 + end.signal;
    }
    return 0;
  }
};

}  // namespace

Action add_run(CLI::App& app) {
  auto command = std::make_shared<RunCommand>();
  command->machine.add_to(app);
  app.add_option("--accel", command->accelerator.accelerator, "who runs the CPUs: auto, kvm, translator[=OPTIONS]")
      ->type_name("NAME");
  app.add_option("--translator", command->accelerator.translator,
                 "options of the translator, comma-separated: fast, interpreter, stats, and the stress switches")
      ->type_name("TEXT");
  app.add_flag("--no-reboot", command->no_reboot, "a reset ends the run instead of restarting the machine");
  app.add_option("--control", command->control, "a Unix socket for solder ctl")->type_name("PATH");
  app.add_option("--trace", command->trace, "write every access to a device into this file")->type_name("FILE");
  app.add_flag("--trace-kernel", command->trace_kernel, "with the tracepoints of KVM in the host's kernel");
  app.add_flag("--quiet", command->quiet, "say nothing but warnings and errors");
  app.add_flag("--verbose", command->verbose, "say more");
  return [command] { return command->act(); };
}

}  // namespace solder::cli
