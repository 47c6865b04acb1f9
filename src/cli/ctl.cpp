// solder ctl: questions and orders to a running machine, through its control socket.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "cli/ctl_dirty.h"
#include "cli/subcommands.h"
#include "control/client.h"

namespace solder::cli {

namespace {

using control::Json;

// Columns as wide as their widest cell, two spaces apart.
class Table {
 public:
  explicit Table(std::vector<std::string> titles) { add(std::move(titles)); }
  void add(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (usize i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], cells[i].size());
    rows_.push_back(std::move(cells));
  }
  void print() const {
    for (const auto& row : rows_) {
      std::string line;
      for (usize i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths_[i]);
      while (line.ends_with(' ')) line.pop_back();
      fmt::print("{}\n", line);
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<usize> widths_;
};

// The machine may be of another version: what is missing or different is shown as a dash.
std::string cell(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return "-";
  return it->is_string() ? it->get<std::string>() : control::dump(*it);
}
std::string level(const Json& object) {
  const auto it = object.find("level");
  return it == object.end() || !it->is_boolean() ? "-" : it->get<bool>() ? "high" : "low";
}
Json list(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || !it->is_array() ? Json::array() : *it;
}
double seconds(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || !it->is_number() ? 0 : it->get<double>() / 1e9;
}

void print_status(const Json& reply) {
  const Json accelerator = reply.value("accelerator", Json::object());
  fmt::print("machine      {}\n", cell(reply, "model"));
  fmt::print("state        {}\n", reply.value("paused", false) ? "paused" : "running");
  fmt::print("uptime       {:.3f} s of machine time, start {}\n", seconds(reply, "uptime_ns"), cell(reply, "starts"));
  fmt::print("accelerator  {}\n", cell(accelerator, "reason"));
  for (const Json& range : list(reply, "memory"))
    fmt::print("memory       {} MiB at {}\n", range.value("bytes", u64{0}) >> 20, cell(range, "start"));
  fmt::print("\n");
  Table table({"CPU", "ID", "STATE"});
  for (const Json& cpu : list(reply, "cpus")) table.add({cell(cpu, "index"), cell(cpu, "id"), cell(cpu, "state")});
  table.print();
}

void print_irq(const Json& reply) {
  const Json wires = list(reply, "wires");
  if (!wires.empty()) {
    Table table({"SOURCE", "NO", "CONTROLLER", "INPUT", "TRIGGER", "HANDLED", "LEVEL", "COUNT"});
    for (const Json& wire : wires)
      table.add({cell(wire, "node"), cell(wire, "index"), cell(wire, "controller"), cell(wire, "input"),
                 cell(wire, "trigger"), cell(wire, "handled"), level(wire), cell(wire, "count")});
    table.print();
  }
  const Json routes = list(reply, "routes");
  if (!wires.empty() && !routes.empty()) fmt::print("\n");
  if (!routes.empty()) {
    Table table({"VIRQ", "LABEL", "TARGETS", "EVENTFDS", "LEVEL", "COUNT"});
    for (const Json& route : routes) {
      std::vector<std::string> targets;
      for (const Json& target : list(route, "targets"))
        if (target.is_string()) targets.push_back(target.get<std::string>());
      std::string events = cell(route, "event_fds");
      if (events != "0") events += route.value("events_in_kernel", false) ? " (KVM)" : " (here)";
      // Events that the kernel takes from the descriptor are counted by nobody.
      std::string count = cell(route, "count");
      if (route.value("events_in_kernel", false)) count = count == "0" ? "in KVM" : count + " + KVM's";
      table.add({cell(route, "virq"), cell(route, "label"),
                 targets.empty() ? "none" : fmt::format("{}", fmt::join(targets, "; ")), events, level(route), count});
    }
    table.print();
  }
  if (wires.empty() && routes.empty()) fmt::print("no node of this machine has an interrupt\n");
}

void print_memory(const Json& reply) {
  Table table({"SPACE", "START", "END", "KIND", "NODE", "A CPU'S ACCESS"});
  for (const Json& range : list(reply, "ranges")) {
    const auto start = control::parse_number(cell(range, "start"));
    const u64 bytes = range.value("bytes", u64{0});
    table.add({cell(range, "space"), cell(range, "start"),
               start && bytes != 0 ? fmt::format("{:#x}", *start + bytes - 1) : "-", cell(range, "kind"),
               cell(range, "node"), cell(range, "access")});
  }
  table.print();
}

struct CtlCommand {
  std::string socket;
  bool json = false;
  std::string node;
  std::string mode;
  std::vector<std::string> nodes;
  u64 count = 0;
  bool reads = false;
  bool writes = false;
  bool kernel = false;
  DirtyOptions dirty;
  std::string address;
  std::string bytes = "64";
  u64 width = 0;
  std::string value;
  bool ports = false;
  CLI::App* app = nullptr;

  [[nodiscard]] std::string word() const { return app->get_subcommands().front()->get_name(); }

  [[nodiscard]] Result<Json> request() const {
    const std::string what = word();
    Json out = {{"do", what}};
    if (what == "explain") out["node"] = node;
    if (what == "irqchip") out["mode"] = mode;
    if (what == "trace") {
      if (!nodes.empty()) out["nodes"] = nodes;
      if (count != 0) out["count"] = count;
      // Neither or both: both.
      out["reads"] = reads || !writes;
      out["writes"] = writes || !reads;
      if (kernel) out["kernel"] = true;
    }
    if (what == "read" || what == "write") {
      out["address"] = SOLDER_TRY(control::parse_number(address));
      if (width != 0) out["width"] = width;
      if (ports) out["space"] = "ports";
    }
    if (what == "read" && width == 0) out["bytes"] = SOLDER_TRY(control::parse_number(bytes));
    if (what == "write") {
      if (width != 0) {
        out["value"] = SOLDER_TRY(control::parse_number(value));
      } else {
        out["data"] = value;
      }
    }
    return out;
  }

  Result<int> act() const {
    if (word() == "dirty") {
      auto client = SOLDER_TRY(control::SocketClient::connect(socket));
      DirtyOptions options = dirty;
      options.json = json;
      return watch_dirty(client, options);
    }
    const Json asked = SOLDER_TRY(request());
    auto client = SOLDER_TRY(control::SocketClient::connect(socket));
    const Json reply = SOLDER_TRY(client.ask(asked));
    if (json) {
      fmt::print("{}\n", control::dump(reply));
    } else {
      print(reply);
    }
    if (word() == "trace") return follow(client);
    return 0;
  }

  void print(const Json& reply) const {
    const std::string what = word();
    if (what == "status") {
      print_status(reply);
    } else if (what == "irq") {
      print_irq(reply);
    } else if (what == "memory") {
      print_memory(reply);
    } else if (what == "tree") {
      fmt::print("{}", cell(reply, "dts"));
    } else if (what == "explain") {
      fmt::print("{}", cell(reply, "text"));
    } else if (what == "pause" || what == "resume") {
      fmt::print("{} at {:.6f} s of machine time\n", what == "pause" ? "paused" : "running",
                 seconds(reply, "uptime_ns"));
    } else if (what == "irqchip") {
      fmt::print("interrupt controllers: {}; the machine is paused\n", cell(reply, "mode"));
    } else if (what == "read") {
      if (width != 0) {
        fmt::print("{}\n", cell(reply, "value"));
      } else {
        print_bytes(reply);
      }
    } else if (what == "trace") {
      fmt::print(stderr, "solder: {}\n", cell(reply, "kernel"));
    }
  }

  void print_bytes(const Json& reply) const {
    const auto data = control::from_hex(cell(reply, "data"));
    const auto start = control::parse_number(address);
    if (!data || !start) return;
    for (usize at = 0; at < data->size(); at += 16) {
      std::string hex;
      std::string text;
      for (usize i = at; i < std::min(at + 16, data->size()); ++i) {
        const u8 byte = (*data)[i];
        hex += fmt::format("{:02x} ", byte);
        text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
      }
      fmt::print("{:016x}  {:<48} {}\n", *start + at, hex, text);
    }
  }

  Result<int> follow(control::SocketClient& client) const {
    while (const auto line = client.next()) {
      if (json) {
        fmt::print("{}\n", control::dump(*line));
      } else if (cell(*line, "event") == "io" || cell(*line, "event") == "kernel") {
        fmt::print("{}\n", cell(*line, "text"));
      } else if (cell(*line, "event") == "dropped") {
        fmt::print("({} accesses were too fast for the trace and are missing)\n", cell(*line, "count"));
      }
      std::fflush(stdout);
      if (cell(*line, "event") == "trace-end") return 0;
      if (std::ferror(stdout) != 0) return 0;  // who read it went away
    }
    return 0;
  }
};

}  // namespace

Action add_ctl(CLI::App& app) {
  auto command = std::make_shared<CtlCommand>();
  command->app = &app;
  app.add_option("--socket", command->socket, "the machine's control socket: what solder run got as --control")
      ->type_name("PATH")
      ->required();
  app.add_flag("--json", command->json, "print replies as they came");
  app.require_subcommand(1);
  app.fallthrough();
  const auto plain = [&](const char* name, const char* text) { return app.add_subcommand(name, text); };
  plain("status", "accelerator and why, CPUs, uptime, memory");
  plain("irq", "every interrupt: where it goes, who handles it, level and count");
  plain("memory", "what lies where, and how a CPU's access gets there");
  plain("tree", "the guest's device tree");
  plain("explain", "what a node is, where it lies, how its interrupts travel")
      ->add_option("NODE", command->node, "its path, alias or label")
      ->required();
  plain("pause", "stop CPUs and clock");
  plain("resume", "go on after a pause");
  plain("irqchip", "move the interrupt controllers of a paused machine: kernel, split or user")
      ->add_option("MODE", command->mode, "as --irqchip has it")
      ->required();
  plain("powerdown", "press the power button");
  plain("reset", "restart the machine");
  plain("quit", "end the run at once");
  auto* trace = plain("trace", "accesses to devices, as they happen");
  trace->add_option("NODE", command->nodes, "only these nodes, and what is below them");
  trace->add_option("--count", command->count, "end after so many")->type_name("N");
  trace->add_flag("--reads", command->reads, "only reads");
  trace->add_flag("--writes", command->writes, "only writes");
  trace->add_flag("--kernel", command->kernel, "with the tracepoints of KVM in the host's kernel");
  add_dirty_options(*plain("dirty", "which pages the guest writes"), command->dirty);
  auto* read = plain("read", "memory, as a CPU sees it; reading a device may change it");
  auto* write = plain("write", "write memory or a device");
  for (CLI::App* sub : {read, write}) {
    sub->add_option("ADDRESS", command->address, "physical address")->required();
    sub->add_option("--width", command->width, "one access of 1, 2, 4 or 8 bytes")->type_name("N");
    sub->add_flag("--ports", command->ports, "x86's I/O ports instead of memory");
  }
  read->add_option("BYTES", command->bytes, "how many (64)");
  write->add_option("VALUE", command->value, "bytes in hexadecimal; with --width a number")->required();
  return [command] { return command->act(); };
}

}  // namespace solder::cli
