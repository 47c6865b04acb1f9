// The test accelerator: commands on a socket in the place of CPUs.
#include "accel/test/bench.h"

#include "cpu/accelerators.h"
#include "running.h"

namespace solder::accel::test {
namespace {

using control::testing::Directory;
using control::testing::RawClient;

/// `solder run BOARD --accel test=unix:…`
class Driven {
 public:
  explicit Driven(const std::string& board) {
    const std::vector<std::string> machines = {board};
    auto tree = machine::compose_machine(machines);
    EXPECT_TRUE(tree);
    machine::Shorthand shorthand;
    shorthand.console = "null";
    shorthand.cpus = 2;
    auto edited = machine::apply_shorthand(std::move(*tree), shorthand);
    EXPECT_TRUE(edited) << edited.error().text();
    tree_ = std::move(*edited);
    for (const auto* info : cpu::all_accelerators()) {
      if (info->name != "test") continue;
      EXPECT_LT(info->preference, 0);
      auto factory = info->prepare("unix:" + path(), {true, true, {}, {}});
      EXPECT_TRUE(factory);
      make_ = *factory;
    }
    thread_ = std::thread([this] {
      const auto end = machine::run_machine(*tree_, make_, {});
      EXPECT_TRUE(end) << end.error().text();
      if (end) reason = end->reason;
    });
    while (!std::filesystem::exists(path())) std::this_thread::yield();
    client_.emplace(path());
  }
  ~Driven() {
    if (!thread_.joinable()) return;
    say("shutdown");
    thread_.join();
  }
  Driven(const Driven&) = delete;
  Driven& operator=(const Driven&) = delete;

  std::string say(const std::string& command) {
    client_->send(command + "\n");
    return client_->line();
  }
  void wait() { thread_.join(); }
  [[nodiscard]] std::string path() const { return directory_.file("socket"); }
  machine::EndReason reason = machine::EndReason::fault;

 private:
  Directory directory_;
  std::unique_ptr<tree::Tree> tree_;
  cpu::AcceleratorFactory make_;
  std::optional<RawClient> client_;
  std::thread thread_;
};

TEST(TestAccelerator, ReadsAndWritesAsACpu) {
  Driven machine("virt-arm64");
  EXPECT_EQ(machine.say("read32 0x9000018"), "OK 0x97");
  EXPECT_EQ(machine.say("write32 0x9000024 29"), "OK");
  EXPECT_EQ(machine.say("read32 0x9000024"), "OK 0x1d");
  EXPECT_EQ(machine.say("memwrite 0x40000010 0x01020304"), "OK");
  EXPECT_EQ(machine.say("memread 0x40000010 4"), "OK 0x01020304");
  EXPECT_EQ(machine.say("read16 0x40000011"), "OK 0x302");
  EXPECT_EQ(machine.say("read8 0x10"), "OK 0xff");  // nobody there
  for (const char* wrong : {"fly", "read32", "read32 zero", "read32 0 0", "write8 0x9000000 256", "in8 0x10000",
                            "memread 0x40000000 0x10000000", "memwrite 0x40000000 012", "memwrite 0x40000000",
                            "@2 read8 0", "irq 9", "wait_irq 0 bell 1", "sysreg_read 1", "firmware smc 1", "output 9 1",
                            "clock_set", "acknowledge", "clock_step 0x7fffffffffffffff"})
    EXPECT_TRUE(machine.say(wrong).starts_with("ERR ")) << wrong;
}

TEST(TestAccelerator, AnInterruptReachesTheCpusLine) {
  Driven machine("virt-arm64");
  EXPECT_EQ(machine.say("irq 0"), "OK irq=0 fiq=0 nmi=0 nmis=0");
  // GICv3 (IHI 0069, chapter 12): affinity routing and group 1; SPI 1 to CPU 0; the redistributor awake, the CPU
  // interface takes all.
  for (const char* command : {"write32 0x80a0014 0", "write32 0x8000000 0x12", "write32 0x8000084 0x2",
                              "write32 0x8000104 0x2", "write64 0x8006108 0", "sysreg_write 0xc230 0xff",
                              "sysreg_write 0xc667 1", "write32 0x9000030 0x301", "write32 0x9000038 0x20"})
    EXPECT_EQ(machine.say(command), "OK") << command;
  EXPECT_EQ(machine.say("write32 0x9000000 0x78"), "OK");
  EXPECT_EQ(machine.say("wait_irq 0 irq 1"), "OK 1");
  EXPECT_EQ(machine.say("irq 1"), "OK irq=0 fiq=0 nmi=0 nmis=0");
  EXPECT_EQ(machine.say("sysreg_read 0xc660"), "OK 0x21");  // ICC_IAR1_EL1: INTID 33
  EXPECT_EQ(machine.say("irq 0"), "OK irq=0 fiq=0 nmi=0 nmis=0");
}

TEST(TestAccelerator, TimeStandsStillUntilItIsStepped) {
  Driven machine("virt-arm64");
  EXPECT_EQ(machine.say("clock_step 0"), "OK 0");
  // PL031: the match register one second on (DDI 0224, section 3.3).
  const std::string now = machine.say("read32 0x9010000");
  ASSERT_TRUE(now.starts_with("OK "));
  const u64 seconds = std::strtoull(now.c_str() + 3, nullptr, 0);
  EXPECT_EQ(machine.say("write32 0x9010004 " + std::to_string(seconds + 5)), "OK");
  EXPECT_EQ(machine.say("write32 0x9010010 1"), "OK");
  EXPECT_EQ(machine.say("read32 0x9010018"), "OK 0x0");
  const std::string reached = machine.say("clock_step");
  ASSERT_TRUE(reached.starts_with("OK ")) << reached;
  EXPECT_LE(std::strtoull(reached.c_str() + 3, nullptr, 0), 5'000'000'000U);
  EXPECT_EQ(machine.say("read32 0x9010018"), "OK 0x1");
  EXPECT_EQ(machine.say("clock_set 9000000000"), "OK 9000000000");
  EXPECT_TRUE(machine.say("clock_set 1").starts_with("ERR "));
}

TEST(TestAccelerator, FirmwareStartsCpusAndEndsTheMachine) {
  Driven machine("virt-arm64");
  EXPECT_EQ(machine.say("cpu 1"), "OK starts=0 entry=0x0");
  // PSCI CPU_ON (DEN 0022, section 5.1.4)
  EXPECT_EQ(machine.say("firmware hvc 0xc4000003 1 0x40080000 7"), "OK 0x0 0x1 0x40080000 0x7");
  EXPECT_EQ(machine.say("cpu 1"), "OK starts=1 entry=0x40080000");
  machine.say("firmware hvc 0x84000008");  // SYSTEM_OFF
  machine.wait();
  EXPECT_EQ(machine.reason, machine::EndReason::shutdown);
}

TEST(TestAccelerator, ClientsStayConnectedWhenTheMachineIsReset) {
  Driven machine("virt-arm64");
  EXPECT_EQ(machine.say("memwrite 0x40000000 0xff"), "OK");
  EXPECT_EQ(machine.say("clock_step 7"), "OK 7");
  EXPECT_EQ(machine.say("reset"), "OK");
  EXPECT_EQ(machine.say("memread 0x40000000 1"), "OK 0x00");
  EXPECT_EQ(machine.say("clock_step 5"), "OK 5");
}

TEST(TestAccelerator, WantsASocket) {
  for (const auto* info : cpu::all_accelerators())
    if (info->name == "test") {
      EXPECT_FALSE(info->prepare("", {true, true, {}, {}}));
      EXPECT_FALSE(info->prepare("tcp:1", {true, true, {}, {}}));
    }
}

}  // namespace
}  // namespace solder::accel::test
