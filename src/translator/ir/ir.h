/// The translator's intermediate representation: linear SSA, one block at a time.
///
/// A front end turns guest instructions into IR (`builder.h`); the IR interpreter and the host emitters consume it.
/// Every value is the result of the instruction of the same index. There is no control flow inside a block but side
/// exits: an `ExitIf` leaves, and what follows is reached only when it did not.
///
/// The rule that everything stands on: guest state (what `Put` writes) is architecturally exact at every `InsnStart`.
/// So an exception inside a guest instruction needs only the instruction's pc, and a front end writes state (`Put`)
/// only after every operation of that instruction that can fault.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"

namespace solder::ir {

/// The type of a value. Scalar floating point lives in lane 0 of a V128, upper lanes zero.
enum class Type : u8 {
  none,
  i32,
  i64,
  v128,
  flags,  ///< N, Z, C, V of an operation; C after a subtraction means "no borrow", as on ARM
};

/// A value: the index of the instruction that makes it.
struct Value {
  u32 id = ~u32{0};
  [[nodiscard]] constexpr bool valid() const { return id != ~u32{0}; }
  friend constexpr bool operator==(Value, Value) = default;
};

/// Conditions over a flags value, numbered as the A64 condition field.
enum class Cond : u8 { eq, ne, cs, cc, mi, pl, vs, vc, hi, ls, ge, lt, gt, le, al, nv };
[[nodiscard]] constexpr Cond invert(Cond c) {
  return static_cast<Cond>(static_cast<u8>(c) ^ 1);
}

/// Memory ordering of one access.
enum class Order : u8 { none, acquire, release, acquire_release };
/// Which alignment faults: none, the access's own size, or 16 bytes.
enum class Align : u8 { none, natural };
/// Whose eyes an access sees memory with: the current regime, or the unprivileged one (LDTR/STTR, uaccess).
enum class MmuIndex : u8 { current, unprivileged };

/// The one description of a memory access; packed into an instruction's `sub`.
struct MemAttr {
  u8 size_log2 = 3;   ///< 0..4: 1, 2, 4, 8, 16 bytes
  bool sign = false;  ///< loads narrower than the result: sign- instead of zero-extend
  bool big_endian = false;
  Order order = Order::none;
  Align align = Align::none;
  MmuIndex mmu = MmuIndex::current;

  [[nodiscard]] constexpr unsigned bytes() const { return 1U << size_log2; }
  [[nodiscard]] constexpr u16 pack() const {
    return static_cast<u16>(size_log2 | (sign ? 1 << 3 : 0) | (big_endian ? 1 << 4 : 0) |
                            (static_cast<unsigned>(order) << 5) | (static_cast<unsigned>(align) << 7) |
                            (static_cast<unsigned>(mmu) << 8));
  }
  [[nodiscard]] static constexpr MemAttr unpack(u16 v) {
    return {static_cast<u8>(v & 7),
            ((v >> 3) & 1) != 0,
            ((v >> 4) & 1) != 0,
            static_cast<Order>((v >> 5) & 3),
            static_cast<Align>((v >> 7) & 1),
            static_cast<MmuIndex>((v >> 8) & 1)};
  }
};

/// Read-modify-write operations of `AtomicRmw`. `clear` is memory & ~operand.
enum class Rmw : u8 { add, clear, exclusive_or, set, smax, smin, umax, umin, swap };

/// Shape of a vector operation: which lanes take part. Lanes that do not are zero in the result.
enum class Width : u8 { v128, v64, scalar };

/// Lane sizes: 8, 16, 32, 64 (and 128 for whole-register operations).
enum class Lane : u8 { b, h, s, d, q };

/// How an integer vector operation reads its lanes; packed into `sub`.
/// `imm` is a shift amount, lane index or byte count, as the operation says.
struct VecAttr {
  Lane lane = Lane::b;
  Width width = Width::v128;
  bool sign = false;
  bool round = false;  ///< add half before shifting right (RSHR, RHADD, RDMULH)
  bool high = false;   ///< take the upper half of the source lanes (the "2" forms)
  u8 imm = 0;

  [[nodiscard]] constexpr u16 pack() const {
    return static_cast<u16>(static_cast<unsigned>(lane) | (static_cast<unsigned>(width) << 3) | (sign ? 1 << 5 : 0) |
                            (round ? 1 << 6 : 0) | (high ? 1 << 7 : 0) | (unsigned{imm} << 8));
  }
  [[nodiscard]] static constexpr VecAttr unpack(u16 v) {
    return {static_cast<Lane>(v & 7), static_cast<Width>((v >> 3) & 3), ((v >> 5) & 1) != 0, ((v >> 6) & 1) != 0,
            ((v >> 7) & 1) != 0,      static_cast<u8>(v >> 8)};
  }
};

/// Rounding modes, numbered as FPCR.RMode for the first four.
enum class Round : u8 { nearest_even, up, down, zero, nearest_away, odd };

/// How a floating-point operation works: format, shape and the guest's modes, which are part of the block's key.
/// Lane h, s or d: half, single, double.
struct FpAttr {
  Lane lane = Lane::d;
  Width width = Width::scalar;
  Round round = Round::nearest_even;
  bool flush = false;        ///< FPCR.FZ: denormal inputs and outputs are zero
  bool default_nan = false;  ///< FPCR.DN
  u8 extra = 0;              ///< 0..31, as the operation says

  [[nodiscard]] constexpr u16 pack() const {
    return static_cast<u16>(static_cast<unsigned>(lane) | (static_cast<unsigned>(width) << 3) |
                            (static_cast<unsigned>(round) << 5) | (flush ? 1 << 8 : 0) | (default_nan ? 1 << 9 : 0) |
                            (unsigned{extra} << 10));
  }
  [[nodiscard]] static constexpr FpAttr unpack(u16 v) {
    return {static_cast<Lane>(v & 7),
            static_cast<Width>((v >> 3) & 3),
            static_cast<Round>((v >> 5) & 7),
            ((v >> 8) & 1) != 0,
            ((v >> 9) & 1) != 0,
            static_cast<u8>((v >> 10) & 31)};
  }
};

/// What a helper does besides computing; the emitter saves and reloads accordingly.
enum Effect : u8 {
  kPure = 0,
  kReadsState = 1,   ///< looks at guest registers: homes are written back before
  kWritesState = 2,  ///< changes guest registers: homes are reloaded after
  kMayExit = 4,      ///< may raise an exception or ask to leave the block; returns nonzero in that case
};

/// The operations. For each: operands a, b, c (values unless noted), `sub`, and the meaning.
/// "imm" operands are raw numbers in the operand field. V = v128, I = i32/i64 by `type`, F = flags.
// clang-format off
#define SOLDER_IR_OPS(X)                                                                                            \
  /* -- structure -- */                                                                                             \
  X(nop)            /* nothing; what a pass leaves behind */                                                        \
  X(insn_start)     /* imm64: guest pc relative to the block's start. Boundary of a guest instruction */            \
  X(constant)       /* I: imm64 */                                                                                  \
  X(pc_rel)         /* i64: the virtual address block start + imm64 */                                              \
  X(get)            /* any type: a = imm byte offset in the guest's state */                                        \
  X(put)            /* a = imm byte offset, b = value; writes as many bytes as b's type has */                      \
  /* -- integers; widths by type, shifts modulo the width -- */                                                     \
  X(add) X(sub) X(and_) X(or_) X(xor_) X(and_not) /* a & ~b */ X(or_not) /* a | ~b */ X(xor_not) /* a ^ ~b */        \
  X(not_) X(neg) X(mul) X(mul_hi_u) X(mul_hi_s)                                                                     \
  X(div_u) X(div_s) /* x/0 = 0, min/-1 = min, as A64; a front end that traps tests first */                         \
  X(shl) X(shr_u) X(shr_s) X(ror)                                                                                   \
  X(clz) X(cls) X(ctz) X(popcount) X(bit_reverse) X(byte_swap)                                                      \
  X(byte_swap16)    /* swaps the bytes of every 16-bit unit */                                                      \
  X(byte_swap32)    /* i64: swaps the bytes of every 32-bit unit */                                                 \
  X(zext32)         /* i32 -> i64 */                                                                                \
  X(sext32)         /* i32 -> i64 */                                                                                \
  X(trunc)          /* i64 -> i32 */                                                                                \
  X(extract_u)      /* a; sub = lsb | width << 8: bits lsb.. of a, zero-extended; 1 <= width, lsb+width <= size */   \
  X(extract_s)      /* the same, sign-extended */                                                                   \
  X(insert)         /* a with bits lsb.. replaced by the low `width` bits of b; sub = lsb | width << 8 */           \
  X(extract_pair)   /* (a:b) >> sub, low half; a is the high half (EXTR, SHRD) */                                   \
  X(crc32)          /* i32: a = accumulator (i32), b = data (i32/i64); sub = bytes | (castagnoli ? 16 : 0) */       \
  /* -- flags -- */                                                                                                 \
  X(adc) X(sbc)     /* a, b, c = flags: a+b+C; a-b-!C */                                                            \
  X(flags_add) X(flags_sub)              /* F: of a+b, a-b; type of the operands in sub as Type */                  \
  X(flags_adc) X(flags_sbc)              /* F: of adc/sbc; sub as above */                                          \
  X(flags_logic)    /* F: N and Z of a, C = V = 0; sub as above */                                                  \
  X(flags_pack)     /* F from i32 a: N,Z,C,V in bits 31..28 (as in NZCV and FPSCR) */                               \
  X(flags_unpack)   /* i32 N,Z,C,V in bits 31..28 from F */                                                         \
  X(flags_select)   /* F: sub = cond; a = flags tested; b, c = flags chosen when true, false */                     \
  X(select)         /* any: sub = cond, a = flags, b if true, c if false */                                         \
  X(select_nz)      /* any: a = I; b if a != 0, else c. sub = type of a */                                          \
  /* -- memory: address i64; sub = MemAttr -- */                                                                    \
  X(load)           /* type: a = address, b = imm i32 offset */                                                     \
  X(store)          /* a = address, b = imm i32 offset, c = value (low bytes of it) */                              \
  X(load_ex)        /* load, and remember address, value and size in the monitor; v128 for 16 bytes */              \
  X(store_ex)       /* i32 0 if stored, 1 if not: a = address, c = value. Always clears the monitor */              \
  X(cas)            /* type: a = address, b = expected, c = new; gives the old value */                             \
  X(atomic)         /* type: a = address, b = operand, c = imm Rmw; gives the old value, zero-extended */           \
  X(fence)          /* sub = Order; acquire: loads, release: stores, acquire_release: all */                        \
  /* -- calls -- */                                                                                                 \
  X(call)           /* type: sub = helper number; a, b, c = i32/i64/v128 arguments or none. With kMayExit the      \
                       result must not be used and nonzero leaves the block with pc as the helper left it */        \
  /* -- leaving; the last instruction is one of these, exit_if may stand anywhere -- */                             \
  X(exit_if)        /* sub = ExitTest | bit << 8; a = flags or I; b:c = imm64 target relative to block start */     \
  X(exit_direct)    /* imm64 target relative to block start */                                                      \
  X(exit_indirect)  /* a = i64 virtual pc; sub = ExitHint */                                                        \
  X(exit_dispatch)  /* to the dispatcher: state's pc is set (by a helper or put), mode or interrupts may have changed */ \
  X(exit_interpret) /* imm64: the guest instruction there is to be run by the interpreter, alone */                 \
  X(push_return)    /* hint: a call; imm64 = return address relative to block start */                              \
  /* -- vectors, whole and bitwise; sub = VecAttr unless noted -- */                                                \
  X(v_const)        /* imm64 in both halves, or in the lower only (width v64) */                                    \
  X(v_and) X(v_or) X(v_xor) X(v_and_not) /* a & ~b */ X(v_or_not) X(v_not)                                          \
  X(v_select)       /* bitwise: (a & b) | (~a & c) */                                                               \
  X(v_zero_upper)   /* keep what width says, zero the rest (scalar: one lane) */                                    \
  X(v_dup)          /* every lane = low bits of I a; sub lane, width */                                             \
  X(v_dup_lane)     /* every lane = lane imm of a */                                                                \
  X(v_extract)      /* I of `type`: lane imm of a, sign- or zero-extended */                                        \
  X(v_insert)       /* a with lane imm = low bits of I b */                                                         \
  X(v_insert_lane)  /* a with lane imm&15 = lane imm>>4 of b */                                                     \
  X(v_from_pair)    /* low half = i64 a, high half = i64 b; sub unused */                                           \
  /* -- vectors, integer lanes -- */                                                                                \
  X(v_add) X(v_sub) X(v_mul) X(v_neg) X(v_abs)                                                                      \
  X(v_add_sat) X(v_sub_sat)     /* saturate by sign; sets the sticky saturation flag */                             \
  X(v_add_sat_mixed)            /* SUQADD (sign: a signed + b unsigned), USQADD (a unsigned + b signed) */          \
  X(v_abs_sat) X(v_neg_sat)                                                                                         \
  X(v_half_add) X(v_half_sub)   /* (a+b)>>1, with round (a+b+1)>>1 */                                               \
  X(v_max) X(v_min) X(v_abs_diff)                                                                                   \
  X(v_cmp_eq) X(v_cmp_gt) X(v_cmp_ge) X(v_test) /* all ones where a & b != 0 */                                     \
  X(v_shl)          /* by imm */                                                                                    \
  X(v_shr)          /* by imm 1..lane bits; sign, round */                                                          \
  X(v_shl_var)      /* by the signed low byte of each lane of b; negative shifts right; sign, round */              \
  X(v_shl_var_sat)  /* the same, saturating and setting the sticky flag */                                          \
  X(v_shl_sat)      /* by imm, saturating by sign */                                                                \
  X(v_shl_sat_su)   /* by imm, signed to unsigned saturation (SQSHLU) */                                            \
  X(v_narrow)       /* lane = the result's: low halves of a's wider lanes; lower 64 bits, or with high the upper    \
                       64 bits with the lower from b */                                                             \
  X(v_narrow_sat)   /* the same, saturating by sign (both sides signed or both unsigned) */                         \
  X(v_narrow_sat_su)/* signed source to unsigned result */                                                          \
  X(v_widen)        /* lane = the source's; sign; high */                                                           \
  X(v_mul_long)     /* lane = the sources'; sign; high */                                                           \
  X(v_mul_double_high)      /* SQDMULH, SQRDMULH (round); sticky flag */                                            \
  X(v_mul_double_high_acc)  /* SQRDMLAH: a = accumulator, b, c; imm 1: subtract (SQRDMLSH) */                       \
  X(v_mul_double_long)      /* SQDMULL: lane = the sources'; high; sticky flag */                                   \
  X(v_poly_mul)     /* 8-bit lanes, carry-less */                                                                   \
  X(v_poly_mul_long)/* 8 -> 16 or 64 -> 128; high */                                                                \
  X(v_uzp1) X(v_uzp2) X(v_zip1) X(v_zip2) X(v_trn1) X(v_trn2)                                                       \
  X(v_ext)          /* bytes imm.. of b:a (a is the lower); width v64 works on 8+8 bytes */                         \
  X(v_reverse)      /* reverse the lanes in every container of imm bytes */                                         \
  X(v_table)        /* bytes of a (b valid: of the pair a:b, 32 bytes) chosen by c; out of range gives 0 */         \
  X(v_popcount) X(v_clz) X(v_cls) X(v_bit_reverse) /* bits of bytes */                                              \
  X(v_pair_add) X(v_pair_max) X(v_pair_min)        /* pairs of a then of b */                                       \
  X(v_pair_add_long)  /* lane = the source's; sign */                                                               \
  X(v_sum) X(v_sum_long) X(v_max_across) X(v_min_across) /* into lane 0 */                                          \
  X(v_recip_est_u) X(v_rsqrt_est_u)                /* URECPE, URSQRTE */                                            \
  /* -- floating point; sub = FpAttr; set the sticky exception flags -- */                                          \
  X(f_add) X(f_sub) X(f_mul) X(f_mulx) X(f_div) X(f_sqrt)                                                           \
  X(f_mul_add)      /* a*b + c fused; extra bit 0: negate the product, bit 1: negate c */                           \
  X(f_max) X(f_min) X(f_max_num) X(f_min_num)                                                                       \
  X(f_neg) X(f_abs) /* sign bit only */                                                                             \
  X(f_cmp_eq) X(f_cmp_ge) X(f_cmp_gt)   /* lane masks; extra 1: compare magnitudes (FACGE, FACGT) */                \
  X(f_compare)      /* F: scalar; extra 1: signalling (FCMPE) */                                                    \
  X(f_round)        /* to integral, by round; extra 1: raise inexact (FRINTX) */                                    \
  X(f_convert)      /* lane = the source's, extra = Lane of the result. Scalar, or vector: to wider takes the lower \
                       (extra bit 4: upper) half; to narrower fills the lower half (bit 4: upper, lower from b).     \
                       extra bit 3: half precision is ARM's alternative format (FPCR.AHP) */                        \
  X(f_to_int)       /* V lanes: to integer of the same size, saturating; b = imm fraction bits, extra 1: unsigned */\
  X(f_from_int)     /* V lanes: from integer of the same size; b = imm fraction bits, extra 1: unsigned */          \
  X(f_to_gpr)       /* I of type: scalar a; b = imm fraction bits, extra 1: unsigned; saturating */                 \
  X(f_from_gpr)     /* V scalar of lane from I a; b = imm fraction bits, extra 1: unsigned; c = imm Type of a */     \
  X(f_recip_est) X(f_rsqrt_est) X(f_recip_exp)                                                                      \
  X(f_recip_step) X(f_rsqrt_step)       /* 2 - a*b, (3 - a*b)/2, fused */                                           \
  /* -- cryptography, as the A64 instructions of the name; V -- */                                                  \
  X(aes_e) X(aes_d) X(aes_mc) X(aes_imc)                                                                            \
  X(sha1_c) X(sha1_p) X(sha1_m) X(sha1_h) X(sha1_su0) X(sha1_su1)                                                   \
  X(sha256_h) X(sha256_h2) X(sha256_su0) X(sha256_su1)
// clang-format on

enum class Op : u8 {
#define SOLDER_IR_ENUM(name) name,
  SOLDER_IR_OPS(SOLDER_IR_ENUM)
#undef SOLDER_IR_ENUM
      count
};

/// What `exit_if` tests. Flag conditions are the numbers of Cond; the others look at an integer.
enum class ExitTest : u8 {
  flags_first = 0,
  flags_last = 15,
  zero32 = 16,
  zero64,
  nonzero32,
  nonzero64,
  bit_clear,
  bit_set
};

/// Where an indirect exit probably goes.
enum class ExitHint : u8 { jump, call, ret };

/// One instruction; 16 bytes. 64-bit immediates occupy two operand fields (`imm64`).
struct Inst {
  Op op = Op::nop;
  Type type = Type::none;
  u16 sub = 0;
  u32 a = ~u32{0};
  u32 b = ~u32{0};
  u32 c = ~u32{0};

  /// The immediate of constant, pc_rel, insn_start, exit_direct, exit_interpret, push_return, v_const: in a (low), b.
  [[nodiscard]] constexpr u64 imm_ab() const { return u64{a} | (u64{b} << 32); }
  /// The immediate of exit_if: in b (low), c.
  [[nodiscard]] constexpr u64 imm_bc() const { return u64{b} | (u64{c} << 32); }
};
static_assert(sizeof(Inst) == 16);

/// A 128-bit value, lane 0 first.
union alignas(16) V128 {
  std::array<u8, 16> b;
  std::array<u16, 8> h;
  std::array<u32, 4> s;
  std::array<u64, 2> d;
};
static_assert(sizeof(V128) == 16);

/// How NaN results are chosen and when tininess is detected.
enum class FpRules : u8 { arm, x86, riscv };

/// One translated stretch of guest code: a superblock with one entry.
struct Block {
  std::vector<Inst> insts;
  u32 guest_bytes = 0;  ///< bytes of guest code it was made from, from its start (including skipped-over branches'
                        ///< targets: the highest byte used)
  u32 guest_insts = 0;  ///< guest instructions
  FpRules fp_rules = FpRules::arm;

  void clear() {
    insts.clear();
    guest_bytes = 0;
    guest_insts = 0;
  }
};

/// The name of an operation, as listings print it.
[[nodiscard]] const char* name(Op op);
/// A listing for people, one instruction a line.
[[nodiscard]] std::string print(const Block& block);
/// Empty when the block keeps the IR's rules (operand types, definitions before uses, one final exit), else what is
/// wrong.
[[nodiscard]] std::string verify(const Block& block);

}  // namespace solder::ir
