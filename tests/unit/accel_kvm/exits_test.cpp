// Ports, windows, HLT, shutdown, faults: what comes out of KVM_RUN.
#include "guest.h"

namespace solder::accel::kvm {
namespace {

using cpu::ExitReason;

constexpr u8 kHlt = 0xf4;

TEST(KvmPorts, AllWidthsOut) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({0x66, 0xb8, 0x44, 0x33, 0x22, 0x11,  // mov eax, 0x11223344
           0xba, 0x04, 0x01,                    // mov dx, 0x104
           0xee,                                // out dx, al
           0xef,                                // out dx, ax
           0x66, 0xef,                          // out dx, eax
           0xe6, 0x80,                          // out 0x80, al: nobody there
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  const std::vector<Access> want{{true, 4, 1, 0x44}, {true, 4, 2, 0x3344}, {true, 4, 4, 0x11223344}};
  EXPECT_EQ(g.port.log, want);
}

TEST(KvmPorts, AllWidthsIn) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.port.value = 0x8899aabbccddeeff;
  g.start({0xba, 0x08, 0x01,        // mov dx, 0x108
           0xec,                    // in al, dx
           0xa2, 0x00, 0x20,        // mov [0x2000], al
           0xed,                    // in ax, dx
           0xa3, 0x02, 0x20,        // mov [0x2002], ax
           0x66, 0xed,              // in eax, dx
           0x66, 0xa3, 0x04, 0x20,  // mov [0x2004], eax
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u8>(0x2000), 0xff);
  EXPECT_EQ(g.at<u16>(0x2002), 0xeeff);
  EXPECT_EQ(g.at<u32>(0x2004), 0xccddeeffU);
  EXPECT_EQ(g.port.log.size(), 3U);
}

TEST(KvmPorts, HolesReadAllOnesAndWideAccessesAreSplitAtBorders) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.port.value = 0x1234;
  g.start({0xba, 0x00, 0x05,        // mov dx, 0x500: a hole
           0x66, 0xed,              // in eax, dx
           0x66, 0xa3, 0x00, 0x20,  // mov [0x2000], eax
           0xba, 0x3e, 0x01,        // mov dx, 0x13e: two bytes before the window's end
           0x66, 0xed,              // in eax, dx
           0x66, 0xa3, 0x04, 0x20,  // mov [0x2004], eax
           0x66, 0xef,              // out dx, eax
           0xba, 0xff, 0xff,        // mov dx, 0xffff: past the last port
           0xed,                    // in ax, dx
           0xa3, 0x08, 0x20,        // mov [0x2008], ax
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.at<u32>(0x2000), 0xffffffffU);
  EXPECT_EQ(g.at<u32>(0x2004), 0xffff1234U);
  EXPECT_EQ(g.at<u16>(0x2008), 0xffff);
  const std::vector<Access> want{{false, 0x3e, 2, 0x1234}, {true, 0x3e, 2, 0x1234}};
  EXPECT_EQ(g.port.log, want);
}

TEST(KvmPorts, StringsWithCount) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.port.value = 0x0100;
  g.port.step = 0x0101;
  const char text[] = "string";
  std::memcpy(g.ram->host() + 0x3000, text, 6);
  g.start({0xfc,              // cld
           0xba, 0x00, 0x01,  // mov dx, 0x100
           0xbe, 0x00, 0x30,  // mov si, 0x3000
           0xb9, 0x06, 0x00,  // mov cx, 6
           0xf3, 0x6e,        // rep outsb
           0xbf, 0x00, 0x40,  // mov di, 0x4000
           0xb9, 0x05, 0x00,  // mov cx, 5
           0xf3, 0x6d,        // rep insw
           kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  std::vector<Access> want;
  for (int i = 0; i < 6; ++i) want.push_back({true, 0, 1, static_cast<u8>(text[i])});
  for (u64 i = 0; i < 5; ++i) want.push_back({false, 0, 2, 0x100 + 0x101 * i});
  EXPECT_EQ(g.port.log, want);
  for (u32 i = 0; i < 5; ++i) EXPECT_EQ(g.at<u16>(0x4000 + 2 * i), 0x100 + 0x101 * i);
  EXPECT_EQ(g.reg("rcx"), 0U);
  EXPECT_EQ(g.reg("rdi"), 0x400aU);
}

TEST(KvmMmio, WidthsOneTwoFour) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.window.value = 0x55667788;
  g.start_protected({0xb8, 0x44, 0x33, 0x22, 0x11,        // mov eax, 0x11223344
                     0xa2, 0x10, 0x00, 0x0d, 0x00,        // mov [0xd0010], al
                     0x66, 0xa3, 0x10, 0x00, 0x0d, 0x00,  // mov [0xd0010], ax
                     0xa3, 0x10, 0x00, 0x0d, 0x00,        // mov [0xd0010], eax
                     0xa0, 0x20, 0x00, 0x0d, 0x00,        // mov al, [0xd0020]
                     0x66, 0xa1, 0x20, 0x00, 0x0d, 0x00,  // mov ax, [0xd0020]
                     0xa1, 0x20, 0x00, 0x0d, 0x00,        // mov eax, [0xd0020]
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  const std::vector<Access> want{{true, 0x10, 1, 0x44},  {true, 0x10, 2, 0x3344},  {true, 0x10, 4, 0x11223344},
                                 {false, 0x20, 1, 0x88}, {false, 0x20, 2, 0x7788}, {false, 0x20, 4, 0x55667788}};
  EXPECT_EQ(g.window.log, want);
  EXPECT_EQ(g.reg("rax"), 0x55667788U);
}

TEST(KvmMmio, EightBytes) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.window.value = 0x1122334455667788;
  g.start_long({0xbb, 0x00, 0x00, 0x0d, 0x00,  // mov ebx, 0xd0000
                0x48, 0x8b, 0x43, 0x08,        // mov rax, [rbx+8]
                0x48, 0xf7, 0xd8,              // neg rax
                0x48, 0x89, 0x43, 0x10,        // mov [rbx+16], rax
                kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted) << g.cpu().fault_text();
  const std::vector<Access> want{{false, 8, 8, 0x1122334455667788}, {true, 16, 8, -u64{0x1122334455667788}}};
  EXPECT_EQ(g.window.log, want);
}

TEST(KvmMmio, HolesReadAllOnesAndSwallowWrites) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start_protected({0xa1, 0x00, 0x00, 0x00, 0xe0,  // mov eax, [0xe0000000]
                     0xa3, 0x00, 0x00, 0x00, 0xe0,  // mov [0xe0000000], eax
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax"), 0xffffffffU);
}

TEST(KvmMmio, AnAccessAcrossWindowAndRamIsSplit) {
  SOLDER_NEEDS_KVM();
  Guest g;
  // A window of 16 bytes inside a page of RAM: the whole page has no slot.
  Recorder small;
  ASSERT_TRUE(g.memory.add({.name = "small", .start = 0x50010, .size = 16, .handler = &small, .priority = 1}));
  small.value = 0x99aa;
  g.ram->host()[0x50020] = 0x11;
  g.ram->host()[0x50021] = 0x22;
  g.start_protected({0xa1, 0x1e, 0x00, 0x05, 0x00,  // mov eax, [0x5001e]
                     0xa3, 0x1e, 0x00, 0x05, 0x00,  // mov [0x5001e], eax
                     0xa3, 0x40, 0x00, 0x05, 0x00,  // mov [0x50040], eax
                     kHlt});
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax"), 0x221199aaU);
  const std::vector<Access> want{{false, 14, 2, 0x99aa}, {true, 14, 2, 0x99aa}};
  EXPECT_EQ(small.log, want);
  EXPECT_EQ(g.at<u32>(0x50040), 0x221199aaU);
}

TEST(KvmExits, ATripleFaultAsksForReset) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start_protected({0x0f, 0x0b});  // ud2, without an IDT
  EXPECT_EQ(g.cpu().run(), ExitReason::reset);
  // And the CPU can start again.
  g.start({0xb0, 0x07, kHlt});  // mov al, 7
  ASSERT_EQ(g.cpu().run(), ExitReason::halted);
  EXPECT_EQ(g.reg("rax") & 0xff, 7U);
}

TEST(KvmExits, WhatKvmCannotRunIsToldWithTheInstruction) {
  SOLDER_NEEDS_KVM();
  Guest g;
  // An instruction fetched from a window: no KVM runs code from there.
  g.window.value = 0x90;
  g.start_protected({0xb9, 0x78, 0x56, 0x34, 0x12,    // mov ecx, 0x12345678
                     0xe9, 0xf6, 0xef, 0x0c, 0x00});  // jmp 0xd0000
  ASSERT_EQ(g.cpu().run(), ExitReason::fault);
  const std::string text = g.cpu().fault_text();
  EXPECT_NE(text.find("CPU 0"), std::string::npos) << text;
  EXPECT_NE(text.find("INTERNAL_ERROR"), std::string::npos) << text;
  EXPECT_NE(text.find("suberror"), std::string::npos) << text;
  EXPECT_NE(text.find("rcx 0000000012345678"), std::string::npos) << text;
  EXPECT_NE(text.find("00000000000d0000"), std::string::npos) << text;
}

TEST(KvmExits, AnInstructionThatKvmDoesNotKnowIsDisassembled) {
  SOLDER_NEEDS_KVM();
  Guest g;
  // An access to a window by an instruction that the kernel's emulator lacks.
  g.start_protected({0xf3, 0x0f, 0xb8, 0x05, 0x00, 0x00, 0x0d, 0x00});  // popcnt eax, [0xd0000]
  const ExitReason reason = g.cpu().run();
  const std::string text = g.cpu().fault_text();
  ASSERT_EQ(reason, ExitReason::fault);
  EXPECT_NE(text.find("instruction: popcnt eax, [0x000D0000]"), std::string::npos) << text;
}

TEST(KvmExits, SingleStepsReturn) {
  SOLDER_NEEDS_KVM();
  Guest g;
  g.start({0x40, 0x40, kHlt});  // inc ax, twice
  ASSERT_TRUE(g.cpu().set_debug(true, false));
  EXPECT_EQ(g.cpu().run(), ExitReason::debug);
  EXPECT_NE(g.cpu().fault_text().find("CPU 0 stopped with a debug exception (#DB) at 0x1001"), std::string::npos)
      << g.cpu().fault_text();
  EXPECT_EQ(g.reg("rax"), 1U);
  EXPECT_EQ(g.cpu().run(), ExitReason::debug);
  EXPECT_EQ(g.reg("rax"), 2U);
  ASSERT_TRUE(g.cpu().set_debug(false, false));
  EXPECT_EQ(g.cpu().run(), ExitReason::halted);
}

TEST(KvmExits, ThereIsNoOtherArchitecture) {
  SOLDER_NEEDS_KVM();
  Guest g;
  cpu::CpuRequest request;
  request.compatible = "arm,armv8";
  request.index = 1;
  request.hardware_id = 1;
  const auto made = g.kvm->create_vcpu(request);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find("arm,armv8"), std::string::npos);
}

TEST(KvmExits, AMissingKvmIsAnErrorThatSaysSo) {
  const auto kvm = Kvm::create("/nonexistent/kvm");
  ASSERT_FALSE(kvm);
  EXPECT_NE(kvm.error().text().find("/nonexistent/kvm"), std::string::npos);
  const auto other = Kvm::create("/dev/null");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().text().find("KVM_GET_API_VERSION"), std::string::npos);
}

}  // namespace
}  // namespace solder::accel::kvm
