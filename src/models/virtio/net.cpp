/// virtio-net (virtio 1.2, section 5.1): one queue pair, no offloads.
#include <fmt/core.h>

#include <cstring>

#include "models/virtio/function.h"

namespace solder::models::virtio {

namespace {

constexpr u64 kMac = u64{1} << 5;
constexpr u64 kStatus = u64{1} << 16;
constexpr u16 kQueueSize = 256;
constexpr u32 kReceive = 0;
constexpr u32 kTransmit = 1;
// virtio_net_hdr with num_buffers, always present with VIRTIO_F_VERSION_1 (5.1.6).
constexpr usize kHeaderBytes = 12;
constexpr usize kMaximumFrame = 65536;

class Net final : public Function {
 public:
  Net(device::Ports& ports, host::Network& network, std::array<u8, 6> mac) : ports_(ports), network_(network) {
    std::memcpy(config_.data(), mac.data(), mac.size());
    config_[6] = 1;  // VIRTIO_NET_S_LINK_UP
    network_.set_receiver([this](std::span<const u8> frame) { return receive(frame); });
  }
  ~Net() override { network_.set_receiver({}); }

  u32 device_id() const override { return 1; }
  u64 features() const override { return kMac | kStatus; }
  std::vector<u16> queue_sizes() const override { return {kQueueSize, kQueueSize}; }
  std::span<const u8> config() const override { return config_; }

  void notify(u32 index) override {
    if (index == kReceive) {
      network_.ready();
      return;
    }
    Queue& queue = transport_->queue(kTransmit);
    do {
      queue.enable_notifications(false);
      Chain chain;
      while (queue.pop(chain)) {
        const u64 size = chain.readable_bytes();
        if (size > kHeaderBytes && size <= kMaximumFrame) {
          frame_.resize(size - kHeaderBytes);
          if (read_chain(ports_.dma(), chain.readable, kHeaderBytes, frame_) == frame_.size()) network_.send(frame_);
        }
        queue.push(chain, 0);
      }
    } while (queue.enable_notifications(true));
    transport_->used(kTransmit);
  }

  std::string describe() const override { return "net, " + network_.describe(); }

 private:
  // On the network's thread. False: no buffer; the driver's next notification asks for the frame again.
  bool receive(std::span<const u8> frame) {
    const std::lock_guard guard(ports_.lock());
    // A driver that is not there loses frames, as on a wire.
    if (!transport_->running()) return true;
    Queue& queue = transport_->queue(kReceive);
    Chain chain;
    while (!queue.pop(chain)) {
      if (!queue.broken().empty()) {
        transport_->used(kReceive);
        return true;
      }
      if (!queue.enable_notifications(true)) return false;
    }
    if (chain.writable_bytes() < kHeaderBytes + frame.size()) {
      // Too small for this frame: dropped, and the buffer goes back.
      queue.push(chain, 0);
      transport_->used(kReceive);
      return true;
    }
    std::array<u8, kHeaderBytes> header{};
    header[10] = 1;  // num_buffers
    write_chain(ports_.dma(), chain.writable, 0, header);
    const u64 n = write_chain(ports_.dma(), chain.writable, kHeaderBytes, frame);
    queue.push(chain, static_cast<u32>(kHeaderBytes + n));
    transport_->used(kReceive);
    return true;
  }

  device::Ports& ports_;
  host::Network& network_;
  std::array<u8, 8> config_{};
  std::vector<u8> frame_;
};

Result<std::unique_ptr<Function>> make_net(device::Ports& ports) {
  host::Network* network = ports.network();
  if (network == nullptr) {
    return fail(ports.node().place("solder,virtio"), "a network device needs a network",
                "name one with solder,netdev = <&…>, or use --net user");
  }
  std::array<u8, 6> mac{0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
  if (const tree::Property* p = ports.node().property("local-mac-address"); p != nullptr) {
    if (p->value.size() != mac.size()) {
      return fail(ports.node().place("local-mac-address"), "a MAC address has six bytes",
                  "write it as [52 54 00 12 34 56]");
    }
    std::memcpy(mac.data(), p->value.data(), mac.size());
  }
  return std::make_unique<Net>(ports, *network, mac);
}

const FunctionRegistration kNet{"net", make_net};

}  // namespace

}  // namespace solder::models::virtio
