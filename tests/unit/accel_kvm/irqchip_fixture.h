/// A board with the controllers that KVM can run, on a real VM whose CPUs never run: what is in KVM is looked at with
/// its own ioctls.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "accel/kvm/accelerator.h"
#include "accel/kvm/x86/irqchip_state.h"
#include "accel/kvm/x86/kernel_devices.h"
#include "device/registry.h"
#include "support/fake_ports.h"
#include "tree/document.h"

namespace solder::accel::kvm::x86 {

inline constexpr std::string_view kBoard = R"(/dts-v1/;
/ {
	#address-cells = <2>;
	#size-cells = <2>;
	lapic: lapic@fee00000 { compatible = "intel,ce4100-lapic"; reg = <0x0 0xfee00000 0x0 0x1000>; };
	ioapic: ioapic@fec00000 { compatible = "intel,ce4100-ioapic"; reg = <0x0 0xfec00000 0x0 0x1000>; };
	gsi: gsi {
		compatible = "solder,gsi";
		solder,route = <0 2 &pic 0>, <3 13 &pic 3>, <0 1 &ioapic 2>, <1 1 &ioapic 1>, <3 21 &ioapic 3>;
	};
	isa {
		compatible = "isa";
		#address-cells = <2>;
		#size-cells = <1>;
		pic: pic@i20 { compatible = "intel,i8259"; reg = <1 0x20 2>, <1 0xa0 2>, <1 0x4d0 2>; };
		pit: pit@i40 { compatible = "intel,i8254"; reg = <1 0x40 4>, <1 0x61 1>; interrupts = <0 3>; };
	};
};
)";

class Board {
 public:
  /// `overlay`: a document on top of the board, with the header.
  explicit Board(const std::string& overlay = {}) {
    tree::Composer composer;
    EXPECT_TRUE(composer.add_text(kBoard, "board.dts"));
    if (!overlay.empty()) {
      const Status added = composer.add_text("/dts-v1/;\n" + overlay, "overlay.dts");
      EXPECT_TRUE(added) << added.error().text();
    }
    tree = composer.finish().value();
    kvm = Kvm::create().value();
    devices = kvm->kernel_devices();
    devices->connect(machine.routes);
  }
  ~Board() {
    // As a machine goes: devices, CPUs, then KVM.
    parts.clear();
    vcpus.clear();
    kvm.reset();
  }

  /// What the machine does before it makes CPUs.
  Status choose() {
    for (const char* name : {"/lapic@fee00000", "/ioapic@fec00000", "/isa/pic@i20", "/isa/pit@i40"}) {
      const tree::Node* node = tree->find(name);
      candidates.push_back({node, node->string_list("solder,backend"), false, {}});
    }
    return devices->choose(*tree, candidates);
  }
  [[nodiscard]] IrqchipMode mode() const { return static_cast<KernelControllers*>(devices)->mode(); }

  /// CPUs, and the device of each node, in KVM or here as chosen.
  void build() {
    const Status chosen = choose();
    ASSERT_TRUE(chosen) << chosen.error().text();
    for (u32 i = 0; i < 2; ++i) {
      cpu::CpuRequest request;
      request.index = i;
      request.hardware_id = i;
      request.compatible = "x86-64";
      request.memory = &machine.space;
      auto made = kvm->create_vcpu(request);
      ASSERT_TRUE(made.has_value()) << made.error().text();
      vcpus.push_back(std::move(*made));
    }
    add("/lapic@fee00000", {0x1000});
    add("/ioapic@fec00000", {0x1000});
    add("/isa/pic@i20", {2, 2, 2});
    add("/isa/pit@i40", {4, 1});
    add("/gsi", {});
    auto& pit = *parts[3];
    pit.ports.specifiers = {{0, 3}};
    pit.ports.interrupt_parent = parts[4]->ports.controller;
    const Status finished = devices->finish();
    ASSERT_TRUE(finished) << finished.error().text();
    for (auto& part : parts) {
      const Status started = part->device->start();
      ASSERT_TRUE(started) << started.error().text();
    }
  }

  struct Part {
    Part(testing::FakeMachine& machine, tree::Node& node) : ports(machine, node) {}
    testing::FakePorts ports;
    std::unique_ptr<device::Device> device;
  };
  Part& lapic() { return *parts[0]; }
  Part& ioapic() { return *parts[1]; }
  Part& pic() { return *parts[2]; }
  Part& pit() { return *parts[3]; }
  interrupt::Controller::Input gsi(u32 number) {
    const std::array<u32, 2> cells{number, 3};
    return parts[4]->ports.controller->input(cells, 0).value();
  }

  static std::vector<u8> save(Part& part) {
    auto archive = device::Archive::saver();
    part.device->state(archive);
    return archive.data();
  }
  static void load(Part& part, std::vector<u8> data) {
    auto archive = device::Archive::loader(std::move(data));
    part.device->state(archive);
    const Status status = archive.status();
    ASSERT_TRUE(status) << status.error().text();
  }
  template <class Record>
  static Record record(Part& part, std::string_view name, u32 skip = 0) {
    auto archive = device::Archive::loader(save(part));
    Record out;
    for (u32 i = 0; i <= skip; ++i) archive(name, out);
    EXPECT_TRUE(archive.status());
    return out;
  }
  /// The local APIC of `cpu`, wherever it is.
  models::apic::LapicState apic(u32 cpu = 0) { return record<models::apic::LapicState>(lapic(), "apic", cpu); }
  bool requested(u8 vector, u32 cpu = 0) { return (apic(cpu).requests[vector / 32] >> vector % 32 & 1) != 0; }
  models::apic::IoApicState pins() { return record<models::apic::IoApicState>(ioapic(), "ioapic"); }

  /// A record per CPU: enabled by software, nothing else.
  void enable_apics() {
    auto archive = device::Archive::saver();
    for (u32 cpu = 0; cpu < 2; ++cpu) {
      models::apic::LapicState state = apic(cpu);
      state.spurious = 0x1ff;
      archive("apic", state);
    }
    load(lapic(), archive.data());
  }
  void program(u32 pin, u64 entry) {
    models::apic::IoApicState state = pins();
    state.entries[pin] = entry;
    auto archive = device::Archive::saver();
    archive("ioapic", state);
    load(ioapic(), archive.data());
  }

  std::unique_ptr<tree::Tree> tree;
  testing::FakeMachine machine{2};
  std::unique_ptr<Kvm> kvm;
  device::KernelDevices* devices = nullptr;
  std::vector<device::KernelDevices::Candidate> candidates;
  std::vector<std::unique_ptr<cpu::Vcpu>> vcpus;
  std::vector<std::unique_ptr<Part>> parts;

 private:
  void add(const char* path, std::vector<u64> sizes) {
    tree::Node* node = tree->find(path);
    parts.push_back(std::make_unique<Part>(machine, *node));
    Part& part = *parts.back();
    part.ports.window_sizes = std::move(sizes);
    const auto compatible = node->compatible();
    const auto chosen = std::ranges::find(candidates, node, &device::KernelDevices::Candidate::node);
    auto made = chosen != candidates.end() && chosen->in_kernel ? devices->make(part.ports)
                                                                : device::find_model(compatible)->factory(part.ports);
    ASSERT_TRUE(made.has_value()) << made.error().text();
    part.device = std::move(*made);
  }
};

#define SOLDER_NEEDS_IRQCHIP()                                                                     \
  if (const auto have = ::solder::accel::kvm::Vm::open(); !have) {                                 \
    GTEST_SKIP() << "needs /dev/kvm: " << have.error().text();                                     \
  } else if ((*have)->check(KVM_CAP_IRQCHIP) == 0 || (*have)->check(KVM_CAP_SPLIT_IRQCHIP) == 0) { \
    GTEST_SKIP() << "needs a KVM with interrupt controllers";                                      \
  }                                                                                                \
  static_assert(true)

inline constexpr const char* kSplit = R"(
&lapic { solder,backend = "kernel"; };
&ioapic { solder,backend = "user"; };
&pic { solder,backend = "user"; };
&pit { solder,backend = "user"; };
)";
inline constexpr const char* kUser = R"(
&lapic { solder,backend = "user"; };
&ioapic { solder,backend = "user"; };
&pic { solder,backend = "user"; };
&pit { solder,backend = "user"; };
)";

}  // namespace solder::accel::kvm::x86
