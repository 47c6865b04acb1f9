/// Eventfds that this process waits for itself, because their interrupt does not end in the kernel.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::interrupt {

/// One thread for all descriptors of a table.
class EventSources {
 public:
  EventSources();
  ~EventSources();
  EventSources(const EventSources&) = delete;
  EventSources& operator=(const EventSources&) = delete;
  /// Calls `handler` with the number of events whenever `fd` has some. Descriptors are read here and stay the caller's.
  /// Errors: `fd` has a handler, which stays; the kernel refuses to wait for it.
  [[nodiscard]] Status add(int fd, std::function<void(u64 events)> handler);
  /// After this the handler neither runs nor starts. Not from a handler.
  void remove(int fd);

 private:
  void run();
  std::mutex mutex_;  // held while a handler runs
  std::map<int, std::function<void(u64)>> handlers_;
  UniqueFd epoll_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace solder::interrupt
