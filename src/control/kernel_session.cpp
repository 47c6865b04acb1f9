#include "control/kernel_session.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"

namespace solder::control {

namespace {

struct Point {
  std::string_view name;
  bool of_all_threads;  // else of vCPUs' only
};

// The way of an access and of an interrupt, on x86 and on arm64. A kernel has those of its architecture.
constexpr std::array kPoints{
    Point{"kvm_exit", false},
    Point{"kvm_entry", false},
    Point{"kvm_userspace_exit", false},
    Point{"kvm_pio", false},
    Point{"kvm_mmio", false},
    Point{"kvm_fast_mmio", false},
    Point{"kvm_apic", false},
    Point{"kvm_apic_ipi", false},
    Point{"kvm_msr", false},
    Point{"kvm_hypercall", false},
    Point{"kvm_inj_virq", false},
    Point{"kvm_inj_exception", false},
    Point{"kvm_eoi", false},
    Point{"kvm_pv_eoi", false},
    Point{"kvm_vcpu_wakeup", false},
    Point{"kvm_set_irq", true},
    Point{"kvm_ack_irq", true},
    Point{"kvm_pic_set_irq", true},
    Point{"kvm_ioapic_set_irq", true},
    Point{"kvm_ioapic_delayed_eoi_inj", true},
    Point{"kvm_msi_set_irq", true},
    Point{"kvm_apic_accept_irq", true},
    Point{"kvm_apicv_accept_irq", true},
    Point{"kvm_irq_line", true},
    Point{"vgic_update_irq_pending", true},
    Point{"kvm_timer_update_irq", true},
};

// Of a thread's ring. perf takes powers of two of host pages, and puts a page of its own in front.
constexpr usize kCpuRing = 512_KiB;
constexpr usize kOtherRing = 32_KiB;

constexpr std::string_view kFix =
    "run solder as root, or give it CAP_PERFMON and read access to /sys/kernel/tracing; the trace without the kernel's "
    "part needs neither";

bool of_all_threads(std::string_view name) {
  return std::ranges::any_of(kPoints, [&](const Point& point) { return point.name == name && point.of_all_threads; });
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "vcpu3": cpu::VcpuThread names its threads so.
u32 cpu_of(std::string_view name) {
  u32 cpu = 0;
  if (!name.starts_with("vcpu")) return KernelSample::kNoCpu;
  name.remove_prefix(4);
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), cpu);
  return error == std::errc{} && end == name.data() + name.size() ? cpu : KernelSample::kNoCpu;
}

// perf_event_open(2): PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_RAW.
constexpr u64 kSampleType = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
constexpr usize kHeader = sizeof(perf_event_header);
constexpr usize kRaw = kHeader + 4 + 4 + 8 + 4;  // pid, tid, time, size of what follows

}  // namespace

u64 parse_perf_ring(std::span<const u8> ring, u64 tail, u64 head, const std::map<u16, KernelFormat>& formats,
                    std::vector<KernelSample>& out, u64& lost) {
  std::array<u8, kRaw + KernelSample::kMost> bytes{};
  while (head - tail >= kHeader) {
    const auto copy = [&](usize count) {
      for (usize i = 0; i < count; ++i) bytes[i] = ring[(tail + i) % ring.size()];
    };
    copy(kHeader);
    const u32 type = load_le<u32>(bytes.data());
    const u16 size = load_le<u16>(bytes.data() + 6);
    if (size < kHeader || size > head - tail) return head;  // not what a kernel writes: nothing after it can be found
    const usize here = std::min<usize>(size, bytes.size());
    copy(here);
    tail += size;
    if (type == PERF_RECORD_LOST && here >= kHeader + 16) lost += load_le<u64>(bytes.data() + kHeader + 8);
    if (type != PERF_RECORD_SAMPLE || here < kRaw + 2) continue;
    const auto format = formats.find(load_le<u16>(bytes.data() + kRaw));
    if (format == formats.end()) continue;
    KernelSample sample;
    sample.host_ns = load_le<u64>(bytes.data() + kHeader + 8);
    sample.format = &format->second;
    sample.size = static_cast<u16>(std::min<usize>(load_le<u32>(bytes.data() + kRaw - 4), here - kRaw));
    std::copy_n(bytes.begin() + kRaw, sample.size, sample.data.begin());
    out.push_back(sample);
  }
  return tail;
}

Result<std::string> find_tracepoints() {
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::string events = std::string(path) + "/events/kvm";
    if (::access(events.c_str(), R_OK | X_OK) == 0) return events;
    if (errno == EACCES || errno == EPERM) {
      return fail("--kernel", fmt::format("KVM's tracepoints cannot be read: {}: permission denied", events),
                  std::string(kFix));
    }
  }
  return fail("--kernel", "the kernel shows no tracepoints of KVM: there is no /sys/kernel/tracing/events/kvm",
              "mount it (mount -t tracefs tracefs /sys/kernel/tracing), with KVM's module loaded");
}

Result<std::unique_ptr<KernelSession>> KernelSession::open() {
  const std::string events = SOLDER_TRY(find_tracepoints());
  std::unique_ptr<KernelSession> session(new KernelSession);
  for (const Point& point : kPoints) {
    std::ifstream file(fmt::format("{}/{}/format", events, point.name));
    if (!file) continue;
    std::stringstream text;
    text << file.rdbuf();
    auto format = KernelFormat::parse(text.str());
    if (!format) continue;
    const u16 id = format->id();
    session->formats_.emplace(id, std::move(*format));
  }
  if (session->formats_.empty())
    return fail("--kernel", fmt::format("no tracepoint in {} can be read", events), std::string(kFix));
  SOLDER_TRY_STATUS(session->follow_threads());
  return session;
}

KernelSession::~KernelSession() = default;

KernelSession::Thread::~Thread() {
  if (pages != nullptr) ::munmap(pages, size);
}

Status KernelSession::follow(Thread& thread) const {
  for (const auto& [id, format] : formats_) {
    if (thread.cpu == KernelSample::kNoCpu && !of_all_threads(format.name())) continue;
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.size = sizeof attributes;
    attributes.config = id;
    attributes.sample_period = 1;
    attributes.sample_type = kSampleType;
    attributes.use_clockid = 1;
    attributes.clockid = CLOCK_MONOTONIC;
    UniqueFd event(
        static_cast<int>(::syscall(SYS_perf_event_open, &attributes, thread.id, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    if (!event) {
      if (errno == ESRCH) return {};  // the thread has ended
      const bool denied = errno == EACCES || errno == EPERM;
      return fail("--kernel", fmt::format("perf_event_open({}) failed: {}", format.name(), std::strerror(errno)),
                  denied ? std::string(kFix) : std::string{});
    }
    if (thread.pages == nullptr) {
      const auto host_page = static_cast<usize>(::sysconf(_SC_PAGESIZE));
      thread.size = host_page + std::max(thread.cpu == KernelSample::kNoCpu ? kOtherRing : kCpuRing, host_page);
      void* pages = ::mmap(nullptr, thread.size, PROT_READ | PROT_WRITE, MAP_SHARED, event.get(), 0);
      if (pages == MAP_FAILED)
        return fail("--kernel", fmt::format("the ring of a perf event cannot be mapped: {}", std::strerror(errno)),
                    "raise the limit of locked memory (ulimit -l)");
      thread.pages = static_cast<u8*>(pages);
      const auto& page = *reinterpret_cast<const perf_event_mmap_page*>(pages);
      // Kernels before 4.1 do not say where.
      thread.ring = page.data_offset != 0 ? std::span<const u8>{thread.pages + page.data_offset, page.data_size}
                                          : std::span<const u8>{thread.pages + host_page, thread.size - host_page};
    } else if (::ioctl(event.get(), PERF_EVENT_IOC_SET_OUTPUT, thread.events.front().get()) != 0) {
      return fail("--kernel", fmt::format("PERF_EVENT_IOC_SET_OUTPUT failed: {}", std::strerror(errno)));
    }
    thread.events.push_back(std::move(event));
  }
  return {};
}

// perf hangs up after a thread's last record. Its number says nothing: it may be another's by now.
void KernelSession::find_ended() const {
  std::vector<pollfd> ends;
  for (const auto& thread : threads_) ends.push_back({thread->events.front().get(), 0, 0});
  if (::poll(ends.data(), ends.size(), 0) <= 0) return;
  for (usize i = 0; i < ends.size(); ++i)
    if (ends[i].revents != 0) threads_[i]->over = true;
}

Result<usize> KernelSession::follow_threads() {
  find_ended();
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    const std::string text = entry.path().filename();
    int id = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), id).ec != std::errc{}) continue;
    std::string name = first_line(entry.path() / "comm");
    const u32 cpu = cpu_of(name);
    // A thread gets its name a moment after it has begun.
    const auto known =
        std::ranges::find_if(threads_, [id](const auto& thread) { return thread->id == id && !thread->over; });
    if (known != threads_.end() && (*known)->cpu == cpu) {
      (*known)->name = std::move(name);
      continue;
    }
    if (known != threads_.end()) {
      // A CPU's ring is larger. What is in the old one is still drained; nothing may be in both.
      for (const UniqueFd& event : (*known)->events) ::ioctl(event.get(), PERF_EVENT_IOC_DISABLE, 0);
      (*known)->over = true;
    }
    auto thread = std::make_unique<Thread>();
    thread->id = id;
    thread->name = std::move(name);
    thread->cpu = cpu;
    SOLDER_TRY_STATUS(follow(*thread));
    // None: it has ended meanwhile, or the kernel has no tracepoints for such threads.
    if (!thread->events.empty()) threads_.push_back(std::move(thread));
  }
  return living_cpus();
}

usize KernelSession::living_cpus() const {
  return static_cast<usize>(std::ranges::count_if(
      threads_, [](const auto& thread) { return thread->cpu != KernelSample::kNoCpu && !thread->over; }));
}

void KernelSession::forget_cpus() {
  for (const auto& thread : threads_)
    if (thread->cpu != KernelSample::kNoCpu) thread->over = thread->taken = true;
}

u64 KernelSession::drain(std::vector<KernelSample>& out) {
  // To close the last event of a tracepoint takes the kernel 30 ms: a machine's CPUs go when the next one's are
  // followed.
  const bool next = living_cpus() != 0;
  std::erase_if(threads_,
                [next](const auto& thread) { return thread->taken && (next || thread->cpu == KernelSample::kNoCpu); });
  u64 lost = 0;
  for (u32 i = 0; i < threads_.size(); ++i) {
    Thread& thread = *threads_[i];
    if (thread.taken) continue;
    thread.taken = thread.over;
    auto& page = *reinterpret_cast<perf_event_mmap_page*>(thread.pages);
    const u64 head = std::atomic_ref(page.data_head).load(std::memory_order_acquire);
    const u64 tail = page.data_tail;  // ours
    const usize first = out.size();
    const u64 done = parse_perf_ring(thread.ring, tail, head, formats_, out, lost);
    std::atomic_ref(page.data_tail).store(done, std::memory_order_release);
    for (usize at = first; at < out.size(); ++at) {
      out[at].cpu = thread.cpu;
      out[at].thread = i;
    }
  }
  return lost;
}

}  // namespace solder::control
