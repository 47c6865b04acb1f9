#include "accel/kvm/ioevent.h"

#include <fmt/core.h>

#include <utility>

#include "accel/kvm/kvm_abi.h"
#include "base/check.h"

namespace solder::accel::kvm {

namespace {

kvm_ioeventfd describe(const IoEventKey& key, int fd) {
  kvm_ioeventfd request{};
  request.addr = key.address;
  request.len = key.length;
  request.fd = fd;
  if (key.space == IoEventKey::Space::ports) request.flags |= KVM_IOEVENTFD_FLAG_PIO;
  if (key.data) {
    request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    request.datamatch = *key.data;
  }
  return request;
}

}  // namespace

Result<IoEvent> IoEvent::attach(const Vm& vm, const IoEventKey& key, int event_fd) {
  kvm_ioeventfd request = describe(key, event_fd);
  if (auto done = vm.call(SOLDER_KVM(KVM_IOEVENTFD), &request); !done) {
    return fail(
        "KVM", fmt::format("no event on writes of {} bytes to {} {:#x}: {}", key.length,
                           key.space == IoEventKey::Space::ports ? "port" : "address", key.address, done.error().what));
  }
  return IoEvent(vm, key, event_fd);
}

IoEvent::IoEvent(IoEvent&& other) noexcept : vm_(std::exchange(other.vm_, nullptr)), key_(other.key_), fd_(other.fd_) {}

IoEvent& IoEvent::operator=(IoEvent&& other) noexcept {
  if (this != &other) {
    detach();
    vm_ = std::exchange(other.vm_, nullptr);
    key_ = other.key_;
    fd_ = other.fd_;
  }
  return *this;
}

IoEvent::~IoEvent() {
  detach();
}

void IoEvent::detach() {
  if (vm_ == nullptr) return;
  kvm_ioeventfd request = describe(key_, fd_);
  request.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
  const Status done = vm_->call(SOLDER_KVM(KVM_IOEVENTFD), &request);
  SOLDER_CHECK(done.has_value(), "an event that was attached can be detached");
  vm_ = nullptr;
}

}  // namespace solder::accel::kvm
