// KVM's tracepoints: their formats, perf's rings, and the merged trace of a machine under KVM.
#include <linux/perf_event.h>
#include <pthread.h>

#include <algorithm>
#include <latch>

#include "base/bytes.h"
#include "control/kernel_record.h"
#include "running.h"

namespace solder::control {
namespace {

// As kernels write them (Linux 6.1 and 6.18), with the lists shortened.
constexpr std::string_view kPioFormat = R"F(name: kvm_pio
ID: 110
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:unsigned int rw;	offset:8;	size:4;	signed:0;
	field:unsigned int port;	offset:12;	size:4;	signed:0;
	field:unsigned int size;	offset:16;	size:4;	signed:0;
	field:unsigned int count;	offset:20;	size:4;	signed:0;
	field:unsigned int val;	offset:24;	size:4;	signed:0;

print fmt: "pio_%s at 0x%x size %d count %d val 0x%x %s", REC->rw ? "write" : "read", REC->port, REC->size
)F";
constexpr std::string_view kMmioFormat = R"F(name: kvm_mmio
ID: 38
format:
	field:u32 type;	offset:8;	size:4;	signed:0;
	field:u32 len;	offset:12;	size:4;	signed:0;
	field:u64 gpa;	offset:16;	size:8;	signed:0;
	field:u64 val;	offset:24;	size:8;	signed:0;

print fmt: "mmio %s len %u", __print_symbolic(REC->type, { 0, "unsatisfied-read" }, { 1, "read" }, { 2, "write" }), REC->len
)F";
constexpr std::string_view kExitFormat = R"F(name: kvm_exit
ID: 103
format:
	field:unsigned int exit_reason;	offset:8;	size:4;	signed:0;
	field:unsigned long guest_rip;	offset:16;	size:8;	signed:0;
	field:u32 isa;	offset:24;	size:4;	signed:0;

print fmt: "vcpu %u reason %s%s%s rip 0x%lx", (REC->isa == 1) ? __print_symbolic(REC->exit_reason & 0xffff, { 12, "HLT" }, { 30, "IO_INSTRUCTION" }) : __print_symbolic(REC->exit_reason, { 0x040 + 14, "PF excp" }, { 0x07b, "io" }, { -1, "invalid_guest_state" }), (REC->isa == 1) ? __print_flags(REC->exit_reason & ~0xffff, " ", { 0x80000000, "FAILED_VMENTRY" }) : "", REC->guest_rip
)F";
constexpr std::string_view kEntryFormat = R"F(name: kvm_entry
ID: 115
format:
	field:unsigned int vcpu_id;	offset:8;	size:4;	signed:0;
	field:unsigned long rip;	offset:16;	size:8;	signed:0;

print fmt: "vcpu %u, rip 0x%lx", REC->vcpu_id, REC->rip
)F";
constexpr std::string_view kLeftFormat = R"F(name: kvm_userspace_exit
ID: 42
format:
	field:__u32 reason;	offset:8;	size:4;	signed:0;
	field:int errno;	offset:12;	size:4;	signed:1;

print fmt: "reason %s (%d)", REC->errno < 0 ? "error" : __print_symbolic(REC->reason, { 2, "KVM_EXIT_" "IO" }), REC->errno
)F";
constexpr std::string_view kMessageFormat = R"F(name: kvm_msi_set_irq
ID: 105
format:
	field:__u64 address;	offset:8;	size:8;	signed:0;
	field:__u64 data;	offset:16;	size:8;	signed:0;
	field:u8 insn[15];	offset:24;	size:15;	signed:0;

print fmt: "%s", __print_symbolic((REC->data >> 8 & 0x7), {0x0, "Fixed"}, {0x4, "NMI"})
)F";

KernelFormat format(std::string_view text) {
  auto parsed = KernelFormat::parse(text);
  EXPECT_TRUE(parsed);
  return parsed ? std::move(*parsed) : KernelFormat{};
}

/// A tracepoint's record: numbers of 32 or 64 bits at offsets.
struct Raw {
  explicit Raw(u16 id) { store_le<u16>(bytes.data(), id); }
  Raw& u32_at(usize offset, u32 value) {
    store_le<u32>(bytes.data() + offset, value);
    return *this;
  }
  Raw& u64_at(usize offset, u64 value) {
    store_le<u64>(bytes.data() + offset, value);
    return *this;
  }
  std::array<u8, 40> bytes{};
};

TEST(KernelFormat, FieldsAreWhereTheFileSays) {
  const KernelFormat pio = format(kPioFormat);
  EXPECT_EQ(pio.name(), "kvm_pio");
  EXPECT_EQ(pio.id(), 110);
  const Raw raw = Raw(110).u32_at(8, 1).u32_at(12, 0x3f8).u32_at(16, 1).u32_at(20, 1).u32_at(24, 0x41);
  EXPECT_EQ(pio.value(raw.bytes, "port"), 0x3f8u);
  EXPECT_EQ(pio.text(raw.bytes), "rw=1 port=0x3f8 size=1 count=1 val=0x41");
  EXPECT_EQ(pio.value(std::span(raw.bytes).first(14), "port"), std::nullopt) << "cut";
  EXPECT_EQ(pio.value(raw.bytes, "nothing"), std::nullopt);
  EXPECT_EQ(pio.value(raw.bytes, "common_pid"), std::nullopt);
  EXPECT_FALSE(KernelFormat::parse("").has_value());
  EXPECT_FALSE(KernelFormat::parse("name: x\nID: 70000\n").has_value());
  EXPECT_FALSE(KernelFormat::parse("name: x\nID: 7\nformat:\n\tfield:int a;\toffset:zero;\tsize:4;\n").has_value());
}

TEST(KernelFormat, SymbolsComeFromItsText) {
  const KernelFormat exit = format(kExitFormat);
  EXPECT_EQ(exit.symbol("exit_reason", 0x8000'001e, 0), "IO_INSTRUCTION") << "masked";
  EXPECT_EQ(exit.symbol("exit_reason", 0x7b, 1), "io");
  EXPECT_EQ(exit.symbol("exit_reason", 0x4e, 1), "PF excp") << "a sum";
  EXPECT_EQ(exit.symbol("exit_reason", 0x7b, 0), "");
  EXPECT_EQ(exit.symbol("isa", 1), "");
  const KernelFormat left = format(kLeftFormat);
  EXPECT_EQ(left.text(Raw(42).u32_at(8, 2).u32_at(12, ~u32{3}).bytes), "reason=KVM_EXIT_IO errno=-4");
  const KernelFormat message = format(kMessageFormat);
  EXPECT_EQ(message.text(Raw(105).u64_at(8, 0xfee00000).u64_at(16, 0x441).bytes), "address=0xfee00000 data=0x441(NMI)")
      << "an array is no number";
}

// A perf record of a sample as the kernel writes it.
void put_sample(std::vector<u8>& out, u64 time, std::span<const u8> raw) {
  const usize size = 8 + 16 + 4 + raw.size();
  const usize padded = (size + 7) / 8 * 8;
  const usize at = out.size();
  out.resize(at + padded);
  store_le<u32>(&out[at], PERF_RECORD_SAMPLE);
  store_le<u16>(&out[at + 6], static_cast<u16>(padded));
  store_le<u64>(&out[at + 16], time);
  store_le<u32>(&out[at + 24], static_cast<u32>(padded - 28));
  std::ranges::copy(raw, out.begin() + static_cast<long>(at) + 28);
}

TEST(PerfRing, RecordsAreTakenOutOfTheRing) {
  std::map<u16, KernelFormat> formats;
  formats.emplace(110, format(kPioFormat));
  std::vector<u8> bytes;
  put_sample(bytes, 1000, Raw(110).u32_at(12, 0x70).bytes);
  put_sample(bytes, 2000, Raw(99).bytes);  // of somebody else
  const usize lost_at = bytes.size();
  bytes.resize(bytes.size() + 24);
  store_le<u32>(&bytes[lost_at], PERF_RECORD_LOST);
  store_le<u16>(&bytes[lost_at + 6], 24);
  store_le<u64>(&bytes[lost_at + 16], 5);
  put_sample(bytes, 3000, Raw(110).u32_at(12, 0x71).bytes);
  // At every place of a ring, so that each record is once cut by its end.
  for (u64 start = 0; start < 512; start += 8) {
    std::vector<u8> ring(512);
    for (usize i = 0; i < bytes.size(); ++i) ring[(start + i) % ring.size()] = bytes[i];
    std::vector<KernelSample> samples;
    u64 lost = 0;
    EXPECT_EQ(parse_perf_ring(ring, start, start + bytes.size(), formats, samples, lost), start + bytes.size());
    EXPECT_EQ(lost, 5u);
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples[0].host_ns, 1000u);
    EXPECT_EQ(samples[0].format->value(samples[0].record(), "port"), 0x70u);
    EXPECT_EQ(samples[1].host_ns, 3000u);
    EXPECT_EQ(samples[1].format->value(samples[1].record(), "port"), 0x71u);
  }
}

TEST(PerfRing, WhatNoKernelWritesIsLeftOut) {
  std::map<u16, KernelFormat> formats;
  formats.emplace(110, format(kPioFormat));
  std::vector<KernelSample> samples;
  u64 lost = 0;
  std::vector<u8> ring(256);
  EXPECT_EQ(parse_perf_ring(ring, 0, 64, formats, samples, lost), 64u) << "a record of size 0";
  store_le<u16>(&ring[6], 128);
  EXPECT_EQ(parse_perf_ring(ring, 0, 64, formats, samples, lost), 64u) << "longer than what is there";
  store_le<u32>(ring.data(), PERF_RECORD_SAMPLE);
  store_le<u16>(&ring[6], 24);
  EXPECT_EQ(parse_perf_ring(ring, 0, 24, formats, samples, lost), 24u) << "no room for a raw record";
  // A raw size that is larger than the record.
  store_le<u16>(&ring[6], 40);
  store_le<u32>(&ring[24], ~u32{0});
  store_le<u16>(&ring[28], 110);
  EXPECT_EQ(parse_perf_ring(ring, 0, 40, formats, samples, lost), 40u);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].size, 12u);
  EXPECT_EQ(lost, 0u);
}

/// A machine that does not run, for the names of its registers.
struct Still {
  Still() {
    const std::vector<std::string> machines = {"virt-x86_64"};
    auto composed = machine::compose_machine(machines);
    EXPECT_TRUE(composed) << composed.error().text();
    machine::Shorthand shorthand;
    shorthand.console = "null";
    auto edited = machine::apply_shorthand(std::move(*composed), shorthand);
    EXPECT_TRUE(edited) << edited.error().text();
    tree = std::move(*edited);
    auto made = machine::make_plan(*tree, true, nullptr);
    EXPECT_TRUE(made) << made.error().text();
    plan = std::move(*made);
    auto built = machine::Machine::build(*tree, plan, std::make_unique<accel::test::TestBench>(), backends, control);
    EXPECT_TRUE(built) << built.error().text();
    machine = std::move(*built);
    machine->fabric().clock.pause();
    machine->fabric().clock.set(12'345'678'901);
  }
  std::unique_ptr<tree::Tree> tree;
  machine::Plan plan;
  machine::Control control;
  machine::Backends backends{{}};
  std::unique_ptr<machine::Machine> machine;
};

KernelSample sample(const KernelFormat& format, const Raw& raw, u64 host_ns = 0) {
  KernelSample out;
  out.host_ns = host_ns;
  out.cpu = 0;
  out.format = &format;
  out.size = static_cast<u16>(raw.bytes.size());
  std::ranges::copy(raw.bytes, out.data.begin());
  return out;
}

TEST(KernelRecord, TellsTheWayOfAnAccess) {
  Still still;
  KernelReport report(*still.machine);
  const KernelFormat exit = format(kExitFormat), entry = format(kEntryFormat), pio = format(kPioFormat);
  const KernelFormat mmio = format(kMmioFormat);
  const auto line = [&](const KernelSample& from) { return kernel_text(report.record(from, "timers")); };
  EXPECT_EQ(line(sample(exit, Raw(103).u32_at(8, 0x7b).u64_at(16, 0xfff0).u32_at(24, 2), 1000)),
            "12.345678 cpu0 kernel  kvm_exit io guest_rip=0xfff0 isa=2");
  EXPECT_EQ(line(sample(exit, Raw(103).u32_at(8, 30).u64_at(16, 0xfff0).u32_at(24, 1), 1000)),
            "12.345678 cpu0 kernel  kvm_exit IO_INSTRUCTION guest_rip=0xfff0 isa=1");
  const std::string write =
      line(sample(pio, Raw(110).u32_at(8, 1).u32_at(12, 0x21).u32_at(16, 1).u32_at(20, 1).u32_at(24, 0xff)));
  EXPECT_TRUE(write.starts_with("12.345678 cpu0 kernel  write /")) << write;
  EXPECT_TRUE(write.ends_with(" MASK = 0xff  (1 byte at port 0x21)  kvm_pio")) << write;
  const std::string read = line(sample(mmio, Raw(38).u32_at(12, 4).u64_at(16, 0xfec00010)));
  EXPECT_TRUE(read.ends_with(" IOWIN = ?  (4 bytes at 0xfec00010)  kvm_mmio")) << read;
  EXPECT_EQ(line(sample(mmio, Raw(38).u32_at(8, 2).u32_at(12, 4).u64_at(16, 0xf0000000).u64_at(24, 7))),
            "12.345678 cpu0 kernel  write nobody = 0x7  (4 bytes at 0xf0000000)  kvm_mmio");
  EXPECT_EQ(line(sample(entry, Raw(115).u64_at(16, 0xfff2), 4400)),
            "12.345678 cpu0 kernel  kvm_entry vcpu_id=0 rip=0xfff2  after 3.4us");
  EXPECT_EQ(line(sample(entry, Raw(115).u64_at(16, 0xfff2), 5400)),
            "12.345678 cpu0 kernel  kvm_entry vcpu_id=0 rip=0xfff2");
  KernelSample other = sample(pio, Raw(110));
  other.cpu = KernelSample::kNoCpu;
  EXPECT_EQ(kernel_json(report.record(other, "timers"))["thread"], "timers");
}

TEST(KernelRecord, FiltersTakeAccessesByNode) {
  KernelRecord access;
  access.access.emplace();
  access.access->write = true;
  access.access->node = "/isa/rtc@70";
  KernelRecord other;
  TraceFilter filter;
  EXPECT_FALSE(filter.takes(access)) << "not asked for";
  filter.kernel = true;
  EXPECT_TRUE(filter.takes(access));
  EXPECT_TRUE(filter.takes(other));
  filter.nodes = {"/isa"};
  EXPECT_TRUE(filter.takes(access));
  EXPECT_FALSE(filter.takes(other));
  filter.writes = false;
  EXPECT_FALSE(filter.takes(access));
}

TEST(KernelTrace, IsRefusedWhereItSaysNothing) {
  testing::Running run;
  const Error error = run.refuse({{"do", "trace"}, {"kernel", true}});
  EXPECT_NE(error.what.find("KVM's tracepoints say nothing of it"), std::string::npos) << error.what;
}

/// A thread with the name of a CPU's, as long as it lives.
class NamedThread {
 public:
  explicit NamedThread(const char* name) {
    thread_ = std::thread([this, name] {
      ::pthread_setname_np(::pthread_self(), name);
      named_.count_down();
      end_.wait();
    });
    named_.wait();
  }
  ~NamedThread() {
    end_.count_down();
    thread_.join();
  }
  NamedThread(const NamedThread&) = delete;
  NamedThread& operator=(const NamedThread&) = delete;

 private:
  std::latch named_{1};
  std::latch end_{1};
  std::thread thread_;
};

usize perf_events() {
  usize count = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored))
    if (std::filesystem::read_symlink(entry.path(), ignored) == "anon_inode:[perf_event]") ++count;
  return count;
}

TEST(KernelSession, LetsGoOfThreadsThatHaveEnded) {
  auto session = KernelSession::open();
  if (!session) GTEST_SKIP() << session.error().text();
  std::vector<KernelSample> samples;
  const auto cpus = [&] {
    const auto followed = (*session)->follow_threads();
    EXPECT_TRUE(followed) << followed.error().text();
    (void)(*session)->drain(samples);
    return followed.value_or(~usize{0});
  };
  EXPECT_EQ(cpus(), 0U);
  usize before = 0;
  for (int machine = 0; machine < 3; ++machine) {
    NamedThread first("vcpu0");
    {
      NamedThread second("vcpu1"), other("timers");
      EXPECT_EQ(cpus(), 2U) << "none of the machine before";
    }
    // A thread is joined a moment before the kernel has ended its events.
    for (int i = 0; i < 1000 && cpus() != 1; ++i) std::this_thread::yield();
    EXPECT_EQ(cpus(), 1U);
    if (machine == 0) before = perf_events();
    EXPECT_EQ(perf_events(), before) << "machine " << machine;
    (*session)->forget_cpus();
  }
}

}  // namespace
}  // namespace solder::control
