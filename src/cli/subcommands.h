/// The subcommands, each adding itself to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/shorthand.h"

namespace solder::cli {

/// A subcommand's work; its error is printed and makes the exit status 1.
using Action = std::function<Result<int>()>;

/// MACHINE and the options that edit its tree.
struct MachineOptions {
  std::vector<std::string> machines;
  std::optional<u32> cpus;
  std::string memory;
  std::vector<std::string> disks;
  std::vector<std::string> networks;
  std::string console;
  std::string append;
  std::string irqchip;
  std::string kernel;
  std::string firmware;
  std::string initrd;

  /// Adds them to `app`; `positional`: also MACHINE….
  void add_to(CLI::App& app, bool positional = true);
  /// The composed tree with all edits.
  [[nodiscard]] Result<std::unique_ptr<tree::Tree>> compose() const;
};

// Each returns the action that runs when its subcommand was given.
Action add_run(CLI::App& app);
Action add_tree(CLI::App& app);
Action add_explain(CLI::App& app);
Action add_match(CLI::App& app);
Action add_models(CLI::App& app);
Action add_ctl(CLI::App& app);

}  // namespace solder::cli
