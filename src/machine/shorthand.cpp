#include "machine/shorthand.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "machine/guest_tree.h"
#include "machine/irqchip_shorthand.h"
#include "machine/memory_shorthand.h"
#include "machine/plan.h"

namespace solder::machine {

namespace {

std::string property_text(const tree::Property& property) {
  if (property.value.empty()) return fmt::format("{};", property.name);
  std::string out = property.name + " = [";
  for (const u8 byte : property.value) out += fmt::format("{:02x} ", byte);
  return out + "];";
}

std::string cells_text(u64 value, u32 cells) {
  if (cells <= 1) return fmt::format("{:#x}", value);
  return fmt::format("{:#x} {:#x}", value >> 32, value & 0xffffffff);
}

// Splits "a,b,c".
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  usize at = 0;
  while (true) {
    const usize comma = text.find(',', at);
    out.push_back(text.substr(at, comma == std::string::npos ? std::string::npos : comma - at));
    if (comma == std::string::npos) return out;
    at = comma + 1;
  }
}

// /cpus with exactly `count` CPUs: the last ones go, or the first one is copied under the next free number.
Result<std::string> cpus_edit(const tree::Tree& tree, u32 count) {
  const tree::Node* cpus = tree.find("/cpus");
  std::vector<const tree::Node*> present;
  if (cpus != nullptr)
    for (const auto& child : cpus->children())
      if (child->string("device_type") == "cpu" && child->enabled()) present.push_back(child.get());
  if (cpus == nullptr || present.empty())
    return fail("--cpus", "the machine's tree has no CPU to take as a pattern", "describe one below /cpus");
  if (count == 0) return fail("--cpus", "a machine needs at least one CPU");
  if (count == present.size()) return std::string{};
  std::string out = "/dts-v1/;\n/ { cpus {\n";
  // It names each CPU and would name wrong ones.
  if (cpus->child("cpu-map") != nullptr) out += "  /delete-node/ cpu-map;\n";
  for (usize i = count; i < present.size(); ++i) out += fmt::format("  /delete-node/ {};\n", present[i]->name());
  const u32 cells = cpus->u32_value("#address-cells").value_or(1);
  std::set<u64> ids;
  for (const auto* cpu : present) ids.insert(cpu->number("reg").value_or(0));
  u64 id = 0;
  for (usize i = present.size(); i < count; ++i) {
    while (ids.contains(id)) ++id;
    ids.insert(id);
    out += fmt::format("  cpu@{:x} {{ reg = <{}>;", id, cells_text(id, cells));
    for (const auto& property : present.front()->properties())
      if (property.name != "reg" && property.name != "phandle" && property.name != "linux,phandle")
        out += " " + property_text(property);
    out += " };\n";
  }
  return out + "}; };\n";
}

// Virtio slots of the tree that have no backend yet, in the tree's order.
Result<std::vector<std::string>> free_slots(const tree::Tree& tree) {
  const Plan plan = SOLDER_TRY(make_plan(tree, false));
  std::vector<std::string> out;
  for (const tree::Node* node : plan.with_role(Role::unused)) out.push_back(node->path());
  return out;
}

Result<std::string> take_slot(std::vector<std::string>& slots, const char* option) {
  if (slots.empty())
    return fail(option, "the machine's tree has no free virtio,mmio transport",
                "add one, or give fewer of these options");
  std::string slot = slots.front();
  slots.erase(slots.begin());
  return slot;
}

Result<std::string> disk_edit(const std::string& text, usize number, const std::string& slot) {
  const auto parts = split(text);
  if (parts[0].empty()) return fail("--disk", "the path of the image is missing", "--disk FILE[,readonly]");
  bool read_only = false;
  for (usize i = 1; i < parts.size(); ++i) {
    if (parts[i] != "readonly")
      return fail("--disk", fmt::format("there is no option \"{}\"", parts[i]), "use ,readonly");
    read_only = true;
  }
  return fmt::format(
      "/dts-v1/;\n/ {{ solder {{ disk-{} {{ solder,path = {}; {} }}; }}; }};\n"
      "&{{{}}} {{ solder,virtio = \"block\"; solder,disk = <&{{/solder/disk-{}}}>; }};\n",
      number, dts_string(parts[0]), read_only ? "solder,readonly;" : "", slot, number);
}

Result<std::string> network_edit(const std::string& text, usize number, const std::string& slot) {
  const auto parts = split(text);
  std::string body;
  if (parts[0].starts_with("tap=")) {
    body = fmt::format("solder,type = \"tap\"; solder,ifname = {};", dts_string(parts[0].substr(4)));
  } else if (parts[0] == "user") {
    body = "solder,type = \"user\";";
  } else {
    return fail("--net", fmt::format("there is no network \"{}\"", parts[0]), "use user, tap=NAME or none");
  }
  std::string forwards;
  for (usize i = 1; i < parts.size(); ++i) {
    if (!parts[i].starts_with("forward="))
      return fail("--net", fmt::format("there is no option \"{}\"", parts[i]), "use forward=tcp:HOSTPORT:GUESTPORT");
    forwards += (forwards.empty() ? "" : ", ") + dts_string(parts[i].substr(8));
  }
  if (!forwards.empty()) body += fmt::format(" solder,forward = {};", forwards);
  return fmt::format(
      "/dts-v1/;\n/ {{ solder {{ netdev-{} {{ {} }}; }}; }};\n"
      "&{{{}}} {{ solder,virtio = \"net\"; solder,netdev = <&{{/solder/netdev-{}}}>; }};\n",
      number, body, slot, number);
}

// The console gets the backend `text`, in a node of its own, whatever it had before.
Result<std::string> console_edit(const tree::Tree& tree, const std::string& text, bool required) {
  const Plan plan = SOLDER_TRY(make_plan(tree, false));
  const tree::Node* node = console_node(tree, plan);
  if (node == nullptr) {
    if (!required) return std::string{};
    return fail("--console",
                "the machine has no console: /chosen/stdout-path names no device that Solder has a model for",
                "`solder match` tells what is modelled");
  }
  const usize equals = text.find('=');
  const std::string type = text.substr(0, equals);
  std::string body = fmt::format("solder,type = {};", dts_string(type));
  if (type == "file" || type == "unix") {
    if (equals == std::string::npos || equals + 1 == text.size())
      return fail("--console", fmt::format("\"{}\" needs a path", type), fmt::format("--console {}=PATH", type));
    body += fmt::format(" solder,path = {};", dts_string(text.substr(equals + 1)));
  } else if (type != "stdio" && type != "pty" && type != "null") {
    return fail("--console", fmt::format("there is no console backend \"{}\"", text),
                "use stdio, file=F, pty, unix=F or null");
  }
  return fmt::format(
      "/dts-v1/;\n/ {{ solder {{ chardev-console {{ {} }}; }}; }};\n"
      "&{{{}}} {{ solder,chardev = <&{{/solder/chardev-console}}>; }};\n",
      body, node->path());
}

std::string append_edit(const tree::Tree& tree, const std::string& append) {
  std::string arguments = append;
  if (const tree::Node* chosen = tree.find("/chosen"))
    if (const auto before = chosen->string("bootargs"); before && !before->empty()) arguments = *before + " " + append;
  return fmt::format("/dts-v1/;\n/ {{ chosen {{ bootargs = {}; }}; }};\n", dts_string(arguments));
}

// A ROM with the firmware where the machine's CPUs start: it ends at 4 GiB on x86, and begins at 0 elsewhere.
Result<std::string> firmware_edit(const tree::Tree& tree, const std::string& path) {
  std::error_code error;
  const u64 bytes = std::filesystem::file_size(path, error);
  if (error) return fail(path, "cannot be read: " + error.message(), "correct --firmware");
  constexpr u64 kLargest = 16_MiB;
  if (bytes == 0 || bytes > kLargest)
    return fail(path, fmt::format("has {} bytes: firmware has from 1 byte to 16 MiB", bytes), "correct --firmware");
  const u64 size = (bytes + 4095) / 4096 * 4096;
  bool x86 = false;
  if (const tree::Node* cpus = tree.find("/cpus"))
    for (const auto& cpu : cpus->children())
      for (const auto& compatible : cpu->compatible()) x86 = x86 || compatible.starts_with("x86-64");
  if (x86 && size != bytes)
    return fail(path, fmt::format("has {} bytes: firmware that ends at 4 GiB is made of whole 4 KiB pages", bytes),
                "pad it in front");
  const u64 base = x86 ? 4_GiB - size : 0;
  return fmt::format(
      "/dts-v1/;\n/ {{ rom@{:x} {{ compatible = \"mtd-rom\"; reg = <{} {}>; solder,path = {}; }};\n"
      "solder {{ boot {{ solder,from-rom; }}; }}; }};\n",
      base, cells_text(base, tree.root().u32_value("#address-cells").value_or(2)),
      cells_text(size, tree.root().u32_value("#size-cells").value_or(1)), dts_string(path));
}

Result<std::unique_ptr<tree::Tree>> compose(std::unique_ptr<tree::Tree> tree, const std::string& text,
                                            const char* option) {
  if (text.empty()) return tree;
  tree::Composer composer;
  SOLDER_TRY_STATUS(composer.add_tree(std::move(tree)));
  SOLDER_TRY_STATUS(composer.add_text(text, option));
  return composer.finish();
}

}  // namespace

std::string dts_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

Result<u64> parse_size(const std::string& text, const std::string& option) {
  u64 value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  unsigned shift = 0;
  if (unit == "K" || unit == "k")
    shift = 10;
  else if (unit == "M" || unit == "m")
    shift = 20;
  else if (unit == "G" || unit == "g")
    shift = 30;
  else if (!unit.empty())
    shift = 64;
  if (error != std::errc{} || shift == 64 || value > (~u64{0} >> shift))
    return fail(option, fmt::format("\"{}\" is no size", text), "write it as 512M, 2G or a number of bytes");
  return value << shift;
}

Result<std::unique_ptr<tree::Tree>> apply_shorthand(std::unique_ptr<tree::Tree> tree, const Shorthand& shorthand) {
  if (shorthand.cpus) {
    const std::string text = SOLDER_TRY(cpus_edit(*tree, *shorthand.cpus));
    tree = SOLDER_TRY(compose(std::move(tree), text, "--cpus"));
  }
  if (shorthand.memory) {
    const std::string text = SOLDER_TRY(memory_edit(*tree, *shorthand.memory));
    tree = SOLDER_TRY(compose(std::move(tree), text, "--memory"));
  }
  if (shorthand.irqchip) {
    const std::string text = SOLDER_TRY(irqchip_edit(*tree, *shorthand.irqchip));
    tree = SOLDER_TRY(compose(std::move(tree), text, "--irqchip"));
  }
  if (!shorthand.disks.empty() || !shorthand.networks.empty()) {
    std::vector<std::string> slots = SOLDER_TRY(free_slots(*tree));
    for (usize i = 0; i < shorthand.disks.size(); ++i) {
      const std::string slot = SOLDER_TRY(take_slot(slots, "--disk"));
      const std::string text = SOLDER_TRY(disk_edit(shorthand.disks[i], i, slot));
      tree = SOLDER_TRY(compose(std::move(tree), text, "--disk"));
    }
    for (usize i = 0; i < shorthand.networks.size(); ++i) {
      if (shorthand.networks[i] == "none") continue;
      const std::string slot = SOLDER_TRY(take_slot(slots, "--net"));
      const std::string text = SOLDER_TRY(network_edit(shorthand.networks[i], i, slot));
      tree = SOLDER_TRY(compose(std::move(tree), text, "--net"));
    }
  }
  bool any_console = false;
  tree->walk([&](tree::Node& node) { any_console = any_console || node.has("solder,chardev"); });
  if (shorthand.console || !any_console) {
    const std::string text =
        SOLDER_TRY(console_edit(*tree, shorthand.console.value_or("stdio"), shorthand.console.has_value()));
    tree = SOLDER_TRY(compose(std::move(tree), text, shorthand.console ? "--console" : "(default console)"));
  }
  if (shorthand.append) {
    const std::string text = append_edit(*tree, *shorthand.append);
    tree = SOLDER_TRY(compose(std::move(tree), text, "--append"));
  }
  const auto boot_edit = [](const char* property, const std::string& path) {
    return fmt::format("/dts-v1/;\n/ {{ solder {{ boot {{ {} = {}; }}; }}; }};\n", property, dts_string(path));
  };
  if (shorthand.firmware) {
    const std::string text = SOLDER_TRY(firmware_edit(*tree, *shorthand.firmware));
    tree = SOLDER_TRY(compose(std::move(tree), text, "--firmware"));
  }
  if (shorthand.kernel)
    tree = SOLDER_TRY(compose(std::move(tree), boot_edit("solder,kernel", *shorthand.kernel), "--kernel"));
  if (shorthand.initrd)
    tree = SOLDER_TRY(compose(std::move(tree), boot_edit("solder,initrd", *shorthand.initrd), "--initrd"));
  return tree;
}

}  // namespace solder::machine
