/// The host's side of a guest access: widths, extension, byte order and memory order.
#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

using ir::MemAttr;

void Emitter::extend(u8 to, u8 from, unsigned bytes, bool sign, bool wide) {
  const auto target = a_.gpr(to, wide);
  switch (bytes) {
    case 1:
      if (sign) {
        a_.movsx(target, a_.g8(from));
      } else {
        a_.movzx(a_.g32(to), a_.g8(from));
      }
      break;
    case 2:
      if (sign) {
        a_.movsx(target, a_.g16(from));
      } else {
        a_.movzx(a_.g32(to), a_.g16(from));
      }
      break;
    case 4:
      if (sign && wide) {
        a_.movsxd(a_.g64(to), a_.g32(from));
      } else {
        a_.mov(a_.g32(to), a_.g32(from));
      }
      break;
    default:
      if (to != from) a_.mov(a_.g64(to), a_.g64(from));
      break;
  }
}

void Emitter::host_load(u8 to, const Xbyak::RegExp& host, MemAttr attr, bool vector, bool wide) {
  const unsigned bytes = attr.bytes();
  if (vector) {
    const auto target = a_.x(to);
    if (attr.big_endian && bytes > 1) {
      // Through general registers: swapped, and the halves exchanged for 16 bytes.
      if (bytes == 16) {
        a_.movbe(a_.rcx, a_.qword[host + 8]);
        a_.vmovq(target, a_.rcx);
        a_.movbe(a_.rcx, a_.qword[host]);
        a_.vpinsrq(target, target, a_.rcx, 1);
      } else {
        if (bytes == 8) {
          a_.movbe(a_.rcx, a_.qword[host]);
        } else if (bytes == 4) {
          a_.movbe(a_.ecx, a_.dword[host]);
        } else {
          a_.movzx(a_.ecx, a_.word[host]);
          a_.rol(a_.cx, 8);
        }
        a_.vmovq(target, a_.rcx);
      }
    } else {
      switch (bytes) {
        case 1:
          a_.movzx(a_.ecx, a_.byte[host]);
          a_.vmovd(target, a_.ecx);
          break;
        case 2:
          a_.movzx(a_.ecx, a_.word[host]);
          a_.vmovd(target, a_.ecx);
          break;
        case 4:
          a_.vmovss(target, a_.dword[host]);
          break;
        case 8:
          a_.vmovsd(target, a_.qword[host]);
          break;
        default:
          a_.vmovups(target, a_.ptr[host]);
          break;
      }
    }
  } else {
    const auto target = a_.gpr(to, wide);
    if (attr.big_endian && bytes > 1) {
      if (bytes == 2) {
        a_.movzx(a_.eax, a_.word[host]);
        a_.rol(a_.ax, 8);
        extend(to, kRax, 2, attr.sign, wide);
      } else if (bytes == 4) {
        a_.movbe(a_.g32(to), a_.dword[host]);
        if (attr.sign && wide) a_.movsxd(a_.g64(to), a_.g32(to));
      } else {
        a_.movbe(a_.g64(to), a_.qword[host]);
      }
    } else {
      switch (bytes) {
        case 1:
          if (attr.sign) {
            a_.movsx(target, a_.byte[host]);
          } else {
            a_.movzx(a_.g32(to), a_.byte[host]);
          }
          break;
        case 2:
          if (attr.sign) {
            a_.movsx(target, a_.word[host]);
          } else {
            a_.movzx(a_.g32(to), a_.word[host]);
          }
          break;
        case 4:
          if (attr.sign && wide) {
            a_.movsxd(a_.g64(to), a_.dword[host]);
          } else {
            a_.mov(a_.g32(to), a_.dword[host]);
          }
          break;
        default:
          a_.mov(a_.g64(to), a_.qword[host]);
          break;
      }
    }
  }
}

void Emitter::host_store(const StoreValue& stored, const Xbyak::RegExp& host, MemAttr attr) {
  const unsigned bytes = attr.bytes();
  const bool release = attr.order == ir::Order::release || attr.order == ir::Order::acquire_release;
  const bool vector = stored.vector;
  const bool immediate = stored.immediate.has_value();
  const u8 value = stored.reg;
  const auto& imm = stored.immediate;
  if (vector) {
    const auto source = a_.x(value);
    if (attr.big_endian && bytes > 1) {
      a_.vmovq(a_.rcx, source);
      switch (bytes) {
        case 2:
          a_.rol(a_.cx, 8);
          a_.mov(a_.word[host], a_.cx);
          break;
        case 4:
          a_.movbe(a_.dword[host], a_.ecx);
          break;
        case 8:
          a_.movbe(a_.qword[host], a_.rcx);
          break;
        default:
          a_.movbe(a_.qword[host + 8], a_.rcx);
          a_.vpextrq(a_.rcx, source, 1);
          a_.movbe(a_.qword[host], a_.rcx);
          break;
      }
    } else {
      switch (bytes) {
        case 1:
          a_.vpextrb(a_.byte[host], source, 0);
          break;
        case 2:
          a_.vpextrw(a_.word[host], source, 0);
          break;
        case 4:
          a_.vmovss(a_.dword[host], source);
          break;
        case 8:
          a_.vmovsd(a_.qword[host], source);
          break;
        default:
          a_.vmovups(a_.ptr[host], source);
          break;
      }
    }
    if (release) a_.lock(), a_.or_(a_.dword[a_.rsp - 8], 0);
  } else if (immediate) {
    switch (bytes) {
      case 1:
        a_.mov(a_.byte[host], static_cast<u8>(*imm));
        break;
      case 2:
        a_.mov(a_.word[host], static_cast<u16>(*imm));
        break;
      case 4:
        a_.mov(a_.dword[host], static_cast<u32>(*imm));
        break;
      default:
        a_.mov(a_.qword[host], *imm);
        break;
    }
  } else if (release) {
    // A later acquiring load must not pass it (A64's LDAR after STLR): exchange is a full barrier.
    a_.mov(a_.rcx, a_.g64(value));
    if (attr.big_endian && bytes > 1) {
      a_.bswap(a_.rcx);
      if (bytes < 8) a_.shr(a_.rcx, static_cast<int>(64 - 8 * bytes));
    }
    switch (bytes) {
      case 1:
        a_.xchg(a_.byte[host], a_.cl);
        break;
      case 2:
        a_.xchg(a_.word[host], a_.cx);
        break;
      case 4:
        a_.xchg(a_.dword[host], a_.ecx);
        break;
      default:
        a_.xchg(a_.qword[host], a_.rcx);
        break;
    }
  } else if (attr.big_endian && bytes > 1) {
    switch (bytes) {
      case 2:
        a_.mov(a_.ecx, a_.g32(value));
        a_.rol(a_.cx, 8);
        a_.mov(a_.word[host], a_.cx);
        break;
      case 4:
        a_.movbe(a_.dword[host], a_.g32(value));
        break;
      default:
        a_.movbe(a_.qword[host], a_.g64(value));
        break;
    }
  } else {
    switch (bytes) {
      case 1:
        a_.mov(a_.byte[host], a_.g8(value));
        break;
      case 2:
        a_.mov(a_.word[host], a_.g16(value));
        break;
      case 4:
        a_.mov(a_.dword[host], a_.g32(value));
        break;
      default:
        a_.mov(a_.qword[host], a_.g64(value));
        break;
    }
  }
}

void Emitter::fence(u32 i) {
  // The host keeps every order but store before load (Intel SDM 3A, 9.2.2).
  const auto order = static_cast<ir::Order>(an_.insts[i].sub);
  if (order != ir::Order::acquire_release) return;
  a_.lock();
  a_.or_(a_.dword[a_.rsp - 8], 0);
}

}  // namespace solder::host_x64
