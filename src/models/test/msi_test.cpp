// A source of interrupts of every kind for tests of interrupt paths, as a guest program drives it: one message, one
// edge and one level. Not on any board; an overlay adds it. Registers, 32 bits each:
//
//   0x00 ADDRESS_LOW   0x04 ADDRESS_HIGH   0x08 DATA   0x0c DEVICE_ID
//        The message. It changes as a whole, with the write of DATA.
//   0x10 FIRE          any write sends the message
//   0x14 EDGE          any write fires the node's interrupt 0
//   0x18 LEVEL         bit 0 is the level of the node's interrupt 1
//   0x1c COUNT         how often FIRE and EDGE were written since the reset
#include "device/registry.h"

namespace solder::models::test {
namespace {

class MsiTest final : public device::Device {
 public:
  explicit MsiTest(device::Ports& ports) : ports_(ports), edge_(ports.edge_wire(0)), level_(ports.level_wire(1)) {
    device::RegisterBlock& block = ports.window(0, 0x20);
    block.rw("ADDRESS_LOW", 0x00, address_low_);
    block.rw("ADDRESS_HIGH", 0x04, address_high_);
    block.rw("DATA", 0x08, data_, ~0U, [this] { take_message(); });
    block.rw("DEVICE_ID", 0x0c, device_id_);
    block.wo("FIRE", 0x10, [this](u32) {
      ++count_;
      if (virq_) ports_.routes().raise(*virq_);
    });
    block.wo("EDGE", 0x14, [this](u32) {
      ++count_;
      edge_.fire();
    });
    block.rw("LEVEL", 0x18, high_, 1, [this] { level_.set(high_ != 0); });
    block.ro("COUNT", 0x1c, count_);
  }
  ~MsiTest() override {
    if (virq_) ports_.routes().release(*virq_);
  }
  MsiTest(const MsiTest&) = delete;
  MsiTest& operator=(const MsiTest&) = delete;

  Status start() override {
    virq_ = ports_.routes().allocate(ports_.node().path());
    return {};
  }

  void reset() override {
    address_low_ = address_high_ = data_ = device_id_ = high_ = count_ = 0;
    message_ = {};
    route();
    level_.set(false);
  }

  void state(device::Archive& archive) override {
    archive("address_low", address_low_)("address_high", address_high_)("data", data_)("device_id", device_id_)(
        "level", high_)("count", count_)("message_address", message_.address)("message_data", message_.data)(
        "message_device", message_.device_id);
    if (archive.mode() != device::Archive::Mode::load) return;
    route();
    high_ &= 1;
    level_.set(high_ != 0);
  }

 private:
  void take_message() {
    message_ = {u64{address_high_} << 32 | address_low_, data_, device_id_};
    route();
  }
  void route() {
    if (!virq_) return;
    // Address 0 is memory: no message yet.
    std::vector<interrupt::Target> targets;
    if (message_.address != 0) targets.emplace_back(message_);
    ports_.routes().set(*virq_, std::move(targets));
  }

  device::Ports& ports_;
  interrupt::EdgeWire& edge_;
  interrupt::LevelWire& level_;
  std::optional<interrupt::Virq> virq_;
  interrupt::Message message_;
  u32 address_low_ = 0;
  u32 address_high_ = 0;
  u32 data_ = 0;
  u32 device_id_ = 0;
  u32 high_ = 0;
  u32 count_ = 0;
};

const device::Registration kMsiTest{"solder,msi-test", device::make<MsiTest>,
                                    "A test's source of messages, edges and levels (models/test/msi_test.cpp)"};

}  // namespace
}  // namespace solder::models::test
