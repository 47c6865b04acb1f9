#include "accel/test/socket.h"

namespace solder::accel::test {

Result<std::shared_ptr<TestSocket>> TestSocket::open(const std::string& path) {
  std::shared_ptr<TestSocket> out(new TestSocket);
  out->socket_ = SOLDER_TRY(host::LineServer::listen("--accel test=unix:" + path, path, *out));
  SOLDER_TRY_STATUS(out->socket_->start());
  return out;
}

TestSocket::~TestSocket() {
  {
    const std::lock_guard guard(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  socket_.reset();
}

void TestSocket::bench_starts(TestBench& bench) {
  const std::lock_guard guard(mutex_);
  bench_ = &bench;
  changed_.notify_all();
}

void TestSocket::bench_stops(TestBench& bench) {
  bench.interrupt_wait();
  const std::lock_guard guard(mutex_);
  if (bench_ == &bench) bench_ = nullptr;
}

void TestSocket::line(host::LineServer::Client client, std::string_view text) {
  if (text.empty()) return;
  std::unique_lock lock(mutex_);
  // Between two machines a command waits for the next one.
  changed_.wait(lock, [this] { return bench_ != nullptr || closing_; });
  if (bench_ == nullptr) {
    socket_->send(client, "ERR the machine has ended");
    return;
  }
  const std::string answer = bench_->execute(text);
  // What comes after a reset is for the machine after it.
  if (bench_->ending()) bench_ = nullptr;
  socket_->send(client, answer);
}

void TestSocket::line_too_long(host::LineServer::Client client) {
  socket_->send(client, "ERR the line is too long");
}

}  // namespace solder::accel::test
