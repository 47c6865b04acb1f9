#include "host/chardev_terminal.h"

#include <signal.h>
#include <termios.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace solder::host {
namespace {

// A process has one controlling terminal, and a signal handler can reach only what is static: hence this state. It is
// written before `raw` is set and read after it was seen set.
termios saved_mode;
int terminal = -1;
std::atomic<bool> raw{false};

void on_fatal_signal(int number) {
  leave_raw_mode();
  // SA_RESETHAND has put the default action back: the signal now ends the process as it would have.
  ::raise(number);
}

void watch_exits() {
  std::atexit(leave_raw_mode);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    struct sigaction before {};
    // Who has a handler already ends in exit or abort, which restore as well.
    if (::sigaction(number, nullptr, &before) != 0 || (before.sa_flags & SA_SIGINFO) != 0 ||
        before.sa_handler != SIG_DFL) {
      continue;
    }
    struct sigaction action {};
    action.sa_handler = on_fatal_signal;
    action.sa_flags = SA_RESETHAND | SA_NODEFER;
    ::sigaction(number, &action, nullptr);
  }
}

}  // namespace

Status enter_raw_mode(int fd) {
  if (raw) return fail("--console stdio", "another console uses the terminal", "give only one console stdio");
  if (::tcgetattr(fd, &saved_mode) != 0) {
    return fail("--console stdio", std::string("cannot read the terminal's mode: ") + std::strerror(errno));
  }
  terminal = fd;
  static const bool watching = (watch_exits(), true);
  (void)watching;
  termios mode = saved_mode;
  ::cfmakeraw(&mode);
  mode.c_oflag |= OPOST;
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  raw = true;
  if (::tcsetattr(fd, TCSANOW, &mode) != 0) {
    raw = false;
    return fail("--console stdio", std::string("cannot set the terminal to raw mode: ") + std::strerror(errno));
  }
  return {};
}

void leave_raw_mode() {
  if (!raw.exchange(false)) return;
  const int error = errno;
  ::tcsetattr(terminal, TCSANOW, &saved_mode);
  errno = error;
}

}  // namespace solder::host
