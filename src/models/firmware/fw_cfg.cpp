// QEMU's firmware configuration device (docs/specs/fw_cfg, "Firmware Configuration Device"): numbered items and named
// files that firmware and kernels read, by bytes or by DMA, in its two forms, at I/O ports and as memory. Files of the
// user are subnodes `solder,file…` of the node, with `solder,name` and `solder,path` (a host's file) or
// `solder,string`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>

#include "base/bytes.h"
#include "device/register_names.h"
#include "device/registry.h"
#include "models/firmware/guest_memory.h"

namespace solder::models::firmware {
namespace {

using device::FirmwareItem;

/// What the DMA address register reads as.
constexpr std::string_view kDmaSignature = "QEMU CFG";
/// The id item: the byte-wise interface and DMA.
constexpr u32 kId = 1U << 0 | 1U << 1;

// A DMA descriptor's control word; its upper half is the item to select.
constexpr u32 kError = 1U << 0;
constexpr u32 kRead = 1U << 1;
constexpr u32 kSkip = 1U << 2;
constexpr u32 kSelect = 1U << 3;
constexpr u32 kWrite = 1U << 4;

/// In a selector: the old interface's way to ask for writing, which is gone.
constexpr u16 kWriteChannel = 1U << 14;
constexpr u16 kEndOfFiles = kWriteChannel;

/// A read past an item's end gets zeroes. More of them than this is no request that anyone needs, and would keep a CPU
/// from the guest for as long as it likes.
constexpr u64 kMaximumZeroes = 1_MiB;
constexpr usize kDirectoryEntry = 64;
constexpr u64 kMaximumFile = 0xffff'ffff;

template <class T>
std::vector<u8> number(T value) {
  std::vector<u8> out(sizeof(T));
  store_le(out.data(), value);
  return out;
}

class FwCfg : public device::Device, public device::FirmwareFiles, public memory::MmioHandler {
 public:
  explicit FwCfg(device::Ports& ports) : ports_(ports) {
    ports.window(0, *this);
    ports.provide_firmware_files(*this);
    const std::string_view signature = "QEMU";
    put(FirmwareItem::signature, {signature.begin(), signature.end()});
    put(FirmwareItem::id, number(kId));
    // The map of the memory, as int 15h, function e820h has it: address, size, kind 1.
    u64 total = 0;
    std::vector<u8> map;
    for (const MemoryRange& range : guest_memory(ports.node())) {
      total += range.size;
      for (const auto& part : {number(range.address), number(range.size), number(u32{1})})
        map.insert(map.end(), part.begin(), part.end());
    }
    put(FirmwareItem::ram_size, number(total));
    put(FirmwareItem::directory, number(u32{0}));
    if (!map.empty()) file("etc/e820", std::move(map), {});
  }

  Status start() override {
    const auto cpus = number(static_cast<u16>(std::min<u32>(ports_.cpu_count(), 0xffff)));
    const std::lock_guard guard(ports_.lock());
    put(FirmwareItem::cpu_count, cpus);
    put(FirmwareItem::max_cpus, cpus);
    return {};
  }

  void reset() override {
    selected_ = 0;
    position_ = 0;
    dma_high_ = 0;
  }

  void state(device::Archive& archive) override {
    archive("selected", selected_)("position", position_)("dma_high", dma_high_);
    // The other items come from the tree and from who boots.
    for (auto& [key, item] : items_) {
      if (!item.written) continue;
      std::vector<u8> content = item.content;
      archive.bytes(item.name, content, item.content.size());
      if (content.size() == item.content.size()) item.content = std::move(content);
    }
  }

  // device::FirmwareFiles
  Status add(std::string name, std::vector<u8> content, Written written) override {
    const std::string where = ports_.node().place();
    if (name.empty() || name.size() > kMaxName || name.find('\0') != std::string::npos)
      return fail(where, fmt::format("\"{}\" cannot be a file's name", name), "use 1 to 55 characters");
    if (content.size() > kMaximumFile) return fail(where, fmt::format("{} has more than 4 GiB", name));
    const std::lock_guard guard(ports_.lock());
    if (!file(std::move(name), std::move(content), std::move(written))) return fail(where, "there are too many files");
    return {};
  }
  void set_item(FirmwareItem item, std::vector<u8> content) override {
    const std::lock_guard guard(ports_.lock());
    put(item, std::move(content));
  }

 protected:
  // The window's parts, which the two forms have at different places. Bytes are in memory's order.
  void select(u16 key) {
    selected_ = key & static_cast<u16>(~kWriteChannel);
    position_ = 0;
  }
  u64 read_data(unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) {
      const Item* item = selected();
      if (item == nullptr || position_ >= item->content.size()) break;
      value |= u64{item->content[position_++]} << (8 * i);
    }
    return value;
  }
  static u64 read_dma(u64 offset, unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size && offset + i < kDmaSignature.size(); ++i)
      value |= u64{static_cast<u8>(kDmaSignature[offset + i])} << (8 * i);
    return value;
  }
  /// The address is big-endian; its low half, or the whole, starts the transfer.
  void write_dma(u64 offset, unsigned size, u64 value) {
    if (size == 8 && offset == 0) {
      dma_high_ = 0;
      transfer(byte_swap(value));
    } else if (size == 4 && offset == 0) {
      dma_high_ = byte_swap(static_cast<u32>(value));
    } else if (size == 4 && offset == 4) {
      const u64 address = u64{dma_high_} << 32 | byte_swap(static_cast<u32>(value));
      dma_high_ = 0;
      transfer(address);
    }
  }
  [[nodiscard]] std::mutex& lock() { return ports_.lock(); }

 private:
  struct Item {
    std::string name;  ///< of a file
    std::vector<u8> content;
    Written written;
  };

  [[nodiscard]] Item* selected() {
    const auto it = items_.find(selected_);
    return it == items_.end() ? nullptr : &it->second;
  }

  void put(FirmwareItem key, std::vector<u8> content) { items_[static_cast<u16>(key)] = {{}, std::move(content), {}}; }

  /// False when the directory is full.
  bool file(std::string name, std::vector<u8> content, Written written) {
    const u16 first = static_cast<u16>(FirmwareItem::first_file);
    u16 key = first;
    for (auto it = items_.lower_bound(first); it != items_.end() && it->second.name != name; ++it) ++key;
    if (key >= kEndOfFiles) return false;
    items_[key] = {std::move(name), std::move(content), std::move(written)};
    write_directory();
    return true;
  }

  /// Big-endian: the number of files; for each its size, its selector, two bytes of nothing, its name.
  void write_directory() {
    const auto begin = items_.lower_bound(static_cast<u16>(FirmwareItem::first_file));
    std::vector<u8> directory(4);
    u32 count = 0;
    for (auto it = begin; it != items_.end(); ++it, ++count) {
      directory.resize(directory.size() + kDirectoryEntry);
      u8* entry = &directory[directory.size() - kDirectoryEntry];
      store_be(entry, static_cast<u32>(it->second.content.size()));
      store_be(entry + 4, it->first);
      std::ranges::copy(it->second.name, entry + 8);
    }
    store_be(directory.data(), count);
    put(FirmwareItem::directory, std::move(directory));
  }

  void transfer(u64 address) {
    std::array<u8, 16> descriptor{};
    if (!ports_.dma().read(address, descriptor.data(), descriptor.size())) return;
    const u32 control = load_be<u32>(&descriptor[0]);
    const u32 length = load_be<u32>(&descriptor[4]);
    const u64 buffer = load_be<u64>(&descriptor[8]);
    if ((control & kSelect) != 0) select(static_cast<u16>(control >> 16));
    bool ok = true;
    if ((control & kRead) != 0) {
      ok = read_into(buffer, length);
    } else if ((control & kWrite) != 0) {
      ok = write_from(buffer, length);
    } else if ((control & kSkip) != 0) {
      const Item* item = selected();
      position_ = item == nullptr ? 0 : std::min<u64>(u64{position_} + length, item->content.size());
    }
    std::array<u8, 4> result{};
    store_be(result.data(), ok ? 0 : kError);
    ports_.dma().write(address, result.data(), result.size());
  }

  bool read_into(u64 buffer, u64 length) {
    const Item* item = selected();
    const u64 left = item == nullptr || position_ >= item->content.size() ? 0 : item->content.size() - position_;
    const u64 bytes = std::min(length, left);
    if (length - bytes > kMaximumZeroes) return false;
    if (bytes != 0) {
      if (!ports_.dma().write(buffer, &item->content[position_], bytes)) return false;
      position_ += static_cast<u32>(bytes);
    }
    static constexpr std::array<u8, 4096> kZeroes{};
    for (u64 done = bytes; done < length;) {
      const u64 chunk = std::min<u64>(length - done, kZeroes.size());
      if (!ports_.dma().write(buffer + done, kZeroes.data(), chunk)) return false;
      done += chunk;
    }
    return true;
  }

  bool write_from(u64 buffer, u64 length) {
    Item* item = selected();
    if (item == nullptr || !item->written || position_ > item->content.size() ||
        length > item->content.size() - position_)
      return false;
    std::vector<u8> bytes(length);
    if (!ports_.dma().read(buffer, bytes.data(), length)) return false;
    std::ranges::copy(bytes, item->content.begin() + position_);
    position_ += static_cast<u32>(length);
    item->written(item->content);
    return true;
  }

  device::Ports& ports_;
  std::map<u16, Item> items_;
  u16 selected_ = 0;
  u32 position_ = 0;  ///< in the selected item
  u32 dma_high_ = 0;
};

/// Ports: the selector (two bytes, little-endian) and, within it, the data; the DMA address from the fifth on.
class FwCfgPorts final : public FwCfg {
 public:
  static constexpr u64 kSize = 12;
  using FwCfg::FwCfg;
  u64 read(u64 offset, unsigned size) override {
    const std::lock_guard guard(lock());
    if (offset == 1 && size == 1) return read_data(1);
    return offset >= 4 ? read_dma(offset - 4, size) : 0;
  }
  void write(u64 offset, unsigned size, u64 value) override {
    const std::lock_guard guard(lock());
    if (offset == 0 && size == 2) select(static_cast<u16>(value));
    if (offset >= 4) write_dma(offset - 4, size, value);
  }
  // The data register is a byte inside of the selector's two.
  [[nodiscard]] std::string register_name(u64 offset) const override {
    if (offset < 2) return offset == 0 ? "SELECTOR" : "DATA";
    static constexpr std::array kNames{device::RegisterName{"DMA_ADDRESS", 4, 8}};
    return device::register_name(kNames, offset);
  }
};

/// Memory: eight bytes of data, the selector (two bytes, big-endian), the DMA address.
class FwCfgMemory final : public FwCfg {
 public:
  static constexpr u64 kSize = 24;
  using FwCfg::FwCfg;
  u64 read(u64 offset, unsigned size) override {
    const std::lock_guard guard(lock());
    if (offset < 8) return read_data(std::min<unsigned>(size, static_cast<unsigned>(8 - offset)));
    return offset >= 16 ? read_dma(offset - 16, size) : 0;
  }
  void write(u64 offset, unsigned size, u64 value) override {
    const std::lock_guard guard(lock());
    if (offset == 8 && size == 2) select(byte_swap(static_cast<u16>(value)));
    if (offset >= 16) write_dma(offset - 16, size, value);
  }
  [[nodiscard]] std::string register_name(u64 offset) const override {
    static constexpr std::array kNames{device::RegisterName{"DATA", 0, 8}, device::RegisterName{"SELECTOR", 8, 2},
                                       device::RegisterName{"DMA_ADDRESS", 16, 8}};
    return device::register_name(kNames, offset);
  }
};

Result<std::vector<u8>> content_of(const tree::Node& node) {
  const auto text = node.string("solder,string");
  const auto path = node.string("solder,path");
  if (text.has_value() == path.has_value())
    return fail(node.place(), "a file has either solder,path or solder,string, one of the two", "give it one");
  if (text) return std::vector<u8>(text->begin(), text->end());
  std::ifstream stream(*path, std::ios::binary);
  std::vector<u8> out;
  std::array<char, 65'536> part;
  while (stream.read(part.data(), part.size()), stream.gcount() > 0)
    out.insert(out.end(), part.begin(), part.begin() + stream.gcount());
  // At the end of a file that could be read both are set, and not `bad`; what cannot be opened has no end.
  if (stream.bad() || !stream.eof())
    return fail(node.place("solder,path"), fmt::format("{} cannot be read", *path), "check the path");
  return out;
}

template <class Form>
Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
  const tree::Node& node = ports.node();
  if (ports.window_size(0) < Form::kSize)
    return fail(node.place("reg"), fmt::format("the registers need {} bytes", Form::kSize), "make the entry larger");
  auto device = std::make_unique<Form>(ports);
  for (const auto& child : node.children()) {
    if (!child->name().starts_with("solder,file") || !child->enabled()) continue;
    const auto name = child->string("solder,name");
    if (!name)
      return fail(child->place("solder,name"), "the file has no name", "give the name that the guest looks for");
    SOLDER_TRY_STATUS(device->add(*name, SOLDER_TRY(content_of(*child)), {}));
  }
  return device;
}

constexpr std::string_view kSummary = "Firmware configuration device (QEMU's docs/specs/fw_cfg)";
const device::Registration kFwCfgPorts{"qemu,fw-cfg-io", create<FwCfgPorts>, kSummary, false, "QEMU0002"};
const device::Registration kFwCfgMemory{"qemu,fw-cfg-mmio", create<FwCfgMemory>, kSummary, false, "QEMU0002"};

}  // namespace
}  // namespace solder::models::firmware
