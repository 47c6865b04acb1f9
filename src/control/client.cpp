#include "control/client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace solder::control {

Result<SocketClient> SocketClient::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(path, "the path is too long for a socket", "use one of at most 107 characters");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(path, fmt::format("cannot make a socket: {}", std::strerror(errno)));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED)
      return fail(path, "no machine listens there", fmt::format("start one with: solder run … --control {}", path));
    return fail(path, fmt::format("cannot connect: {}", std::strerror(error)),
                error == EACCES ? "the socket belongs to the user who started the machine" : "");
  }
  return SocketClient(std::move(fd), path);
}

Result<Json> SocketClient::ask(const Json& request) {
  const std::string line = dump(request) + "\n";
  for (usize at = 0; at < line.size();) {
    const ssize_t n = ::send(fd_.get(), line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (n > 0) {
      at += static_cast<usize>(n);
    } else if (errno != EINTR) {
      return fail(path_, "the machine ended before it could be asked");
    }
  }
  while (true) {
    const auto reply = next();
    if (!reply) return fail(path_, "the machine ended before it answered");
    if (!reply->contains("ok")) continue;  // a late event
    if (reply->value("ok", false)) return *reply;
    const Json error = reply->value("error", Json::object());
    return fail(error.value("where", ""), error.value("what", "the machine refuses"), error.value("fix", ""));
  }
}

std::optional<Json> SocketClient::next() {
  std::array<char, 16384> buffer;
  while (true) {
    if (const usize end = input_.find('\n'); end != std::string::npos) {
      Json json = Json::parse(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
      input_.erase(0, end + 1);
      if (json.is_object()) return json;
      continue;
    }
    const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) {
      input_.append(buffer.data(), static_cast<usize>(n));
    } else if (n == 0 || errno != EINTR) {
      return std::nullopt;
    }
  }
}

}  // namespace solder::control
