#include "host/line_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "host/service_thread.h"

namespace solder::host {

namespace {

std::string host_error(const char* what) {
  return std::string(what) + ": " + std::strerror(errno);
}

/// Whether `address` is a socket file that nobody listens on any more.
bool is_stale(const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  // Non-blocking: a listener with a full backlog is there, but would keep us waiting.
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<std::unique_ptr<LineServer>> LineServer::listen(const std::string& where, const std::string& path,
                                                       Handler& handler) {
  return listen(where, path, handler, Limits{});
}

Result<std::unique_ptr<LineServer>> LineServer::listen(const std::string& where, const std::string& path,
                                                       Handler& handler, Limits limits) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return fail(where, "a socket needs a path", "give it one");
  // The file appears under its name when the socket listens, not before: who waits for it can connect at once.
  const std::string unready = path + "~";
  if (unready.size() >= sizeof address.sun_path)
    return fail(where, "the path is too long for a socket", "use one of at most 106 characters");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return fail(where, host_error("cannot make a socket"));
  // The file takes its mode from the socket: there is no moment in which others could connect.
  if (::fchmod(listener.get(), 0600) != 0) return fail(where, host_error("cannot make the socket private"));
  if (is_stale(address)) ::unlink(address.sun_path);
  std::memcpy(address.sun_path, unready.c_str(), unready.size() + 1);
  if (is_stale(address)) ::unlink(address.sun_path);
  const auto refused = [&] {
    return fail(where, host_error("cannot listen there"),
                errno == EADDRINUSE || errno == EEXIST
                    ? "another program listens there, or it is a file: choose another path"
                    : "");
  };
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return refused();
  const bool listens = ::listen(listener.get(), 16) == 0;
  const bool named = listens && ::link(unready.c_str(), path.c_str()) == 0;
  const int error = errno;
  ::unlink(unready.c_str());
  errno = error;
  if (!named) return refused();
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(where, host_error("no eventfd"));
  return std::unique_ptr<LineServer>(new LineServer(std::move(listener), std::move(wake), path, handler, limits));
}

LineServer::LineServer(UniqueFd listener, UniqueFd wake, std::string path, Handler& handler, Limits limits)
    : listener_(std::move(listener)),
      wake_(std::move(wake)),
      path_(std::move(path)),
      handler_(handler),
      limits_(limits) {
  ::lstat(path_.c_str(), &file_);
}

Status LineServer::start() {
  thread_ = SOLDER_TRY(start_service_thread("control", [this] { loop(); }));
  return {};
}

void LineServer::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
}

LineServer::~LineServer() {
  stop();
  for (auto& [client, peer] : peers_) flush(peer);
  struct stat now {};
  if (::lstat(path_.c_str(), &now) == 0 && now.st_ino == file_.st_ino && now.st_dev == file_.st_dev)
    ::unlink(path_.c_str());
}

void LineServer::wake() const {
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void LineServer::flush(Peer& peer) {
  while (!peer.broken && peer.pending() > 0) {
    const ssize_t n =
        ::send(peer.fd.get(), peer.output.data() + peer.sent, peer.pending(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      peer.sent += static_cast<usize>(n);
    } else if (errno != EINTR) {
      peer.broken = errno != EAGAIN;
      break;
    }
  }
  if (peer.broken || peer.pending() == 0) {
    peer.output.clear();
    peer.sent = 0;
  } else if (peer.sent > peer.output.size() / 2) {
    peer.output.erase(0, peer.sent);
    peer.sent = 0;
  }
}

void LineServer::queue(Peer& peer, std::string_view line) {
  const bool unheard = peer.pending() > limits_.pending;
  peer.output += line;
  peer.output += '\n';
  flush(peer);
  // The server's thread waits for room, hears the client again, or drops one that is gone.
  if (peer.broken || unheard || peer.pending() > 0) wake();
}

void LineServer::send(Client client, std::string_view line) {
  const std::lock_guard guard(mutex_);
  if (const auto it = peers_.find(client); it != peers_.end() && !it->second.broken) queue(it->second, line);
}

bool LineServer::offer(Client client, std::string_view line) {
  const std::lock_guard guard(mutex_);
  const auto it = peers_.find(client);
  if (it == peers_.end() || it->second.broken || it->second.pending() > limits_.pending) return false;
  queue(it->second, line);
  return true;
}

void LineServer::accept_one() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    // Out of descriptors: the connection stays in the backlog, and asking at once again would only burn time.
    if (errno != EAGAIN && errno != ECONNABORTED) ::usleep(10'000);
    return;
  }
  const std::lock_guard guard(mutex_);
  peers_[next_++].fd = std::move(fd);
}

void LineServer::receive(Client client, Peer& peer) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::recv(peer.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n > 0) {
    peer.input.append(buffer.data(), static_cast<usize>(n));
  } else if (n == 0) {
    peer.ended = true;
  } else if (errno != EINTR && errno != EAGAIN) {
    const std::lock_guard guard(mutex_);
    peer.broken = true;
  }
  take_lines(client, peer);
}

void LineServer::take_lines(Client client, Peer& peer) {
  usize at = 0;
  while (true) {
    {
      const std::lock_guard guard(mutex_);
      if (peer.broken || peer.pending() > limits_.pending) break;
    }
    const usize end = peer.input.find('\n', at);
    if (end == std::string::npos) {
      if (peer.skipping || peer.input.size() - at > limits_.line) {
        if (!peer.skipping) handler_.line_too_long(client);
        peer.skipping = true;
        at = peer.input.size();
      }
      break;
    }
    std::string_view text(peer.input.data() + at, end - at);
    at = end + 1;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (peer.skipping) {
      peer.skipping = false;
    } else if (text.size() > limits_.line) {
      handler_.line_too_long(client);
    } else {
      handler_.line(client, text);
    }
  }
  peer.input.erase(0, at);
}

void LineServer::loop() {
  std::vector<pollfd> fds;
  std::vector<Client> clients;
  while (true) {
    fds.assign({{wake_.get(), POLLIN, 0}, {-1, POLLIN, 0}});
    clients.clear();
    std::vector<Client> leaving;
    {
      const std::lock_guard guard(mutex_);
      if (stopping_) return;
      for (const auto& [client, peer] : peers_) {
        const bool heard = peer.ended && peer.input.find('\n') == std::string::npos;
        if (peer.broken || (heard && peer.pending() == 0)) {
          leaving.push_back(client);
          continue;
        }
        short events = 0;
        if (!peer.ended && peer.pending() <= limits_.pending) events |= POLLIN;
        if (peer.pending() > 0) events |= POLLOUT;
        // One that does not read is not heard; that it hung up is seen all the same.
        fds.push_back({peer.fd.get(), events, 0});
        clients.push_back(client);
      }
      if (clients.size() < limits_.clients) fds[1].fd = listener_.get();
    }
    for (const Client client : leaving) {
      handler_.gone(client);
      const std::lock_guard guard(mutex_);
      peers_.erase(client);
    }
    if (!leaving.empty()) continue;
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) {
      u64 count = 0;
      [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
    }
    if (fds[1].fd >= 0 && fds[1].revents != 0) accept_one();
    for (usize i = 0; i < clients.size(); ++i) {
      const short events = fds[i + 2].revents;
      Peer& peer = peers_.at(clients[i]);
      if ((events & (POLLOUT | POLLERR | POLLHUP)) != 0) {
        const std::lock_guard guard(mutex_);
        flush(peer);
        if ((events & (POLLERR | POLLHUP)) != 0 && peer.pending() > 0) peer.broken = true;
      }
      if ((events & (POLLIN | POLLHUP)) != 0 && !peer.ended) {
        receive(clients[i], peer);
      } else if ((events & POLLHUP) != 0) {
        // Both directions are closed: nobody is there to read.
        const std::lock_guard guard(mutex_);
        peer.broken = true;
      } else {
        take_lines(clients[i], peer);
      }
    }
  }
}

}  // namespace solder::host
