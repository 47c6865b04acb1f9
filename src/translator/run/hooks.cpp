/// The entry points that translated code calls for what it does not do itself.
#include "translator/run/runner.h"

namespace solder::run {
namespace {

GuestMemory& memory(ir::CoreState* state) {
  return static_cast<Runner*>(state->runtime)->memory();
}
ir::MemAttr attributes(u32 packed) {
  return ir::MemAttr::unpack(static_cast<u16>(packed));
}

u64 load(ir::CoreState* state, u64 address, u32 attr, ir::V128* value) {
  return memory(state).load(address, attributes(attr), *value) ? 0 : 1;
}

u64 store(ir::CoreState* state, u64 address, u32 attr, const ir::V128* value) {
  return memory(state).store(address, attributes(attr), *value) ? 0 : 1;
}

u64 compare_exchange(ir::CoreState* state, u64 address, u32 attr, const ir::V128* expected, const ir::V128* desired,
                     ir::V128* old) {
  return memory(state).compare_exchange(address, attributes(attr), *expected, *desired, *old) ? 0 : 1;
}

u64 read_modify_write(ir::CoreState* state, u64 address, u32 attr_and_op, u64 operand, u64* old) {
  const auto operation = static_cast<ir::Rmw>(attr_and_op >> 16);
  return memory(state).read_modify_write(address, attributes(attr_and_op & 0xffff), operation, operand, *old) ? 0 : 1;
}

}  // namespace

host_x64::RuntimeHooks Runner::hooks() {
  return {load, store, compare_exchange, read_modify_write};
}

}  // namespace solder::run
