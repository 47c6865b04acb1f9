// AES, SHA-1 and SHA-256 (DDI 0487, C4.1.96, cryptographic instructions).
#include "guest/arm64/sem_simd.h"

namespace solder::arm64::sem {
namespace {

constexpr VecAttr kWhole{.lane = Lane::s};

void of_source(Translate& t, Insn i, Op op) {
  if (begin(t)) t.set_v(i.rd(), t.ir.v(op, kWhole, t.v(i.rn())));
}
void of_two(Translate& t, Insn i, Op op) {
  if (begin(t)) t.set_v(i.rd(), t.ir.v(op, kWhole, t.v(i.rd()), t.v(i.rn())));
}
void of_three(Translate& t, Insn i, Op op) {
  if (begin(t)) t.set_v(i.rd(), t.ir.v(op, kWhole, t.v(i.rd()), t.v(i.rn()), t.v(i.rm())));
}

}  // namespace

void Aese(Translate& t, Insn i) {
  of_two(t, i, Op::aes_e);
}
void Aesd(Translate& t, Insn i) {
  of_two(t, i, Op::aes_d);
}
void Aesmc(Translate& t, Insn i) {
  of_source(t, i, Op::aes_mc);
}
void Aesimc(Translate& t, Insn i) {
  of_source(t, i, Op::aes_imc);
}
void Sha1c(Translate& t, Insn i) {
  of_three(t, i, Op::sha1_c);
}
void Sha1p(Translate& t, Insn i) {
  of_three(t, i, Op::sha1_p);
}
void Sha1m(Translate& t, Insn i) {
  of_three(t, i, Op::sha1_m);
}
void Sha1h(Translate& t, Insn i) {
  of_source(t, i, Op::sha1_h);
}
void Sha1su0(Translate& t, Insn i) {
  of_three(t, i, Op::sha1_su0);
}
void Sha1su1(Translate& t, Insn i) {
  of_two(t, i, Op::sha1_su1);
}
void Sha256h(Translate& t, Insn i) {
  of_three(t, i, Op::sha256_h);
}
void Sha256h2(Translate& t, Insn i) {
  of_three(t, i, Op::sha256_h2);
}
void Sha256su0(Translate& t, Insn i) {
  of_two(t, i, Op::sha256_su0);
}
void Sha256su1(Translate& t, Insn i) {
  of_three(t, i, Op::sha256_su1);
}

}  // namespace solder::arm64::sem
