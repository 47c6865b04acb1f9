// What people read when a document is wrong: tests/golden/tree/errors.txt holds documents and the exact text they get.
// After a deliberate change: SOLDER_GOLDEN_UPDATE=1 golden_tree --gtest_filter='Errors.*', then read the difference.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tree/document.h"
#include "tree/resolve.h"

namespace solder::tree {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> documents;  ///< board.dts, then edit.dts
  std::string expected;
};

std::vector<Case> read_cases(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<Case> out;
  enum { nothing, document, message } state = nothing;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("=== ")) {
      out.push_back({line.substr(4), {""}, ""});
      state = document;
    } else if (line == "+++") {
      out.back().documents.emplace_back();
    } else if (line == "---") {
      state = message;
    } else if (state == document) {
      out.back().documents.back() += line + "\n";
    } else if (state == message) {
      out.back().expected += line + "\n";
    }
  }
  return out;
}

void write_cases(const std::filesystem::path& path, const std::vector<Case>& cases) {
  std::ofstream out(path);
  for (const Case& c : cases) {
    out << "=== " << c.name << "\n";
    for (usize i = 0; i < c.documents.size(); ++i) out << (i > 0 ? "+++\n" : "") << c.documents[i];
    out << "---\n" << c.expected;
  }
}

/// Composes, and then follows everything in the tree; the first complaint.
std::string complaint_of(const Case& c) {
  Composer composer;
  const char* names[] = {"board.dts", "edit.dts", "third.dts"};
  for (usize i = 0; i < c.documents.size(); ++i) {
    if (const auto added = composer.add_text(c.documents[i], names[std::min<usize>(i, 2)]); !added)
      return added.error().text() + "\n";
  }
  const auto tree = composer.finish();
  if (!tree) return tree.error().text() + "\n";
  const Resolver resolver(**tree);
  std::string out;
  const auto note = [&](const auto& result) {
    if (!result && out.empty()) out = result.error().text() + "\n";
  };
  (*tree)->walk([&](Node& n) {
    note(translate_reg(**tree, n));
    note(resolver.interrupts(n));
    if (n.has("interrupt-controller")) note(resolver.cascade(n));
    note(resolver.msi_target(n, 0));
    note(resolver.dma_path(n));
    note(resolver.phandle_list(n, "clocks", "#clock-cells"));
  });
  return out.empty() ? "no complaint\n" : out;
}

TEST(Errors, AreWorthReading) {
  const auto path = std::filesystem::path(SOLDER_SOURCE_DIR) / "tests/golden/tree/errors.txt";
  auto cases = read_cases(path);
  ASSERT_GT(cases.size(), 30u);
  for (Case& c : cases) {
    const std::string got = complaint_of(c);
    if (std::getenv("SOLDER_GOLDEN_UPDATE")) {
      c.expected = got;
    } else {
      EXPECT_EQ(got, c.expected) << c.name;
    }
  }
  if (std::getenv("SOLDER_GOLDEN_UPDATE")) write_cases(path, cases);
}

}  // namespace
}  // namespace solder::tree
