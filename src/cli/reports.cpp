#include <fmt/format.h>

#include "base/log.h"
#include "cli/subcommands.h"
#include "device/registry.h"
#include "machine/accelerator.h"
#include "machine/boards.h"
#include "machine/explain.h"
#include "machine/life_cycle.h"
#include "tree/document.h"

namespace solder::cli {

namespace {

struct ExplainCommand {
  MachineOptions machine;
  std::vector<std::string> arguments;  // MACHINE… NODE
  std::string accelerator;             // empty: none, since nothing is to run

  Result<int> act() {
    const std::string name = arguments.back();
    machine.machines.insert(machine.machines.end(), arguments.begin(), arguments.end() - 1);
    const auto tree = SOLDER_TRY(machine.compose());
    const tree::Node* node = tree->find(name);
    if (node == nullptr) node = tree->by_label(name.starts_with("&") ? name.substr(1) : name);
    if (node == nullptr)
      return fail(name, "the machine's tree has no such node",
                  "give a path, an alias or a label; `solder tree --full` shows all");
    machine::Control control;
    machine::Backends backends({}, true);
    auto accel = machine::make_dry_accelerator();
    if (!accelerator.empty()) {
      const auto chosen = SOLDER_TRY(machine::choose_accelerator({accelerator, {}}, *tree));
      accel = SOLDER_TRY(chosen.make());
    }
    const auto plan = SOLDER_TRY(machine::make_plan(*tree, false, accel->kernel_devices()));
    auto built = machine::Machine::build(*tree, plan, std::move(accel), backends, control);
    if (built) {
      fmt::print("{}", machine::explain(**built, *node));
      return 0;
    }
    // A machine that cannot be built is the very time to explain.
    fmt::print("{}", machine::explain(*tree, plan, *node));
    log::warn(built.error().text());
    return 0;
  }
};

struct MatchCommand {
  std::vector<std::string> machines;

  Result<int> act() const {
    const auto tree = SOLDER_TRY(machine::compose_machine(machines));
    const auto plan = SOLDER_TRY(machine::make_plan(*tree, false));
    fmt::print("{}", machine::match_report(*tree, plan));
    return 0;
  }
};

}  // namespace

Action add_explain(CLI::App& app) {
  auto command = std::make_shared<ExplainCommand>();
  app.add_option("NODE", command->arguments,
                 "[MACHINE...] NODE: the node's path, alias or label, after the machine's files")
      ->required();
  command->machine.add_to(app, false);
  app.add_option("--accel", command->accelerator,
                 "as if this accelerator ran the machine (auto, kvm, translator): says what the kernel handles")
      ->type_name("NAME");
  return [command] { return command->act(); };
}

Action add_match(CLI::App& app) {
  auto command = std::make_shared<MatchCommand>();
  app.add_option("FILE", command->machines, "the .dtb or .dts files of a board")->required();
  return [command] { return command->act(); };
}

Action add_models(CLI::App& app) {
  (void)app;
  return []() -> Result<int> {
    usize width = 0;
    for (const auto* model : device::all_models()) width = std::max(width, model->compatible.size());
    for (const auto* model : device::all_models()) fmt::print("{:<{}}  {}\n", model->compatible, width, model->summary);
    return 0;
  };
}

}  // namespace solder::cli
