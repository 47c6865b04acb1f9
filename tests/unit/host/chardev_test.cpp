#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/unique_fd.h"
#include "host/chardev.h"

namespace solder::host {
namespace {

std::span<const u8> bytes_of(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

/// Collects what a backend delivers, taking at most `room` bytes until it is raised.
class Inbox {
 public:
  explicit Inbox(usize room = ~usize{0}) : room_(room) {}
  CharDevice::Receiver receiver() {
    return [this](std::span<const u8> bytes) {
      const std::lock_guard guard(mutex_);
      const usize taken = std::min(bytes.size(), room_);
      room_ -= taken;
      ++offers_;
      text_.append(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
      changed_.notify_all();
      return taken;
    };
  }
  void make_room(usize more) {
    const std::lock_guard guard(mutex_);
    room_ += more;
  }
  /// Waits until that much text came, and returns it.
  std::string wait(usize size) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return text_.size() >= size; });
    return text_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  usize room_;
  u32 offers_ = 0;
};

class ChardevTest : public ::testing::Test {
 protected:
  ChardevTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "solder-chardev-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
  }
  ~ChardevTest() override { std::filesystem::remove_all(directory); }
  std::filesystem::path directory;
};

std::string error_of(const std::string& text) {
  const auto made = open_chardev(text, {});
  return made.has_value() ? "none" : made.error().text();
}

TEST_F(ChardevTest, BadTextsSayWhatIsPossible) {
  EXPECT_NE(error_of("serial").find("stdio, file=PATH, pty, unix=PATH or null"), std::string::npos);
  EXPECT_NE(error_of("file").find("needs a path"), std::string::npos);
  EXPECT_NE(error_of("null=x").find("takes no value"), std::string::npos);
  EXPECT_NE(error_of("file=/nonexistent/x").find("No such file"), std::string::npos);
  EXPECT_NE(error_of("unix=" + std::string(200, 'x')).find("too long"), std::string::npos);
}

TEST_F(ChardevTest, FileTakesOutput) {
  const auto path = directory / "log";
  auto made = open_chardev("file=" + path.string(), {});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  (*made)->write(bytes_of("hello\n"));
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  EXPECT_EQ(line, "hello");
}

TEST_F(ChardevTest, PtySurvivesItsReaders) {
  auto made = open_chardev("pty", {});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  const std::string name = (*made)->describe().substr(4);
  Inbox inbox;
  (*made)->set_receiver(inbox.receiver());
  for (usize round = 1; round <= 2; ++round) {
    const UniqueFd user(::open(name.c_str(), O_RDWR | O_NOCTTY));
    ASSERT_TRUE(user);
    ASSERT_EQ(::write(user.get(), "in", 2), 2);
    EXPECT_EQ(inbox.wait(2 * round).size(), 2 * round);
    (*made)->write(bytes_of("out"));
    char buffer[8];
    EXPECT_EQ(::read(user.get(), buffer, sizeof buffer), 3);
  }
  (*made)->set_receiver({});
}

TEST_F(ChardevTest, PtyWithoutReaderDropsRatherThanBlocks) {
  auto made = open_chardev("pty", {});
  ASSERT_TRUE(made.has_value());
  const std::string much(1 << 20, 'x');
  (*made)->write(bytes_of(much));
}

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

TEST_F(ChardevTest, UnixClientsComeAndGo) {
  const std::string path = (directory / "sock").string();
  auto made = open_chardev("unix=" + path, {});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  (*made)->write(bytes_of("nobody hears this"));
  Inbox inbox;
  (*made)->set_receiver(inbox.receiver());
  for (usize round = 1; round <= 3; ++round) {
    const UniqueFd client = connect_to(path);
    ASSERT_TRUE(client);
    ASSERT_EQ(::write(client.get(), "abc", 3), 3);
    EXPECT_EQ(inbox.wait(3 * round).size(), 3 * round);
    (*made)->write(bytes_of("reply"));
    char buffer[16];
    EXPECT_EQ(::read(client.get(), buffer, sizeof buffer), 5);
  }
  EXPECT_NE(error_of("unix=" + path).find("another path"), std::string::npos);
  made->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ChardevTest, InputWaitsForRoom) {
  const std::string path = (directory / "sock").string();
  auto made = open_chardev("unix=" + path, {});
  ASSERT_TRUE(made.has_value());
  const UniqueFd client = connect_to(path);
  ASSERT_EQ(::write(client.get(), "0123456789", 10), 10);
  Inbox inbox(4);  // comes after the input, and takes part of it
  (*made)->set_receiver(inbox.receiver());
  EXPECT_EQ(inbox.wait(4), "0123");
  inbox.make_room(100);
  (*made)->ready();
  EXPECT_EQ(inbox.wait(10), "0123456789");
  (*made)->set_receiver({});
}

/// Runs `child` with a new terminal as its standard input and output; returns the child and the terminal's other side.
template <class F>
pid_t with_terminal(UniqueFd& master, F child) {
  int fd = -1;
  const pid_t pid = ::forkpty(&fd, nullptr, nullptr, nullptr);
  if (pid == 0) {
    child();
    ::_exit(99);
  }
  master = UniqueFd(fd);
  return pid;
}

bool is_raw(int fd) {
  termios mode{};
  ::tcgetattr(fd, &mode);
  return (mode.c_lflag & (ICANON | ECHO)) == 0;
}

void wait_for_output(int fd, std::string_view text) {
  std::string seen;
  char c = 0;
  while (seen.find(text) == std::string::npos && ::read(fd, &c, 1) == 1) seen += c;
}

TEST_F(ChardevTest, StdioKeysAndRestoredTerminal) {
  UniqueFd master;
  const pid_t pid = with_terminal(master, [] {
    std::mutex mutex;
    std::condition_variable changed;
    bool quit = false;
    Inbox inbox;
    {
      auto made = open_chardev("stdio", {.quit = [&] {
                                 const std::lock_guard guard(mutex);
                                 quit = true;
                                 changed.notify_all();
                               }});
      if (!made || !is_raw(0)) ::_exit(1);
      if (open_chardev("stdio", {})) ::_exit(2);
      (*made)->set_receiver(inbox.receiver());
      (*made)->write(bytes_of("started"));
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return quit; });
      lock.unlock();
      // Typed before the key that quits, and delivered just after it.
      if (inbox.wait(4) != "a\x01\x03\x01") ::_exit(3);
    }
    ::_exit(is_raw(0) ? 4 : 0);
  });
  wait_for_output(master.get(), "started");
  ASSERT_EQ(::write(master.get(),
                    "a\x01"
                    "a\x03\x01\x01\x01x",
                    8),
            8);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ChardevTest, FatalSignalsRestoreTheTerminal) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGABRT}) {
    UniqueFd master;
    const pid_t pid = with_terminal(master, [] {
      ::signal(SIGHUP, SIG_DFL);
      auto made = open_chardev("stdio", {});
      if (!made) ::_exit(1);
      (*made)->write(bytes_of("started"));
      for (;;) ::pause();
    });
    wait_for_output(master.get(), "started");
    EXPECT_TRUE(is_raw(master.get()));
    ::kill(pid, number);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << number;
    EXPECT_FALSE(is_raw(master.get())) << number;
  }
}

TEST_F(ChardevTest, StdioFromAPipePassesBytesAndEndsQuietly) {
  int in[2];
  ASSERT_EQ(::pipe(in), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(in[0], 0);
    ::close(in[1]);
    auto made = open_chardev("stdio", {.quit = [] { ::_exit(5); }});
    if (!made) ::_exit(1);
    Inbox inbox;
    (*made)->set_receiver(inbox.receiver());
    const bool right = inbox.wait(3) == "\x01xy";
    (*made)->set_receiver({});
    made->reset();
    ::_exit(right ? 0 : 2);
  }
  ASSERT_EQ(::write(in[1], "\x01xy", 3), 3);
  ::close(in[1]);
  ::close(in[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace solder::host
