/// virtio-console with multiport (virtio 1.2, section 5.3): one port for each character backend of the node.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "models/virtio/function.h"

namespace solder::models::virtio {

namespace {

constexpr usize kMostPending = 1024;       // control messages that the driver has not taken
constexpr usize kMostMessage = 64 * 1024;  // bytes of one

constexpr u64 kMultiport = u64{1} << 1;
constexpr u64 kEmergencyWrite = u64{1} << 2;
constexpr u16 kQueueSize = 128;
constexpr u32 kControlReceive = 2;
constexpr u32 kControlTransmit = 3;
constexpr usize kChunk = 4096;

// Control events (5.3.6.2).
enum Event : u16 { kDeviceReady = 0, kPortAdd = 1, kPortReady = 3, kConsolePort = 4, kPortOpen = 6, kPortName = 7 };

struct Control {
  u32 port;
  u16 event;
  u16 value;
};

class Console final : public Function {
 public:
  explicit Console(device::Ports& ports) : ports_(ports), names_(ports.node().string_list("solder,port-names")) {
    for (u32 i = 0; host::CharDevice* backend = ports.chardev(i); ++i) backends_.push_back(backend);
    store_le<u32>(&config_[4], static_cast<u32>(backends_.size()));
    open_.resize(backends_.size());
    for (u32 port = 0; port < backends_.size(); ++port) {
      backends_[port]->set_receiver([this, port](std::span<const u8> bytes) { return receive(port, bytes); });
    }
  }
  ~Console() override {
    for (host::CharDevice* backend : backends_) backend->set_receiver({});
  }

  u32 device_id() const override { return 3; }
  u64 features() const override { return kMultiport | kEmergencyWrite; }
  std::vector<u16> queue_sizes() const override {
    // Port 0's pair, the control pair, then a pair for every further port (5.3.2).
    return std::vector<u16>(2 + 2 * std::max<usize>(backends_.size(), 1), kQueueSize);
  }
  std::span<const u8> config() const override { return config_; }

  void write_config(u32 offset, std::span<const u8> bytes) override {
    // emerg_wr: one character, before queues exist (5.3.4).
    if (offset == 8 && !backends_.empty()) backends_[0]->write(bytes);
  }

  void notify(u32 index) override {
    if (index == kControlTransmit) return control();
    if (index == kControlReceive) return flush_control();
    const u32 port = index < 2 ? 0 : index / 2 - 1;
    if (port >= backends_.size()) return;
    if (index % 2 == 0) {
      backends_[port]->ready();
    } else {
      transmit(port, index);
    }
  }

  void activate() override {
    // Without multiport port 0 is open from the start.
    if (!transport_->negotiated(kMultiport) && !open_.empty()) open_[0] = true;
  }

  void reset() override {
    std::fill(open_.begin(), open_.end(), false);
    pending_.clear();
  }

  void state(device::Archive& archive) override {
    for (usize i = 0; i < open_.size(); ++i) {
      bool open = open_[i];
      archive("open", open);
      open_[i] = open;
    }
    u32 count = static_cast<u32>(pending_.size());
    archive("pending", count);
    if (archive.mode() == device::Archive::Mode::load) pending_.assign(std::min<usize>(count, kMostPending), {});
    for (std::vector<u8>& message : pending_) archive.bytes("message", message, kMostMessage);
  }
  std::string describe() const override {
    return "console" + (backends_.empty() ? std::string() : ", " + backends_[0]->describe());
  }

 private:
  void transmit(u32 port, u32 index) {
    Queue& queue = transport_->queue(index);
    Chain chain;
    std::array<u8, kChunk> bytes;
    while (queue.pop(chain)) {
      for (u64 done = 0;;) {
        const u64 n = read_chain(ports_.dma(), chain.readable, done, bytes);
        if (n == 0) break;
        backends_[port]->write(std::span(bytes).first(n));
        done += n;
      }
      queue.push(chain, 0);
    }
    transport_->used(index);
  }

  // On the backend's thread.
  usize receive(u32 port, std::span<const u8> bytes) {
    const std::lock_guard guard(ports_.lock());
    if (!transport_->running() || !open_[port]) return 0;
    const u32 index = port == 0 ? 0 : 2 + 2 * port;
    Queue& queue = transport_->queue(index);
    usize taken = 0;
    Chain chain;
    while (taken < bytes.size() && queue.pop(chain)) {
      const u64 n = write_chain(ports_.dma(), chain.writable, 0, bytes.subspan(taken));
      queue.push(chain, static_cast<u32>(n));
      if (n == 0) break;
      taken += n;
    }
    transport_->used(index);
    return taken;
  }

  void control() {
    Queue& queue = transport_->queue(kControlTransmit);
    Chain chain;
    while (queue.pop(chain)) {
      std::array<u8, sizeof(Control)> raw{};
      if (read_chain(ports_.dma(), chain.readable, 0, raw) == raw.size()) {
        Control message{};
        std::memcpy(&message, raw.data(), sizeof message);
        handle(message);
      }
      queue.push(chain, 0);
    }
    transport_->used(kControlTransmit);
    flush_control();
  }

  void handle(const Control& message) {
    if (message.event == kDeviceReady) {
      if (message.value != 1) return;
      for (u32 port = 0; port < backends_.size(); ++port) send({port, kPortAdd, 1});
      return;
    }
    if (message.port >= backends_.size()) return;
    if (message.event == kPortReady && message.value == 1) {
      if (message.port < names_.size()) send({message.port, kPortName, 1}, names_[message.port]);
      if (message.port == 0) send({0, kConsolePort, 1});
      send({message.port, kPortOpen, 1});
    } else if (message.event == kPortOpen) {
      open_[message.port] = message.value == 1;
      if (open_[message.port]) backends_[message.port]->ready();
    }
  }

  void send(const Control& message, const std::string& text = {}) {
    std::vector<u8> bytes(sizeof message + text.size());
    std::memcpy(bytes.data(), &message, sizeof message);
    std::memcpy(bytes.data() + sizeof message, text.data(), text.size());
    pending_.push_back(std::move(bytes));
  }

  void flush_control() {
    Queue& queue = transport_->queue(kControlReceive);
    usize sent = 0;
    Chain chain;
    while (sent < pending_.size() && queue.pop(chain)) {
      queue.push(chain, static_cast<u32>(write_chain(ports_.dma(), chain.writable, 0, pending_[sent])));
      ++sent;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(sent));
    transport_->used(kControlReceive);
    // A driver that never takes its messages must not make us hoard them.
    if (pending_.size() > kMostPending) pending_.resize(kMostPending);
  }

  device::Ports& ports_;
  std::vector<std::string> names_;
  std::vector<host::CharDevice*> backends_;
  std::vector<bool> open_;
  std::vector<std::vector<u8>> pending_;
  std::array<u8, 12> config_{};
};

const FunctionRegistration kConsole{"console", [](device::Ports& ports) -> Result<std::unique_ptr<Function>> {
                                      return std::make_unique<Console>(ports);
                                    }};

}  // namespace

}  // namespace solder::models::virtio
