#include "machine/backends.h"

#include <fmt/format.h>

namespace solder::machine {

namespace {

// In the place of an image that nobody opens.
class UnopenedDisk final : public host::Disk {
 public:
  explicit UnopenedDisk(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] u64 size() const override { return 0; }
  [[nodiscard]] u32 block_size() const override { return 512; }
  [[nodiscard]] bool read_only() const override { return false; }
  [[nodiscard]] bool can_discard() const override { return false; }
  void submit(host::DiskRequest request) override { request.done(EIO); }
  void drain() override {}
  [[nodiscard]] std::string describe() const override { return text_; }

 private:
  std::string text_;
};

Result<std::string> required(const tree::Node& node, std::string_view property, std::string_view why) {
  auto value = node.string(property);
  if (!value || value->empty()) return fail(node.place(property), fmt::format("is missing or no string: {}", why));
  return std::move(*value);
}

}  // namespace

Result<std::string> Backends::chardev_text(const tree::Node& backend) {
  const auto type =
      SOLDER_TRY(required(backend, "solder,type", "say \"stdio\", \"file\", \"pty\", \"unix\" or \"null\""));
  if (type == "stdio" || type == "pty" || type == "null") return type;
  if (type == "file" || type == "unix")
    return fmt::format("{}={}", type, SOLDER_TRY(required(backend, "solder,path", "where on the host the bytes go")));
  return fail(backend.place("solder,type"), fmt::format("there is no console backend \"{}\"", type),
              "use \"stdio\", \"file\", \"pty\", \"unix\" or \"null\"");
}

Result<std::string> Backends::disk_text(const tree::Node& backend) {
  auto path = SOLDER_TRY(required(backend, "solder,path", "the disk's image on the host"));
  return backend.has("solder,readonly") ? path + ",readonly" : path;
}

Result<std::string> Backends::network_text(const tree::Node& backend) {
  const auto type = SOLDER_TRY(required(backend, "solder,type", "say \"user\" or \"tap\""));
  if (type == "tap")
    return fmt::format("tap={}", SOLDER_TRY(required(backend, "solder,ifname", "the name of the host's interface")));
  if (type != "user" && type != "none")
    return fail(backend.place("solder,type"), fmt::format("there is no network backend \"{}\"", type),
                "use \"user\" or \"tap\"");
  std::string text = type;
  for (const auto& forward : backend.string_list("solder,forward")) text += ",forward=" + forward;
  return text;
}

Result<const tree::Node*> Backends::target(const tree::Tree& tree, const tree::Node& node, std::string_view property,
                                           u32 index) {
  const auto* value = node.property(property);
  if (value == nullptr) return nullptr;
  const auto cells = value->cells();
  if (!cells) return fail(node.place(property), "is not a list of references");
  if (index >= cells->size()) return nullptr;
  const tree::Node* backend = tree.by_phandle((*cells)[index]);
  if (backend == nullptr)
    return fail(node.place(property), fmt::format("refers to phandle {:#x}, which no node has", (*cells)[index]),
                "refer to a node below /solder");
  return backend;
}

Result<Backends::Entry*> Backends::claim(const tree::Node& backend, const tree::Node& node, std::string_view property) {
  Entry& entry = entries_[backend.path()];
  const std::string owner = node.path();
  if (!entry.owner.empty() && entry.owner != owner)
    return fail(node.place(property), fmt::format("{} is in use by {} already", backend.path(), entry.owner),
                "give each device a backend of its own");
  entry.owner = owner;
  return &entry;
}

Result<host::CharDevice*> Backends::chardev(const tree::Tree& tree, const tree::Node& node, u32 index) {
  const tree::Node* backend = SOLDER_TRY(target(tree, node, "solder,chardev", index));
  if (backend == nullptr) return nullptr;
  Entry* entry = SOLDER_TRY(claim(*backend, node, "solder,chardev"));
  const std::string text = SOLDER_TRY(chardev_text(*backend));
  if (!dry_ && !entry->chardev) entry->chardev = SOLDER_TRY(host::open_chardev(text, keys_));
  return entry->chardev.get();
}

Result<host::Disk*> Backends::disk(const tree::Tree& tree, const tree::Node& node) {
  const tree::Node* backend = SOLDER_TRY(target(tree, node, "solder,disk", 0));
  if (backend == nullptr) return nullptr;
  Entry* entry = SOLDER_TRY(claim(*backend, node, "solder,disk"));
  const std::string text = SOLDER_TRY(disk_text(*backend));
  if (!entry->disk) entry->disk = dry_ ? std::make_unique<UnopenedDisk>(text) : SOLDER_TRY(host::open_disk(text));
  return entry->disk.get();
}

Result<host::Network*> Backends::network(const tree::Tree& tree, const tree::Node& node) {
  const tree::Node* backend = SOLDER_TRY(target(tree, node, "solder,netdev", 0));
  if (backend == nullptr) return nullptr;
  Entry* entry = SOLDER_TRY(claim(*backend, node, "solder,netdev"));
  const std::string text = SOLDER_TRY(network_text(*backend));
  if (!entry->network) entry->network = SOLDER_TRY(host::open_network(dry_ ? "none" : text));
  return entry->network.get();
}

}  // namespace solder::machine
