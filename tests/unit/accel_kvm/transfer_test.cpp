// A machine moves between KVM's interrupt controllers and ours while interrupts of every kind are pending: a small
// guest counts what it gets.
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <thread>

#include "accel/kvm/accelerator.h"
#include "accel/kvm/deferred_writes.h"
#include "irqchip_fixture.h"
#include "machine/boards.h"
#include "machine/life_cycle.h"
#include "machine/shorthand.h"
#include "machine/transfer.h"
#include "unit/boot/x86_files.h"

// Where the guest counts, and what it is told.
#define GO "0x200000"
#define LOOPS "0x200004"
#define RESULT "0x200008"
#define SERIAL "0x20000c"
#define SCI "0x200010"
#define TIMER "0x200014"
#define PIT "0x200018"
#define NMI "0x20001c"
#define READY "0x200020"

// It runs at 0x101000, in long mode. Interrupts are off while it loops, so that they stay pending: an edge (the serial
// port's), a level (the power button's), the local APIC's timer, the i8254's.
asm(R"(
.pushsection .rodata
.globl transfer_guest, transfer_guest_end
.macro gate handler
  .word ((\handler - transfer_guest + 0x101000) & 0xffff), 0x10, 0x8e00, ((\handler - transfer_guest + 0x101000) >> 16)
  .quad 0
.endm
.macro set base, offset, value
  movl $\base, %edi
  movl $\value, \offset(%rdi)
.endm
.macro pin number, low
  set 0xfec00000, 0, (0x10 + 2 * \number)
  set 0xfec00000, 0x10, \low
  set 0xfec00000, 0, (0x11 + 2 * \number)
  set 0xfec00000, 0x10, 0
.endm
.macro port number, value
  movw $\number, %dx
  movb $\value, %al
  outb %al, %dx
.endm
.macro enter counter
  pushq %rax
  pushq %rdx
  incl \counter
.endm
transfer_guest:
  cli
  movl $0x80000, %esp
  lidt .Lidtr - transfer_guest + 0x101000
  port 0x21, 0xff
  port 0xa1, 0xff
  set 0xfee00000, 0xf0, 0x1ff
  pin 2, 0x30
  pin 4, 0x34
  pin 9, 0x8039
  set 0xfee00000, 0x3e0, 0xb
  set 0xfee00000, 0x320, 0x40   # one shot, 100 ms
  set 0xfee00000, 0x380, 100000000
  port 0x43, 0x34               # mode 2, 100 Hz
  port 0x40, 0x9c
  port 0x40, 0x2e
  movw $0x602, %dx              # PM1_EN: the power button
  movw $0x100, %ax
  outw %ax, %dx
  port 0x3fc, 0x08
  port 0x3f9, 0x02              # the transmitter is empty
  movl $0x11112222, %ebx
  movl $0x33334444, %ecx
  movl $0x55556666, %edx
  movl $0x77778888, %esi
  movabsq $0x123456789abcdef0, %rbp
  movabsq $0x0fedcba987654321, %r15
  movl $1, )" READY R"(
2:
  incl )" LOOPS R"(
  cmpl $0, )" GO R"(
  je 2b
  movl $1, )" RESULT R"(
  cmpl $0x11112222, %ebx
  jne 3f
  cmpl $0x33334444, %ecx
  jne 3f
  cmpl $0x55556666, %edx
  jne 3f
  cmpl $0x77778888, %esi
  jne 3f
  cmpq $0x80000, %rsp
  jne 3f
  movabsq $0x123456789abcdef0, %rax
  cmpq %rax, %rbp
  jne 3f
  movabsq $0x0fedcba987654321, %rax
  cmpq %rax, %r15
  jne 3f
  movl $2, )" RESULT R"(
3:
  sti
4:
  hlt
  jmp 4b
.Lserial:
  enter )" SERIAL R"(
  movw $0x3fa, %dx
  inb %dx, %al
  jmp .Leoi
.Lsci:
  enter )" SCI R"(
  movw $0x600, %dx
  movw $0x100, %ax
  outw %ax, %dx
  jmp .Leoi
.Ltimer:
  enter )" TIMER R"(
  jmp .Leoi
.Lpit:
  enter )" PIT R"(
.Leoi:
  movl $0xfee000b0, %edx
  movl $0, (%rdx)
  popq %rdx
  popq %rax
  iretq
.Lnmi:
  incl )" NMI R"(
  iretq
.balign 8
.Lidtr:
  .word 0x41 * 16 - 1
  .quad .Lidt - transfer_guest + 0x101000
.balign 16
.Lidt:
  .fill 2 * 2, 8, 0
  gate .Lnmi
  .fill 2 * (0x30 - 3), 8, 0
  gate .Lpit
  .fill 2 * (0x34 - 0x31), 8, 0
  gate .Lserial
  .fill 2 * (0x39 - 0x35), 8, 0
  gate .Lsci
  .fill 2 * (0x40 - 0x3a), 8, 0
  gate .Ltimer
transfer_guest_end:
.purgem gate
.purgem set
.purgem pin
.purgem port
.purgem enter
.popsection
)");
extern "C" const u_int8_t transfer_guest[];
extern "C" const u_int8_t transfer_guest_end[];

namespace solder::accel::kvm {
namespace {

constexpr Gpa kCode = 0x101000;
constexpr Gpa kGo = 0x200000, kLoops = 0x200004, kResult = 0x200008, kSerial = 0x20000c, kSci = 0x200010;
constexpr Gpa kTimer = 0x200014, kPit = 0x200018, kNmi = 0x20001c, kReady = 0x200020;
constexpr auto kPatience = std::chrono::seconds(120);

/// `solder run virt-x86_64 --irqchip MODE --kernel GUEST`, on a thread of its own.
class Moving final : public machine::RunWatcher {
 public:
  explicit Moving(const std::string& mode) {
    namespace files = boot::x86::testing;
    const std::vector<u8> code(transfer_guest, transfer_guest_end);
    const auto program = files::elf(true, kCode, {{kCode, code, 0x1000}});
    path_ = ::testing::TempDir() + "solder-transfer.elf";
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(program.data()), static_cast<std::streamsize>(program.size()));
    machine::Shorthand shorthand;
    shorthand.kernel = path_;
    shorthand.memory = 16_MiB;
    shorthand.cpus = 2;  // the second waits for its start
    shorthand.console = "null";
    shorthand.irqchip = mode;
    const std::vector<std::string> boards{"virt-x86_64"};
    auto tree = machine::apply_shorthand(machine::compose_machine(boards).value(), shorthand);
    EXPECT_TRUE(tree) << tree.error().text();
    tree_ = std::move(*tree);
    thread_ = std::thread([this] {
      const cpu::AcceleratorFactory factory = []() -> Result<std::unique_ptr<cpu::Accelerator>> {
        return SOLDER_TRY(Kvm::create());
      };
      machine::RunOptions options;
      options.watcher = this;
      options.no_reboot = true;
      const auto end = machine::run_machine(*tree_, factory, options);
      if (!end) fault_ = end.error().text();
      const std::lock_guard guard(mutex_);
      ended_ = true;
      changed_.notify_all();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return machine_ != nullptr || ended_; });
  }
  ~Moving() override {
    {
      const std::lock_guard guard(mutex_);
      if (control_ != nullptr) control_->request_quit();
    }
    thread_.join();
    EXPECT_EQ(fault_, "");
    std::remove(path_.c_str());
  }
  Moving(const Moving&) = delete;
  Moving& operator=(const Moving&) = delete;

  void machine_starts(machine::Machine& machine, machine::Control& control) override {
    const std::lock_guard guard(mutex_);
    machine_ = &machine;
    control_ = &control;
    changed_.notify_all();
  }
  void machine_stops(machine::Machine&) override {
    const std::lock_guard guard(mutex_);
    machine_ = nullptr;
  }
  void machine_goes(machine::Machine&) override {}
  void irqchip_moved(const Status& status) override {
    const std::lock_guard guard(mutex_);
    moved_ = status;
    changed_.notify_all();
  }

  machine::Machine& machine() { return *machine_; }
  /// 0 when the run has ended.
  u32 at(Gpa address) {
    const std::lock_guard guard(mutex_);
    return machine_ == nullptr ? 0 : static_cast<u32>(machine_->fabric().memory.load(address, 4).value);
  }
  void tell(Gpa address, u32 value) { (void)machine().fabric().memory.store(address, 4, value); }
  /// Until the guest has counted to `least`.
  void wait_for(Gpa address, u32 least) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (at(address) < least && lives() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    ASSERT_GE(at(address), least) << std::hex << address << (lives() ? "" : ": the guest ended the run");
  }
  void pause() {
    machine().fabric().cpus.pause();
    machine::pause_time(machine());
  }
  void resume() {
    machine::resume_time(machine());
    machine().fabric().cpus.resume();
  }
  Status move(const std::string& mode) {
    std::unique_lock lock(mutex_);
    moved_.reset();
    control_->request_irqchip(mode);
    changed_.wait(lock, [this] { return moved_ || ended_; });
    return moved_ ? *moved_ : fail("", "the run has ended");
  }
  Kvm& kvm() { return dynamic_cast<Kvm&>(*machine().fabric().accelerator); }
  bool in_kernel(const char* path) {
    const auto* placed = machine().placement(*machine().tree().find(path));
    return placed != nullptr && placed->in_kernel;
  }
  [[nodiscard]] bool lives() {
    const std::lock_guard guard(mutex_);
    return machine_ != nullptr;
  }

 private:
  std::string path_;
  std::unique_ptr<tree::Tree> tree_;
  std::mutex mutex_;
  std::condition_variable changed_;
  machine::Machine* machine_ = nullptr;
  machine::Control* control_ = nullptr;
  std::optional<Status> moved_;
  bool ended_ = false;
  std::string fault_;
  std::thread thread_;
};

class Transfer : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(Transfer, NothingPendingIsLostOrComesTwice) {
  SOLDER_NEEDS_IRQCHIP();
  const std::vector<std::string>& modes = GetParam();
  Moving run(modes.front());
  ASSERT_TRUE(run.lives());
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kReady, 1));
  ASSERT_TRUE(run.machine().press_power_button());
  for (usize i = 1; i < modes.size(); ++i) {
    SCOPED_TRACE(modes[i]);
    run.pause();
    const u32 loops = run.at(kLoops);
    const u64 now = run.machine().fabric().clock.now();
    const auto moved = run.move(modes[i]);
    ASSERT_TRUE(moved) << moved.error().text();
    EXPECT_EQ(run.in_kernel("/interrupt-controller@fee00000"), modes[i] != "user");
    EXPECT_EQ(run.in_kernel("/interrupt-controller@fec00000"), modes[i] == "kernel");
    EXPECT_EQ(run.at(kLoops), loops) << "it stands still";
    EXPECT_EQ(run.machine().fabric().clock.now(), now);
    EXPECT_GT(run.kvm().deferred_writes()->zones(), 0u) << "the RTC's index register";
    if (i + 1 == modes.size()) run.machine().fabric().cpus[0].vcpu().raise_nmi();
    run.resume();
    ASSERT_NO_FATAL_FAILURE(run.wait_for(kLoops, loops + 1));
  }
  EXPECT_EQ(run.at(kSerial) + run.at(kSci) + run.at(kTimer) + run.at(kPit), 0u) << "interrupts are off";
  run.tell(kGo, 1);
  run.wait_for(kPit, 3);
  run.wait_for(kTimer, 1);
  run.wait_for(kSerial, 1);
  run.wait_for(kSci, 1);
  run.wait_for(kPit, run.at(kPit) + 3);
  EXPECT_EQ(run.at(kResult), 2u) << "its registers are what they were";
  EXPECT_EQ(run.at(kSerial), 1u) << "an edge";
  // The level may be seen once more where KVM has the I/O APIC, as in a machine that has never moved.
  EXPECT_GE(run.at(kSci), 1u) << "a level";
  EXPECT_LE(run.at(kSci), modes.back() == "kernel" ? 2u : 1u) << "a level";
  EXPECT_EQ(run.at(kTimer), 1u) << "the local APIC's";
  EXPECT_EQ(run.at(kNmi), 1u);
}

TEST_P(Transfer, AnNmiIsNotLostInHalt) {
  SOLDER_NEEDS_IRQCHIP();
  const std::vector<std::string>& modes = GetParam();
  Moving run(modes.front());
  ASSERT_TRUE(run.lives());
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kReady, 1));
  run.tell(kGo, 1);
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kPit, 1));
  for (usize i = 1; i < modes.size(); ++i) {
    SCOPED_TRACE(modes[i]);
    run.pause();
    run.machine().fabric().cpus[0].vcpu().raise_nmi();
    const auto moved = run.move(modes[i]);
    ASSERT_TRUE(moved) << moved.error().text();
    run.resume();
    ASSERT_NO_FATAL_FAILURE(run.wait_for(kNmi, static_cast<u32>(i)));
    run.wait_for(kPit, run.at(kPit) + 2);
    EXPECT_EQ(run.at(kNmi), i);
  }
  EXPECT_EQ(run.at(kSerial), 1u);
  run.wait_for(kTimer, 1);  // machine time stood still during the moves
  EXPECT_EQ(run.at(kTimer), 1u);
}

// INIT and start-up that reach a running CPU just before a move start it at its new address.
TEST_P(Transfer, AStartOfACpuIsNotLost) {
  SOLDER_NEEDS_IRQCHIP();
  const std::vector<std::string>& modes = GetParam();
  Moving run(modes.front());
  ASSERT_TRUE(run.lives());
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kReady, 1));
  // Real mode, at 0x40000 + 0x1000 * i: counts its starts at 0x30000 + 8 * i, and its rounds after that.
  const auto starts = [](usize i) { return Gpa{0x30000} + 8 * i; };
  for (usize i = 0; i < modes.size(); ++i) {
    const u8 count = static_cast<u8>(8 * i);
    const u8 code[] = {0xb8, 0x00, 0x30, 0x8e,
                       0xd8,  // ds = 0x3000
                       0x66, 0xff, 0x06, count,
                       0x00,  // inc dword [starts]
                       0x66, 0xff, 0x06, static_cast<u8>(count + 4),
                       0x00, 0xeb, 0xf9};  // again: inc dword [rounds]
    run.tell(starts(i), 0);
    run.tell(starts(i) + 4, 0);
    for (usize byte = 0; byte < std::size(code); ++byte)
      (void)run.machine().fabric().memory.store(0x40000 + 0x1000 * i + byte, 1, code[byte]);
  }
  const auto start = [&](usize i) {
    interrupt::RoutingTable& routes = run.machine().fabric().routes;
    const u32 init = 0x4500, startup = 0x4600 + 0x40 + static_cast<u32>(i);
    for (const u32 data : {init, startup}) {
      const auto virq = routes.take({{std::nullopt, "power", {interrupt::Message{0xfee01000, data, 0}}}}).front();
      routes.raise(virq);
      routes.release(virq);
    }
  };
  start(0);
  ASSERT_NO_FATAL_FAILURE(run.wait_for(starts(0) + 4, 2));
  for (usize i = 1; i < modes.size(); ++i) {
    SCOPED_TRACE(modes[i]);
    run.machine().fabric().cpus.pause();
    start(i);
    machine::pause_time(run.machine());
    const u32 before = run.at(starts(i - 1) + 4);
    const auto moved = run.move(modes[i]);
    ASSERT_TRUE(moved) << moved.error().text();
    run.resume();
    ASSERT_NO_FATAL_FAILURE(run.wait_for(starts(i) + 4, 2));
    EXPECT_EQ(run.at(starts(i)), 1u);
    EXPECT_EQ(run.at(starts(i - 1) + 4), before) << "it has left the old loop";
  }
}

// A local APIC's timer that runs out when its CPU has left the guest, and machine time still goes.
TEST_P(Transfer, ATimerThatRunsOutAtThePauseIsNotLost) {
  SOLDER_NEEDS_IRQCHIP();
  const std::vector<std::string>& modes = GetParam();
  Moving run(modes.front());
  ASSERT_TRUE(run.lives());
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kReady, 1));
  machine::Fabric& fabric = run.machine().fabric();
  fabric.cpus.pause();
  const u64 due = fabric.clock.now() + 200'000'000;  // twice what the guest has asked for
  while (fabric.clock.now() < due) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  machine::pause_time(run.machine());
  const auto moved = run.move(modes[1]);
  ASSERT_TRUE(moved) << moved.error().text();
  run.resume();
  run.tell(kGo, 1);
  run.wait_for(kTimer, 1);
  run.wait_for(kPit, run.at(kPit) + 2);
  EXPECT_EQ(run.at(kTimer), 1u);
}

INSTANTIATE_TEST_SUITE_P(From, Transfer,
                         ::testing::Values(std::vector<std::string>{"kernel", "user", "split", "kernel"},
                                           std::vector<std::string>{"user", "kernel", "split", "user"},
                                           std::vector<std::string>{"split", "user", "kernel", "split"}),
                         [](const auto& modes) { return modes.param.front(); });

TEST(TransferRefused, LeavesTheMachineAsItIs) {
  SOLDER_NEEDS_IRQCHIP();
  Moving run("user");
  ASSERT_TRUE(run.lives());
  ASSERT_NO_FATAL_FAILURE(run.wait_for(kReady, 1));
  run.pause();
  EXPECT_FALSE(run.move("elsewhere"));
  ASSERT_TRUE(run.lives());
  run.resume();
  run.wait_for(kLoops, run.at(kLoops) + 1);
}

}  // namespace
}  // namespace solder::accel::kvm
