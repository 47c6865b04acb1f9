// A hostile guest without a guest: random exits into every model of both built-in boards. Any address, width, value and
// order, mostly where registers are; virtio rings of random descriptors; interrupt lines, system registers, firmware
// calls, and time that passes. Nothing crashes, hangs, or grows without bound.
// SOLDER_FUZZ_ROUNDS sets how many machines of each board (default: what takes seconds), SOLDER_FUZZ_STEPS how many
// exits each gets, SOLDER_FUZZ_SEED another start.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

#include "accel/test/bench.h"
#include "cpu/current.h"
#include "device/registers.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/machine.h"
#include "machine/shorthand.h"

namespace solder::machine {
namespace {

using accel::test::TestBench;

u64 setting(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

u64 resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  u64 size = 0;
  u64 resident = 0;
  statm >> size >> resident;
  return resident * static_cast<u64>(::sysconf(_SC_PAGESIZE));
}

/// A disk for the boards' virtio slots, which goes with the test.
class DiskFile {
 public:
  DiskFile() : path_(std::filesystem::temp_directory_path() / ("solder-exits." + std::to_string(::getpid()))) {
    std::ofstream(path_) << "disk";
    std::filesystem::resize_file(path_, 1_MiB);
  }
  ~DiskFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// One machine and what is worth aiming at in it.
class Target {
 public:
  Target(const tree::Tree& tree, const Plan& plan, u64 seed) : random_(seed), backends_({}) {
    auto bench = std::make_unique<TestBench>();
    bench_ = bench.get();
    auto built = Machine::build(tree, plan, std::move(bench), backends_, control_);
    EXPECT_TRUE(built) << built.error().text();
    if (!built) return;
    machine_ = std::move(*built);
    machine_->run({});
    collect(machine_->fabric().memory, false);
    collect(machine_->fabric().io_ports, true);
    for (const auto& entry : plan.nodes) {
      NodePorts* ports = machine_->ports(*entry.node);
      if (ports == nullptr) continue;
      for (u32 i = 0; i < ports->interrupt_count(); ++i)
        if (const auto input = ports->interrupt_input(i, 0); input && input->sink != nullptr) inputs_.push_back(*input);
      if (entry.node->is_compatible("qemu,fw-cfg-io") && !ports->addresses().empty())
        fw_cfg_ = ports->addresses().front().address;
      if (entry.node->is_compatible("virtio,mmio")) virtio_.push_back(ports->addresses().front().address);
    }
    ram_ = machine_->ram().front();
  }
  ~Target() {
    if (machine_) machine_->stop();
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  [[nodiscard]] bool good() const { return machine_ != nullptr; }
  [[nodiscard]] usize windows() const { return windows_.size(); }

  void step() {
    cpu::set_current_cpu(static_cast<u32>(random_() % bench_->cpus().size()));
    switch (random_() % 32) {
      case 0:
        any_access();
        return;
      case 1:
        line();
        return;
      case 2:
      case 3:
        system_register();
        return;
      case 4:
        firmware();
        return;
      case 5:
        time_passes();
        return;
      case 6:
        scribble();
        return;
      case 7:
        random_ring();
        return;
      case 8:
        acknowledge();
        return;
      case 9:
        firmware_dma();
        return;
      default:
        register_access();
    }
  }

 private:
  struct Window {
    const memory::AddressSpace* space = nullptr;
    memory::FlatRange range;
    std::vector<u64> offsets;  // of declared registers
    bool port = false;
  };

  void collect(const memory::AddressSpace& space, bool port) {
    for (const auto& range : space.map().ranges()) {
      if (range.handler == nullptr) continue;
      Window window{&space, range, {}, port};
      if (const auto* block = dynamic_cast<const device::RegisterBlock*>(range.handler))
        for (const auto& reg : block->registers())
          for (u32 i = 0; i < std::min<u32>(reg.count, 64); ++i) window.offsets.push_back(reg.offset + i * reg.stride);
      windows_.push_back(std::move(window));
    }
  }

  // Values that programs write: small, single bits, masks, addresses in RAM, anything.
  u64 value() {
    switch (random_() % 6) {
      case 0:
        return random_() % 16;
      case 1:
        return u64{1} << random_() % 64;
      case 2:
        return ~u64{0} >> random_() % 64;
      case 3:
        return ram_.address + random_() % 0x10000;
      case 4:
        return random_() % 0x10000;
      default:
        return random_();
    }
  }

  static void access(const memory::AddressSpace& space, Gpa address, unsigned size, bool write, u64 value) {
    if (write) {
      space.store(address, size, size == 8 ? value : value & ((u64{1} << (8 * size)) - 1));
    } else {
      (void)space.load(address, size);
    }
  }

  void register_access() {
    const Window& window = windows_[random_() % windows_.size()];
    u64 offset = 0;
    if (!window.offsets.empty() && random_() % 8 != 0) {
      offset = window.offsets[random_() % window.offsets.size()];
      if (random_() % 16 == 0) offset += random_() % 8;
    } else {
      offset = random_() % std::min<u64>(window.range.size, random_() % 2 == 0 ? 0x200 : ~u64{0});
      if (random_() % 4 != 0) offset &= ~u64{3};
    }
    // As wide as a bus allows: ports take four bytes.
    const unsigned size = random_() % 2 == 0 ? 4 : 1U << random_() % (window.port ? 3 : 4);
    access(*window.space, window.range.start + offset, size, random_() % 2 == 0, value());
  }

  void any_access() {
    const memory::AddressSpace& space = random_() % 2 == 0 ? machine_->fabric().memory : machine_->fabric().io_ports;
    Gpa address = random_();
    if (random_() % 2 == 0) address >>= random_() % 64;
    // RAM is written elsewhere, within bounds: all of it would be the host's memory.
    const auto* range = space.map().find(address);
    access(space, address, 1U << random_() % 4, random_() % 2 == 0 && (range == nullptr || range->ram == nullptr),
           value());
  }

  void line() {
    if (inputs_.empty()) return;
    const auto& input = inputs_[random_() % inputs_.size()];
    if (random_() % 4 == 0) {
      input.sink->pulse(input.pin);
    } else {
      input.sink->set_level(input.pin, random_() % 2 == 0);
    }
  }

  void system_register() {
    const u32 cpu = cpu::current_cpu();
    // arm64: the interrupt controller's (op0 3, CRn 4 and 12); x86: IA32_APIC_BASE, x2APIC, TSC deadline; else any.
    u32 encoding = static_cast<u32>(random_());
    switch (random_() % 4) {
      case 0:
        encoding = 3u << 14 | (random_() % 8 == 0 ? 4u : 12u) << 7 | encoding % 128;
        break;
      case 1:
        encoding = 0x800 + encoding % 0x40;
        break;
      case 2:
        encoding = encoding % 2 == 0 ? 0x1b : 0x6e0;
        break;
      default:
        break;
    }
    auto* registers = bench_->cpus()[cpu]->system_registers(encoding);
    if (registers == nullptr) return;
    if (random_() % 2 == 0) {
      if (registers->allows(cpu, encoding, false, 0)) (void)registers->read(cpu, encoding);
      return;
    }
    const u64 written = value();
    if (registers->allows(cpu, encoding, true, written)) registers->write(cpu, encoding, written);
  }

  void firmware() {
    auto* calls = bench_->cpus()[cpu::current_cpu()]->firmware();
    if (calls == nullptr) return;
    std::array<u64, 4> registers = {0x84000000 + random_() % 32 + (random_() % 2) * 0x40000000, value() % 8, value(),
                                    value()};
    (void)calls->call(cpu::current_cpu(), random_() % 2 == 0, registers);
    (void)calls->take_wait(cpu::current_cpu());
  }

  void acknowledge() {
    if (auto* interface = bench_->cpus()[cpu::current_cpu()]->cpu_interface()) {
      (void)interface->acknowledge();
      interface->set_task_priority(static_cast<u8>(random_() % 16));
      (void)interface->task_priority();
    }
  }

  void time_passes() {
    // A model may keep more timers due than a step takes; it must not keep the step from ending.
    (void)bench_->step(random_() % (random_() % 16 == 0 ? 1'000'000'000 : 1'000'000));
  }

  void scribble() {
    std::array<u8, 64> bytes;
    for (u8& byte : bytes) byte = static_cast<u8>(random_() % 4 == 0 ? random_() : 0);
    (void)machine_->fabric().memory.write(ram_.address + random_() % 0x10000, bytes.data(), bytes.size());
  }

  // A driver that sets a queue up properly (virtio 1.2, section 4.2.3.2) with rings of rubbish, so that the device's
  // own parsing is reached, which single random writes hardly do.
  void random_ring() {
    if (virtio_.empty()) return;
    const Gpa base = virtio_[random_() % virtio_.size()];
    const auto& memory = machine_->fabric().memory;
    const auto set = [&](u64 offset, u64 to) { memory.store(base + offset, 4, to & 0xffffffff); };
    const u64 size = u64{1} << random_() % 8;
    const Gpa table = ram_.address + random_() % 16 * 0x1000;
    for (u64 i = 0; i < size; ++i) {
      const Gpa at = table + 16 * i;
      memory.store(at, 8, random_() % 8 == 0 ? random_() : ram_.address + random_() % 0x20000);
      memory.store(at + 8, 4, random_() % 8 == 0 ? random_() & 0xffffffff : random_() % 0x2000);
      memory.store(at + 12, 2, random_() % 8 == 0 ? random_() & 0xffff : random_() % 8);
      memory.store(at + 14, 2, random_() % (size + 1));
    }
    const Gpa avail = table + 16 * size;
    memory.store(avail, 2, random_() % 2);
    for (u64 i = 0; i < size; ++i) memory.store(avail + 4 + 2 * i, 2, random_() % (size + 1));
    memory.store(avail + 2, 2, random_() % 64);
    if (random_() % 2 == 0) {
      set(0x70, 0);
      set(0x70, 3);
      set(0x24, 0);
      set(0x20, random_());
      set(0x24, 1);
      set(0x20, random_() % 2 == 0 ? 1 : random_());  // VIRTIO_F_VERSION_1, packed rings
      set(0x70, 11);
    }
    const u64 queue = random_() % 4;
    set(0x30, queue);
    set(0x38, size);
    const Gpa used = (avail + 6 + 2 * size + 3) & ~Gpa{3};
    set(0x80, table);
    set(0x84, table >> 32);
    set(0x90, avail);
    set(0x94, avail >> 32);
    set(0xa0, used);
    set(0xa4, used >> 32);
    set(0x44, 1);
    set(0x70, 15);
    set(0x50, queue);
    set(0x64, 3);
  }

  // fw_cfg's DMA: a descriptor in RAM, big-endian, and its address in two halves, of which the low one starts it
  // (QEMU's docs/specs/fw_cfg.rst).
  void firmware_dma() {
    if (!fw_cfg_) return;
    const Gpa at = ram_.address + random_() % 0x10000;
    const u32 operations = random_() % 8 == 0 ? static_cast<u32>(random_() & 0xffff) : static_cast<u32>(random_() % 32);
    const u64 wanted = random_() % 4 == 0 ? random_() : ram_.address + random_() % 0x100000;
    const auto& memory = machine_->fabric().memory;
    memory.store(at, 4, std::byteswap(static_cast<u32>(random_() % 0x40 << 16) | operations));
    memory.store(at + 4, 4, std::byteswap(static_cast<u32>(random_() % 4 == 0 ? random_() : random_() % 0x4000)));
    memory.store(at + 8, 8, std::byteswap(wanted));
    const u64 descriptor = random_() % 16 == 0 ? random_() : at;
    const auto& ports = machine_->fabric().io_ports;
    ports.store(*fw_cfg_ + 4, 4, std::byteswap(static_cast<u32>(descriptor >> 32)));
    ports.store(*fw_cfg_ + 8, 4, std::byteswap(static_cast<u32>(descriptor)));
  }

  std::mt19937_64 random_;
  Control control_;
  Backends backends_;
  std::unique_ptr<Machine> machine_;
  TestBench* bench_ = nullptr;
  std::vector<Window> windows_;
  std::vector<interrupt::Controller::Input> inputs_;
  std::vector<Gpa> virtio_;
  std::optional<Gpa> fw_cfg_;  // a port
  tree::AddressRange ram_;
};

class RandomExits : public ::testing::TestWithParam<std::string> {};

TEST_P(RandomExits, BreakNothing) {
  const DiskFile disk;
  const std::vector<std::string> machines = {GetParam()};
  auto composed = compose_machine(machines);
  ASSERT_TRUE(composed) << composed.error().text();
  Shorthand shorthand;
  shorthand.cpus = 3;
  shorthand.memory = 16_MiB;
  shorthand.console = "null";
  shorthand.disks = {disk.path()};
  auto tree = apply_shorthand(std::move(*composed), shorthand);
  ASSERT_TRUE(tree) << tree.error().text();
  // The other virtio devices, on slots that are free.
  const std::vector<std::string> functions = {"rng", "console"};
  usize next = 0;
  (*tree)->walk([&](tree::Node& node) {
    if (next < functions.size() && node.is_compatible("virtio,mmio") && !node.has("solder,virtio"))
      node.set_string("solder,virtio", functions[next++]);
  });
  const auto plan = make_plan(**tree, false);
  ASSERT_TRUE(plan) << plan.error().text();

  const u64 seed = setting("SOLDER_FUZZ_SEED", 1);
  const u64 rounds = setting("SOLDER_FUZZ_ROUNDS", 8);
  const u64 steps = setting("SOLDER_FUZZ_STEPS", 20'000);
  u64 after_first = 0;
  for (u64 round = 0; round < rounds; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed + round));
    Target target(**tree, *plan, seed + round);
    ASSERT_TRUE(target.good());
    EXPECT_GT(target.windows(), 3U);
    const u64 before = resident_bytes();
    for (u64 i = 0; i < steps; ++i) target.step();
    // RAM that is touched is small; what models keep for a guest is bounded.
    EXPECT_LT(resident_bytes(), before + 64_MiB);
    if (round == 0) after_first = resident_bytes();
  }
  EXPECT_LT(resident_bytes(), after_first + 128_MiB) << "machines leave something behind";
  cpu::set_current_cpu(0);
}

std::vector<std::string> boards() {
  std::vector<std::string> out;
  for (const Board& board : built_in_boards()) out.emplace_back(board.name);
  return out;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& board) {
  std::string name = board.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Boards, RandomExits, ::testing::ValuesIn(boards()), test_name);

}  // namespace
}  // namespace solder::machine
