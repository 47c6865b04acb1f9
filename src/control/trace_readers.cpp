#include "control/trace_readers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "control/request.h"
#include "control/trace_text.h"

namespace solder::control {

namespace {

// For a file that takes nothing: some ten thousand lines, more than what a few CPUs' full rings make at once.
constexpr usize kMostWaiting = 4_MiB;
// At the end, for a reader that is slow, but reads.
constexpr auto kLastWait = std::chrono::seconds(1);

/// A pipe that nobody reads any more must not end the run: while this lives, its thread hears no SIGPIPE.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    constexpr timespec kNoWait{};
    while (::sigtimedwait(&pipe_, nullptr, &kNoWait) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
};

}  // namespace

Result<std::unique_ptr<TraceReader>> FileTraceReader::open(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  // After it is open: a named pipe waits for its reader to come. Then a reader that stops must not stop the machine.
  if (!file || ::fcntl(file.get(), F_SETFL, O_NONBLOCK) != 0)
    return fail("--trace " + path, fmt::format("cannot be written: {}", std::strerror(errno)));
  return std::unique_ptr<TraceReader>(new FileTraceReader(std::move(file), path));
}

FileTraceReader::~FileTraceReader() {
  if (!failed_) say_lost();
  const auto end = std::chrono::steady_clock::now() + kLastWait;
  for (write(); pending() > 0; write()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      give_up("its reader does not take the rest");
      break;
    }
    pollfd room{file_.get(), POLLOUT, 0};
    ::poll(&room, 1, static_cast<int>(left));
  }
}

bool FileTraceReader::record(const TraceRecord& record) {
  return line(trace_text(record));
}

bool FileTraceReader::kernel(const KernelRecord& record) {
  return line(kernel_text(record));
}

bool FileTraceReader::dropped(u64 count) {
  too_fast_ += count;
  return !failed_;
}

bool FileTraceReader::flush() {
  if (failed_) return false;
  if (pending() < kMostWaiting) say_lost();
  write();
  return !failed_;
}

bool FileTraceReader::line(std::string_view text) {
  if (pending() >= kMostWaiting) write();
  if (failed_) return false;
  if (pending() >= kMostWaiting) {
    ++unread_;
    return true;
  }
  say_lost();
  waiting_ += text;
  waiting_ += '\n';
  return true;
}

void FileTraceReader::say_lost() {
  if (too_fast_ != 0) waiting_ += fmt::format("({} accesses were too fast for the trace and are missing)\n", too_fast_);
  if (unread_ != 0) waiting_ += fmt::format("({} lines were not read in time and are missing)\n", unread_);
  too_fast_ = unread_ = 0;
}

// What the file takes now.
void FileTraceReader::write() {
  if (pending() == 0) return;
  const NoPipeSignal quiet;
  while (pending() > 0) {
    const ssize_t n = ::write(file_.get(), waiting_.data() + written_, pending());
    if (n > 0) {
      written_ += static_cast<usize>(n);
    } else if (n == 0 || errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return give_up(std::strerror(errno));
    }
  }
  if (pending() == 0 || written_ > waiting_.size() / 2) {
    waiting_.erase(0, written_);
    written_ = 0;
  }
}

void FileTraceReader::give_up(std::string_view reason) {
  log::warn(fmt::format("--trace {}: {}; the trace is not complete", path_, reason));
  failed_ = true;
  waiting_.clear();
  written_ = 0;
}

bool SocketTraceReader::say_lost() {
  if (lost_ == 0) return true;
  if (!socket_.offer(client_, dump({{"event", "dropped"}, {"count", lost_}}))) return false;
  lost_ = 0;
  return true;
}

bool SocketTraceReader::record(const TraceRecord& record) {
  return offer(trace_json(record));
}

bool SocketTraceReader::kernel(const KernelRecord& record) {
  return offer(kernel_json(record));
}

bool SocketTraceReader::offer(const nlohmann::json& line) {
  if (!say_lost() || !socket_.offer(client_, dump(line))) {
    ++lost_;
    ++all_lost_;
    return true;
  }
  if (++sent_ != count_) return true;
  socket_.send(client_, dump({{"event", "trace-end"}, {"records", sent_}, {"dropped", all_lost_}}));
  return false;
}

bool SocketTraceReader::dropped(u64 count) {
  lost_ += count;
  all_lost_ += count;
  say_lost();
  return true;
}

}  // namespace solder::control
