#include "support/iasl.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace solder::testing {

namespace {

std::string run(const std::filesystem::path& directory, const std::string& arguments, int& status) {
  const auto log = directory / "log";
  const std::string command = "cd '" + directory.string() + "' && iasl " + arguments + " > log 2>&1";
  status = std::system(command.c_str());
  std::stringstream text;
  text << std::ifstream(log).rdbuf();
  return text.str();
}

// Lines that change with iasl and where it ran.
bool is_about_the_run(const std::string& line) {
  for (const char* mark : {"AML/ASL+ Disassembler version", "Copyright (c)", "Disassembly of ", " * ACPI Data Table ["})
    if (line.find(mark) != std::string::npos) return true;
  return false;
}

}  // namespace

bool have_iasl() {
  static const bool found = std::system("iasl -v > /dev/null 2>&1") == 0;
  return found;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "solder-acpi-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data());
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Judgement judge(const boot::acpi::Table& table) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "table.aml", std::ios::binary)
      .write(reinterpret_cast<const char*>(table.bytes.data()), static_cast<std::streamsize>(table.bytes.size()));
  Judgement out;
  int status = 0;
  const std::string disassembled = run(directory.path(), "-d table.aml", status);
  if (status != 0 || disassembled.find("Error") != std::string::npos ||
      disassembled.find("Warning") != std::string::npos || !std::filesystem::exists(directory.path() / "table.dsl")) {
    out.complaints = disassembled;
    return out;
  }
  std::ifstream dsl(directory.path() / "table.dsl");
  for (std::string line; std::getline(dsl, line);) {
    if (is_about_the_run(line)) continue;
    out.dsl += line + "\n";
    // The disassembler puts what it dislikes (checksums, lengths) into the text.
    if (line.find("Incorrect") != std::string::npos || line.find("Invalid") != std::string::npos)
      out.complaints += line + "\n";
  }
  const std::string compiled = run(directory.path(), "-we table.dsl", status);
  const bool clean = compiled.find("0 Errors, 0 Warnings, 0 Remarks") != std::string::npos ||
                     compiled.find("Error") == std::string::npos;
  if (status != 0 || !clean || compiled.find("Warning  ") != std::string::npos) out.complaints += compiled;
  return out;
}

std::string complaints(const std::vector<boot::acpi::Table>& tables) {
  std::string out;
  for (const auto& table : tables) {
    // iasl reads no RSDP from a file: it has no table header.
    if (table.name == "RSDP") continue;
    if (const auto judgement = judge(table); !judgement.complaints.empty())
      out += table.name + ":\n" + judgement.complaints;
  }
  return out;
}

}  // namespace solder::testing
