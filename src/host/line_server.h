/// A Unix stream socket that serves lines of text to many clients, on a thread of its own. Clients are not trusted:
/// lines, queued replies and clients are bounded, and one that does not read keeps nobody waiting.
#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::host {

class LineServer {
 public:
  /// A connection; never reused.
  using Client = u64;

  struct Limits {
    usize line = 128_KiB;     ///< bytes of a client's line
    usize pending = 256_KiB;  ///< unread bytes from which on a client is neither heard nor offered anything
    usize clients = 32;       ///< more wait in the backlog
  };
  /// Called on the server's thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    /// A line, without its end.
    virtual void line(Client client, std::string_view text) = 0;
    /// A line was longer than `Limits::line`: it is dropped.
    virtual void line_too_long(Client client) = 0;
    virtual void gone(Client client) { (void)client; }
  };

  /// Listens at `path`, readable and writable for the user alone; a socket file that nobody listens on is replaced.
  /// `where` is the option, for errors: the path is too long, is a file, someone listens there already, or the host
  /// says no. Nobody is served before `start`. `handler` outlives the server.
  [[nodiscard]] static Result<std::unique_ptr<LineServer>> listen(const std::string& where, const std::string& path,
                                                                  Handler& handler, Limits limits);
  [[nodiscard]] static Result<std::unique_ptr<LineServer>> listen(const std::string& where, const std::string& path,
                                                                  Handler& handler);
  /// Errors: the host has no thread left.
  [[nodiscard]] Status start();
  /// Serves nobody any more when it returns: no handler runs. What handlers have answered is still sent, at the end.
  void stop();
  /// Stops, sends what clients take without waiting, closes, and removes the socket's file unless it is another by now.
  ~LineServer();
  LineServer(const LineServer&) = delete;
  LineServer& operator=(const LineServer&) = delete;

  /// Queues a line (the end is added): an answer. Any thread.
  void send(Client client, std::string_view line);
  /// The same for what nobody asked for: false when the client is gone or does not read, and then nothing is sent.
  bool offer(Client client, std::string_view line);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Peer {
    UniqueFd fd;
    std::string input;      // the server's thread only
    bool skipping = false;  // the rest of a line that was too long
    bool ended = false;     // it sends no more
    bool broken = false;
    std::string output;  // under mutex_
    usize sent = 0;      // of output
    [[nodiscard]] usize pending() const { return output.size() - sent; }
  };
  LineServer(UniqueFd listener, UniqueFd wake, std::string path, Handler& handler, Limits limits);
  void loop();
  void accept_one();
  void receive(Client client, Peer& peer);
  void take_lines(Client client, Peer& peer);
  static void flush(Peer& peer);
  void queue(Peer& peer, std::string_view line);
  void wake() const;

  UniqueFd listener_;
  UniqueFd wake_;
  std::string path_;
  struct stat file_ {};
  Handler& handler_;
  Limits limits_;
  Client next_ = 1;
  bool stopping_ = false;  // under mutex_
  std::mutex mutex_;
  std::map<Client, Peer> peers_;  // changed by the server's thread alone, under mutex_
  std::thread thread_;
};

}  // namespace solder::host
