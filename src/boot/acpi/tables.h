/// The tables of ACPI 6.5, made of a description. The same description gives the same bytes.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "boot/acpi/description.h"

namespace solder::boot::acpi {

/// A table under construction: a header (section 5.2.6) whose length and checksum `finish` fills in, and fields.
class TableWriter {
 public:
  TableWriter(std::string_view signature, u8 revision);
  TableWriter& put8(u64 value) { return put(value, 1); }
  TableWriter& put16(u64 value) { return put(value, 2); }
  TableWriter& put32(u64 value) { return put(value, 4); }
  TableWriter& put64(u64 value) { return put(value, 8); }
  TableWriter& zeros(usize count);
  TableWriter& bytes(std::span<const u8> data);
  /// A generic address structure (section 5.2.3.2). `access`: 1 byte, 2 word, 3 dword, 4 qword.
  enum class Space : u8 { memory = 0, io = 1 };
  TableWriter& address(Space space, u8 bits, u8 access, u64 where);
  [[nodiscard]] usize size() const { return bytes_.size(); }
  [[nodiscard]] std::vector<u8> finish();

 private:
  TableWriter& put(u64 value, unsigned size);
  std::vector<u8> bytes_;
};

/// What makes the bytes' sum zero.
[[nodiscard]] u8 checksum(std::span<const u8> bytes);

// Each table alone.
[[nodiscard]] std::vector<u8> make_facs();
[[nodiscard]] std::vector<u8> make_fadt(const Description& machine, u32 facs, u32 dsdt);
[[nodiscard]] std::vector<u8> make_madt(const Description& machine);
[[nodiscard]] std::vector<u8> make_hpet(const Hpet& hpet);
[[nodiscard]] std::vector<u8> make_spcr(const Console& console);
[[nodiscard]] std::vector<u8> make_mcfg(std::span<const Ecam> ecams);
/// Devices, CPUs, events, sleep states.
[[nodiscard]] std::vector<u8> make_dsdt(const Description& machine);
[[nodiscard]] std::vector<u8> make_xsdt(std::span<const u32> tables);
/// The RSDP, revision 2, of an XSDT.
[[nodiscard]] std::vector<u8> make_rsdp(u32 xsdt);

struct Table {
  std::string name;  ///< its signature; the RSDP's is "RSDP"
  u32 address = 0;
  std::vector<u8> bytes;
};

/// All tables with their addresses: the RSDP alone at `rsdp`, the others at `tables` and up, in order.
/// `rsdp` is a multiple of 16, `tables` of 64.
[[nodiscard]] std::vector<Table> make_tables(const Description& machine, u32 rsdp, u32 tables);

/// Bytes that the tables take from `tables` on.
[[nodiscard]] u32 tables_size(const Description& machine);

}  // namespace solder::boot::acpi
