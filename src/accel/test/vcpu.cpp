#include <fmt/format.h>

#include "accel/test/bench.h"

namespace solder::accel::test {

void TestVcpu::set_line(cpu::Line line, bool level) {
  const std::lock_guard guard(lines_->mutex);
  levels_[static_cast<usize>(line)] = level;
  lines_->changed.notify_all();
}

void TestVcpu::raise_nmi() {
  const std::lock_guard guard(lines_->mutex);
  ++nmis_;
  lines_->changed.notify_all();
}

void TestVcpu::reset(const cpu::EntryState& entry) {
  bool first = false;
  {
    const std::lock_guard guard(lines_->mutex);
    first = ++starts_ == 1;
    entry_ = entry.pc;
  }
  // By the machine: whatever starts a CPU again is done by a command already.
  if (first && started_) started_();
}

void TestVcpu::connect_output(u32 index, interrupt::LevelWire wire) {
  if (index >= outputs_.size()) outputs_.resize(index + 1);
  outputs_[index] = wire;
}

Status TestVcpu::set_register(const cpu::RegisterValue& value) {
  return fail("", fmt::format("a CPU that does not run has no register {}", value.name));
}

bool TestVcpu::line(cpu::Line line) const {
  const std::lock_guard guard(lines_->mutex);
  return levels_[static_cast<usize>(line)];
}
u64 TestVcpu::nmis() const {
  const std::lock_guard guard(lines_->mutex);
  return nmis_;
}
u64 TestVcpu::starts() const {
  const std::lock_guard guard(lines_->mutex);
  return starts_;
}
u64 TestVcpu::entry() const {
  const std::lock_guard guard(lines_->mutex);
  return entry_;
}

interrupt::LevelWire* TestVcpu::output(u32 index) {
  return index < outputs_.size() && outputs_[index].connected() ? &outputs_[index] : nullptr;
}

cpu::SystemRegisters* TestVcpu::system_registers(u32 encoding) const {
  for (cpu::SystemRegisters* one : systems_)
    if (one->has(encoding)) return one;
  return nullptr;
}

}  // namespace solder::accel::test
