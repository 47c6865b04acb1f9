// ARM PrimeCell UART (PL011), DDI 0183G, revision r1p5 with 32-byte FIFOs; and the subset of it that the Server Base
// System Architecture (DEN 0029, appendix B) calls the generic UART.
#include "device/registry.h"
#include "models/serial/receive_fifo.h"

namespace solder::models::serial {
namespace {

constexpr u32 kFifoDepth = 32;

// UARTFR, section 3.3.3.
constexpr u32 kClearToSend = 1u << 0;
constexpr u32 kDataSetReady = 1u << 1;
constexpr u32 kCarrierDetect = 1u << 2;
constexpr u32 kReceiveEmpty = 1u << 4;
constexpr u32 kReceiveFull = 1u << 6;
constexpr u32 kTransmitEmpty = 1u << 7;
constexpr u32 kRingIndicator = 1u << 8;

// UARTLCR_H, section 3.3.7.
constexpr u32 kFifoEnable = 1u << 4;

// UARTCR, section 3.3.8.
constexpr u32 kUartEnable = 1u << 0;
constexpr u32 kLoopback = 1u << 7;
constexpr u32 kReceiveEnable = 1u << 9;
constexpr u32 kDtr = 1u << 10;
constexpr u32 kRts = 1u << 11;
constexpr u32 kOut1 = 1u << 12;
constexpr u32 kOut2 = 1u << 13;

// Interrupts, section 3.3.10.
constexpr u32 kReceiveInterrupt = 1u << 4;
constexpr u32 kTransmitInterrupt = 1u << 5;
constexpr u32 kReceiveTimeout = 1u << 6;
constexpr u32 kOverrun = 1u << 10;
constexpr u32 kAllInterrupts = 0x7ff;

class Pl011 : public device::Device {
 public:
  explicit Pl011(device::Ports& ports) : Pl011(ports, false) {}

  void reset() override {
    fifo_.clear();
    integer_divisor_ = fractional_divisor_ = line_control_ = dma_control_ = low_power_ = 0;
    control_ = 0x300;  // RXE and TXE
    level_select_ = 0x12;
    mask_ = raw_ = receive_status_ = 0;
    if (sbsa_) {
      line_control_ = kFifoEnable;
      control_ |= kUartEnable;
    }
    update();
  }

  void state(device::Archive& archive) override {
    archive("fifo", fifo_)("ibrd", integer_divisor_)("fbrd", fractional_divisor_)("lcr_h", line_control_)(
        "cr", control_)("ifls", level_select_)("imsc", mask_)("ris", raw_)("rsr", receive_status_)(
        "dmacr", dma_control_)("ilpr", low_power_);
    if (archive.mode() == device::Archive::Mode::load) update();
  }

  Status start() override {
    if (backend_ != nullptr) {
      backend_->set_receiver([this](std::span<const u8> bytes) { return receive(bytes); });
    }
    return {};
  }

  void stop() override {
    if (backend_ != nullptr) backend_->set_receiver({});
  }

  [[nodiscard]] std::string describe() const override {
    return std::string(sbsa_ ? "SBSA generic UART" : "PL011 UART") + (backend_ ? " on " + backend_->describe() : "");
  }

 protected:
  Pl011(device::Ports& ports, bool sbsa)
      : ports_(ports), sbsa_(sbsa), backend_(ports.chardev()), wire_(ports.level_wire(0)) {
    device::RegisterBlock& block = ports.window(0, 0x1000);
    block.reg(
        "UARTDR", 0x00, [this] { return read_data(); }, [this](u32 value) { write_data(value); });
    block.reg(
        "UARTRSR", 0x04, [this] { return receive_status_; }, [this](u32) { receive_status_ = 0; });
    block.ro("UARTFR", 0x18, [this] { return flags(); });
    if (!sbsa_) {
      block.rw("UARTILPR", 0x20, low_power_, 0xff);
      block.rw("UARTIBRD", 0x24, integer_divisor_, 0xffff);
      block.rw("UARTFBRD", 0x28, fractional_divisor_, 0x3f);
      block.reg(
          "UARTLCR_H", 0x2c, [this] { return line_control_; }, [this](u32 value) { write_line_control(value); });
      block.rw("UARTCR", 0x30, control_, 0xff87, [this] { offer_room(); });
      block.rw("UARTIFLS", 0x34, level_select_, 0x3f, [this] { update_receive(); });
      block.rw("UARTDMACR", 0x48, dma_control_, 0x7);
    }
    block.rw("UARTIMSC", 0x38, mask_, kAllInterrupts, [this] { update(); });
    block.ro("UARTRIS", 0x3c, raw_);
    block.ro("UARTMIS", 0x40, [this] { return raw_ & mask_; });
    block.wo("UARTICR", 0x44, [this](u32 value) {
      raw_ &= ~value;
      update();
    });
    block.primecell_id(0x011, 3);
    block.allow_narrow();
    reset();
  }

 private:
  [[nodiscard]] u32 depth() const { return (line_control_ & kFifoEnable) != 0 ? kFifoDepth : 1; }

  /// How many bytes raise the receive interrupt: UARTIFLS.RXIFLSEL, section 3.3.9.
  [[nodiscard]] u32 trigger() const {
    if ((line_control_ & kFifoEnable) == 0) return 1;
    static constexpr u32 kLevels[8] = {4, 8, 16, 24, 28, 28, 28, 28};
    return kLevels[(level_select_ >> 3) & 7];
  }

  [[nodiscard]] u32 flags() const {
    u32 value = kTransmitEmpty;  // bytes leave at once
    if (fifo_.empty()) value |= kReceiveEmpty;
    if (fifo_.full(depth())) value |= kReceiveFull;
    if ((control_ & kLoopback) != 0) {
      // Section 2.4.6: in loopback the modem outputs are the modem inputs.
      if ((control_ & kRts) != 0) value |= kClearToSend;
      if ((control_ & kDtr) != 0) value |= kDataSetReady;
      if ((control_ & kOut1) != 0) value |= kCarrierDetect;
      if ((control_ & kOut2) != 0) value |= kRingIndicator;
    } else {
      value |= kClearToSend | kDataSetReady | kCarrierDetect;
    }
    return value;
  }

  /// On the backend's thread.
  usize receive(std::span<const u8> bytes) {
    const std::lock_guard guard(ports_.lock());
    // Before the driver has switched the receiver on, input waits at the host rather than being lost.
    constexpr u32 kReceiving = kUartEnable | kReceiveEnable;
    if ((control_ & kReceiving) != kReceiving || (control_ & kLoopback) != 0) return starve();
    const usize taken = fifo_.push(bytes, depth());
    if (taken < bytes.size()) starved_ = true;
    if (taken > 0) arrived();
    return taken;
  }

  usize starve() {
    starved_ = true;
    return 0;
  }

  /// The host may have more.
  void offer_room() {
    if (!starved_) return;
    starved_ = false;
    if (backend_ != nullptr) backend_->ready();
  }

  void arrived() {
    // The timeout of section 3.4.3 comes at once: nobody gains by the guest waiting 32 bit times.
    if (fifo_.size() < trigger()) raw_ |= kReceiveTimeout;
    update_receive();
  }

  void update_receive() {
    if (fifo_.size() >= trigger()) {
      raw_ |= kReceiveInterrupt;
    } else {
      raw_ &= ~kReceiveInterrupt;
    }
    if (fifo_.empty()) raw_ &= ~kReceiveTimeout;
    update();
  }

  u32 read_data() {
    const u8 byte = fifo_.pop();
    // What stays below the trigger must still be announced: a timeout follows on hardware.
    if (!fifo_.empty() && fifo_.size() < trigger() && (raw_ & kReceiveInterrupt) != 0) raw_ |= kReceiveTimeout;
    update_receive();
    offer_room();
    return byte;
  }

  void write_data(u32 value) {
    const u8 byte = static_cast<u8>(value);
    if ((control_ & kLoopback) != 0) {
      if (fifo_.push(byte, depth())) {
        arrived();
      } else {
        receive_status_ |= 1u << 3;
        raw_ |= kOverrun;
      }
    } else if (backend_ != nullptr) {
      backend_->write(std::span(&byte, 1));
    }
    // The transmit FIFO has filled and emptied, which passes its trigger level (section 2.8.3).
    raw_ |= kTransmitInterrupt;
    update();
  }

  void write_line_control(u32 value) {
    // Switching the FIFOs on or off empties them.
    if (((value ^ line_control_) & kFifoEnable) != 0) fifo_.clear();
    line_control_ = value & 0xff;
    update_receive();
    offer_room();
  }

  void update() { wire_.set((raw_ & mask_) != 0); }

  device::Ports& ports_;
  bool sbsa_;
  host::CharDevice* backend_;
  interrupt::LevelWire& wire_;
  ReceiveFifo fifo_;
  bool starved_ = false;  ///< the host has bytes that found no room
  u32 integer_divisor_ = 0;
  u32 fractional_divisor_ = 0;
  u32 line_control_ = 0;
  u32 control_ = 0;
  u32 level_select_ = 0;
  u32 mask_ = 0;
  u32 raw_ = 0;
  u32 receive_status_ = 0;
  u32 dma_control_ = 0;
  u32 low_power_ = 0;
};

class SbsaUart final : public Pl011 {
 public:
  explicit SbsaUart(device::Ports& ports) : Pl011(ports, true) {}
};

const device::Registration kPl011{"arm,pl011", device::make<Pl011>, "ARM PrimeCell UART (PL011, DDI 0183)"};
const device::Registration kSbsa{"arm,sbsa-uart", device::make<SbsaUart>, "SBSA generic UART (DEN 0029)"};

}  // namespace
}  // namespace solder::models::serial
