#include "interrupt/route.h"

#include <algorithm>

#include "base/check.h"

namespace solder::interrupt {

RoutingTable::RoutingTable(MessageTarget* messages) : messages_(messages) {
  published_.push_back(std::make_unique<const Table>());
  table_.store(published_.back().get(), std::memory_order_release);
}

RoutingTable::~RoutingTable() = default;

void RoutingTable::publish(std::unique_ptr<Table> table) {
  // Old tables stay: readers hold no reference count. Changes are rare (a guest programming MSI vectors).
  table_.store(table.get(), std::memory_order_release);
  published_.push_back(std::move(table));
  if (listeners_.empty()) return;
  std::vector<Route> all;
  const Table& current = *published_.back();
  for (Virq virq = 0; virq < current.size(); ++virq) {
    for (const Target& target : current[virq].targets) all.push_back({virq, target});
  }
  for (const auto& listener : listeners_) listener(all);
}

Virq RoutingTable::allocate() {
  const std::lock_guard guard(mutex_);
  auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
  const auto free = std::find_if(next->begin(), next->end(), [](const Entry& entry) { return !entry.used; });
  const auto virq = static_cast<Virq>(free - next->begin());
  if (free == next->end()) next->emplace_back();
  (*next)[virq] = Entry{{}, std::make_shared<std::atomic<u64>>(0), std::make_shared<std::atomic<bool>>(false), true};
  publish(std::move(next));
  return virq;
}

void RoutingTable::release(Virq virq) {
  const std::lock_guard guard(mutex_);
  auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
  SOLDER_CHECK(virq < next->size() && (*next)[virq].used, "only an allocated virq is released");
  (*next)[virq] = Entry{};
  publish(std::move(next));
}

void RoutingTable::set(Virq virq, std::vector<Target> targets) {
  const std::lock_guard guard(mutex_);
  auto next = std::make_unique<Table>(*table_.load(std::memory_order_relaxed));
  SOLDER_CHECK(virq < next->size() && (*next)[virq].used, "only an allocated virq has targets");
  Entry& entry = (*next)[virq];
  const bool level = entry.level->load();
  // A level that is high moves with the route: the new pins rise before the old ones fall.
  std::vector<Target> old = std::move(entry.targets);
  entry.targets = std::move(targets);
  const std::vector<Target> now = entry.targets;
  publish(std::move(next));
  if (!level) return;
  for (const Target& target : now) {
    if (const auto* pin = std::get_if<PinTarget>(&target)) pin->sink->set_level(pin->pin, true);
  }
  for (const Target& target : old) {
    const auto* pin = std::get_if<PinTarget>(&target);
    if (pin == nullptr) continue;
    const bool kept = std::any_of(now.begin(), now.end(), [&](const Target& t) {
      const auto* other = std::get_if<PinTarget>(&t);
      return other != nullptr && other->sink == pin->sink && other->pin == pin->pin;
    });
    if (!kept) pin->sink->set_level(pin->pin, false);
  }
}

void RoutingTable::raise(Virq virq) {
  const Table& table = *table_.load(std::memory_order_acquire);
  if (virq >= table.size() || !table[virq].used) return;
  table[virq].count->fetch_add(1, std::memory_order_relaxed);
  for (const Target& target : table[virq].targets) {
    if (const auto* pin = std::get_if<PinTarget>(&target)) {
      pin->sink->pulse(pin->pin);
    } else if (MessageTarget* messages = messages_.load(std::memory_order_acquire); messages != nullptr) {
      messages->deliver(std::get<Message>(target));
    }
  }
}

void RoutingTable::set_level(Virq virq, bool level) {
  const Table& table = *table_.load(std::memory_order_acquire);
  if (virq >= table.size() || !table[virq].used) return;
  if (table[virq].level->exchange(level) == level) return;
  if (level) table[virq].count->fetch_add(1, std::memory_order_relaxed);
  for (const Target& target : table[virq].targets) {
    if (const auto* pin = std::get_if<PinTarget>(&target)) {
      pin->sink->set_level(pin->pin, level);
    } else if (level) {
      if (MessageTarget* messages = messages_.load(std::memory_order_acquire); messages != nullptr) {
        messages->deliver(std::get<Message>(target));
      }
    }
  }
}

u64 RoutingTable::count(Virq virq) const {
  const Table& table = *table_.load(std::memory_order_acquire);
  return virq < table.size() && table[virq].used ? table[virq].count->load(std::memory_order_relaxed) : 0;
}

std::vector<Route> RoutingTable::routes() const {
  const Table& table = *table_.load(std::memory_order_acquire);
  std::vector<Route> all;
  for (Virq virq = 0; virq < table.size(); ++virq) {
    for (const Target& target : table[virq].targets) all.push_back({virq, target});
  }
  return all;
}

void RoutingTable::listen(std::function<void(const std::vector<Route>&)> listener) {
  const std::lock_guard guard(mutex_);
  listeners_.push_back(std::move(listener));
}

}  // namespace solder::interrupt
