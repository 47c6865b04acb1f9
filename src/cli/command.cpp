#include "cli/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string>

#include "cli/subcommands.h"

namespace solder::cli {

namespace {

void print_error(const Error& error) {
  fmt::print(stderr, "solder: {}\n", error.text());
}

// CLI11 says that a subcommand is missing where there is one that it does not know.
std::optional<Error> unknown_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  const CLI::App& parent = chosen.empty() ? app : *chosen.front();
  if (parent.get_require_subcommand_min() == 0 || !parent.get_subcommands().empty()) return {};
  const auto words = app.remaining(true);
  const auto word = std::ranges::find_if(words, [](const std::string& text) { return !text.starts_with('-'); });
  if (word == words.end()) return {};
  std::string known;
  for (const CLI::App* one : parent.get_subcommands({})) known += (known.empty() ? "" : ", ") + one->get_name();
  return Error{chosen.empty() ? "" : parent.get_name(), fmt::format("there is no command \"{}\"", *word),
               "there are: " + known};
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  CLI::App app{"Solder runs machines that are described by device trees."};
  app.name("solder");
  app.set_version_flag("--version", "solder " SOLDER_VERSION);
  app.require_subcommand(1);
  std::map<CLI::App*, Action> actions;
  const auto add = [&](const char* name, const char* text, Action (*make)(CLI::App&)) {
    CLI::App* sub = app.add_subcommand(name, text);
    actions[sub] = make(*sub);
  };
  add("run", "run a machine", add_run);
  add("tree", "print a machine's device tree", add_tree);
  add("explain", "what a node is, where it lies and how its interrupts travel", add_explain);
  add("match", "which nodes of a tree Solder has models for", add_match);
  add("models", "the models there are", add_models);
  add("ctl", "ask or order a running machine", add_ctl);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    if (const auto unknown = unknown_command(app)) {
      print_error(*unknown);
    } else {
      app.exit(error);
    }
    return 2;
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  const auto result = actions.at(app.get_subcommands().front())();
  std::fflush(stdout);
  if (result) return *result;
  print_error(result.error());
  return 1;
}

}  // namespace solder::cli
