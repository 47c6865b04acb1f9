#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/subcommands.h"
#include "machine/boot_x86.h"
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
  std::string acpi;

  Result<int> act() const {
    auto tree = SOLDER_TRY(machine.compose());
    if (!acpi.empty()) return write_tables(*tree);
    if (!full) {
      const auto plan = SOLDER_TRY(machine::make_plan(*tree));
      tree = machine::make_guest_tree(*tree, plan);
    }
    if (!dtb.empty()) return write_blob(*tree);
    fmt::print("{}", tree::print_dts(*tree, {.locations = locations}));
    return 0;
  }

  Result<int> write_blob(const tree::Tree& tree) const { return write_file(dtb, tree::write_dtb(tree, full)); }

  // What the guest finds in its memory, a file each; for iasl.
  Result<int> write_tables(const tree::Tree& tree) const {
    const auto plan = SOLDER_TRY(machine::make_plan(tree));
    const auto tables = SOLDER_TRY(machine::acpi_tables(tree, plan));
    std::error_code error;
    std::filesystem::create_directories(acpi, error);
    if (error) return fail(acpi, fmt::format("cannot be made: {}", error.message()));
    for (const auto& table : tables)
      SOLDER_TRY_STATUS(write_file((std::filesystem::path(acpi) / (table.name + ".aml")).string(), table.bytes));
    return 0;
  }

  static Result<int> write_file(const std::string& name, const std::vector<u8>& bytes) {
    std::FILE* file = name == "-" ? stdout : std::fopen(name.c_str(), "wb");
    if (file == nullptr) return fail(name, fmt::format("cannot be written: {}", std::strerror(errno)));
    bool good = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    good = (file == stdout ? std::fflush(file) : std::fclose(file)) == 0 && good;
    if (!good) return fail(name, fmt::format("cannot be written: {}", std::strerror(errno)));
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
  app.add_option("--acpi", command->acpi, "the ACPI tables of an x86 machine, into DIR/SIGNATURE.aml")
      ->type_name("DIR");
  app.add_flag("--locations", command->locations, "with the file and line that set each property");
  return [command] { return command->act(); };
}

}  // namespace solder::cli
