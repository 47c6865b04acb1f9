#include "accel/kvm/x86/cpuid.h"

#include <asm/kvm_para.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace solder::accel::kvm::x86 {

namespace {

using Entries = std::vector<kvm_cpuid_entry2>;

/// kvm_cpuid2: a header of two words, then entries.
struct CpuidBuffer {
  explicit CpuidBuffer(usize count) : words((sizeof(kvm_cpuid2) + count * sizeof(kvm_cpuid_entry2) + 7) / 8) {
    header().nent = static_cast<u32>(count);
  }
  kvm_cpuid2& header() { return *reinterpret_cast<kvm_cpuid2*>(words.data()); }
  std::vector<u64> words;
};

void set_bit(u32& word, unsigned bit, bool on) {
  word = on ? word | 1U << bit : word & ~(1U << bit);
}

kvm_cpuid_entry2* find(Entries& entries, u32 leaf) {
  const auto it = std::find_if(entries.begin(), entries.end(), [leaf](const auto& e) { return e.function == leaf; });
  return it == entries.end() ? nullptr : &*it;
}

/// The extended topology of leaves 0xb and 0x1f (SDM volume 2, CPUID): a level of threads, a level of cores, the end.
void set_topology(Entries& entries, u32 leaf, const CpuidOptions& options, u32 core_bits) {
  std::erase_if(entries, [leaf](const auto& e) { return e.function == leaf; });
  const auto level = [&](u32 index, u32 type, u32 shift, u32 count) {
    kvm_cpuid_entry2 entry{};
    entry.function = leaf;
    entry.index = index;
    entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    entry.eax = shift;
    entry.ebx = count;
    entry.ecx = type << 8 | index;
    entry.edx = options.apic_id;
    entries.push_back(entry);
  };
  level(0, 1, 0, 1);
  level(1, 2, core_bits, options.cpus);
  level(2, 0, 0, 0);
}

/// Paravirtual features that KVM can give only with its own local APIC: offered with none, so that the CPU is the same
/// wherever its local APIC lives, and a machine whose guest uses them (an IPI by hypercall, a page that will be told of
/// when it is there) is not lost when its controllers move.
constexpr u32 kNeedKernelLapic = 1U << KVM_FEATURE_ASYNC_PF | 1U << KVM_FEATURE_PV_EOI | 1U << KVM_FEATURE_PV_UNHALT |
                                 1U << KVM_FEATURE_ASYNC_PF_VMEXIT | 1U << KVM_FEATURE_PV_SEND_IPI |
                                 1U << KVM_FEATURE_PV_SCHED_YIELD | 1U << KVM_FEATURE_ASYNC_PF_INT;

}  // namespace

Result<Entries> supported_cpuid(const Vm& vm) {
  for (usize room = 128; room <= 4096; room *= 2) {
    CpuidBuffer buffer(room);
    if (::ioctl(vm.system_fd(), KVM_GET_SUPPORTED_CPUID, buffer.words.data()) == 0) {
      const kvm_cpuid_entry2* first = buffer.header().entries;
      return Entries(first, first + std::min<usize>(buffer.header().nent, room));
    }
    if (errno != E2BIG) return ioctl_error(SOLDER_KVM(KVM_GET_SUPPORTED_CPUID), errno);
  }
  return ioctl_error(SOLDER_KVM(KVM_GET_SUPPORTED_CPUID), E2BIG);
}

Entries make_cpuid(Entries entries, const CpuidOptions& options) {
  const u32 core_bits = static_cast<u32>(std::bit_width(options.highest_apic_id));
  // Fields that count IDs, not CPUs, and are narrow.
  const u32 ids = core_bits >= 8 ? 255 : 1U << core_bits;
  const bool several = options.cpus > 1;
  const kvm_cpuid_entry2* vendor = find(entries, 0);
  const bool amd = vendor != nullptr && (vendor->ebx == 0x68747541 || vendor->ebx == 0x6f677948);  // "Auth", "Hygo"
  u32 highest = 0;
  for (kvm_cpuid_entry2& e : entries) {
    switch (e.function) {
      case 0x0:
        e.eax = std::max<u32>(e.eax, 0xb);
        highest = e.eax;
        break;
      case 0x1:
        e.ebx = (e.ebx & 0xffff) | ids << 16 | (options.apic_id & 0xff) << 24;
        set_bit(e.edx, 28, several);  // HTT: several logical processors in the package
        set_bit(e.ecx, 21, true);     // x2APIC
        set_bit(e.ecx, 24, options.tsc_deadline);
        set_bit(e.ecx, 31, true);  // a hypervisor is present
        break;
      case 0x4:  // Intel: each cache and who shares it; 0x8000001d is AMD's copy of it
      case 0x8000001d: {
        if ((e.eax & 0x1f) == 0) break;  // no more caches
        const u32 cache_level = e.eax >> 5 & 7;
        const u32 sharing = cache_level >= 3 ? ids - 1 : 0;
        e.eax = (e.eax & 0x3fff) | sharing << 14;
        if (e.function == 0x4) e.eax |= std::min<u32>(ids - 1, 0x3f) << 26;
        break;
      }
      case 0x40000001:
        e.eax &= ~kNeedKernelLapic;
        break;
      case 0x80000001:
        set_bit(e.ecx, 1, several && (e.ecx >> 1 & 1) != 0);  // AMD CmpLegacy: HTT means cores, not threads
        break;
      case 0x80000008:  // AMD: number of cores less one, and the bits of the APIC ID that number them
        if (amd) e.ecx = (e.ecx & ~0xf0ffU) | (core_bits & 0xf) << 12 | std::min<u32>(options.cpus - 1, 0xff);
        break;
      case 0x8000001e:  // AMD: extended APIC ID, core (one thread each), node
        e.eax = options.apic_id;
        e.ebx = options.apic_id & 0xff;
        e.ecx = 0;
        break;
      default:
        break;
    }
  }
  set_topology(entries, 0xb, options, core_bits);
  if (highest >= 0x1f && find(entries, 0x1f) != nullptr) set_topology(entries, 0x1f, options, core_bits);
  return entries;
}

Status set_cpuid(int vcpu_fd, const Entries& entries) {
  CpuidBuffer buffer(entries.size());
  std::copy(entries.begin(), entries.end(), buffer.header().entries);
  SOLDER_TRY_STATUS(control(vcpu_fd, SOLDER_KVM(KVM_SET_CPUID2), buffer.words.data()));
  return {};
}

}  // namespace solder::accel::kvm::x86
