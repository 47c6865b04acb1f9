/// Commands for a bench from a Unix socket: a line each, answered by a line. It stays when the machine is reset.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "accel/test/bench.h"
#include "host/line_server.h"

namespace solder::accel::test {

class TestSocket final : public Commander, private host::LineServer::Handler {
 public:
  /// Errors: the socket cannot be had.
  [[nodiscard]] static Result<std::shared_ptr<TestSocket>> open(const std::string& path);
  ~TestSocket() override;

  void bench_starts(TestBench& bench) override;
  void bench_stops(TestBench& bench) override;

 private:
  TestSocket() = default;
  void line(host::LineServer::Client client, std::string_view text) override;
  void line_too_long(host::LineServer::Client client) override;

  std::mutex mutex_;  // held while a command runs
  std::condition_variable changed_;
  TestBench* bench_ = nullptr;
  bool closing_ = false;
  std::unique_ptr<host::LineServer> socket_;
};

}  // namespace solder::accel::test
