/// Who reads a trace: a file, a client of the control socket.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "control/trace.h"
#include "host/line_server.h"

namespace solder::control {

/// Lines of text into a file (--trace), which may be a pipe or a terminal: one that does not take them keeps nobody
/// waiting. What finds no room meanwhile is missing, and the trace says how much. A file that cannot be written ends
/// the trace, with a warning.
class FileTraceReader final : public TraceReader {
 public:
  /// Errors: the file cannot be written.
  [[nodiscard]] static Result<std::unique_ptr<TraceReader>> open(const std::string& path);
  ~FileTraceReader() override;
  FileTraceReader(const FileTraceReader&) = delete;
  FileTraceReader& operator=(const FileTraceReader&) = delete;
  bool record(const TraceRecord& record) override;
  bool kernel(const KernelRecord& record) override;
  bool dropped(u64 count) override;
  bool flush() override;

 private:
  FileTraceReader(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  bool line(std::string_view text);
  void say_lost();
  void write();
  void give_up(std::string_view reason);
  [[nodiscard]] usize pending() const { return waiting_.size() - written_; }
  UniqueFd file_;
  std::string path_;
  std::string waiting_;  // lines that the file has not taken
  usize written_ = 0;    // of them
  u64 too_fast_ = 0;     // not yet said
  u64 unread_ = 0;       // not yet said
  bool failed_ = false;
};

/// Objects to a client, and {"event": "trace-end"} after `count` of them (0: never). What a client does not read is
/// dropped, and it is told how much.
class SocketTraceReader final : public TraceReader {
 public:
  SocketTraceReader(host::LineServer& socket, host::LineServer::Client client, u64 count)
      : socket_(socket), client_(client), count_(count) {}
  bool record(const TraceRecord& record) override;
  bool kernel(const KernelRecord& record) override;
  bool dropped(u64 count) override;

 private:
  bool say_lost();
  bool offer(const nlohmann::json& line);
  host::LineServer& socket_;
  host::LineServer::Client client_;
  u64 count_;
  u64 sent_ = 0;
  u64 lost_ = 0;  // not yet said
  u64 all_lost_ = 0;
};

}  // namespace solder::control
