// Exclusives, acquire and release, compare-and-swap, atomic memory operations (DDI 0487, C3.2.6 to C3.2.14).
// All of them fault when not aligned to their whole size: FEAT_LSE2 is not there.
#include "guest/arm64/decode.h"
#include "guest/arm64/translator.h"

namespace solder::arm64::sem {

using ir::Align;
using ir::Lane;
using ir::MemAttr;
using ir::Order;
using ir::Rmw;
using ir::Type;
using ir::Value;

namespace {

MemAttr aligned(unsigned size_log2, bool acquire, bool release) {
  MemAttr attr;
  attr.size_log2 = static_cast<u8>(size_log2);
  attr.align = Align::natural;
  attr.order = acquire && release ? Order::acquire_release
               : acquire          ? Order::acquire
               : release          ? Order::release
                                  : Order::none;
  return attr;
}

Type type_of(unsigned size_log2) {
  return size_log2 == 3 ? Type::i64 : Type::i32;
}

/// Two registers as one value of twice the size: 2 x W in an i64, 2 x X in a v128.
Value pair(Translate& t, unsigned low, unsigned high, bool wide) {
  if (wide) return t.ir.v_from_pair(t.x(low), t.x(high));
  return t.ir.insert(t.ir.zext32(t.w(low)), t.ir.zext32(t.w(high)), 32, 32);
}

void set_pair(Translate& t, unsigned low, unsigned high, bool wide, Value value) {
  if (wide) {
    const Value a = t.ir.v_extract(Type::i64, value, Lane::d, 0);
    const Value b = t.ir.v_extract(Type::i64, value, Lane::d, 1);
    t.set_x(low, a);
    t.set_x(high, b);
  } else {
    t.set_x(low, t.ir.extract_u(value, 0, 32));
    t.set_x(high, t.ir.extract_u(value, 32, 32));
  }
}

}  // namespace

void LoadExclusive(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  t.set_r(i.rt(), t.ir.load_ex(type_of(size), t.base(i.rn()), aligned(size, i.bit(15), false)));
}

void StoreExclusive(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  const Value value = t.r(i.rt(), size == 3);
  t.set_w(i.rs(), t.ir.store_ex(t.base(i.rn()), value, aligned(size, false, i.bit(15))));
}

void LoadExclusivePair(Translate& t, Insn i) {
  const bool wide = i.bit(30);
  const MemAttr attr = aligned(wide ? 4 : 3, i.bit(15), false);
  const Value value = t.ir.load_ex(wide ? Type::v128 : Type::i64, t.base(i.rn()), attr);
  set_pair(t, i.rt(), i.rt2(), wide, value);
}

void StoreExclusivePair(Translate& t, Insn i) {
  const bool wide = i.bit(30);
  const MemAttr attr = aligned(wide ? 4 : 3, false, i.bit(15));
  const Value value = pair(t, i.rt(), i.rt2(), wide);
  t.set_w(i.rs(), t.ir.store_ex(t.base(i.rn()), value, attr));
}

void LoadAcquire(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  t.set_r(i.rt(), t.ir.load(type_of(size), t.base(i.rn()), aligned(size, true, false)));
}

/// The weaker ordering of RCpc costs nothing less on our hosts.
void LoadAcquirePc(Translate& t, Insn i) {
  LoadAcquire(t, i);
}

void StoreRelease(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  t.ir.store(t.base(i.rn()), t.r(i.rt(), size == 3), aligned(size, false, true));
}

void CompareSwap(Translate& t, Insn i) {
  const unsigned size = i.bits(31, 30);
  const bool wide = size == 3;
  const MemAttr attr = aligned(size, i.bit(22), i.bit(15));
  Value expected = t.r(i.rs(), wide);
  if (size < 2) expected = t.ir.extract_u(expected, 0, 8U << size);
  const Value old = t.ir.cas(type_of(size), t.base(i.rn()), expected, t.r(i.rt(), wide), attr);
  t.set_r(i.rs(), old);
}

void CompareSwapPair(Translate& t, Insn i) {
  if ((i.rs() & 1) != 0 || (i.rt() & 1) != 0) return t.undefined();
  const bool wide = i.bit(30);
  const MemAttr attr = aligned(wide ? 4 : 3, i.bit(22), i.bit(15));
  const Value expected = pair(t, i.rs(), i.rs() + 1, wide);
  const Value desired = pair(t, i.rt(), i.rt() + 1, wide);
  const Value old = t.ir.cas(wide ? Type::v128 : Type::i64, t.base(i.rn()), expected, desired, attr);
  set_pair(t, i.rs(), i.rs() + 1, wide, old);
}

void Atomic(Translate& t, Insn i) {
  static constexpr Rmw kOperations[] = {Rmw::add,  Rmw::clear, Rmw::exclusive_or, Rmw::set,
                                        Rmw::smax, Rmw::smin,  Rmw::umax,         Rmw::umin};
  const unsigned size = i.bits(31, 30);
  const Rmw operation = i.bit(15) ? Rmw::swap : kOperations[i.bits(14, 12)];
  const MemAttr attr = aligned(size, i.bit(23), i.bit(22));
  const Value old = t.ir.atomic(type_of(size), operation, t.base(i.rn()), t.r(i.rs(), size == 3), attr);
  t.set_r(i.rt(), old);
}

}  // namespace solder::arm64::sem
