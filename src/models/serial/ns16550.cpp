// The 16550 family: National's NS16550A (PC16550D data sheet) and its descendants with wider register spacing, larger
// FIFOs and Synopsys's DW_apb_uart additions. Binding serial/8250 and serial/snps-dw-apb-uart.
#include <fmt/format.h>

#include <algorithm>

#include "device/registry.h"
#include "models/serial/receive_fifo.h"

namespace solder::models::serial {
namespace {

// Interrupt enable.
constexpr u8 kReceiveEnable = 1u << 0;
constexpr u8 kTransmitEnable = 1u << 1;
constexpr u8 kLineEnable = 1u << 2;
constexpr u8 kModemEnable = 1u << 3;

// Interrupt identification, in the data sheet's order of priority.
constexpr u8 kNoInterrupt = 0x1;
constexpr u8 kLineStatus = 0x6;
constexpr u8 kDataAvailable = 0x4;
constexpr u8 kCharacterTimeout = 0xc;
constexpr u8 kTransmitterEmpty = 0x2;
constexpr u8 kModemStatus = 0x0;
constexpr u8 kFifosEnabled = 0xc0;

constexpr u8 kDivisorLatch = 1u << 7;  // LCR
constexpr u8 kEnhancedAccess = 0xbf;   // LCR's value that shows EFR and XON/XOFF (TL16C752, OMAP)
constexpr u8 kLoopback = 1u << 4;      // MCR

// Line status.
constexpr u8 kDataReady = 1u << 0;
constexpr u8 kOverrun = 1u << 1;
constexpr u8 kTransmitIdle = 0x60;  // THRE and TEMT: bytes leave at once

constexpr u8 kModemConnected = 0xb0;  // DCD, DSR, CTS

constexpr u32 kModeRegisters = 13;  // TI: MDR1 to MVER

/// What distinguishes the members of the family.
struct Variant {
  u32 fifo_depth = 16;      ///< 1: none, as the NS8250 and NS16450
  bool designware = false;  ///< USR and the component registers
  bool omap = false;        ///< TI's registers behind LCR 0xbf and from 0x20 on
  u8 enable_mask = 0x0f;    ///< the bits of IER that exist
  u32 register_shift = 0;   ///< where the tree gives none
};

class Ns16550 final : public device::Device {
 public:
  Ns16550(device::Ports& ports, const Variant& variant, u64 base, u32 shift)
      : ports_(ports), variant_(variant), backend_(ports.chardev()), wire_(ports.level_wire(0)) {
    const bool extras = variant.designware && shift == 2 && base == 0 && ports.window_size(0) >= 0x100;
    device::RegisterBlock& block =
        ports.window(0, extras || omap_extras(base, shift) ? 0x100 : base + (u64{8} << shift));
    static constexpr std::string_view kNames[8] = {"RBR/THR/DLL", "IER/DLM", "IIR/FCR", "LCR",
                                                   "MCR",         "LSR",     "MSR",     "SCR"};
    for (u32 i = 0; i < 8; ++i) {
      block.add({.name = std::string(kNames[i]),
                 .offset = base + (u64{i} << shift),
                 .width = 1u << std::min(shift, 2u),
                 .read = [this, i](u32) -> u64 { return read_register(i); },
                 .write = [this, i](u32, u64 value) { write_register(i, static_cast<u8>(value)); }});
    }
    if (extras) {
      // DW_apb_uart data book, chapter 6. CPR: 32-bit bus, 16-byte FIFOs, these very registers present.
      block.ro("USR", 0x7c, [this] { return 0x6u | (fifo_.empty() ? 0u : 0x8u) | (fifo_.full(depth()) ? 0x10u : 0u); });
      block.constant("CPR", 0xf4, 2u | 1u << 12 | (variant.fifo_depth / 16) << 16);
      block.constant("UCV", 0xf8, 0x3430322a);
      block.constant("CTR", 0xfc, 0x44570110);
    }
    if (omap_extras(base, shift)) {
      // AM65x TRM (SPRUID7), UART registers: modes and wake-up are kept, not acted on; the reset is always done.
      block.bank(
          "MODES", 0x20, kModeRegisters, [this](u32 i) { return modes_[i]; },
          [this](u32 i, u32 value) { modes_[i] = value; });
      block.constant("SYSS", 0x58, 1);
    }
    block.allow_narrow();
    reset();
  }

  void reset() override {
    fifo_.clear();
    interrupt_enable_ = fifo_control_ = line_control_ = modem_control_ = scratch_ = 0;
    line_errors_ = modem_delta_ = 0;
    divisor_ = 12;
    transmit_pending_ = false;
    enhanced_ = {};
    modes_ = {};
    update();
  }

  void state(device::Archive& archive) override {
    archive("fifo", fifo_)("ier", interrupt_enable_)("fcr", fifo_control_)("lcr", line_control_)("mcr", modem_control_)(
        "scr", scratch_)("errors", line_errors_)("delta", modem_delta_)("divisor", divisor_)("thre", transmit_pending_)(
        "enhanced", enhanced_)("modes", modes_);
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
    return std::string(variant_.designware ? "DesignWare UART" : "16550 UART") +
           (backend_ != nullptr ? " on " + backend_->describe() : "");
  }

 private:
  [[nodiscard]] bool omap_extras(u64 base, u32 shift) const {
    return variant_.omap && shift == 2 && base == 0 && ports_.window_size(0) >= 0x100;
  }
  /// The register that takes `index`'s place while LCR says so; null when none does.
  [[nodiscard]] u8* enhanced(u32 index) {
    return variant_.omap && line_control_ == kEnhancedAccess && (index == 2 || index >= 4) ? &enhanced_[index]
                                                                                           : nullptr;
  }

  [[nodiscard]] bool fifos_on() const { return variant_.fifo_depth > 1 && (fifo_control_ & 1) != 0; }
  [[nodiscard]] u32 depth() const { return fifos_on() ? std::min(variant_.fifo_depth, ReceiveFifo::kCapacity) : 1; }
  [[nodiscard]] u32 trigger() const {
    if (!fifos_on()) return 1;
    switch (fifo_control_ >> 6) {
      case 0:
        return 1;
      case 1:
        return depth() / 4;
      case 2:
        return depth() / 2;
      default:
        return depth() - 2;
    }
  }

  [[nodiscard]] u8 line_status() const {
    return static_cast<u8>(kTransmitIdle | line_errors_ | (fifo_.empty() ? 0 : kDataReady));
  }

  [[nodiscard]] u8 modem_levels() const { return levels_of(modem_control_); }
  /// In loopback RTS, DTR, OUT1 and OUT2 are CTS, DSR, RI and DCD.
  [[nodiscard]] static u8 levels_of(u8 control) {
    if ((control & kLoopback) == 0) return kModemConnected;
    return static_cast<u8>((control & 0x2) << 3 | (control & 0x1) << 5 | (control & 0x4) << 4 | (control & 0x8) << 4);
  }

  [[nodiscard]] u8 identification() const {
    u8 cause = kNoInterrupt;
    if ((interrupt_enable_ & kLineEnable) != 0 && line_errors_ != 0) {
      cause = kLineStatus;
    } else if ((interrupt_enable_ & kReceiveEnable) != 0 && fifo_.size() >= trigger()) {
      cause = kDataAvailable;
    } else if ((interrupt_enable_ & kReceiveEnable) != 0 && !fifo_.empty()) {
      cause = kCharacterTimeout;  // at once: nobody gains by waiting four character times
    } else if ((interrupt_enable_ & kTransmitEnable) != 0 && transmit_pending_) {
      cause = kTransmitterEmpty;
    } else if ((interrupt_enable_ & kModemEnable) != 0 && modem_delta_ != 0) {
      cause = kModemStatus;
    }
    return static_cast<u8>(cause | (fifos_on() ? kFifosEnabled : 0));
  }

  void update() { wire_.set((identification() & kNoInterrupt) == 0); }

  u8 read_register(u32 index) {
    if (const u8* other = enhanced(index)) return *other;
    const bool divisor_access = (line_control_ & kDivisorLatch) != 0;
    switch (index) {
      case 0: {
        if (divisor_access) return static_cast<u8>(divisor_);
        const u8 byte = fifo_.pop();
        update();
        offer_room();
        return byte;
      }
      case 1:
        return divisor_access ? static_cast<u8>(divisor_ >> 8) : interrupt_enable_;
      case 2: {
        const u8 value = identification();
        // Reading it acknowledges "transmitter empty", if that is what it says.
        if ((value & 0xf) == kTransmitterEmpty) {
          transmit_pending_ = false;
          update();
        }
        return value;
      }
      case 3:
        return line_control_;
      case 4:
        return modem_control_;
      case 5: {
        const u8 value = line_status();
        line_errors_ = 0;
        update();
        return value;
      }
      case 6: {
        const u8 value = modem_levels() | modem_delta_;
        modem_delta_ = 0;
        update();
        return value;
      }
      default:
        return scratch_;
    }
  }

  void write_register(u32 index, u8 value) {
    if (u8* other = enhanced(index)) {
      *other = value;
      return;
    }
    const bool divisor_access = (line_control_ & kDivisorLatch) != 0;
    switch (index) {
      case 0:
        if (divisor_access) {
          divisor_ = static_cast<u16>((divisor_ & 0xff00) | value);
        } else {
          transmit(value);
        }
        break;
      case 1:
        if (divisor_access) {
          divisor_ = static_cast<u16>((divisor_ & 0xff) | value << 8);
          break;
        }
        // Enabling the interrupt while the transmitter is empty raises it (data sheet, section 8.6.3).
        if ((value & ~interrupt_enable_ & kTransmitEnable) != 0) transmit_pending_ = true;
        interrupt_enable_ = value & variant_.enable_mask;
        break;
      case 2:
        if (((value ^ fifo_control_) & 1) != 0 || (value & 2) != 0) fifo_.clear();
        fifo_control_ = value & 0xc9;
        offer_room();
        break;
      case 3:
        line_control_ = value;
        break;
      case 4:
        write_modem_control(value);
        break;
      case 7:
        scratch_ = value;
        break;
      default:
        return;  // LSR and MSR are for factory tests only
    }
    update();
  }

  void transmit(u8 byte) {
    if ((modem_control_ & kLoopback) != 0) {
      if (!fifo_.push(byte, depth())) line_errors_ |= kOverrun;
    } else if (backend_ != nullptr) {
      backend_->write(std::span(&byte, 1));
    }
    transmit_pending_ = true;
  }

  void write_modem_control(u8 value) {
    const u8 before = modem_levels();
    const bool left_loopback = (modem_control_ & kLoopback) != 0 && (value & kLoopback) == 0;
    modem_control_ = value & 0x3f;
    const u8 changed = before ^ modem_levels();
    // DCTS, DDSR, DDCD on any change; TERI when the ring indicator goes away.
    modem_delta_ |= (changed >> 4) & 0xb;
    if ((changed & before & 0x40) != 0) modem_delta_ |= 0x4;
    if (left_loopback) offer_room();
  }

  /// On the backend's thread.
  usize receive(std::span<const u8> bytes) {
    const std::lock_guard guard(ports_.lock());
    usize taken = 0;
    if ((modem_control_ & kLoopback) == 0) taken = fifo_.push(bytes, depth());
    starved_ |= taken < bytes.size();
    if (taken > 0) update();
    return taken;
  }

  void offer_room() {
    if (!starved_) return;
    starved_ = false;
    if (backend_ != nullptr) backend_->ready();
  }

  device::Ports& ports_;
  Variant variant_;
  host::CharDevice* backend_;
  interrupt::LevelWire& wire_;
  ReceiveFifo fifo_;
  bool starved_ = false;  ///< the host has bytes that found no room
  u8 interrupt_enable_ = 0;
  u8 fifo_control_ = 0;
  u8 line_control_ = 0;
  u8 modem_control_ = 0;
  u8 scratch_ = 0;
  u8 line_errors_ = 0;
  u8 modem_delta_ = 0;
  u16 divisor_ = 0;
  std::array<u8, 8> enhanced_{};
  std::array<u32, kModeRegisters> modes_{};
  bool transmit_pending_ = false;  ///< the "transmitter empty" interrupt, until acknowledged
};

Result<std::unique_ptr<device::Device>> create(device::Ports& ports, const Variant& variant) {
  const tree::Node& node = ports.node();
  const u32 shift = node.u32_value("reg-shift").value_or(variant.register_shift);
  const u64 base = node.number("reg-offset").value_or(0);
  if (shift > 4) {
    return fail(node.place("reg-shift"), fmt::format("{} is too much: registers are at most 16 bytes apart", shift),
                "use 0 to 4");
  }
  if (base > ports.window_size(0) || ports.window_size(0) - base < u64{8} << shift) {
    return fail(node.place("reg"),
                fmt::format("{:#x} bytes are too few for 8 registers {} bytes apart from {:#x} on",
                            ports.window_size(0), 1u << shift, base),
                "check reg, reg-shift and reg-offset");
  }
  return std::make_unique<Ns16550>(ports, variant, base, shift);
}

template <u32 depth>
Result<std::unique_ptr<device::Device>> plain(device::Ports& ports) {
  return create(ports, {.fifo_depth = depth});
}
Result<std::unique_ptr<device::Device>> designware(device::Ports& ports) {
  return create(ports, {.designware = true});
}
Result<std::unique_ptr<device::Device>> spaced(device::Ports& ports) {
  return create(ports, {.register_shift = 2});
}
Result<std::unique_ptr<device::Device>> xscale(device::Ports& ports) {
  return create(ports, {.fifo_depth = 64, .enable_mask = 0x4f, .register_shift = 2});
}

Result<std::unique_ptr<device::Device>> omap(device::Ports& ports) {
  return create(ports, {.fifo_depth = 64, .omap = true, .enable_mask = 0xff, .register_shift = 2});
}

constexpr std::string_view kSummary = "16550-compatible UART (PC16550D)";
const device::Registration kNs16550a{"ns16550a", plain<16>, kSummary, false, "PNP0501"};
const device::Registration kNs16550{"ns16550", plain<16>, kSummary, false, "PNP0501"};
const device::Registration kNs16850{"ns16850", plain<16>, kSummary};
const device::Registration kNs16450{"ns16450", plain<1>, "UART without FIFOs (NS16450)"};
const device::Registration kNs8250{"ns8250", plain<1>, "UART without FIFOs (NS8250)"};
const device::Registration kFsl{"fsl,ns16550", plain<16>, kSummary};
const device::Registration kAltera32{"altr,16550-FIFO32", plain<32>, kSummary};
const device::Registration kAltera64{"altr,16550-FIFO64", plain<64>, kSummary};
const device::Registration kTegra{"nvidia,tegra20-uart", spaced, "Tegra UART, 16550-compatible"};
const device::Registration kXscale{"intel,xscale-uart", xscale, "XScale UART, 16550-compatible"};
const device::Registration kMmp{"mrvl,mmp-uart", xscale, "MMP UART, 16550-compatible"};
const device::Registration kDesignware{"snps,dw-apb-uart", designware, "Synopsys DesignWare APB UART"};
const device::Registration kAm654{"ti,am654-uart", omap, "TI UART, 16550-compatible (SPRUID7)"};
const device::Registration kAm64{"ti,am64-uart", omap, "TI UART, 16550-compatible (SPRUID7)"};
const device::Registration kOmap4{"ti,omap4-uart", omap, "TI UART, 16550-compatible"};
const device::Registration kArmada{"marvell,armada-38x-uart", designware, "Synopsys DesignWare APB UART (Armada)"};

}  // namespace
}  // namespace solder::models::serial
