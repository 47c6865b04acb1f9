#include "accel/kvm/x86/routes.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace solder::accel::kvm::x86 {

static_assert(sizeof(kvm_irq_routing) == sizeof(u64) && sizeof(kvm_irq_routing_entry) % sizeof(u64) == 0);

void KernelRouting::enable() {
  enabled_ = true;
  most_ = static_cast<u32>(std::max(vm_.check(KVM_CAP_IRQ_ROUTING), 0));
}

void KernelRouting::complain(const std::string& text) {
  if (!complained_) log::warn(text);
  complained_ = true;
}

void KernelRouting::publish(std::span<const interrupt::Route> routes) {
  if (!enabled_) return;
  constexpr usize kEntry = sizeof(kvm_irq_routing_entry) / sizeof(u64);
  next_.assign(1 + routes.size() * kEntry, 0);
  u32 count = 0;
  bool left_out = false;
  for (const interrupt::Route& route : routes) {
    if (route.virq >= most_ || count >= most_) {
      left_out = true;
      continue;
    }
    kvm_irq_routing_entry entry{};
    entry.gsi = route.virq;
    if (const auto* pin = std::get_if<interrupt::PinTarget>(&route.target)) {
      entry.type = KVM_IRQ_ROUTING_IRQCHIP;
      entry.u.irqchip.irqchip = pin->controller;
      entry.u.irqchip.pin = pin->pin;
    } else {
      const auto& message = std::get<interrupt::Message>(route.target);
      entry.type = KVM_IRQ_ROUTING_MSI;
      entry.u.msi.address_lo = static_cast<u32>(message.address);
      entry.u.msi.address_hi = static_cast<u32>(message.address >> 32);
      entry.u.msi.data = message.data;
    }
    std::memcpy(&next_[1 + count * kEntry], &entry, sizeof entry);
    ++count;
  }
  next_.resize(1 + count * kEntry);
  kvm_irq_routing head{};
  head.nr = count;
  std::memcpy(next_.data(), &head, sizeof head);
  if (left_out)
    complain(fmt::format("KVM on this host takes {} interrupt routes; the machine has more, which are lost", most_));
  if (!active_) return;
  // The guest can have written a message that KVM refuses; KVM then keeps its table, and so do we.
  if (const Status done = apply(); !done) complain(done.error().text());
}

Status KernelRouting::apply() {
  if (next_ == current_) return {};
  SOLDER_TRY_STATUS(vm_.call(SOLDER_KVM(KVM_SET_GSI_ROUTING), next_.data()));
  std::swap(current_, next_);
  return {};
}

Status KernelRouting::activate() {
  if (!enabled_) return {};
  active_ = true;
  if (!next_.empty()) SOLDER_TRY_STATUS(apply());
  for (const interrupt::Virq virq : std::exchange(early_, {})) set_level(virq, true);
  return {};
}

void KernelRouting::set_level(interrupt::Virq virq, bool level) {
  if (!active_) [[unlikely]] {
    std::erase(early_, virq);
    if (level) early_.push_back(virq);
    return;
  }
  kvm_irq_level line{};
  line.irq = virq;
  line.level = level ? 1 : 0;
  // It fails for a number without a route only: an interrupt to nowhere.
  [[maybe_unused]] const auto done = vm_.call(SOLDER_KVM(KVM_IRQ_LINE), &line);
}

Status KernelRouting::attach(interrupt::Virq virq, int fd, int resample_fd) {
  return vm_.attach_irqfd(virq, fd, resample_fd);
}

void KernelRouting::detach(interrupt::Virq virq, int fd) {
  if (const Status done = vm_.detach_irqfd(virq, fd); !done) log::warn(done.error().text());
}

}  // namespace solder::accel::kvm::x86
