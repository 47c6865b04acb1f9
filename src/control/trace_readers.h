/// Who reads a trace: a file, a client of the control socket.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "control/trace.h"
#include "host/line_server.h"

namespace solder::control {

/// Lines of text into a file (--trace).
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
  void flush() override;

 private:
  FileTraceReader(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::FILE* file_;
  std::string path_;
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
