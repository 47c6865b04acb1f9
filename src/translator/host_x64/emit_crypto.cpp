/// AES and SHA with the host's instructions.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::Op;

bool Emitter::crypto(u32 i) {
  const Inst& inst = an_.insts[i];
  if (inst.op < Op::aes_e) return false;
  const auto t = a_.x(kXmmScratch0);
  const auto zero = a_.x(kXmmScratch1);
  switch (inst.op) {
    case Op::aes_e:
    case Op::aes_d: {
      // The key is added before the round, not after: the host's last round with a key of zero.
      if (!config_.features.aes) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto to = a_.x(r_.define_x(i));
      a_.vpxor(t, a, b);
      a_.vpxor(zero, zero, zero);
      if (inst.op == Op::aes_e) {
        a_.vaesenclast(to, t, zero);
      } else {
        a_.vaesdeclast(to, t, zero);
      }
      return true;
    }
    case Op::aes_mc: {
      // Inverse ShiftRows and SubBytes by the one, undone with MixColumns by the other.
      if (!config_.features.aes) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto to = a_.x(r_.define_x(i));
      a_.vpxor(zero, zero, zero);
      a_.vaesdeclast(t, a, zero);
      a_.vaesenc(to, t, zero);
      return true;
    }
    case Op::aes_imc: {
      if (!config_.features.aes) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      a_.vaesimc(a_.x(r_.define_x(i)), a);
      return true;
    }
    case Op::sha256_su0: {
      if (!config_.features.sha) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto to = a_.x(r_.define_x(i));
      a_.vmovaps(to, a);
      a_.sha256msg1(to, b);
      return true;
    }
    case Op::sha256_su1: {
      // The host's instruction takes the sum with W[t-7] already added.
      if (!config_.features.sha) return false;
      const auto a = a_.x(r_.use_x(inst.a));
      const auto b = a_.x(r_.use_x(inst.b));
      const auto c = a_.x(r_.use_x(inst.c));
      const auto to = a_.x(r_.define_x(i));
      a_.vpalignr(t, c, b, 4);
      a_.vpaddd(to, a, t);
      a_.sha256msg2(to, c);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace solder::host_x64
