// How long it takes from a write to an eventfd, whose virq is a message, to the first instruction of the guest's
// handler: what bench/kvm measures, against bench/kvm_irqfd.c, which does the same with nothing around it. Not on any
// board.
//
//   solder,message  = <address data>   of a local APIC
//   solder,counter  = <address>        two words of memory: the handler's first instruction adds 1 to the first; the
//                                      guest writes 1 to the second when it takes interrupts
//   solder,rounds   = <N>
//
// It writes "median NS ns" as a note and ends the machine.
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "base/unique_fd.h"
#include "device/registry.h"

namespace solder::models::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr u32 kMostRounds = 1'000'000;
// Between two rounds, so that the CPU is halted again.
constexpr auto kRest = std::chrono::microseconds(100);
// A round that takes longer is a lost interrupt.
constexpr auto kPatience = std::chrono::seconds(10);

class IrqfdLatency final : public device::Device {
 public:
  explicit IrqfdLatency(device::Ports& ports) : ports_(ports) {}
  ~IrqfdLatency() override { end(); }
  IrqfdLatency(const IrqfdLatency&) = delete;
  IrqfdLatency& operator=(const IrqfdLatency&) = delete;

  Status start() override {
    const tree::Node& node = ports_.node();
    const auto message = node.cell_list("solder,message");
    const auto counter = node.cell_list("solder,counter");
    if (message.size() != 2 || counter.size() != 1)
      return fail(node.place(), "needs solder,message = <address data> and solder,counter = <address>");
    words_ = counter[0] % 4 == 0 ? reinterpret_cast<u32*>(ports_.dma().pointer(counter[0], 8)) : nullptr;
    if (words_ == nullptr) return fail(node.place("solder,counter"), "is not in memory");
    event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    virq_ = ports_.routes().allocate(node.path());
    ports_.routes().set(*virq_, {interrupt::Message{message[0], message[1], 0}});
    SOLDER_TRY_STATUS(ports_.routes().attach_eventfd(*virq_, event_.get()));
    thread_ = std::thread([this] { measure(); });
    return {};
  }
  void stop() override { end(); }

 private:
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    if (virq_) ports_.routes().release(*virq_);
    virq_.reset();
  }

  [[nodiscard]] u32 word(u32 index) const { return std::atomic_ref<u32>(words_[index]).load(); }

  void measure() {
    const u32 rounds = std::clamp(ports_.node().u32_value("solder,rounds").value_or(1000), 1u, kMostRounds);
    while (word(1) == 0) {
      if (stop_) return;
      std::this_thread::sleep_for(kRest);
    }
    std::vector<Clock::duration> all;
    while (all.size() < rounds) {
      std::this_thread::sleep_for(kRest);
      const u32 before = word(0);
      const u64 one = 1;
      const auto from = Clock::now();
      [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
      while (word(0) == before) {
        if (stop_) return;
        if (Clock::now() - from > kPatience) {
          ports_.control().report_fault(ports_.node().path() + ": an interrupt was lost");
          return;
        }
      }
      all.push_back(Clock::now() - from);
    }
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
    log::note(fmt::format("irqfd: median {} ns",
                          std::chrono::duration_cast<std::chrono::nanoseconds>(all[all.size() / 2]).count()));
    ports_.control().request_shutdown();
  }

  device::Ports& ports_;
  u32* words_ = nullptr;
  UniqueFd event_;
  std::optional<interrupt::Virq> virq_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

const device::Registration kIrqfdLatency{"solder,irqfd-latency", device::make<IrqfdLatency>,
                                         "A test's clock for eventfd interrupts (models/test/irqfd_latency.cpp)"};

}  // namespace
}  // namespace solder::models::test
