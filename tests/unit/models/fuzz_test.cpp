// Every model against random accesses: whatever a guest does to its registers, nothing breaks, and what it leaves can
// be saved and loaded.
#include <random>

#include "cpu/current.h"
#include "model_fixture.h"

namespace solder::models {
namespace {

class ModelFuzz : public ::testing::TestWithParam<const device::ModelInfo*> {};

TEST_P(ModelFuzz, RandomAccesses) {
  const device::ModelInfo& info = *GetParam();
  std::mt19937_64 random(0x50'1de4);
  testing::FakeMachine machine(4);
  testing::FakeCharDevice host;

  testing::FakePorts gpio_ports(machine, "gpio");
  gpio_ports.mutable_node().set_u32("phandle", 1);
  const auto gpio = testing::make_model(gpio_ports, "arm,pl061");
  testing::FakePorts syscon_ports(machine, "syscon");
  syscon_ports.mutable_node().set_u32("phandle", 2);
  const auto syscon = testing::make_model(syscon_ports, "syscon");

  testing::FakePorts ports(machine, "device");
  ports.chardev_backend = &host;
  ports.window_sizes = {0x10000, 0x80000, 0x2000, 0x2000};
  tree::Node& node = ports.mutable_node();
  node.set_string("method", "hvc");
  node.set_cells("gpios", std::vector<u32>{1, 3, 0});
  node.set_u32("regmap", 2);
  node.set_u32("offset", 4);
  node.set_u32("value", 1);
  node.set_string("solder,path", SOLDER_SOURCE_DIR "/LICENSE");
  node.set_cells("solder,message", std::vector<u32>{0xfee00000, 0x41});
  node.set_u32("solder,counter", static_cast<u32>(testing::FakeMachine::kRamBase));
  const auto device = testing::make_model(ports, std::string(info.compatible));
  ASSERT_NE(device, nullptr);

  for (u32 round = 0; round < 40'000; ++round) {
    cpu::set_current_cpu(static_cast<u32>(random() % 4));
    const u32 window = random() % 4 == 0 ? static_cast<u32>(random() % 4) : 0;
    memory::MmioHandler* handler = ports.handler(window);
    // Most accesses near the start of a frame, where registers are; any alignment.
    const u64 range = random() % 2 == 0 ? 0x100 : random() % 2 == 0 ? 0x1000 : ports.window_sizes[window];
    u64 offset = random() % range;
    if (random() % 4 != 0) offset &= ~u64{3};
    const unsigned size = 1u << random() % 4;
    const u64 value = random() % 2 == 0 ? random() : u64{1} << random() % 64;
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        if (handler != nullptr && offset + size <= ports.window_sizes[window]) handler->write(offset, size, value);
        break;
      case 3:
      case 4:
        if (handler != nullptr && offset + size <= ports.window_sizes[window]) handler->read(offset, size);
        break;
      case 5:
        host.type(std::string(random() % 80, 'x'));
        break;
      case 6:
        if (ports.controller != nullptr) {
          const u32 cells[3] = {static_cast<u32>(random() % 3), static_cast<u32>(random() % 1100),
                                static_cast<u32>(random() % 10)};
          const usize count = random() % 2 == 0 ? 3 : 2;
          if (const auto input =
                  ports.controller->input(std::span(cells).first(count), static_cast<u32>(random() % 5))) {
            input->sink->set_level(input->pin, random() % 2 == 0);
          }
        }
        break;
      default:
        if (auto* registers = machine.vcpus[0]->system_registers) {
          // Around op0 3, op1 0, CRn 4 and 12, where the interrupt controller's registers are.
          const u32 encoding = 3u << 14 | (random() % 8 == 0 ? 4u : 12u) << 7 | static_cast<u32>(random() % 128);
          if (!registers->has(encoding)) break;
          const u32 cpu = static_cast<u32>(random() % 4);
          if (random() % 2 == 0) {
            registers->write(cpu, encoding, random() % 2 == 0 ? random() : random() % 1024);
          } else {
            registers->read(cpu, encoding);
          }
        }
        if (auto* firmware = machine.vcpus[0]->firmware) {
          std::array<u64, 4> x{0x84000000 | (random() % 2) << 30 | random() % 32, random() % 5, random(), random() % 4};
          firmware->call(static_cast<u32>(random() % 4), random() % 2 == 0, x);
        }
        if (round % 64 == 0) device->press_power_button();
    }
    if (round % 5000 == 4999) {
      // State is read and written while time stands still.
      machine.clock.pause();
      machine.timers.clock_changed();
      machine.timers.step(machine.clock.now(), 0);
      auto first = device::Archive::saver();
      device->state(first);
      device->reset();
      auto loader = device::Archive::loader(first.data());
      device->state(loader);
      ASSERT_TRUE(loader.status().has_value()) << loader.status().error().text();
      auto second = device::Archive::saver();
      device->state(second);
      ASSERT_EQ(first.data(), second.data()) << "state that is lost";
      machine.clock.resume();
      machine.timers.clock_changed();
    }
  }
  cpu::set_current_cpu(0);
  device->stop();
}

std::vector<const device::ModelInfo*> fuzzed_models() {
  std::vector<const device::ModelInfo*> out;
  for (const device::ModelInfo* info : device::all_models()) {
    // virtio's have their own, which knows about rings.
    if (info->factory != nullptr && !info->compatible.starts_with("virtio")) out.push_back(info);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Registry, ModelFuzz, ::testing::ValuesIn(fuzzed_models()), [](const auto& tested) {
  std::string name(tested.param->compatible);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace solder::models
