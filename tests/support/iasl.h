/// ACPICA's compiler as a judge of ACPI tables.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "boot/acpi/tables.h"

namespace solder::testing {

/// Whether `iasl` can be run here.
[[nodiscard]] bool have_iasl();

/// A directory that goes with its object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Judgement {
  std::string complaints;  ///< what iasl said, when it was anything worse than nothing; empty: all is well
  std::string dsl;         ///< the table as source text, without the lines that name iasl's version and the file
};

/// Disassembles `table` and compiles what comes out: no errors, no warnings, no remarks.
[[nodiscard]] Judgement judge(const boot::acpi::Table& table);

/// The complaints about all of them but the RSDP, each under its name.
[[nodiscard]] std::string complaints(const std::vector<boot::acpi::Table>& tables);

}  // namespace solder::testing
