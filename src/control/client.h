/// The other end of the control socket, for `solder ctl`.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/request.h"

namespace solder::control {

class SocketClient {
 public:
  /// Errors: there is no such socket, or no machine listens on it.
  [[nodiscard]] static Result<SocketClient> connect(const std::string& path);
  /// Sends a request and waits for its reply. Errors: what the machine answers, and that it went.
  [[nodiscard]] Result<Json> ask(const Json& request);
  /// Waits for the next line; none: the machine is gone.
  [[nodiscard]] std::optional<Json> next();

 private:
  explicit SocketClient(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
  std::string input_;
};

}  // namespace solder::control
