#include "host/chardev.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "base/unique_fd.h"
#include "host/chardev_thread.h"

namespace solder::host {
namespace {

/// "null": swallows everything, says nothing.
class NullCharDevice final : public CharDevice {
 public:
  void write(std::span<const u8>) override {}
  void set_receiver(Receiver) override {}
  void ready() override {}
  [[nodiscard]] std::string describe() const override { return "null"; }
};

/// "file=PATH": output only.
class FileCharDevice final : public CharDevice {
 public:
  FileCharDevice(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  void write(std::span<const u8> bytes) override {
    const std::lock_guard guard(mutex_);
    writer_.write(fd_.get(), bytes, false, -1);
  }
  void set_receiver(Receiver) override {}
  void ready() override {}
  [[nodiscard]] std::string describe() const override { return "file " + path_; }

 private:
  std::mutex mutex_;
  UniqueFd fd_;
  std::string path_;
  PatientWriter writer_;
};

constexpr const char* kFix = "use stdio, file=PATH, pty, unix=PATH or null";

}  // namespace

Result<std::unique_ptr<CharDevice>> open_chardev(const std::string& text, ConsoleKeys keys) {
  const auto equals = text.find('=');
  const std::string kind = text.substr(0, equals);
  const std::string path = equals == std::string::npos ? "" : text.substr(equals + 1);
  const bool takes_path = kind == "file" || kind == "unix";
  if (kind != "stdio" && kind != "pty" && kind != "null" && !takes_path) {
    return fail("--console", "\"" + text + "\" is no console backend", kFix);
  }
  if (takes_path && path.empty()) return fail("--console", "\"" + kind + "\" needs a path", kind + "=PATH");
  if (!takes_path && equals != std::string::npos) return fail("--console", "\"" + kind + "\" takes no value", kFix);

  if (kind == "stdio") return open_stdio(std::move(keys));
  if (kind == "pty") return open_pty();
  if (kind == "unix") return open_unix(path);
  if (kind == "null") return std::make_unique<NullCharDevice>();
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return fail("--console file=" + path, std::string("cannot open it for writing: ") + std::strerror(errno));
  return std::make_unique<FileCharDevice>(std::move(fd), path);
}

}  // namespace solder::host
