#include "host/service_thread.h"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace solder::host {

Result<std::thread> start_service_thread(const std::string& name, std::function<void()> body) {
  // A thread inherits its mask.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  Result<std::thread> thread = [&]() -> Result<std::thread> {
    try {
      return std::thread(std::move(body));
    } catch (const std::system_error& error) {
      return fail(name, std::string("cannot start its thread: ") + error.what(),
                  "raise the limit of processes (ulimit -u)");
    }
  }();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (thread) ::pthread_setname_np(thread->native_handle(), name.c_str());
  return thread;
}

}  // namespace solder::host
