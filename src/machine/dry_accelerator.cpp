// CPUs that never run, for looking at a machine without starting it.
#include <fmt/format.h>

#include "machine/accelerator.h"

namespace solder::machine {

namespace {

class DryVcpu final : public cpu::Vcpu {
 public:
  explicit DryVcpu(u32 index) : index_(index) {}
  [[nodiscard]] u32 index() const override { return index_; }
  cpu::ExitReason run() override { return cpu::ExitReason::halted; }
  void kick() override {}
  [[nodiscard]] bool has_wake_reason() const override { return false; }
  void set_line(cpu::Line line, bool level) override {
    (void)line;
    (void)level;
  }
  void set_wake(std::function<void()> wake) override { (void)wake; }
  void reset(const cpu::EntryState& entry) override { (void)entry; }
  void connect_output(u32 index, interrupt::LevelWire wire) override {
    (void)index;
    (void)wire;
  }
  void add_system_registers(cpu::SystemRegisters& registers) override { (void)registers; }
  void set_firmware(cpu::FirmwareCalls* firmware) override { (void)firmware; }
  [[nodiscard]] std::vector<cpu::RegisterValue> registers() const override { return {}; }
  [[nodiscard]] Status set_register(const cpu::RegisterValue& value) override {
    return fail("", fmt::format("a CPU that does not run has no register {}", value.name));
  }
  [[nodiscard]] std::string fault_text() const override { return {}; }

 private:
  u32 index_;
};

class DryAccelerator final : public cpu::Accelerator {
 public:
  [[nodiscard]] std::string name() const override { return "none"; }
  [[nodiscard]] Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override {
    return std::make_unique<DryVcpu>(request.index);
  }
};

}  // namespace

std::unique_ptr<cpu::Accelerator> make_dry_accelerator() {
  return std::make_unique<DryAccelerator>();
}

}  // namespace solder::machine
