#include "translator/interpreter/pure.h"
#include "translator/ir/op_info.h"

namespace solder::interpreter {
namespace {

consteval bool has_function(ir::Op op) {
  return (ir::info(op).traits & ir::kPureOp) != 0 && op != ir::Op::pc_rel && op != ir::Op::get;
}

// `if constexpr`: the functions of other operations are not referred to, so they need not exist.
#define SOLDER_PURE_ENTRY(name)                                  \
  []() consteval -> PureFunction {                               \
    if constexpr (has_function(ir::Op::name)) return pure::name; \
    return nullptr;                                              \
  }(),
constexpr PureFunction kFunctions[] = {SOLDER_IR_OPS(SOLDER_PURE_ENTRY)};
#undef SOLDER_PURE_ENTRY
static_assert(std::size(kFunctions) == static_cast<usize>(ir::Op::count));

}  // namespace

PureFunction pure_function(ir::Op op) {
  return kFunctions[static_cast<usize>(op)];
}

}  // namespace solder::interpreter
