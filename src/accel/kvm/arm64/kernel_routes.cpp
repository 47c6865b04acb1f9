#include "accel/kvm/arm64/kernel_routes.h"

#include <fmt/core.h>

#include <algorithm>

#include "accel/kvm/kvm_abi.h"
#include "base/log.h"

namespace solder::accel::kvm::arm64 {

namespace {

constexpr u32 kFirstSpi = 32;

kvm_irq_routing_entry entry_of(const interrupt::Route& route) {
  kvm_irq_routing_entry entry{};
  entry.gsi = route.virq;
  if (const auto* pin = std::get_if<interrupt::PinTarget>(&route.target)) {
    entry.type = KVM_IRQ_ROUTING_IRQCHIP;
    entry.u.irqchip.irqchip = pin->controller;
    entry.u.irqchip.pin = pin->pin;
  } else {
    const auto& message = std::get<interrupt::Message>(route.target);
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.flags = KVM_MSI_VALID_DEVID;
    entry.u.msi.address_lo = static_cast<u32>(message.address);
    entry.u.msi.address_hi = static_cast<u32>(message.address >> 32);
    entry.u.msi.data = message.data;
    entry.u.msi.devid = message.device_id;
  }
  return entry;
}

}  // namespace

// Under the lock, so that two changes of one line reach the kernel in their order.
void Arm64Routes::drive(u32 spi, bool level) {
  u32& holders = high_[spi];
  const bool before = holders != 0;
  if (level) {
    ++holders;
  } else if (holders != 0) {
    --holders;
  }
  if (before == (holders != 0)) return;
  kvm_irq_level line{};
  line.irq = line_code(KVM_ARM_IRQ_TYPE_SPI, 0, kFirstSpi + spi);
  line.level = level ? 1 : 0;
  if (const Status done = vm_.call(SOLDER_KVM(KVM_IRQ_LINE), &line); !done) log::warn(done.error().text());
}

Status Arm64Routes::apply() const {
  std::vector<u8> bytes(sizeof(kvm_irq_routing) + routes_.size() * sizeof(kvm_irq_routing_entry));
  auto* table = reinterpret_cast<kvm_irq_routing*>(bytes.data());
  table->nr = static_cast<u32>(routes_.size());
  for (usize i = 0; i < routes_.size(); ++i) table->entries[i] = entry_of(routes_[i]);
  return vm_.call(SOLDER_KVM(KVM_SET_GSI_ROUTING), table);
}

Status Arm64Routes::activate() {
  const std::lock_guard guard(mutex_);
  active_ = true;
  return apply();
}

std::vector<u32> Arm64Routes::levels(u32 words) {
  const std::lock_guard guard(mutex_);
  std::vector<u32> out(words);
  for (const auto& [spi, holders] : high_) {
    const u32 id = spi + kFirstSpi;
    if (holders != 0 && id / 32 < words) out[id / 32] |= 1U << (id % 32);
  }
  return out;
}

void Arm64Routes::publish(std::span<const interrupt::Route> routes) {
  const std::lock_guard guard(mutex_);
  routes_.assign(routes.begin(), routes.end());
  std::map<interrupt::Virq, Line> next;
  for (const auto& route : routes_) {
    const auto* pin = std::get_if<interrupt::PinTarget>(&route.target);
    if (pin != nullptr) next[route.virq].spis.push_back(pin->pin);
  }
  // A line that is high stays so on the pins that it keeps and falls on those that it loses, after it rose on new ones.
  for (auto& [virq, line] : next) {
    const auto old = lines_.find(virq);
    line.high = old != lines_.end() && old->second.high;
    if (!line.high) continue;
    for (const u32 spi : line.spis) drive(spi, true);
  }
  for (const auto& [virq, line] : lines_) {
    if (!line.high) continue;
    for (const u32 spi : line.spis) drive(spi, false);
  }
  lines_ = std::move(next);
  if (!active_) return;
  if (const Status done = apply(); !done) {
    log::warn(fmt::format("interrupts from event sources may go astray: {}", done.error().text()));
  }
}

void Arm64Routes::set_level(interrupt::Virq virq, bool level) {
  const std::lock_guard guard(mutex_);
  const auto line = lines_.find(virq);
  if (line == lines_.end() || line->second.high == level) return;
  line->second.high = level;
  for (const u32 spi : line->second.spis) drive(spi, level);
}

Status Arm64Routes::attach(interrupt::Virq virq, int fd, int resample_fd) {
  return vm_.attach_irqfd(virq, fd, resample_fd);
}

void Arm64Routes::detach(interrupt::Virq virq, int fd) {
  if (const Status done = vm_.detach_irqfd(virq, fd); !done) log::warn(done.error().text());
}

}  // namespace solder::accel::kvm::arm64
