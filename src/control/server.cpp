#include "control/server.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "control/machine_report.h"
#include "control/trace_readers.h"
#include "machine/explain.h"
#include "machine/guest_tree.h"
#include "machine/reach.h"
#include "machine/transfer.h"

namespace solder::control {

namespace {

// A request for a piece of memory must fit into a line, in hexadecimal.
constexpr u64 kMostBytes = 32_KiB;

Json done() {
  return Json::object();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const Options& options) {
  std::unique_ptr<Server> server(new Server(options));
  server->tracer_ = std::make_unique<Tracer>();
  if (options.trace_kernel) {
    if (options.trace_file.empty()) return fail("--trace-kernel", "there is no trace", "add --trace FILE");
    SOLDER_TRY_STATUS(server->check_kernel_trace("--trace-kernel"));
  }
  if (!options.trace_file.empty()) {
    TraceFilter all;
    all.kernel = options.trace_kernel;
    auto file = SOLDER_TRY(FileTraceReader::open(options.trace_file));
    SOLDER_TRY_STATUS(server->tracer_->subscribe(std::move(all), std::move(file)));
  }
  if (!options.socket.empty())
    server->socket_ = SOLDER_TRY(host::LineServer::listen("--control " + options.socket, options.socket, *server));
  if (server->socket_) SOLDER_TRY_STATUS(server->socket_->start());
  return server;
}

Server::~Server() {
  // The tracer's thread sends to the socket, and the socket's thread asks the tracer: first the one that answers.
  tracer_->close();
  {
    const std::lock_guard guard(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  // Before the pointer goes: a request that is being answered sends its reply through it.
  if (socket_) socket_->stop();
  socket_.reset();
}

void Server::machine_starts(machine::Machine& machine, machine::Control& control) {
  const std::lock_guard guard(mutex_);
  machine_ = &machine;
  control_ = &control;
  ++starts_;
  paused_ = false;
  tracer_->attach(machine);
}

void Server::machine_stops(machine::Machine& machine) {
  (void)machine;
  const std::lock_guard guard(mutex_);
  dirty_.machine_stops();
  machine_ = nullptr;
  control_ = nullptr;
}

void Server::machine_goes(machine::Machine& machine) {
  (void)machine;
  tracer_->detach();
}

void Server::irqchip_moved(const Status& status) {
  const std::lock_guard guard(mutex_);
  moved_ = status;
  if (status) {
    paused_ = true;
    --starts_;  // the guest has not been started anew
  }
  changed_.notify_all();
}

void Server::line(Client client, std::string_view text) {
  if (text.find_first_not_of(" \t") == std::string_view::npos) return;
  auto request = Request::parse(text);
  Json reply;
  if (request) {
    auto answered = answer(client, *request);
    if (answered) {
      reply = std::move(*answered);
      reply["ok"] = true;
    } else {
      reply = error_reply(answered.error());
    }
    if (!request->id().is_null()) reply["id"] = request->id();
  } else {
    reply = error_reply(request.error());
  }
  socket_->send(client, dump(reply));
  if (after_) std::exchange(after_, {})();
}

void Server::line_too_long(Client client) {
  socket_->send(client, dump(error_reply({"request", "this line is too long: it was not read", "send less at once"})));
}

void Server::gone(Client client) {
  end_trace(client);
}

Result<Json> Server::answer(Client client, const Request& request) {
  struct Entry {
    std::string_view name;
    Result<Json> (Server::*answer)(const Request&);
  };
  static constexpr std::array kEntries = {
      Entry{"status", &Server::status},       Entry{"irq", &Server::irq},     Entry{"tree", &Server::tree},
      Entry{"explain", &Server::explain},     Entry{"pause", &Server::pause}, Entry{"resume", &Server::resume},
      Entry{"powerdown", &Server::powerdown}, Entry{"reset", &Server::reset}, Entry{"quit", &Server::quit},
      Entry{"read", &Server::read},           Entry{"write", &Server::write}, Entry{"dirty", &Server::dirty},
      Entry{"memory", &Server::memory},
  };
  // Without the lock: the tracer outlives machines, and ends a trace without asking for one.
  if (request.name() == "trace-stop") return trace_stop(client, request);
  if (request.name() == "irqchip") return irqchip(request);
  const std::lock_guard guard(mutex_);
  if (machine_ == nullptr) return fail("", "the machine is starting, restarting or ending", "ask again");
  if (request.name() == "trace") return trace(client, request);
  for (const Entry& entry : kEntries)
    if (entry.name == request.name()) return (this->*entry.answer)(request);
  std::string known;
  for (const Entry& entry : kEntries) known += fmt::format("{}, ", entry.name);
  return fail("do", fmt::format("there is no request \"{}\"", request.name().substr(0, 100)),
              "there are: " + known + "irqchip, trace, trace-stop");
}

Result<Json> Server::status(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  Json reply = machine_report(*machine_);
  reply["accelerator"] = {{"name", options_.accelerator}, {"reason", options_.reason}};
  reply["paused"] = paused_;
  reply["starts"] = starts_;
  return reply;
}

Result<Json> Server::irq(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  return interrupt_report(*machine_);
}

Result<Json> Server::memory(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  return memory_report(*machine_);
}

Result<Json> Server::tree(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  const auto guest = machine::make_guest_tree(machine_->tree(), machine_->plan());
  return Json{{"dts", tree::print_dts(*guest)}};
}

Result<Json> Server::explain(const Request& request) {
  SOLDER_TRY_STATUS(request.only({"node"}));
  const std::string name = SOLDER_TRY(request.text("node"));
  const tree::Node* node = SOLDER_TRY(find_node(machine_->tree(), name));
  return Json{{"text", machine::explain(*machine_, *node)}};
}

Result<Json> Server::pause(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  if (!paused_) {
    machine_->fabric().cpus.pause();
    machine::pause_time(*machine_);
  }
  paused_ = true;
  return Json{{"uptime_ns", machine_->fabric().clock.now()}};
}

Result<Json> Server::resume(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  if (paused_) {
    machine::resume_time(*machine_);
    machine_->fabric().cpus.resume();
  }
  paused_ = false;
  return Json{{"uptime_ns", machine_->fabric().clock.now()}};
}

// Another machine takes the place of this one meanwhile, so the lock is not held.
Result<Json> Server::irqchip(const Request& request) {
  SOLDER_TRY_STATUS(request.only({"mode"}));
  const std::string mode = SOLDER_TRY(request.text("mode"));
  std::unique_lock lock(mutex_);
  if (machine_ == nullptr) return fail("", "the machine is starting, restarting or ending", "ask again");
  if (!paused_) return fail("irqchip", "the machine is running", "pause it first");
  moved_.reset();
  control_->request_irqchip(mode);
  changed_.wait(lock, [&] { return moved_ || ending_; });
  if (!moved_) return fail("irqchip", "the machine has ended");
  SOLDER_TRY_STATUS(*moved_);
  return Json{{"mode", mode}};
}

Result<Json> Server::powerdown(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  if (!machine_->press_power_button())
    return fail("powerdown", "the machine has no power button: no device of its tree passes it on",
                "add one (gpio-keys with linux,code = <116>), or use quit");
  return done();
}

Result<Json> Server::reset(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  control_->request_reset();
  return done();
}

Result<Json> Server::quit(const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  control_->request_quit();
  return done();
}

Result<memory::AddressSpace*> Server::space(const Request& request) {
  const std::string name = SOLDER_TRY(request.text("space", "memory"));
  if (name == "memory") return &machine_->fabric().memory;
  if (name == "ports") return &machine_->fabric().io_ports;
  return fail("space", fmt::format("there is no address space \"{}\"", name.substr(0, 100)),
              R"(use "memory" or "ports")");
}

// An access from here finds nothing where the host's kernel answers the CPUs.
Status Server::check_reachable(const memory::AddressSpace& space, u64 address, u64 size) const {
  const u64 last = size - 1 > ~address ? ~u64{0} : address + (size - 1);
  for (const memory::FlatRange& range : space.map().ranges()) {
    if (range.start > last || range.start + (range.size - 1) < address ||
        !machine::answered_by_kernel(*machine_, range))
      continue;
    return fail("address",
                fmt::format("{} is at {:#x}: it lives in KVM, which answers the CPUs only", *range.name, range.start),
                "trace --kernel shows their accesses; a paused machine's controllers can be moved here: irqchip user");
  }
  return {};
}

Result<Json> Server::read(const Request& request) {
  SOLDER_TRY_STATUS(request.only({"address", "bytes", "width", "space"}));
  if (!request.has("address")) return fail("address", "is missing");
  const u64 address = SOLDER_TRY(request.number("address", 0));
  const memory::AddressSpace& from = *SOLDER_TRY(space(request));
  if (const u64 width = SOLDER_TRY(request.number("width", 0, 8)); width != 0) {
    if (request.has("bytes")) return fail("bytes", "is given, and width too", "leave one out");
    if ((width & (width - 1)) != 0) return fail("width", "is not 1, 2, 4 or 8");
    SOLDER_TRY_STATUS(check_reachable(from, address, width));
    const auto access = from.load(address, static_cast<unsigned>(width));
    if (!access.ok) return fail("address", fmt::format("nothing is at {:#x}, or not {} bytes of it", address, width));
    return Json{{"value", fmt::format("{:#x}", access.value)}};
  }
  std::vector<u8> bytes(SOLDER_TRY(request.number("bytes", 1, kMostBytes)));
  SOLDER_TRY_STATUS(check_reachable(from, address, bytes.size()));
  if (!from.read(address, bytes.data(), bytes.size()))
    return fail("address", fmt::format("not all of {} bytes from {:#x} are there", bytes.size(), address));
  return Json{{"data", to_hex(bytes)}};
}

Result<Json> Server::write(const Request& request) {
  SOLDER_TRY_STATUS(request.only({"address", "data", "width", "value", "space"}));
  if (!request.has("address")) return fail("address", "is missing");
  if (request.has("data") == request.has("value"))
    return fail("data", "is needed, or value and width, and not both", R"("data": "0102", or "width": 4, "value": 1)");
  const u64 address = SOLDER_TRY(request.number("address", 0));
  const memory::AddressSpace& to = *SOLDER_TRY(space(request));
  if (request.has("value")) {
    const u64 width = SOLDER_TRY(request.number("width", 0, 8));
    if (width == 0 || (width & (width - 1)) != 0) return fail("width", "is not 1, 2, 4 or 8");
    SOLDER_TRY_STATUS(check_reachable(to, address, width));
    const u64 value = SOLDER_TRY(request.number("value", 0, width == 8 ? ~u64{0} : (u64{1} << (8 * width)) - 1));
    if (!to.store(address, static_cast<unsigned>(width), value))
      return fail("address", fmt::format("nothing is at {:#x}, or not {} bytes of it", address, width));
    return done();
  }
  auto bytes = from_hex(SOLDER_TRY(request.text("data")));
  if (!bytes) return fail("data", bytes.error().what);
  if (bytes->size() > kMostBytes) return fail("data", fmt::format("is more than {} bytes", kMostBytes));
  SOLDER_TRY_STATUS(check_reachable(to, address, bytes->size()));
  if (!to.write(address, bytes->data(), bytes->size()))
    return fail("address", fmt::format("not all of {} bytes from {:#x} can be written", bytes->size(), address));
  return done();
}

Status Server::check_kernel_trace(const char* option) const {
  if (options_.accelerator == "kvm") return {};
  return fail(option,
              fmt::format("the machine runs under the accelerator {}: KVM's tracepoints say nothing of it",
                          options_.accelerator),
              "leave it out, or use --accel kvm");
}

Result<Json> Server::dirty(const Request& request) {
  return dirty_.answer(*machine_, request);
}

Result<Json> Server::trace(Client client, const Request& request) {
  SOLDER_TRY_STATUS(request.only({"nodes", "count", "reads", "writes", "kernel"}));
  TraceFilter filter;
  for (const std::string& name : SOLDER_TRY(request.texts("nodes")))
    filter.nodes.push_back(SOLDER_TRY(find_node(machine_->tree(), name))->path());
  // Of the root all are below.
  std::erase_if(filter.nodes, [](const std::string& path) { return path.empty() || path == "/"; });
  filter.reads = SOLDER_TRY(request.flag("reads", true));
  filter.writes = SOLDER_TRY(request.flag("writes", true));
  filter.kernel = SOLDER_TRY(request.flag("kernel", false));
  if (filter.kernel) SOLDER_TRY_STATUS(check_kernel_trace("kernel"));
  const u64 count = SOLDER_TRY(request.number("count", 0));
  end_trace(client);
  Json reply = {{"nodes", filter.nodes},
                {"kernel", filter.kernel ? "the kernel's tracepoints of KVM are merged in" : Tracer::kernel_trace()}};
  auto reader = std::make_unique<SocketTraceReader>(*socket_, client, count);
  traces_[client] = SOLDER_TRY(tracer_->subscribe(std::move(filter), std::move(reader)));
  return reply;
}

Result<Json> Server::trace_stop(Client client, const Request& request) {
  SOLDER_TRY_STATUS(request.only({}));
  end_trace(client);
  return done();
}

void Server::end_trace(Client client) {
  const auto it = traces_.find(client);
  if (it == traces_.end()) return;
  tracer_->unsubscribe(it->second);
  traces_.erase(it);
}

}  // namespace solder::control
