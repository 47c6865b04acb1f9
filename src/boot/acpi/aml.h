/// AML, the byte code of ACPI (ACPI 6.5, chapter 20): each function returns the encoding of one term.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace solder::boot::acpi::aml {

/// The encoding of one object, expression or statement.
using Term = std::vector<u8>;
/// Several, one after the other: a TermList.
using Terms = std::vector<Term>;

/// A name as ASL writes it: "\\_SB.GED0", "^^ABC", "_HID". Segments shorter than four characters are filled with '_'.
/// A segment that is longer, or has characters that names cannot have, is a broken invariant of the caller's.
[[nodiscard]] Term name_string(std::string_view name);

// Data.
[[nodiscard]] Term integer(u64 value);
[[nodiscard]] Term string(std::string_view ascii);
/// "PNP0501" as the 32-bit number that _HID takes (section 19.3.4). Three capital letters and four hexadecimal digits.
[[nodiscard]] Term eisa_id(std::string_view id);
[[nodiscard]] bool is_eisa_id(std::string_view id);
[[nodiscard]] Term buffer(std::span<const u8> bytes);
/// Text as UTF-16 with its end: what _STR is.
[[nodiscard]] Term unicode(std::string_view ascii);
/// At most 255 elements.
[[nodiscard]] Term package(const Terms& elements);

// Named objects.
[[nodiscard]] Term name(std::string_view path, const Term& value);
[[nodiscard]] Term scope(std::string_view path, const Terms& body);
[[nodiscard]] Term device(std::string_view path, const Terms& body);
[[nodiscard]] Term method(std::string_view path, unsigned arguments, bool serialized, const Terms& body);

enum class RegionSpace : u8 { memory = 0, io = 1 };
[[nodiscard]] Term operation_region(std::string_view path, RegionSpace space, u64 address, u64 length);
/// Fields of a region, in order from bit 0; an empty name skips bits.
struct FieldUnit {
  std::string_view name;
  u32 bits = 0;
};
/// Encoded as in FieldFlags: the access width of each read and write.
enum class FieldAccess : u8 { any = 0, byte = 1, word = 2, dword = 3, qword = 4 };
[[nodiscard]] Term field(std::string_view region, FieldAccess access, std::initializer_list<FieldUnit> units);

// Expressions and statements. Targets are names, locals and arguments.
[[nodiscard]] Term local(unsigned index);
[[nodiscard]] Term argument(unsigned index);
[[nodiscard]] Term store(const Term& value, const Term& target);
[[nodiscard]] Term bit_and(const Term& left, const Term& right);
[[nodiscard]] Term equal(const Term& left, const Term& right);
[[nodiscard]] Term if_then(const Term& predicate, const Terms& body);
/// Directly behind an `if_then`.
[[nodiscard]] Term otherwise(const Terms& body);
[[nodiscard]] Term notify(std::string_view object, u64 value);
[[nodiscard]] Term return_value(const Term& value);

enum class Trigger : u8 { edge, level };
enum class Polarity : u8 { high, low };

/// What _CRS returns (section 6.4): the addresses and interrupts of a device.
class ResourceTemplate {
 public:
  /// The 32-bit fixed descriptor.
  ResourceTemplate& memory32(u32 base, u32 size);
  /// The 64-bit address space descriptor, for what lies or reaches above 4 GiB. `size` is not 0.
  ResourceTemplate& memory64(u64 base, u64 size);
  /// Ports; `size` 1 to 255 in one descriptor.
  ResourceTemplate& io(u16 base, u8 size);
  /// An interrupt of the i8259 pair, edge-triggered and active high.
  ResourceTemplate& irq(u8 number);
  /// A global system interrupt.
  ResourceTemplate& interrupt(u32 gsi, Trigger trigger, Polarity polarity, bool shared);
  [[nodiscard]] Term term() const;
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  std::vector<u8> bytes_;
};

}  // namespace solder::boot::acpi::aml
