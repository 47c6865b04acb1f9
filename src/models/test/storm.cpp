// A storm of interrupts from every kind of source, on threads of its own, against handlers that count them in the
// guest's memory: none may be lost, none invented, while routes change. For tests; not on any board; an overlay adds it
// (tests/guest/*/storm.dts). The guest describes the sources, since it knows its vectors and pins, and starts the
// storm; the device paces itself by the counters (models/test/storm_source.h), judges, and prints a table. Registers,
// 32 bits each:
//
//   0x00 BLOCK_LOW   0x04 BLOCK_HIGH   0x08 CPUS   0x0c SLOTS
//        Where StormBlock lies, and behind it the counters: SLOTS words for each CPU.
//   0x10 ADDRESS_LOW   0x14 ADDRESS_HIGH   0x18 DATA
//        A message; with 0x1c MESSAGE_AT it is a target whose handler counts in the slot that is written.
//   0x20 PIN           number of one of the node's interrupts; with 0x24 PIN_AT it is such a target
//   0x28 SOURCE        makes a source of this SourceKind of the targets since the last one. Wires have one, a pin.
//   0x2c EVENTS        how many events there will be
//   0x30 STATE         StormRun::State; writing 1 starts
//   0x34 CAUSES        level and resample sources that want service; bit 0 is the first of them that was made
//   0x38 ACKNOWLEDGE   ones: these are served
//   0x3c NO_CAUSE      a handler found none
//
// solder,events, solder,patience (milliseconds without any count that mean a loss), solder,progress: see StormLimits.
// solder,edge-wires, solder,level-wires: the node's interrupts that are wires; one that is named twice is shared.
// A storm under way is no part of a snapshot.
#include <fmt/format.h>

#include "base/log.h"
#include "device/registry.h"
#include "models/test/storm_run.h"

namespace solder::models::test {
namespace {

constexpr u32 kMostSources = 256;
constexpr u32 kMostCandidates = 8;
constexpr u32 kMostCauses = 32;
constexpr u32 kMostCpus = 64;
constexpr u32 kMostSlots = 4096;

class Storm final : public device::Device {
 public:
  explicit Storm(device::Ports& ports) : ports_(ports) {
    for (const u32 index : ports.node().cell_list("solder,edge-wires"))
      edges_.push_back({index, &ports.edge_wire(index)});
    for (const u32 index : ports.node().cell_list("solder,level-wires"))
      levels_.push_back({index, &ports.level_wire(index)});
    device::RegisterBlock& block = ports.window(0, 0x40);
    block.rw("BLOCK_LOW", 0x00, block_low_);
    block.rw("BLOCK_HIGH", 0x04, block_high_);
    block.rw("CPUS", 0x08, cpus_);
    block.rw("SLOTS", 0x0c, slots_);
    block.rw("ADDRESS_LOW", 0x10, address_low_);
    block.rw("ADDRESS_HIGH", 0x14, address_high_);
    block.rw("DATA", 0x18, data_);
    block.wo("MESSAGE_AT", 0x1c, [this](u32 slot) {
      add_candidate(interrupt::Message{u64{address_high_} << 32 | address_low_, data_, 0}, slot);
    });
    block.rw("PIN", 0x20, pin_);
    block.wo("PIN_AT", 0x24, [this](u32 slot) { add_pin(slot); });
    block.wo("SOURCE", 0x28, [this](u32 kind) { add_source(kind); });
    block.constant("EVENTS", 0x2c, ports.node().u32_value("solder,events").value_or(10'000));
    block.reg(
        "STATE", 0x30, [this] { return static_cast<u32>(state_.load()); },
        [this](u32 value) {
          if (value == 1) start_storm();
        });
    block.reg("CAUSES", 0x34, [this] { return causes_.load(); }, {});
    block.wo("ACKNOWLEDGE", 0x38, [this](u32 value) { acknowledge(value); });
    block.wo("NO_CAUSE", 0x3c, [this](u32) {
      if (run_) run_->found_no_cause();
    });
  }
  ~Storm() override { end(); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  void stop() override { end(); }

  void reset() override {
    end();
    block_low_ = block_high_ = cpus_ = slots_ = address_low_ = address_high_ = data_ = pin_ = 0;
    candidates_.clear();
    state_ = State::idle;
    causes_ = 0;
    for (const LevelPin& level : levels_) level.wire->set(false);
  }

 private:
  using State = StormRun::State;
  struct EdgePin {
    u32 index;
    interrupt::EdgeWire* wire;
    bool used = false;
  };
  struct LevelPin {
    u32 index;
    interrupt::LevelWire* wire;
    bool used = false;
    u32 cause = 0;
  };

  // Without the model's lock: the threads take it.
  void end() {
    run_.reset();
    sources_.clear();
    next_cause_ = 0;
    for (EdgePin& edge : edges_) edge.used = false;
    for (LevelPin& level : levels_) level.used = false;
  }

  void refuse(const std::string& why) {
    log::warn(fmt::format("{}: {}", ports_.node().path(), why));
    state_ = State::failed;
  }

  void add_candidate(interrupt::Target target, u32 slot) {
    if (state_ != State::idle || candidates_.size() == kMostCandidates || slot >= kMostSlots)
      return refuse("too many targets of a source, or no such slot");
    candidates_.push_back({std::move(target), slot});
  }

  void add_pin(u32 slot) {
    auto input = ports_.interrupt_input(pin_, 0);
    if (!input) return refuse(input.error().text());
    interrupt::PinTarget target;
    target.sink = input->in_kernel ? nullptr : input->sink;
    target.controller = input->controller;
    target.pin = input->pin;
    target.in_kernel = input->in_kernel;
    target.name = input->name;
    target.node = input->node;
    add_candidate(std::move(target), slot);
  }

  void add_source(u32 number) {
    const auto kind = static_cast<SourceKind>(number);
    if (state_ != State::idle || number >= static_cast<u32>(SourceKind::count) || candidates_.empty() ||
        sources_.size() == kMostSources)
      return refuse("a source of no kind, without targets, too many, or too late");
    Source::Wires wires{ports_.lock(), causes_};
    std::string name = fmt::format("{} {}", kind_name(kind), sources_.size());
    if (kind == SourceKind::level || kind == SourceKind::resample) {
      if (next_cause_ == kMostCauses) return refuse("too many causes");
      wires.cause = 1U << next_cause_++;
    }
    if (kind == SourceKind::edge || kind == SourceKind::level) {
      if (!take_wire(kind, wires)) return refuse(fmt::format("interrupt {} has no such wire left", pin_));
      if (const auto* pin = std::get_if<interrupt::PinTarget>(&candidates_.front().target))
        name += fmt::format(" to {}", pin->name);
    }
    sources_.push_back(std::make_unique<Source>(kind, std::move(name), ports_.routes(), wires, std::move(candidates_)));
    candidates_.clear();
    if (const Status opened = sources_.back()->open(); !opened) refuse(opened.error().text());
  }

  bool take_wire(SourceKind kind, Source::Wires& wires) {
    for (EdgePin& edge : edges_) {
      if (kind != SourceKind::edge || edge.index != pin_ || edge.used) continue;
      edge.used = true;
      wires.edge = edge.wire;
      return true;
    }
    for (LevelPin& level : levels_) {
      if (kind != SourceKind::level || level.index != pin_ || level.used) continue;
      level.used = true;
      level.cause = wires.cause;
      wires.level = level.wire;
      return true;
    }
    return false;
  }

  void acknowledge(u32 value) {
    causes_.fetch_and(~value);
    for (const LevelPin& level : levels_)
      if (level.used && (level.cause & value) != 0) level.wire->set(false);
  }

  void start_storm() {
    if (state_ != State::idle || sources_.empty()) return;
    if (cpus_ == 0 || cpus_ > kMostCpus || slots_ == 0 || slots_ > kMostSlots) return refuse("no counters");
    const u64 address = u64{block_high_} << 32 | block_low_;
    u8* memory = ports_.dma().pointer(address, sizeof(StormBlock) + u64{cpus_} * slots_ * sizeof(u32));
    if (memory == nullptr || address % alignof(StormBlock) != 0) return refuse("the block is not in memory");
    for (const auto& source : sources_)
      if (source->highest_slot() >= slots_) return refuse("a target without a counter");
    auto* block = reinterpret_cast<StormBlock*>(memory);
    const Counters counters(reinterpret_cast<u32*>(memory + sizeof(StormBlock)), cpus_, slots_);
    const tree::Node& node = ports_.node();
    const StormLimits limits{node.u32_value("solder,events").value_or(10'000),
                             node.u32_value("solder,patience").value_or(15'000), node.has("solder,progress")};
    state_ = State::running;
    run_ = std::make_unique<StormRun>(sources_, ports_.routes(), block, counters, limits,
                                      [this](State state, const std::string& text) {
                                        state_ = state;
                                        if (state == State::failed)
                                          ports_.control().report_fault(ports_.node().path() + ": " + text);
                                      });
  }

  device::Ports& ports_;
  std::vector<EdgePin> edges_;
  std::vector<LevelPin> levels_;
  u32 block_low_ = 0, block_high_ = 0, cpus_ = 0, slots_ = 0;
  u32 address_low_ = 0, address_high_ = 0, data_ = 0, pin_ = 0;
  std::vector<Candidate> candidates_;
  u32 next_cause_ = 0;
  Causes causes_{0};
  std::atomic<State> state_{State::idle};
  StormRun::Sources sources_;
  std::unique_ptr<StormRun> run_;
};

const device::Registration kStorm{"solder,storm-test", device::make<Storm>,
                                  "A test's storm of interrupts from every kind of source (models/test/storm.cpp)"};

}  // namespace
}  // namespace solder::models::test
