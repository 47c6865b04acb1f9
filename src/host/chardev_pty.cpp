#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "host/chardev_thread.h"

namespace solder::host {
namespace {

/// A pseudo-terminal whose name is printed. Its slave side stays open here too: that way programs may come and go.
class PtyCharDevice final : public ThreadedCharDevice {
 public:
  PtyCharDevice(UniqueFd master, UniqueFd slave, std::string name)
      : master_(std::move(master)), slave_(std::move(slave)), name_(std::move(name)) {}
  ~PtyCharDevice() override { stop_reading(); }

  using ThreadedCharDevice::start_reading;

  void write(std::span<const u8> bytes) override {
    const std::lock_guard guard(output_mutex_);
    // Nobody may be reading at the other side: what does not fit is dropped at once.
    writer_.write(master_.get(), bytes, false, 0);
  }
  [[nodiscard]] std::string describe() const override { return "pty " + name_; }

 protected:
  int input_descriptor() override { return master_.get(); }
  usize take_input(std::span<u8> buffer) override {
    const ssize_t n = ::read(master_.get(), buffer.data(), buffer.size());
    return n > 0 ? static_cast<usize>(n) : 0;
  }

 private:
  UniqueFd master_;
  UniqueFd slave_;
  std::string name_;
  std::mutex output_mutex_;
  PatientWriter writer_;
};

}  // namespace

Result<std::unique_ptr<CharDevice>> open_pty() {
  const auto failed = [](const char* what) {
    return fail("--console pty", std::string(what) + ": " + std::strerror(errno));
  };
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!master) return failed("cannot make a pseudo-terminal");
  std::array<char, 128> name{};
  if (::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0 ||
      ::ptsname_r(master.get(), name.data(), name.size()) != 0) {
    return failed("cannot unlock the pseudo-terminal");
  }
  UniqueFd slave(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave) return failed("cannot open the pseudo-terminal's other side");
  termios mode{};
  if (::tcgetattr(slave.get(), &mode) == 0) {
    ::cfmakeraw(&mode);
    ::tcsetattr(slave.get(), TCSANOW, &mode);
  }
  auto device = std::make_unique<PtyCharDevice>(std::move(master), std::move(slave), name.data());
  SOLDER_TRY_STATUS(device->start_reading());
  log::note(std::string("console: ") + name.data());
  return device;
}

}  // namespace solder::host
