/// A vCPU that runs on the translator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cpu/vcpu.h"
#include "translator/run/runner.h"

namespace solder::accel {

class TranslatorVcpu final : public cpu::Vcpu {
 public:
  TranslatorVcpu(run::Engine& engine, std::unique_ptr<ir::GuestCpu> guest, u32 index)
      : index_(index), runner_(engine, std::move(guest), index) {}

  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override { return runner_.run(); }
  void kick() override {
    runner_.kick();
    if (wake_) wake_();
  }
  [[nodiscard]] bool has_wake_reason() const override { return runner_.guest().has_wake_reason(); }
  void set_line(cpu::Line line, bool level) override {
    runner_.guest().set_line(line, level);
    if (level && wake_) wake_();
  }
  void set_wake(std::function<void()> wake) override { wake_ = std::move(wake); }
  void reset(const cpu::EntryState& entry) override { runner_.guest().reset(entry); }
  void connect_output(u32 output, interrupt::LevelWire wire) override { runner_.guest().connect_output(output, wire); }
  void add_system_registers(cpu::SystemRegisters& registers) override {
    runner_.guest().add_system_registers(registers);
  }
  void set_firmware(cpu::FirmwareCalls* firmware) override { runner_.guest().set_firmware(firmware); }
  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override { return runner_.guest().registers(); }
  [[nodiscard]] Status set_register(const cpu::RegisterValue& value) override {
    return runner_.guest().set_register(value);
  }
  [[nodiscard]] std::string fault_text() const override { return runner_.fault_text(); }

 private:
  u32 index_;
  run::Runner runner_;
  std::function<void()> wake_;
};

}  // namespace solder::accel
