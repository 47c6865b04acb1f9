#include "interrupt/route.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "interrupt/event_sources.h"

namespace solder::interrupt {

namespace {

bool same_pin(const PinTarget& a, const PinTarget& b) {
  return a.in_kernel == b.in_kernel && a.sink == b.sink && a.controller == b.controller && a.pin == b.pin;
}

bool has_pin(const std::vector<Target>& targets, const PinTarget& pin) {
  return std::ranges::any_of(targets, [&](const Target& target) {
    const auto* other = std::get_if<PinTarget>(&target);
    return other != nullptr && same_pin(*other, pin);
  });
}

bool in_kernel_pin(const Target& target) {
  const auto* pin = std::get_if<PinTarget>(&target);
  return pin != nullptr && pin->in_kernel;
}

std::string target_text(const Target& target, bool kernel_messages) {
  if (const auto* pin = std::get_if<PinTarget>(&target))
    return fmt::format("{}{}, {}", pin->name.empty() ? fmt::format("pin {}", pin->pin) : pin->name,
                       pin->node.empty() ? "" : " of " + pin->node, pin->in_kernel ? "KVM" : "here");
  const Message& message = std::get<Message>(target);
  return fmt::format("message {:#x} to {:#x}, {}", message.data, message.address, kernel_messages ? "KVM" : "here");
}

std::string in_brackets(const std::string& label) {
  return label.empty() ? "" : fmt::format(" ({})", label);
}

}  // namespace

RoutingTable::RoutingTable(MessageTarget* messages) : messages_(messages) {
  published_.push_back(std::make_unique<const Table>());
  table_.store(published_.back().get(), std::memory_order_release);
}

RoutingTable::~RoutingTable() = default;

void RoutingTable::set_kernel(KernelRoutes* kernel) {
  const std::lock_guard guard(mutex_);
  kernel_.store(kernel, std::memory_order_release);
  publish(std::make_unique<Table>(*table_.load(std::memory_order_relaxed)));
}

bool RoutingTable::all_in_kernel(const Entry& entry) const {
  const KernelRoutes* kernel = kernel_.load(std::memory_order_acquire);
  if (kernel == nullptr || entry.targets.empty()) return false;
  return std::ranges::all_of(entry.targets, [&](const Target& target) {
    const auto* pin = std::get_if<PinTarget>(&target);
    return pin != nullptr ? pin->in_kernel : kernel->takes_messages();
  });
}

void RoutingTable::publish(std::unique_ptr<Table> table) {
  for (Entry& entry : *table) {
    entry.kernel_pins = std::ranges::any_of(entry.targets, in_kernel_pin);
  }
  std::vector<Route> all;
  for (Virq virq = 0; virq < table->size(); ++virq) {
    for (const Target& target : (*table)[virq].targets) all.push_back({virq, target});
  }
  if (KernelRoutes* kernel = kernel_.load(std::memory_order_acquire); kernel != nullptr) {
    std::vector<Route> theirs;
    for (const Route& route : all) {
      const auto* pin = std::get_if<PinTarget>(&route.target);
      if (pin != nullptr ? pin->in_kernel : kernel->takes_messages()) theirs.push_back(route);
    }
    const std::lock_guard alone(pulses_);
    kernel->publish(theirs);
  }
  table_.store(table.get());
  if (readers_.load() == 0) published_.clear();
  published_.push_back(std::move(table));
  for (const auto& listener : listeners_) listener(all);
}

void RoutingTable::reserve(Virq count) {
  const std::lock_guard guard(mutex_);
  reserved_ = std::max(reserved_, count);
}

void RoutingTable::enter(Table& table, Virq virq, std::string label) {
  if (virq >= table.size()) table.resize(virq + 1);
  table[virq] =
      Entry{{}, std::make_shared<std::atomic<u64>>(0), std::make_shared<Level>(), std::move(label), true, false};
}

Virq RoutingTable::allocate(std::string label) {
  return take({{std::nullopt, std::move(label), {}}}).front();
}

std::vector<Virq> RoutingTable::take(std::vector<NewRoute> wanted) {
  std::vector<Virq> taken;
  std::vector<NewRoute*> there;  // taken before: their sources and levels move with the targets
  {
    const std::lock_guard guard(mutex_);
    auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
    const auto used = [&](Virq virq) { return virq < next->size() && (*next)[virq].used; };
    Virq free = reserved_;
    for (NewRoute& route : wanted) {
      if (route.number) {
        SOLDER_CHECK(*route.number < reserved_, "only reserved virqs are claimed");
      } else {
        while (used(free)) ++free;
      }
      const Virq virq = route.number.value_or(free);
      taken.push_back(virq);
      if (used(virq)) {
        there.push_back(&route);
        continue;
      }
      enter(*next, virq, std::move(route.label));
      (*next)[virq].targets = std::move(route.targets);
    }
    publish(std::move(next));
  }
  for (NewRoute* route : there) set(*route->number, std::move(route->targets));
  return taken;
}

void RoutingTable::release(Virq virq) {
  const std::lock_guard guard(mutex_);
  auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
  SOLDER_CHECK(virq < next->size() && (*next)[virq].used, "only an allocated virq is released");
  std::erase_if(attachments_, [&](const Attachment& attachment) {
    if (attachment.virq != virq) return false;
    displace(attachment);
    return true;
  });
  // Nobody could lower its pins any more.
  const Entry entry = std::exchange((*next)[virq], Entry{});
  const std::lock_guard driving(entry.level->mutex);
  const bool high = entry.level->high.exchange(false);
  if (high && entry.kernel_pins) kernel_.load(std::memory_order_acquire)->set_level(virq, false);
  publish(std::move(next));
  for (const Target& target : entry.targets) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (high && pin != nullptr && pin->sink != nullptr) pin->sink->set_level(pin->pin, false);
  }
}

void RoutingTable::set(Virq virq, std::vector<Target> targets) {
  const std::lock_guard guard(mutex_);
  auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
  SOLDER_CHECK(virq < next->size() && (*next)[virq].used, "only an allocated virq has targets");
  Entry& entry = (*next)[virq];
  // A level that is high moves with the route: the new pins rise before the old ones fall, where those are ours.
  const std::vector<Target> old = std::move(entry.targets);
  entry.targets = std::move(targets);
  const std::vector<Target> now = entry.targets;
  // An eventfd that changes sides is with nobody while the table changes: the kernel still has the old route for events
  // that it has taken from the descriptor, and later ones stay there for whoever comes next. A level's EOI is watched
  // at its targets, so that such a one moves with any change of them here; its source is asked for its level again.
  // In the kernel an edge on a pin is two steps, the rise and the fall, each by the table of its moment: one that is
  // between them when the table changes would leave the old pin high for ever. Detaching waits for both.
  const bool to_kernel = all_in_kernel(entry);
  const bool pulses = entry.kernel_pins || std::ranges::any_of(now, in_kernel_pin);
  std::vector<Attachment*> moving;
  bool resampled = false;
  for (Attachment& attachment : attachments_) {
    if (attachment.virq != virq) continue;
    const bool edge = attachment.resample_fd < 0;
    if (attachment.in_kernel == to_kernel && (to_kernel ? !(edge && pulses) : edge)) continue;
    displace(attachment);
    moving.push_back(&attachment);
    resampled |= attachment.resample_fd >= 0;
  }
  publish_level(std::move(next), virq, old, resampled);
  const Entry& current = (*table_.load(std::memory_order_relaxed))[virq];
  for (Attachment* attachment : moving) {
    if (auto placed = place(*attachment, current); !placed) log::warn(placed.error().text());
  }
  for (const Attachment* attachment : moving) {
    const u64 one = 1;
    if (attachment->resample_fd >= 0) [[maybe_unused]]
      const auto written = ::write(attachment->resample_fd, &one, sizeof one);
  }
}

void RoutingTable::publish_level(std::unique_ptr<Table> next, Virq virq, const std::vector<Target>& old, bool falls) {
  const Entry& entry = (*next)[virq];
  const std::vector<Target> now = entry.targets;
  const bool kernel_pins = std::ranges::any_of(now, in_kernel_pin);
  KernelRoutes* kernel = kernel_.load(std::memory_order_acquire);
  const std::shared_ptr<Level> state = entry.level;
  const std::lock_guard driving(state->mutex);
  const bool was = state->high.load();
  const bool level = was && !falls;
  state->high.store(level);
  // The kernel knows levels by number: a pin that leaves the number falls before, or never.
  const bool leaves = std::ranges::any_of(
      old, [&](const Target& target) { return in_kernel_pin(target) && !has_pin(now, std::get<PinTarget>(target)); });
  if (leaves && was) kernel->set_level(virq, false);
  publish(std::move(next));
  if (level && kernel_pins) kernel->set_level(virq, true);
  for (const Target& target : now) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (level && pin != nullptr && pin->sink != nullptr) pin->sink->set_level(pin->pin, true);
  }
  for (const Target& target : old) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (!was || pin == nullptr || pin->sink == nullptr) continue;
    if (!(level && has_pin(now, *pin))) pin->sink->set_level(pin->pin, false);
  }
}

bool RoutingTable::raise(Virq virq) {
  const Reading reading(*this);
  const Entry* found = reading.find(virq);
  if (found == nullptr) return false;
  const Entry& entry = *found;
  entry.count->fetch_add(1, std::memory_order_relaxed);
  bool sent = false;  // the kernel has sent the virq's messages along with its pins
  if (entry.kernel_pins) {
    KernelRoutes* kernel = kernel_.load(std::memory_order_acquire);
    const std::shared_lock together(pulses_);
    kernel->set_level(virq, true);
    kernel->set_level(virq, false);
    sent = kernel->takes_messages();
  }
  bool taken = entry.kernel_pins;
  for (const Target& target : entry.targets) {
    if (const auto* pin = std::get_if<PinTarget>(&target)) {
      if (pin->sink == nullptr) continue;
      pin->sink->pulse(pin->pin);
      taken = true;
    } else if (MessageTarget* messages = messages_.load(std::memory_order_acquire); messages != nullptr && !sent) {
      taken |= messages->deliver(std::get<Message>(target));
    }
  }
  return taken;
}

void RoutingTable::set_level(Virq virq, bool level) {
  const Reading reading(*this);
  const Entry* found = reading.find(virq);
  if (found == nullptr) return;
  const std::shared_ptr<Level> state = found->level;
  const std::lock_guard driving(state->mutex);
  // The targets may have moved, or the virq gone, before the lock was had.
  found = reading.find(virq);
  if (found == nullptr || found->level != state) return;
  const Entry& entry = *found;
  if (state->high.exchange(level) == level) return;
  if (level) entry.count->fetch_add(1, std::memory_order_relaxed);
  bool sent = false;
  if (entry.kernel_pins) {
    KernelRoutes* kernel = kernel_.load(std::memory_order_acquire);
    kernel->set_level(virq, level);
    sent = kernel->takes_messages();
  }
  for (const Target& target : entry.targets) {
    if (const auto* pin = std::get_if<PinTarget>(&target)) {
      if (pin->sink != nullptr) pin->sink->set_level(pin->pin, level);
    } else if (level && !sent) {
      if (MessageTarget* messages = messages_.load(std::memory_order_acquire); messages != nullptr)
        messages->deliver(std::get<Message>(target));
    }
  }
}

Status RoutingTable::place(Attachment& attachment, const Entry& entry) {
  attachment.in_kernel = all_in_kernel(entry);
  if (attachment.in_kernel)
    return kernel_.load(std::memory_order_acquire)->attach(attachment.virq, attachment.fd, attachment.resample_fd);
  if (!events_) events_ = std::make_unique<EventSources>();
  const Virq virq = attachment.virq;
  const int resample = attachment.resample_fd;
  if (resample < 0) {
    // Events that came together are one edge, as they are for the kernel's eventfds.
    return events_->add(attachment.fd, [this, virq](u64) { raise(virq); });
  }
  SOLDER_TRY_STATUS(events_->add(attachment.fd, [this, virq](u64) { set_level(virq, true); }));
  for (const Target& target : entry.targets) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (pin == nullptr || pin->sink == nullptr) continue;
    pin->sink->watch_eoi(pin->pin, [this, virq, resample] {
      {
        const Reading reading(*this);
        const Entry* now = reading.find(virq);
        if (now == nullptr || !now->level->high.load()) return;
      }
      set_level(virq, false);
      const u64 one = 1;
      [[maybe_unused]] const auto written = ::write(resample, &one, sizeof one);
    });
  }
  return {};
}

void RoutingTable::displace(const Attachment& attachment) {
  if (attachment.in_kernel) {
    kernel_.load(std::memory_order_acquire)->detach(attachment.virq, attachment.fd);
    return;
  }
  events_->remove(attachment.fd);
  const Entry& entry = (*table_.load(std::memory_order_relaxed))[attachment.virq];
  for (const Target& target : entry.targets) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (pin != nullptr && pin->sink != nullptr && attachment.resample_fd >= 0) pin->sink->watch_eoi(pin->pin, {});
  }
}

Status RoutingTable::attach_eventfd(Virq virq, int fd, int resample_fd) {
  const std::lock_guard guard(mutex_);
  const Table& table = *table_.load(std::memory_order_relaxed);
  SOLDER_CHECK(virq < table.size() && table[virq].used, "only an allocated virq has sources");
  // Each side refuses a descriptor that it has already; but one that is here and in the kernel would be read by whoever
  // comes first, and a move of its targets would meet the other.
  const auto other = std::ranges::find(attachments_, fd, &Attachment::fd);
  if (other != attachments_.end())
    return fail(table[virq].label,
                fmt::format("eventfd {} is the source of interrupt {}{} already: an event has one receiver", fd,
                            other->virq, in_brackets(table[other->virq].label)),
                "give each interrupt an eventfd of its own");
  Attachment attachment{virq, fd, resample_fd, false};
  if (auto placed = place(attachment, table[virq]); !placed) return placed;
  attachments_.push_back(attachment);
  return {};
}

void RoutingTable::detach_eventfd(Virq virq, int fd) {
  const std::lock_guard guard(mutex_);
  std::erase_if(attachments_, [&](const Attachment& attachment) {
    if (attachment.virq != virq || attachment.fd != fd) return false;
    displace(attachment);
    return true;
  });
}

u64 RoutingTable::count(Virq virq) const {
  const Reading reading(*this);
  const Entry* entry = reading.find(virq);
  return entry != nullptr ? entry->count->load(std::memory_order_relaxed) : 0;
}

std::vector<Route> RoutingTable::routes() const {
  const std::lock_guard guard(mutex_);
  const Table& table = *table_.load();
  std::vector<Route> all;
  for (Virq virq = 0; virq < table.size(); ++virq) {
    for (const Target& target : table[virq].targets) all.push_back({virq, target});
  }
  return all;
}

std::vector<RouteReport> RoutingTable::report() const {
  const std::lock_guard guard(mutex_);
  const Table& table = *table_.load(std::memory_order_relaxed);
  const KernelRoutes* kernel = kernel_.load(std::memory_order_acquire);
  const bool kernel_messages = kernel != nullptr && kernel->takes_messages();
  std::vector<RouteReport> out;
  for (Virq virq = 0; virq < table.size(); ++virq) {
    const Entry& entry = table[virq];
    if (!entry.used) continue;
    RouteReport line;
    line.virq = virq;
    line.label = entry.label;
    for (const Target& target : entry.targets) line.targets.push_back(target_text(target, kernel_messages));
    for (const Attachment& attachment : attachments_) {
      if (attachment.virq != virq) continue;
      ++line.event_fds;
      line.events_in_kernel = attachment.in_kernel;
    }
    line.level = entry.level->high.load();
    line.count = entry.count->load(std::memory_order_relaxed);
    out.push_back(std::move(line));
  }
  return out;
}

void RoutingTable::listen(std::function<void(const std::vector<Route>&)> listener) {
  const std::lock_guard guard(mutex_);
  listeners_.push_back(std::move(listener));
}

}  // namespace solder::interrupt
