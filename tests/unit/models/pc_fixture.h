/// What the tests of a PC's devices share: a machine whose clock stands still but for `step`, 8-bit ports, saved state.
#pragma once

#include "model_fixture.h"

namespace solder::testing {

class PcTest : public ::testing::Test {
 protected:
  PcTest() {
    machine.clock.pause();
    machine.timers.clock_changed();
  }

  /// Lets `ns` nanoseconds of machine time pass; timers fire at their times.
  void step(u64 ns) {
    const u64 to = machine.clock.now() + ns;
    ASSERT_EQ(machine.timers.step(to, 1'000'000), to);
  }
  u64 in(u64 offset, u32 window = 0) { return ports.read(offset, 1, window); }
  void out(u64 offset, u8 value, u32 window = 0) { ports.write(offset, value, 1, window); }
  /// How often a level wire rose.
  u64 rises(u32 index = 0) { return ports.level_wire(index).count(); }

  /// Saves `from` and loads the result into `to`.
  static void copy_state(device::Device& from, device::Device& to) {
    auto saver = device::Archive::saver();
    from.state(saver);
    auto loader = device::Archive::loader(saver.data());
    to.state(loader);
    const auto status = loader.status();
    ASSERT_TRUE(status.has_value()) << status.error().text();
  }
  /// Saves, resets and loads again.
  static void save_and_load(device::Device& device) {
    auto saver = device::Archive::saver();
    device.state(saver);
    device.reset();
    auto loader = device::Archive::loader(saver.data());
    device.state(loader);
    const auto status = loader.status();
    ASSERT_TRUE(status.has_value()) << status.error().text();
  }

  FakeMachine machine;
  FakePorts ports{machine, "device@0"};
};

}  // namespace solder::testing
