/// Xbyak with what one-pass emission needs: forward jumps patched by hand (its labels allocate), and buffers that
/// change.
#pragma once

#include <xbyak/xbyak.h>

#include <array>
#include <cstring>
#include <initializer_list>

#include "base/types.h"
#include "translator/host_x64/abi.h"

namespace solder::host_x64 {

/// Host condition codes, as encoded in jcc, setcc and cmovcc.
enum class Cc : u8 { o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g };
[[nodiscard]] constexpr Cc invert(Cc cc) {
  return static_cast<Cc>(static_cast<u8>(cc) ^ 1);
}

/// A place to fill in later: the position of a rel32, or of a rel8.
struct Near {
  u32 at = 0;
};
struct Short {
  u32 at = 0;
};

class Assembler : public Xbyak::CodeGenerator {
 public:
  using Reg = Xbyak::Reg32e;

  Assembler() : CodeGenerator(sizeof(initial_), initial_) {}
  void set_buffer(u8* begin, u8* end) {
    top_ = begin;
    maxSize_ = static_cast<usize>(end - begin);
    size_ = 0;
  }
  [[nodiscard]] u32 position() const { return static_cast<u32>(size_); }
  [[nodiscard]] u8* address(u32 at) const { return top_ + at; }

  [[nodiscard]] static Reg gpr(u8 index, bool wide) { return Reg(index, wide ? 64 : 32); }
  [[nodiscard]] static Xbyak::Reg64 g64(u8 index) { return Xbyak::Reg64(index); }
  [[nodiscard]] static Xbyak::Reg32 g32(u8 index) { return Xbyak::Reg32(index); }
  [[nodiscard]] static Xbyak::Reg16 g16(u8 index) { return Xbyak::Reg16(index); }
  [[nodiscard]] static Xbyak::Reg8 g8(u8 index) { return Xbyak::Reg8(index, index >= 4 && index < 8); }
  [[nodiscard]] static Xbyak::Xmm x(u8 index) { return Xbyak::Xmm(index); }
  /// A field of the guest's state record.
  [[nodiscard]] static Xbyak::RegExp state(usize offset) { return Xbyak::Reg64(kStateReg) + static_cast<int>(offset); }
  [[nodiscard]] static Xbyak::RegExp frame(usize offset) { return Xbyak::Reg64(kRsp) + static_cast<int>(offset); }

  /// A piece of code put together by hand.
  struct Bytes {
    std::array<u8, 64> bytes;
    u32 size = 0;
    void put(std::initializer_list<u8> more) {
      for (const u8 byte : more) bytes[size++] = byte;
    }
    void put32(u32 value) {
      std::memcpy(bytes.data() + size, &value, 4);
      size += 4;
    }
    /// lea to, [base + displacement], or mov when there is none.
    void lea(u8 to, bool wide, u8 base, i32 displacement) {
      const u8 rex = static_cast<u8>(0x40 | (wide ? 8 : 0) | (to >= 8 ? 4 : 0) | (base >= 8 ? 1 : 0));
      if (rex != 0x40) put({rex});
      const u8 low = static_cast<u8>(((to & 7) << 3) | (base & 7));
      if (displacement == 0) {
        put({0x8b, static_cast<u8>(0xc0 | low)});
        return;
      }
      const bool small = displacement == static_cast<i8>(displacement);
      put({0x8d, static_cast<u8>((small ? 0x40 : 0x80) | low)});
      if ((base & 7) == 4) put({0x24});
      if (small) {
        put({static_cast<u8>(displacement)});
      } else {
        put32(static_cast<u32>(displacement));
      }
    }
  };
  void append(const Bytes& code) {
    if (size_ + code.size > maxSize_) throw Xbyak::Error(Xbyak::ERR_CODE_IS_TOO_BIG);
    std::memcpy(top_ + size_, code.bytes.data(), code.size);
    size_ += code.size;
  }

  Near jcc_near(Cc cc) {
    db(0x0f);
    db(0x80 | static_cast<int>(cc));
    dd(0);
    return {position() - 4};
  }
  Near jmp_near() {
    db(0xe9);
    dd(0);
    return {position() - 4};
  }
  Short jcc_short(Cc cc) {
    db(0x70 | static_cast<int>(cc));
    db(0);
    return {position() - 1};
  }
  Short jmp_short() {
    db(0xeb);
    db(0);
    return {position() - 1};
  }
  void bind(Near jump) { bind_to(jump, position()); }
  void bind_to(Near jump, u32 target) {
    const i32 relative = static_cast<i32>(target) - static_cast<i32>(jump.at + 4);
    std::memcpy(top_ + jump.at, &relative, 4);
  }
  void bind(Short jump) {
    const i32 relative = static_cast<i32>(position()) - static_cast<i32>(jump.at + 1);
    top_[jump.at] = static_cast<u8>(relative);
  }
  void jmp_to(u32 target) { jmp(static_cast<const void*>(top_ + target)); }
  void jcc_thunk(Cc cc, const u8* thunk) {
    const Near jump = jcc_near(cc);
    const i32 relative = static_cast<i32>(thunk - (top_ + jump.at + 4));
    std::memcpy(top_ + jump.at, &relative, 4);
  }
  void jcc_to(Cc cc, u32 target) { bind_to(jcc_near(cc), target); }
  /// lea of a place inside the block that is not known yet.
  Near lea_forward(u8 reg) {
    db(reg >= 8 ? 0x4c : 0x48);
    db(0x8d);
    db(0x05 | ((reg & 7) << 3));
    dd(0);
    return {position() - 4};
  }
  void setcc(Cc cc, u8 reg) {
    if (reg >= 4) db(reg >= 8 ? 0x41 : 0x40);
    db(0x0f);
    db(0x90 | static_cast<int>(cc));
    db(0xc0 | (reg & 7));
  }
  void cmovcc(Cc cc, const Reg& to, const Xbyak::Operand& from) {
    using Cmov = void (CodeGenerator::*)(const Xbyak::Reg&, const Xbyak::Operand&);
    static constexpr Cmov kCmov[16] = {
        &CodeGenerator::cmovo, &CodeGenerator::cmovno, &CodeGenerator::cmovb,  &CodeGenerator::cmovae,
        &CodeGenerator::cmove, &CodeGenerator::cmovne, &CodeGenerator::cmovbe, &CodeGenerator::cmova,
        &CodeGenerator::cmovs, &CodeGenerator::cmovns, &CodeGenerator::cmovp,  &CodeGenerator::cmovnp,
        &CodeGenerator::cmovl, &CodeGenerator::cmovge, &CodeGenerator::cmovle, &CodeGenerator::cmovg};
    (this->*kCmov[static_cast<usize>(cc)])(to, from);
  }
  /// No-ops until a rel32 whose opcode has `opcode_bytes` lies in one aligned quadword: only such a store is atomic
  /// towards other CPUs (AMD APM 2, 7.3.2; Intel SDM 3A, 9.1.1).
  void align_rel32(unsigned opcode_bytes) {
    const usize low = (reinterpret_cast<usize>(top_) + size_ + opcode_bytes) & 7;
    if (low > 4) nop(8 - low);
  }

 private:
  u8 initial_[16]{};
};

}  // namespace solder::host_x64
