#include "control/trace_readers.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "control/request.h"
#include "control/trace_text.h"

namespace solder::control {

Result<std::unique_ptr<TraceReader>> FileTraceReader::open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return fail("--trace " + path, fmt::format("cannot be written: {}", std::strerror(errno)));
  return std::unique_ptr<TraceReader>(new FileTraceReader(file, path));
}

FileTraceReader::~FileTraceReader() {
  std::fclose(file_);
}

bool FileTraceReader::record(const TraceRecord& record) {
  fmt::print(file_, "{}\n", trace_text(record));
  return true;
}

bool FileTraceReader::kernel(const KernelRecord& record) {
  fmt::print(file_, "{}\n", kernel_text(record));
  return true;
}

bool FileTraceReader::dropped(u64 count) {
  fmt::print(file_, "({} accesses were too fast for the trace and are missing)\n", count);
  return true;
}

void FileTraceReader::flush() {
  if (std::fflush(file_) == 0 || path_.empty()) return;
  log::warn(fmt::format("--trace {}: {}; the trace is not complete", path_, std::strerror(errno)));
  path_.clear();  // said once
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
