/// Short ways to make trees in tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tree/document.h"

namespace solder::tree {

/// Composes source texts named a.dts, b.dts, …; null (and a failed test) when they do not compose.
inline std::unique_ptr<Tree> composed(const std::vector<std::string>& texts) {
  Composer composer;
  char name = 'a';
  for (const auto& text : texts) {
    if (const auto added = composer.add_text(text, std::string(1, name++) + ".dts"); !added) {
      ADD_FAILURE() << added.error().text();
      return nullptr;
    }
  }
  auto tree = composer.finish();
  if (!tree) {
    ADD_FAILURE() << tree.error().text();
    return nullptr;
  }
  return std::move(*tree);
}

/// The text of the error that composing ends in; empty when there is none.
inline std::string complaint(const std::vector<std::string>& texts) {
  Composer composer;
  char name = 'a';
  for (const auto& text : texts) {
    if (const auto added = composer.add_text(text, std::string(1, name++) + ".dts"); !added)
      return added.error().text();
  }
  const auto tree = composer.finish();
  return tree ? std::string() : tree.error().text();
}

/// What the source text says, as a blob.
inline std::vector<u8> blob(const std::string& text, bool symbols = false) {
  const auto tree = composed({text});
  return tree ? write_dtb(*tree, symbols) : std::vector<u8>();
}

}  // namespace solder::tree
