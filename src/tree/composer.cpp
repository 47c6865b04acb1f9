#include <algorithm>

#include <fmt/core.h>

#include "tree/document.h"
#include "tree/dtb_format.h"
#include "tree/dts_parser.h"
#include "tree/fixups.h"
#include "tree/merge.h"
#include "tree/references.h"

namespace solder::tree {

namespace {

bool is_blob(std::string_view bytes) {
  return bytes.starts_with("\xd0\x0d\xfe\xed");
}  // kFdtMagic

std::span<const u8> as_bytes(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

constexpr const char* kFixupNodes[] = {"__symbols__", "__fixups__", "__local_fixups__"};

Status check_depth(const Node& node, u32 depth) {
  if (depth > kMaximumDepth) return fail(node.place(), fmt::format("is nested deeper than {} nodes", kMaximumDepth));
  for (const auto& c : node.children()) SOLDER_TRY_STATUS(check_depth(*c, depth + 1));
  return {};
}

}  // namespace

Result<std::unique_ptr<Tree>> read_document(const std::filesystem::path& path) {
  const std::string text = SOLDER_TRY(read_file(path, kMaximumDocumentBytes));
  if (is_blob(text)) return read_dtb(as_bytes(text), path.string());
  DtsParser parser(text, path.string(), path.parent_path());
  SOLDER_TRY_STATUS(parser.headers(true));
  auto tree = std::make_unique<Tree>();
  LabelIndex labels;
  SOLDER_TRY_STATUS(parser.parse_into(*tree, labels));
  SOLDER_TRY_STATUS(lift_fixups(*tree));
  return tree;
}

struct Composer::State {
  std::unique_ptr<Tree> tree = std::make_unique<Tree>();
  LabelIndex labels;
  u32 documents = 0;

  Status add_source(std::string_view text, const std::string& name, const std::filesystem::path& directory,
                    bool need_version) {
    DtsParser parser(text, name, directory);
    SOLDER_TRY_STATUS(parser.headers(need_version));
    // A decompiled overlay has no /plugin/ but its fragments' contents stand in __overlay__.
    if (parser.plugin() || text.find("__overlay__") != std::string_view::npos) {
      auto own = std::make_unique<Tree>();
      LabelIndex own_labels;
      SOLDER_TRY_STATUS(parser.parse_into(*own, own_labels));
      SOLDER_TRY_STATUS(lift_fixups(*own));
      return add(std::move(own));
    }
    ++documents;
    SOLDER_TRY_STATUS(parser.parse_into(*tree, labels));
    return settle();
  }

  /// After each document.
  Status settle() {
    const bool fixups = std::any_of(std::begin(kFixupNodes), std::end(kFixupNodes),
                                    [&](const char* name) { return tree->root().exact_child(name) != nullptr; });
    if (fixups) {
      SOLDER_TRY_STATUS(lift_fixups(*tree));
      labels = LabelIndex(*tree);
    }
    tree->plugin = false;
    return apply_deletions(*tree, labels);
  }

  Status add(std::unique_ptr<Tree> incoming) {
    if (documents == 0 && incoming->plugin) {
      const Node& root = incoming->root();
      const SourceLocation& where =
          root.where.file || root.children().empty() ? root.where : root.children().front()->where;
      return fail(where.text(), "is an overlay and there is no tree before it to apply it to",
                  "give the board's document first");
    }
    if (documents++ == 0) {
      tree = std::move(incoming);
      labels = LabelIndex(*tree);
      return apply_deletions(*tree, labels);
    }
    separate_phandles(*incoming, documents);
    if (incoming->plugin) {
      SOLDER_TRY_STATUS(apply_overlay(*tree, labels, *incoming));
    } else {
      SOLDER_TRY_STATUS(merge_tree(*tree, labels, *incoming));
    }
    return settle();
  }
};

Composer::Composer() : state_(std::make_unique<State>()) {}
Composer::~Composer() = default;

Status Composer::add(const std::filesystem::path& path) {
  const std::string text = SOLDER_TRY(read_file(path, kMaximumDocumentBytes));
  if (is_blob(text)) return add_bytes(as_bytes(text), path.string());
  if (text.find('\0') != std::string::npos) {
    return fail(path.string(), "is neither source text nor a device tree blob", "give a .dts, .dtb or .dtbo file");
  }
  return state_->add_source(text, path.string(), path.parent_path(), true);
}

Status Composer::add_text(std::string_view dts, const std::string& name) {
  return state_->add_source(dts, name, {}, false);
}

Status Composer::add_bytes(std::span<const u8> bytes, std::string name) {
  return state_->add(SOLDER_TRY(read_dtb(bytes, std::move(name))));
}

Status Composer::add_tree(std::unique_ptr<Tree> tree) {
  return state_->add(std::move(tree));
}

Result<std::unique_ptr<Tree>> Composer::finish() {
  if (state_->documents == 0) return fail("", "there is no document to make a machine of", "name a .dts or .dtb file");
  SOLDER_TRY_STATUS(check_depth(state_->tree->root(), 1));
  for (const auto& c : state_->tree->root().children()) {
    if (const Node* left = c->exact_child("__overlay__"))
      return fail(left->place(), "is part of an overlay, but stands in a document that is none",
                  "begin it with /plugin/;");
  }
  SOLDER_TRY_STATUS(resolve_references(*state_->tree));
  join_phandles(*state_->tree);
  auto out = std::move(state_->tree);
  *state_ = State();
  return out;
}

}  // namespace solder::tree
