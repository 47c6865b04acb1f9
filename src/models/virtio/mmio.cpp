/// The virtio-mmio transport, version 2 (virtio 1.2, section 4.2). What sits behind it is the host's business: the
/// node's `solder,virtio` names a function; a node without it is an empty slot (device id 0), as drivers expect of
/// unused ones.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "device/registry.h"
#include "models/virtio/function.h"

namespace solder::models::virtio {

namespace {

std::map<std::string, FunctionFactory, std::less<>>& functions() {
  static std::map<std::string, FunctionFactory, std::less<>> all;  // filled before main, then read-only
  return all;
}

// Device status bits (2.1).
constexpr u32 kDriverOk = 4;
constexpr u32 kFeaturesOk = 8;
constexpr u32 kNeedsReset = 64;
constexpr u32 kUsedBuffer = 1;
constexpr u32 kConfigChange = 2;
constexpr u64 kConfigOffset = 0x100;
constexpr u64 kWindow = 0x200;

class VirtioMmio final : public device::Device, public Transport {
 public:
  VirtioMmio(device::Ports& ports, std::unique_ptr<Function> function)
      : ports_(ports), irq_(ports.level_wire(0)), function_(std::move(function)) {
    if (function_ != nullptr) {
      function_->attach(*this);
      for (const u16 size : function_->queue_sizes()) {
        queues_.push_back({.queue = Queue(ports.dma()), .maximum = size});
        queues_.back().layout.size = size;
      }
    }
    look_ = time::Timer(ports.timers(), [this] {
      const std::lock_guard guard(ports_.lock());
      for (u32 i = 0; i < queues_.size(); ++i) notify(i);
    });
    declare_identity();
    declare_queues();
    declare_config();
  }

  Queue& queue(u32 index) override { return queues_[index].queue; }
  bool negotiated(u64 feature) const override { return (driver_features_ & feature) == feature; }
  bool running() const override { return (status_ & kDriverOk) != 0 && (status_ & kNeedsReset) == 0; }

  void used(u32 index) override {
    Queue& q = queues_[index].queue;
    if (!q.broken().empty()) {
      needs_reset();
    } else if (q.wants_interrupt()) {
      raise(kUsedBuffer);
    }
  }

  void config_changed() override {
    ++generation_;
    if (running()) raise(kConfigChange);
  }

  void reset() override {
    if (function_ != nullptr) function_->quiesce();
    const std::lock_guard guard(ports_.lock());
    clear();
  }

  void stop() override {
    look_.cancel();
    if (function_ != nullptr) function_->quiesce();
  }

  void state(device::Archive& a) override {
    a("status", status_)("device_features_select", device_select_)("driver_features_select", driver_select_);
    a("driver_features", driver_features_)("queue_select", queue_select_)("interrupt_status", interrupt_status_);
    a("generation", generation_);
    for (Slot& slot : queues_) {
      a("layout", slot.layout)("ready", slot.ready)("queue", slot.queue);
      if (slot.layout.size > slot.maximum) slot.layout.size = slot.maximum;
      slot.ready = slot.ready && slot.queue.ready();
    }
    if (function_ != nullptr) function_->state(a);
    if (a.mode() != device::Archive::Mode::load || !a.status()) return;
    irq_.set(interrupt_status_ != 0);
    // Notifications that were on their way are not in the record: the queues are looked at when time goes on.
    look_.arm(ports_.clock().now());
  }

  std::string describe() const override {
    return function_ == nullptr ? "virtio-mmio, empty slot" : "virtio-mmio: " + function_->describe();
  }

 private:
  struct Slot {
    Queue queue;
    u16 maximum = 0;
    QueueLayout layout{};
    bool ready = false;
  };

  void declare_identity() {
    block_ = &ports_.window(0, kWindow);
    block_->constant("MagicValue", 0x000, 0x74726976)
        .constant("Version", 0x004, 2)
        .constant("DeviceID", 0x008, function_ == nullptr ? 0 : function_->device_id())
        .constant("VendorID", 0x00c, 0x444c5353)  // "SSLD"
        .ro("DeviceFeatures", 0x010, [this] { return features_word(); })
        .wo("DeviceFeaturesSel", 0x014, [this](u32 v) { device_select_ = v; })
        .wo("DriverFeatures", 0x020, [this](u32 v) { accept_features(v); })
        .wo("DriverFeaturesSel", 0x024, [this](u32 v) { driver_select_ = v; })
        .ro("InterruptStatus", 0x060, [this] { return interrupt_status_; })
        .wo("InterruptACK", 0x064,
            [this](u32 v) {
              interrupt_status_ &= ~v;
              irq_.set(interrupt_status_ != 0);
            })
        .reg(
            "Status", 0x070, [this] { return status_; }, [this](u32 v) { write_status(v); })
        .ro("ConfigGeneration", 0x0fc, [this] { return generation_; });
  }

  void declare_queues() {
    block_->wo("QueueSel", 0x030, [this](u32 v) { queue_select_ = v; })
        .ro("QueueSizeMax", 0x034, [this] { return selected() == nullptr ? 0U : u32{selected()->maximum}; })
        .wo("QueueSize", 0x038, [this](u32 v) { set_size(v); })
        .reg(
            "QueueReady", 0x044, [this] { return selected() != nullptr && selected()->ready ? 1U : 0U; },
            [this](u32 v) { set_ready(v); })
        .wo("QueueNotify", 0x050, [this](u32 v) { notify(v & 0xffff); });
    for (u32 i = 0; i < queues_.size(); ++i) block_->doorbell(0x050, 4, i);
    declare_address("QueueDesc", 0x080, &QueueLayout::descriptors);
    declare_address("QueueDriver", 0x090, &QueueLayout::driver);
    declare_address("QueueDevice", 0x0a0, &QueueLayout::device);
    // No shared memory regions: length -1 (4.2.2).
    block_->wo("SHMSel", 0x0ac, [](u32) {})
        .constant("SHMLenLow", 0x0b0, ~u32{0})
        .constant("SHMLenHigh", 0x0b4, ~u32{0})
        .constant("SHMBaseLow", 0x0b8, ~u32{0})
        .constant("SHMBaseHigh", 0x0bc, ~u32{0});
  }

  void declare_address(const char* name, u64 offset, u64 QueueLayout::*field) {
    block_->wo(fmt::format("{}Low", name), offset, [this, field](u32 v) {
      if (Slot* slot = configurable()) slot->layout.*field = (slot->layout.*field & ~u64{0xffffffff}) | v;
    });
    block_->wo(fmt::format("{}High", name), offset + 4, [this, field](u32 v) {
      if (Slot* slot = configurable()) slot->layout.*field = (slot->layout.*field & 0xffffffff) | (u64{v} << 32);
    });
  }

  void declare_config() {
    block_->add({.name = "Config",
                 .offset = kConfigOffset,
                 .width = 1,
                 .count = static_cast<u32>(kWindow - kConfigOffset),
                 .stride = 1,
                 .read = [this](u32 i) -> u64 { return config_byte(i); },
                 .write = [this](u32 i, u64 v) { write_config(i, static_cast<u8>(v)); }});
  }

  u8 config_byte(u32 index) const {
    if (function_ == nullptr) return 0;
    const auto config = function_->config();
    return index < config.size() ? config[index] : 0;
  }

  void write_config(u32 index, u8 value) {
    if (function_ != nullptr && index < function_->config().size()) function_->write_config(index, {&value, 1});
  }

  u64 offered() const {
    return function_ == nullptr ? 0
                                : function_->features() | kVersion1 | kPackedRing | kIndirectDescriptors | kEventIndex;
  }

  u32 features_word() const {
    return device_select_ == 0   ? static_cast<u32>(offered())
           : device_select_ == 1 ? static_cast<u32>(offered() >> 32)
                                 : 0;
  }

  void accept_features(u32 value) {
    if ((status_ & kFeaturesOk) != 0) return;  // 2.2.1: negotiated once
    if (driver_select_ == 0) driver_features_ = (driver_features_ & ~u64{0xffffffff}) | value;
    if (driver_select_ == 1) driver_features_ = (driver_features_ & 0xffffffff) | (u64{value} << 32);
  }

  Slot* selected() { return queue_select_ < queues_.size() ? &queues_[queue_select_] : nullptr; }
  // A queue's fields are fixed while it is live.
  Slot* configurable() {
    Slot* slot = selected();
    return slot != nullptr && !slot->ready ? slot : nullptr;
  }

  void set_size(u32 size) {
    Slot* slot = configurable();
    if (slot != nullptr && size >= 1 && size <= slot->maximum) slot->layout.size = static_cast<u16>(size);
  }

  void set_ready(u32 value) {
    Slot* slot = selected();
    if (slot == nullptr) return;
    if ((value & 1) == 0) {
      slot->ready = false;
      slot->queue.reset();
      return;
    }
    if (slot->ready) return;
    QueueLayout layout = slot->layout;
    layout.packed = negotiated(kPackedRing);
    layout.event_index = negotiated(kEventIndex);
    layout.indirect = negotiated(kIndirectDescriptors);
    // 2.7: a split ring's size is a power of two.
    if (!layout.packed && (layout.size & (layout.size - 1)) != 0) {
      needs_reset();
      return;
    }
    slot->ready = true;
    slot->queue.start(layout);
  }

  void notify(u32 index) {
    if (!running() || index >= queues_.size() || !queues_[index].ready) return;
    function_->notify(index);
    if (!queues_[index].queue.broken().empty()) needs_reset();
  }

  void write_status(u32 value) {
    value &= 0xff;
    if (value == 0) {
      driver_reset();
      return;
    }
    if (function_ == nullptr) return;
    // 3.1.1: FEATURES_OK stays clear when the driver's choice cannot work.
    if ((value & kFeaturesOk) != 0 && (status_ & kFeaturesOk) == 0 &&
        ((driver_features_ & ~offered()) != 0 || !negotiated(kVersion1))) {
      value &= ~kFeaturesOk;
    }
    const bool starts = (value & kDriverOk) != 0 && (status_ & kDriverOk) == 0;
    status_ = value | (status_ & kNeedsReset);
    if (starts && running()) function_->activate();
  }

  void driver_reset() {
    status_ = 0;  // nothing new is started from here on
    if (function_ != nullptr) {
      // Requests in flight use guest memory until they finish, and finish under the model's lock.
      ports_.lock().unlock();
      function_->quiesce();
      ports_.lock().lock();
    }
    clear();
  }

  void clear() {
    status_ = device_select_ = driver_select_ = queue_select_ = interrupt_status_ = 0;
    driver_features_ = 0;
    for (Slot& slot : queues_) {
      slot.queue.reset();
      slot.ready = false;
      slot.layout = {.size = slot.maximum};
    }
    if (function_ != nullptr) function_->reset();
    irq_.set(false);
  }

  void needs_reset() {
    if ((status_ & kNeedsReset) != 0) return;
    const bool was_running = (status_ & kDriverOk) != 0;
    status_ |= kNeedsReset;
    if (was_running) raise(kConfigChange);
  }

  void raise(u32 cause) {
    interrupt_status_ |= cause;
    irq_.set(true);
  }

  device::Ports& ports_;
  interrupt::LevelWire& irq_;
  std::unique_ptr<Function> function_;
  device::RegisterBlock* block_ = nullptr;
  time::Timer look_;  // after loading
  std::vector<Slot> queues_;
  u32 status_ = 0;
  u32 device_select_ = 0;
  u32 driver_select_ = 0;
  u64 driver_features_ = 0;
  u32 queue_select_ = 0;
  u32 interrupt_status_ = 0;
  u32 generation_ = 0;
};

Result<std::unique_ptr<device::Device>> make_mmio(device::Ports& ports) {
  const auto kind = ports.node().string("solder,virtio");
  if (!kind) return std::make_unique<VirtioMmio>(ports, nullptr);
  const FunctionFactory factory = find_function(*kind);
  if (factory == nullptr) {
    return fail(ports.node().place("solder,virtio"), fmt::format("there is no virtio device \"{}\"", *kind),
                fmt::format("use one of: {}", fmt::join(function_names(), ", ")));
  }
  return std::make_unique<VirtioMmio>(ports, SOLDER_TRY(factory(ports)));
}

const device::Registration kMmio{"virtio,mmio", make_mmio, "virtio over MMIO, version 2 (virtio 1.2, section 4.2)",
                                 false, "LNRO0005"};

}  // namespace

FunctionRegistration::FunctionRegistration(std::string_view name, FunctionFactory factory) {
  functions().emplace(name, factory);
}

FunctionFactory find_function(std::string_view name) {
  const auto found = functions().find(name);
  return found == functions().end() ? nullptr : found->second;
}

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : functions()) names.push_back(name);
  return names;
}

}  // namespace solder::models::virtio
