#include <cstring>
#include <fstream>
#include <unordered_set>

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/dtb_format.h"
#include "tree/fixups.h"
#include "tree/names.h"

namespace solder::tree {

namespace {

/// Walks the structure block once. Every offset is checked before it is used.
class DtbReader {
 public:
  DtbReader(std::span<const u8> bytes, std::string name)
      : bytes_(bytes), file_(std::make_shared<const std::string>(std::move(name))) {}

  Result<std::unique_ptr<Tree>> read() {
    SOLDER_TRY_STATUS(header());
    SOLDER_TRY_STATUS(reservations());
    SOLDER_TRY_STATUS(structure());
    SOLDER_TRY_STATUS(lift_fixups(*tree_));
    return std::move(tree_);
  }

 private:
  struct Level {
    Node* node = nullptr;
    std::unordered_set<std::string_view> children;
    std::unordered_set<std::string_view> properties;
  };

  SourceLocation at(u64 offset) const { return {file_, 0, 0, offset}; }
  std::unexpected<Error> bad(u64 offset, std::string what) const {
    return fail(at(offset).text(), std::move(what), "the blob is damaged or cut short; make it again");
  }
  u32 word(u64 offset) const { return load_be<u32>(bytes_.data() + offset); }

  Status header() {
    if (bytes_.size() < kFdtHeaderV16Bytes) return bad(0, "too short for a device tree blob");
    if (word(0) != kFdtMagic) return bad(0, "does not begin with the device tree magic number 0xd00dfeed");
    const u32 total = word(4);
    const u32 version = word(20);
    const u32 compatible = word(24);
    if (total > bytes_.size())
      return bad(4, fmt::format("claims {} bytes but only {} are there", total, bytes_.size()));
    if (bytes_.size() > kMaximumDocumentBytes) return bad(4, "is larger than 64 MiB");
    if (version < kFdtLastCompatible || compatible > kFdtVersion)
      return fail(at(20).text(),
                  fmt::format("has format version {} (readable as {}), Solder reads 16 and 17", version, compatible),
                  "recompile it with a current dtc");
    if (total < (version >= 17 ? kFdtHeaderV17Bytes : kFdtHeaderV16Bytes)) return bad(4, "is shorter than its header");
    bytes_ = bytes_.first(total);
    struct_begin_ = word(8);
    strings_begin_ = word(12);
    reserve_begin_ = word(16);
    tree_->boot_cpu = word(28);
    struct_end_ = version >= 17 ? u64{struct_begin_} + word(36) : total;
    strings_end_ = u64{strings_begin_} + word(32);
    if (struct_begin_ % 4 != 0 || struct_begin_ > total || struct_end_ > total)
      return bad(8, "its structure block lies outside of it");
    if (strings_begin_ > total || strings_end_ > total) return bad(12, "its strings block lies outside of it");
    return {};
  }

  Status reservations() {
    for (u64 offset = reserve_begin_;; offset += 16) {
      if (offset + 16 > bytes_.size()) return bad(offset, "its memory reservations have no end");
      const u64 address = load_be<u64>(bytes_.data() + offset);
      const u64 size = load_be<u64>(bytes_.data() + offset + 8);
      if (address == 0 && size == 0) return {};
      tree_->reservations.push_back({address, size, {}, at(offset)});
    }
  }

  Status structure() {
    std::vector<Level> stack;
    bool seen_root = false;
    for (u64 offset = struct_begin_;;) {
      if (offset + 4 > struct_end_) return bad(offset, "its structure block ends before the end token");
      const u64 here = offset;
      const u32 token = word(offset);
      offset += 4;
      switch (token) {
        case kFdtNop:
          break;
        case kFdtBeginNode:
          if (stack.empty() && seen_root) return bad(here, "has a second root node");
          SOLDER_TRY_STATUS(begin_node(stack, here, offset));
          seen_root = true;
          break;
        case kFdtEndNode:
          if (stack.empty()) return bad(here, "ends a node that was never begun");
          stack.pop_back();
          break;
        case kFdtProp:
          SOLDER_TRY_STATUS(property(stack, here, offset));
          break;
        case kFdtEnd:
          if (!stack.empty() || !seen_root) return bad(here, "ends inside a node");
          return {};
        default:
          return bad(here, fmt::format("has unknown token {:#x} in its structure block", token));
      }
    }
  }

  Status begin_node(std::vector<Level>& stack, u64 here, u64& offset) {
    const void* end = std::memchr(bytes_.data() + offset, 0, struct_end_ - offset);
    if (!end) return bad(here, "has a node name without end");
    const auto* text = reinterpret_cast<const char*>(bytes_.data() + offset);
    std::string_view name(text, static_cast<usize>(static_cast<const char*>(end) - text));
    offset = (offset + name.size() + 1 + 3) & ~u64{3};
    if (stack.empty()) {
      // Version 16 blobs of some old writers name the root "/"; the specification wants it empty.
      if (!name.empty() && name != "/") return bad(here, fmt::format("its root is named \"{}\"", printable(name)));
      stack.push_back({&tree_->root(), {}, {}});
      tree_->root().where = at(here);
      return {};
    }
    if (stack.size() >= kMaximumDepth) return bad(here, fmt::format("nests nodes deeper than {}", kMaximumDepth));
    Level& parent = stack.back();
    if (!is_name(name))
      return bad(here, fmt::format("{} has a child with the bad name \"{}\"", parent.node->path(), printable(name)));
    if (!parent.children.insert(name).second)
      return bad(here, fmt::format("{} has two children named \"{}\"", parent.node->path(), name));
    if (parent.children.size() > kMaximumChildren)
      return bad(here, fmt::format("{} has more than {} children", parent.node->path(), kMaximumChildren));
    Node& node = parent.node->add_child(std::string(name));
    node.where = at(here);
    stack.push_back({&node, {}, {}});
    return {};
  }

  Status property(std::vector<Level>& stack, u64 here, u64& offset) {
    if (stack.empty()) return bad(here, "has a property outside of every node");
    if (offset + 8 > struct_end_) return bad(here, "has a property that is cut off");
    const u64 length = word(offset);
    const u64 name_offset = u64{strings_begin_} + word(offset + 4);
    offset += 8;
    if (length > struct_end_ - offset) return bad(here, "has a property that is longer than the blob");
    const void* end =
        name_offset < strings_end_ ? std::memchr(bytes_.data() + name_offset, 0, strings_end_ - name_offset) : nullptr;
    if (!end) return bad(here, "has a property whose name lies outside of the strings block");
    const auto* text = reinterpret_cast<const char*>(bytes_.data() + name_offset);
    const std::string_view name(text, static_cast<usize>(static_cast<const char*>(end) - text));
    Level& level = stack.back();
    if (!is_name(name))
      return bad(here, fmt::format("{} has a property with the bad name \"{}\"", level.node->path(), printable(name)));
    if (!level.properties.insert(name).second)
      return bad(here, fmt::format("{} has two properties named \"{}\"", level.node->path(), name));
    if (level.properties.size() > kMaximumProperties)
      return bad(here, fmt::format("{} has more than {} properties", level.node->path(), kMaximumProperties));
    Property& p = level.node->properties().emplace_back();
    p.name = name;
    p.value.assign(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                   bytes_.begin() + static_cast<std::ptrdiff_t>(offset + length));
    p.form = length == 0 ? Form::empty : Form::unknown;
    p.where = at(here);
    offset = std::min((offset + length + 3) & ~u64{3}, struct_end_);
    return {};
  }

  static std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 64)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return out;
  }

  std::span<const u8> bytes_;
  std::shared_ptr<const std::string> file_;
  std::unique_ptr<Tree> tree_ = std::make_unique<Tree>();
  u32 struct_begin_ = 0;
  u32 strings_begin_ = 0;
  u32 reserve_begin_ = 0;
  u64 struct_end_ = 0;
  u64 strings_end_ = 0;
};

}  // namespace

Result<std::unique_ptr<Tree>> read_dtb(std::span<const u8> bytes, std::string name) {
  return DtbReader(bytes, std::move(name)).read();
}

}  // namespace solder::tree
