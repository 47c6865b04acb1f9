/// Events that KVM signals without an exit when the guest writes to an address or port.
#pragma once

#include <optional>

#include "accel/kvm/vm.h"
#include "base/result.h"
#include "base/types.h"

namespace solder::accel::kvm {

/// Which write it is.
struct IoEventKey {
  enum class Space : u8 { memory, ports };
  Space space = Space::memory;
  Gpa address = 0;
  u32 length = 0;  ///< bytes: 1, 2, 4, 8; 0: a write of any length (memory; KVM_CAP_IOEVENTFD_ANY_LENGTH)
  std::optional<u64> data = std::nullopt;  ///< only writes of this value
};

/// An eventfd attached to a write (KVM_IOEVENTFD) for as long as this object lives.
class IoEvent {
 public:
  /// `event_fd` stays the caller's and must live until this object goes, as must `vm`.
  /// Errors: two on the same write, a length or place that KVM does not take.
  [[nodiscard]] static Result<IoEvent> attach(const Vm& vm, const IoEventKey& key, int event_fd);
  IoEvent(IoEvent&& other) noexcept;
  IoEvent& operator=(IoEvent&& other) noexcept;
  ~IoEvent();
  [[nodiscard]] const IoEventKey& key() const { return key_; }

 private:
  IoEvent(const Vm& vm, const IoEventKey& key, int fd) : vm_(&vm), key_(key), fd_(fd) {}
  void detach();
  const Vm* vm_;
  IoEventKey key_;
  int fd_;
};

}  // namespace solder::accel::kvm
