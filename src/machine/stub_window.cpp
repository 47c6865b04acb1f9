#include "machine/stub_window.h"

#include <fmt/format.h>

#include "base/log.h"

namespace solder::machine {

void StubWindow::touched(const char* how, u64 offset) {
  if (!touched_.exchange(true, std::memory_order_relaxed))
    log::note(fmt::format("{}: the guest {} {:#x} of this stub, which reads as zero", path_, how, offset));
}

u64 StubWindow::read(u64 offset, unsigned size) {
  (void)size;
  touched("reads", offset);
  return 0;
}

void StubWindow::write(u64 offset, unsigned size, u64 value) {
  (void)size;
  (void)value;
  touched("writes", offset);
}

}  // namespace solder::machine
