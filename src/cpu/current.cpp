#include "cpu/current.h"

namespace solder::cpu {

namespace {
// Per thread and written once by it: not shared state.
thread_local u32 this_threads_cpu = 0;
}  // namespace

u32 current_cpu() {
  return this_threads_cpu;
}

void set_current_cpu(u32 index) {
  this_threads_cpu = index;
}

}  // namespace solder::cpu
