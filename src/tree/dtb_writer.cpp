#include <unordered_map>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/dtb_format.h"
#include "tree/fixups.h"
#include "tree/references.h"

namespace solder::tree {

namespace {

class DtbWriter {
 public:
  std::vector<u8> write(const Tree& tree) {
    node(tree.root());
    put(structure_, kFdtEnd);

    std::vector<u8> out(kFdtHeaderV17Bytes);
    const auto align = [&](usize to) { out.resize((out.size() + to - 1) / to * to); };
    align(8);
    const auto reserve_begin = out.size();
    for (const MemoryReservation& r : tree.reservations) {
      put(out, r.address);
      put(out, r.size);
    }
    out.resize(out.size() + 16);
    const auto struct_begin = out.size();
    out.insert(out.end(), structure_.begin(), structure_.end());
    const auto strings_begin = out.size();
    out.insert(out.end(), strings_.begin(), strings_.end());
    const u32 header[] = {kFdtMagic,
                          static_cast<u32>(out.size()),
                          static_cast<u32>(struct_begin),
                          static_cast<u32>(strings_begin),
                          static_cast<u32>(reserve_begin),
                          kFdtVersion,
                          kFdtLastCompatible,
                          tree.boot_cpu,
                          static_cast<u32>(strings_.size()),
                          static_cast<u32>(structure_.size())};
    for (usize i = 0; i < std::size(header); ++i) store_be<u32>(out.data() + i * 4, header[i]);
    return out;
  }

 private:
  template <class T>
  static void put(std::vector<u8>& to, T value) {
    to.resize(to.size() + sizeof value);
    store_be<T>(to.data() + to.size() - sizeof value, value);
  }
  void bytes(const void* data, usize size) {
    const auto* from = static_cast<const u8*>(data);
    structure_.insert(structure_.end(), from, from + size);
    structure_.resize((structure_.size() + 3) / 4 * 4);
  }
  u32 string(const std::string& text) {
    const auto [it, fresh] = offsets_.emplace(text, static_cast<u32>(strings_.size()));
    if (fresh) strings_.insert(strings_.end(), text.c_str(), text.c_str() + text.size() + 1);
    return it->second;
  }
  void node(const Node& n) {
    put(structure_, kFdtBeginNode);
    bytes(n.name().c_str(), n.name().size() + 1);
    for (const Property& p : n.properties()) {
      put(structure_, kFdtProp);
      put(structure_, static_cast<u32>(p.value.size()));
      put(structure_, string(p.name));
      bytes(p.value.data(), p.value.size());
    }
    for (const auto& c : n.children()) node(*c);
    put(structure_, kFdtEndNode);
  }

  std::vector<u8> structure_;
  std::vector<u8> strings_;
  std::unordered_map<std::string, u32> offsets_;
};

}  // namespace

std::vector<u8> write_dtb(const Tree& tree, bool symbols) {
  symbols = symbols || tree.symbols;
  if (!symbols && !tree.plugin) return DtbWriter().write(tree);
  const auto copy = tree.clone();
  if (tree.plugin) {
    resolve_local_paths(*copy);
    lower_fixups(*copy, symbols);
  } else {
    add_symbols(*copy);
  }
  return DtbWriter().write(*copy);
}

}  // namespace solder::tree
