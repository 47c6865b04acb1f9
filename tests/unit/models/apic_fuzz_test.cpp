// Local APICs and I/O APIC together under random registers, MSRs, messages, lines and time: nothing breaks, and what is
// left can be saved and loaded.
#include <random>

#include "apic_fixture.h"

namespace solder::models::apic {
namespace {

class ApicFuzzTest : public ApicMachine {};

TEST_F(ApicFuzzTest, RandomAccesses) {
  std::mt19937_64 random(0xa41c);
  testing::FakePorts io_ports{machine, "ioapic@0"};
  const auto io = testing::make_model(io_ports, "intel,ce4100-ioapic");
  for (auto* vcpu : machine.vcpus) vcpu->tsc = {.value = 1'000, .hz = 3'000'000'000};
  ASSERT_TRUE(device->start().has_value());
  auto value = [&random] { return random() % 2 == 0 ? random() : u64{1} << random() % 64; };
  const std::array<u64, 6> bases{0xfee0'0000, 0xfee0'0900, 0xfee0'0800, 0xfee0'0c00, 0xfee0'0d00, 0x1000'0800};
  for (u32 round = 0; round < 60'000; ++round) {
    const u32 cpu = static_cast<u32>(random() % 5);
    on(cpu);
    const u32 msr_cpu = cpu % 4;
    switch (random() % 9) {
      case 0:
        ports.write(random() % 0x100 << 4, value(), 4);
        break;
      case 1:
        ports.read(random() % 0x1000, 1u << random() % 4);
        break;
      case 2:
        wrmsr(msr_cpu, 0x800 + static_cast<u32>(random() % 0x40), random() % 3 == 0 ? value() : random() % 0x100);
        break;
      case 3:
        wrmsr(msr_cpu, kMsrApicBase, bases[random() % bases.size()]);
        wrmsr(msr_cpu, kMsrTscDeadline, value());
        rdmsr(msr_cpu, 0x800 + static_cast<u32>(random() % 0x100));
        break;
      case 4:
        message(0xfee0'0000 | (value() & 0xff'ffff'000f'ffff), static_cast<u32>(value()));
        break;
      case 5:
        io_ports.write(0, 0x10 + random() % 48);
        io_ports.write(0x10, random() % 2 == 0 ? random() % 0x10000 : random());
        break;
      case 6:
        dynamic_cast<interrupt::Sink&>(*io).set_level(static_cast<u32>(random() % 26), random() % 2 == 0);
        apics->set_level(static_cast<u32>(random() % 3), random() % 2 == 0);
        break;
      case 7:
        put(kRegEoi, 0);
        io_ports.write(0x40, random());
        break;
      default:
        if (random() % 4 == 0) step(random() % 100'000);
        EXPECT_GE(take(msr_cpu).value_or(16), 16);
        break;
    }
    if (round % 10'000 != 9'999) continue;
    // A level that no local APIC accepted is tried again when its entry is written, and by a load: all of it now.
    for (u32 pin = 0; pin < kIoApicPins; ++pin) {
      io_ports.write(0, 0x10 + 2 * pin);
      io_ports.write(0x10, io_ports.read(0x10));
    }
    for (device::Device* each : {device.get(), io.get()}) {
      auto first = device::Archive::saver();
      each->state(first);
      each->reset();
      auto loader = device::Archive::loader(first.data());
      each->state(loader);
      ASSERT_TRUE(loader.status().has_value());
      auto second = device::Archive::saver();
      each->state(second);
      ASSERT_EQ(first.data(), second.data()) << "state that is lost";
    }
  }
}

}  // namespace
}  // namespace solder::models::apic
