/// A machine of the built-in arm64 board with the test accelerator's CPUs, run as `solder run` does, and clients.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "accel/test/bench.h"
#include "control/client.h"
#include "control/server.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"

namespace solder::control::testing {

/// A directory that goes with its user.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "solder-control.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The run, on a thread of its own, and a client of its socket.
class Running {
 public:
  explicit Running(const std::string& trace_file = {}) {
    auto tree = machine::compose_machine({});
    EXPECT_TRUE(tree);
    machine::Shorthand shorthand;
    shorthand.console = "null";
    shorthand.cpus = 2;
    auto edited = machine::apply_shorthand(std::move(*tree), shorthand);
    EXPECT_TRUE(edited) << edited.error().text();
    tree_ = std::move(*edited);
    auto server = Server::create({directory.file("socket"), trace_file, "test", "test: for a test"});
    EXPECT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    thread_ = std::thread([this] { run(); });
    auto connected = SocketClient::connect(directory.file("socket"));
    EXPECT_TRUE(connected);
    client.emplace(std::move(*connected));
    // The machine comes up on its own thread; its first CPU halts when all is there.
    while (true) {
      const auto status = client->ask({{"do", "status"}});
      if (status && (*status)["cpus"][0]["state"] == "halted") break;
      std::this_thread::yield();
    }
  }
  ~Running() {
    if (!ended_) (void)client->ask({{"do", "quit"}});
    thread_.join();
    server_.reset();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  Json ask(const Json& request) {
    auto reply = client->ask(request);
    EXPECT_TRUE(reply) << reply.error().text();
    return reply ? *reply : Json::object();
  }
  Error refuse(const Json& request) {
    auto reply = client->ask(request);
    EXPECT_FALSE(reply) << dump(request);
    return reply ? Error{} : reply.error();
  }
  machine::EndReason end() {
    ended_ = true;
    return result_.get_future().get();
  }

  Directory directory;
  std::optional<SocketClient> client;

 private:
  void run() {
    machine::RunOptions options;
    options.watcher = server_.get();
    const auto end = machine::run_machine(
        *tree_, [] { return Result<std::unique_ptr<cpu::Accelerator>>(std::make_unique<accel::test::TestBench>()); },
        options);
    EXPECT_TRUE(end) << end.error().text();
    result_.set_value(end ? end->reason : machine::EndReason::fault);
  }

  std::unique_ptr<tree::Tree> tree_;
  std::unique_ptr<Server> server_;
  std::promise<machine::EndReason> result_;
  bool ended_ = false;
  std::thread thread_;
};

/// A client that sends what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  void send(const std::string& bytes) const {
    for (usize at = 0; at < bytes.size();) {
      const ssize_t n = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      at += static_cast<usize>(n);
    }
  }
  /// What fits without waiting.
  void flood(const std::string& bytes) const {
    while (::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
    }
  }
  std::string line() {
    std::string out;
    char c = 0;
    while (::recv(fd_.get(), &c, 1, 0) == 1 && c != '\n') out += c;
    return out;
  }
  void end_sending() const { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  UniqueFd fd_;
};

}  // namespace solder::control::testing
