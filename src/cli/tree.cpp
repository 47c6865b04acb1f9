#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/subcommands.h"
#include "machine/guest_tree.h"
#include "machine/plan.h"
#include "tree/document.h"

namespace solder::cli {

namespace {

struct TreeCommand {
  MachineOptions machine;
  bool full = false;
  bool guest = false;
  bool dts = false;
  bool locations = false;
  std::string dtb;

  Result<int> act() const {
    auto tree = SOLDER_TRY(machine.compose());
    if (!full) {
      const auto plan = SOLDER_TRY(machine::make_plan(*tree));
      tree = machine::make_guest_tree(*tree, plan);
    }
    if (!dtb.empty()) return write_blob(*tree);
    fmt::print("{}", tree::print_dts(*tree, {.locations = locations}));
    return 0;
  }

  Result<int> write_blob(const tree::Tree& tree) const {
    const auto blob = tree::write_dtb(tree, full);
    std::FILE* file = dtb == "-" ? stdout : std::fopen(dtb.c_str(), "wb");
    if (file == nullptr) return fail(dtb, fmt::format("cannot be written: {}", std::strerror(errno)));
    bool good = std::fwrite(blob.data(), 1, blob.size(), file) == blob.size();
    good = (file == stdout ? std::fflush(file) : std::fclose(file)) == 0 && good;
    if (!good) return fail(dtb, fmt::format("cannot be written: {}", std::strerror(errno)));
    return 0;
  }
};

}  // namespace

Action add_tree(CLI::App& app) {
  auto command = std::make_shared<TreeCommand>();
  command->machine.add_to(app);
  auto* full = app.add_flag("--full", command->full, "the whole document, with the host's side");
  app.add_flag("--guest", command->guest, "what the guest sees (the default)")->excludes(full);
  auto* dts = app.add_flag("--dts", command->dts, "as source text (the default)");
  app.add_option("--dtb", command->dtb, "as a blob, into FILE (-: standard output)")->type_name("FILE")->excludes(dts);
  app.add_flag("--locations", command->locations, "with the file and line that set each property");
  return [command] { return command->act(); };
}

}  // namespace solder::cli
