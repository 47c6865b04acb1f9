/// virtio-rng (virtio 1.2, section 5.4): the host's random numbers.
#include <sys/random.h>

#include <algorithm>

#include "models/virtio/function.h"

namespace solder::models::virtio {

namespace {

// What one request gets at most: the guest asks again for more, and cannot keep the model busy (5.4.6).
constexpr u64 kMaximumBytes = 4096;

class Rng final : public Function {
 public:
  explicit Rng(device::Ports& ports) : ports_(ports) {}
  u32 device_id() const override { return 4; }
  u64 features() const override { return 0; }
  std::vector<u16> queue_sizes() const override { return {64}; }
  std::span<const u8> config() const override { return {}; }
  void notify(u32 index) override {
    Queue& queue = transport_->queue(index);
    Chain chain;
    while (queue.pop(chain)) {
      std::array<u8, kMaximumBytes> bytes;
      const u64 wanted = std::min(chain.writable_bytes(), kMaximumBytes);
      const auto got = ::getrandom(bytes.data(), wanted, 0);
      const u64 n =
          got > 0 ? write_chain(ports_.dma(), chain.writable, 0, std::span(bytes).first(static_cast<usize>(got))) : 0;
      queue.push(chain, static_cast<u32>(n));
    }
    transport_->used(index);
  }
  std::string describe() const override { return "rng"; }

 private:
  device::Ports& ports_;
};

const FunctionRegistration kRng{
    "rng", [](device::Ports& ports) -> Result<std::unique_ptr<Function>> { return std::make_unique<Rng>(ports); }};

}  // namespace

}  // namespace solder::models::virtio
