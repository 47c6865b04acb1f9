// "solder,gsi": no device, but the board's fan-out: each of its interrupts drives pins of several controllers, as
// solder,route says: <first count &controller pin>…. One virq of the routing table for each interrupt.
#include <fmt/format.h>

#include <algorithm>

#include "device/registry.h"
#include "models/apic/specifier.h"

namespace solder::models::gsi {
namespace {

// No controller pair of a PC has more; a tree that asks for more has a typing error.
constexpr u32 kMostInterrupts = 1024;

struct Range {
  u32 first = 0;
  u32 count = 0;
  u32 controller = 0;  // phandle
  u32 pin = 0;
};

Result<std::vector<Range>> parse_ranges(const tree::Node& node) {
  std::vector<Range> out;
  if (!node.has("solder,route")) return out;
  const auto cells = node.cell_list("solder,route");
  const std::string where = node.place("solder,route");
  if (cells.empty() || cells.size() % 4 != 0)
    return fail(where, fmt::format("has {} cells: entries are <first count &controller pin>", cells.size()));
  for (usize i = 0; i < cells.size(); i += 4) {
    const Range range{cells[i], cells[i + 1], cells[i + 2], cells[i + 3]};
    if (range.count == 0 || range.first >= kMostInterrupts || range.count > kMostInterrupts - range.first ||
        range.pin >= kMostInterrupts)
      return fail(where, fmt::format("entry {}: {} interrupts from {} on to pins from {} on: there can be interrupts 0 "
                                     "to {}",
                                     i / 4, range.count, range.first, range.pin, kMostInterrupts - 1));
    out.push_back(range);
  }
  return out;
}

class Gsi final : public device::Device, public interrupt::Controller, public interrupt::Sink {
 public:
  static Result<std::unique_ptr<device::Device>> create(device::Ports& ports) {
    auto ranges = SOLDER_TRY(parse_ranges(ports.node()));
    return std::unique_ptr<device::Device>(new Gsi(ports, std::move(ranges)));
  }

  // Wires are connected before start(), and may drive at once; errors of the tree are reported in start() all the same.
  Result<Input> input(std::span<const u32> specifier, u32 cpu) override {
    (void)cpu;
    if (lines_.empty()) return fail("", "solder,route of this node is empty: it has no interrupts");
    Input out = SOLDER_TRY(apic::parse_pin_specifier(specifier, static_cast<u32>(lines_.size())));
    if (!lines_[out.pin].routed)
      return fail("", fmt::format("cell 0 (interrupt) is {}, which no entry of solder,route has", out.pin));
    resolve();
    out.name = fmt::format("interrupt {}", out.pin);
    out.sink = this;
    out.virq = lines_[out.pin].virq;
    return out;
  }

  void set_level(u32 pin, bool level) override {
    if (const auto virq = number(pin)) ports_.routes().set_level(*virq, level);
  }
  void pulse(u32 pin) override {
    if (const auto virq = number(pin)) ports_.routes().raise(*virq);
  }
  void watch_eoi(u32 pin, std::function<void()> watcher) override {
    if (pin >= lines_.size()) return;
    for (const auto& target : lines_[pin].targets)
      if (target.sink != nullptr) target.sink->watch_eoi(target.pin, watcher);
  }

  Status start() override {
    resolve();
    return resolved_;
  }

  [[nodiscard]] std::string describe() const override {
    const auto routed = std::ranges::count_if(lines_, [](const Line& line) { return line.routed; });
    return fmt::format("fan-out of {} interrupts", routed);
  }

 private:
  struct Line {
    bool routed = false;
    std::optional<interrupt::Virq> virq;
    std::vector<interrupt::PinTarget> targets;
  };

  Gsi(device::Ports& ports, std::vector<Range> ranges) : ports_(ports), ranges_(std::move(ranges)) {
    u32 count = 0;
    for (const Range& range : ranges_) count = std::max(count, range.first + range.count);
    lines_.resize(count);
    for (const Range& range : ranges_)
      for (u32 i = 0; i < range.count; ++i) lines_[range.first + i].routed = true;
    // Those whose targets are all in KVM have its numbers, which are these.
    ports.routes().reserve(count);
    ports.provide_controller(*this);
  }

  [[nodiscard]] std::optional<interrupt::Virq> number(u32 pin) const {
    return pin < lines_.size() ? lines_[pin].virq : std::nullopt;
  }

  // Once, when all controllers are there; on the thread that builds the machine.
  void resolve() {
    if (done_) return;
    done_ = true;
    for (usize i = 0; i < ranges_.size() && resolved_; ++i) resolved_ = resolve(i, ranges_[i]);
    if (!resolved_) return;
    std::vector<interrupt::NewRoute> wanted;
    for (u32 i = 0; i < lines_.size(); ++i) {
      const Line& line = lines_[i];
      if (!line.routed) continue;
      interrupt::NewRoute route;
      // KVM's own timer raises its GSI 0: the numbers must be the tree's.
      if (std::ranges::all_of(line.targets, &interrupt::PinTarget::in_kernel)) route.number = i;
      route.label = fmt::format("{} interrupt {}", ports_.node().path(), i);
      route.targets.assign(line.targets.begin(), line.targets.end());
      wanted.push_back(std::move(route));
    }
    const auto virqs = ports_.routes().take(std::move(wanted));
    auto next = virqs.begin();
    for (Line& line : lines_) {
      if (line.routed) line.virq = *next++;
    }
  }

  Status resolve(usize index, const Range& range) {
    const tree::Node& node = ports_.node();
    interrupt::Controller* controller = ports_.find_controller(range.controller);
    if (controller == nullptr || controller == this)
      return fail(node.place("solder,route"),
                  fmt::format("entry {}: cell 2 refers to no interrupt controller of the machine", index),
                  "enable the controller's node, or remove the entry");
    const std::string path = controller_path(range.controller);
    for (u32 i = 0; i < range.count; ++i) {
      // An edge or a level as the source has it: here only the pin counts.
      const u32 specifier[2] = {range.pin + i, 1};
      auto input = controller->input(specifier, 0);
      if (!input)
        return fail(node.place("solder,route"),
                    fmt::format("entry {}: interrupt {} to pin {} of {}: {}", index, range.first + i, range.pin + i,
                                path, input.error().what),
                    input.error().fix);
      interrupt::PinTarget target;
      target.sink = input->in_kernel ? nullptr : input->sink;
      target.controller = input->controller;
      target.pin = input->pin;
      target.in_kernel = input->in_kernel;
      target.name = input->name;
      target.node = path;
      lines_[range.first + i].targets.push_back(std::move(target));
    }
    return {};
  }

  [[nodiscard]] std::string controller_path(u32 phandle) const {
    const tree::Node* root = &ports_.node();
    while (root->parent() != nullptr) root = root->parent();
    const tree::Node* found = find(*root, phandle);
    return found != nullptr ? found->path() : fmt::format("phandle {:#x}", phandle);
  }
  static const tree::Node* find(const tree::Node& node, u32 phandle) {
    if (node.phandle() == phandle) return &node;
    for (const auto& child : node.children())
      if (const tree::Node* found = find(*child, phandle)) return found;
    return nullptr;
  }

  device::Ports& ports_;
  std::vector<Range> ranges_;
  std::vector<Line> lines_;
  bool done_ = false;
  Status resolved_;
};

const device::Registration kGsi{"solder,gsi", Gsi::create, "Fan-out of a board's interrupts to several controllers"};

}  // namespace
}  // namespace solder::models::gsi
