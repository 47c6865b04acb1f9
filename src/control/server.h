/// The control socket of a run: requests are lines of JSON, and so are replies. docs/control.md is its reference.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "control/dirty.h"
#include "control/request.h"
#include "control/trace.h"
#include "host/line_server.h"
#include "machine/life_cycle.h"

namespace solder::control {

/// Lives as long as a run, across resets; `run_machine` tells it of each machine.
class Server final : public machine::RunWatcher, private host::LineServer::Handler {
 public:
  struct Options {
    std::string socket;         ///< --control; empty: none
    std::string trace_file;     ///< --trace: the whole trace from the start; empty: none
    std::string accelerator;    ///< its name
    std::string reason;         ///< why this one
    bool trace_kernel = false;  ///< --trace-kernel: KVM's tracepoints in the file too
  };
  /// Errors: a socket or a file that cannot be had.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(const Options& options);
  ~Server() override;

  // machine::RunWatcher
  void machine_starts(machine::Machine& machine, machine::Control& control) override;
  void machine_stops(machine::Machine& machine) override;
  void machine_goes(machine::Machine& machine) override;
  void irqchip_moved(const Status& status) override;

 private:
  using Client = host::LineServer::Client;
  explicit Server(Options options) : options_(std::move(options)) {}

  // host::LineServer::Handler
  void line(Client client, std::string_view text) override;
  void line_too_long(Client client) override;
  void gone(Client client) override;

  Result<Json> answer(Client client, const Request& request);
  Result<Json> status(const Request& request);
  Result<Json> irq(const Request& request);
  Result<Json> memory(const Request& request);
  Result<Json> tree(const Request& request);
  Result<Json> explain(const Request& request);
  Result<Json> pause(const Request& request);
  Result<Json> resume(const Request& request);
  Result<Json> powerdown(const Request& request);
  Result<Json> reset(const Request& request);
  Result<Json> quit(const Request& request);
  Status check_reachable(const memory::AddressSpace& space, u64 address, u64 size) const;
  Result<Json> read(const Request& request);
  Result<Json> write(const Request& request);
  Result<Json> dirty(const Request& request);
  Result<Json> irqchip(const Request& request);
  Result<Json> trace(Client client, const Request& request);
  Result<Json> trace_stop(Client client, const Request& request);
  [[nodiscard]] Status check_kernel_trace(const char* option) const;
  Result<memory::AddressSpace*> space(const Request& request);
  void end_trace(Client client);

  Options options_;
  // Held while a request is answered, so that the machine does not go meanwhile.
  std::mutex mutex_;
  machine::Machine* machine_ = nullptr;
  machine::Control* control_ = nullptr;
  u64 starts_ = 0;
  bool paused_ = false;
  DirtyWatch dirty_;
  bool ending_ = false;
  std::optional<Status> moved_;  // what became of the last irqchip
  std::condition_variable changed_;
  std::map<Client, Tracer::Id> traces_;  // the socket's thread only
  std::function<void()> after_;          // … what to do when the reply is on its way
  std::unique_ptr<host::LineServer> socket_;
  // Before the socket: its readers send there.
  std::unique_ptr<Tracer> tracer_;
};

}  // namespace solder::control
