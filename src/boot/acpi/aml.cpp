#include "boot/acpi/aml.h"

#include <string>

#include "base/bytes.h"
#include "base/check.h"

namespace solder::boot::acpi::aml {

namespace {

// Opcodes of section 20.3. Those behind 0x5b are "extended".
constexpr u8 kZero = 0x00;
constexpr u8 kOne = 0x01;
constexpr u8 kName = 0x08;
constexpr u8 kByte = 0x0a;
constexpr u8 kWord = 0x0b;
constexpr u8 kDword = 0x0c;
constexpr u8 kString = 0x0d;
constexpr u8 kQword = 0x0e;
constexpr u8 kScope = 0x10;
constexpr u8 kBuffer = 0x11;
constexpr u8 kPackage = 0x12;
constexpr u8 kMethod = 0x14;
constexpr u8 kDualName = 0x2e;
constexpr u8 kMultiName = 0x2f;
constexpr u8 kExtended = 0x5b;
constexpr u8 kLocal0 = 0x60;
constexpr u8 kArgument0 = 0x68;
constexpr u8 kStore = 0x70;
constexpr u8 kAnd = 0x7b;
constexpr u8 kNotify = 0x86;
constexpr u8 kEqual = 0x93;
constexpr u8 kIf = 0xa0;
constexpr u8 kElse = 0xa1;
constexpr u8 kReturn = 0xa4;
constexpr u8 kExtRegion = 0x80;
constexpr u8 kExtField = 0x81;
constexpr u8 kExtDevice = 0x82;

void append(Term& out, const Term& more) {
  out.insert(out.end(), more.begin(), more.end());
}

Term joined(const Terms& terms) {
  Term out;
  for (const Term& term : terms) append(out, term);
  return out;
}

template <std::unsigned_integral T>
void append_le(std::vector<u8>& out, T value) {
  const usize at = out.size();
  out.resize(at + sizeof value);
  store_le<T>(&out[at], value);
}

// The lead byte's upper two bits say how many bytes follow; then it holds only four bits of the length.
Term encoded_length(usize length) {
  if (length < 0x40) return {static_cast<u8>(length)};
  Term out;
  unsigned extra = 1;
  while (extra < 3 && length >= usize{1} << (4 + 8 * extra)) ++extra;
  SOLDER_CHECK(length < usize{1} << (4 + 8 * extra), "a package of AML has less than 256 MiB");
  out.push_back(static_cast<u8>(extra << 6 | (length & 0xf)));
  for (unsigned i = 0; i < extra; ++i) out.push_back(static_cast<u8>(length >> (4 + 8 * i)));
  return out;
}

// PkgLength counts itself (section 20.2.4), so its own size decides what it says.
Term with_length(const Term& body) {
  usize own = 1;
  while (encoded_length(body.size() + own).size() != own) ++own;
  Term out = encoded_length(body.size() + own);
  append(out, body);
  return out;
}

Term packaged(std::initializer_list<u8> opcode, const Term& body) {
  Term out(opcode);
  append(out, with_length(body));
  return out;
}

Term operation(u8 opcode, const Term& first, const Term& second) {
  Term out = {opcode};
  append(out, first);
  append(out, second);
  return out;
}

void append_segment(Term& out, std::string_view segment) {
  SOLDER_CHECK(!segment.empty() && segment.size() <= 4, "a name's segment has one to four characters");
  for (usize i = 0; i < 4; ++i) {
    const char c = i < segment.size() ? segment[i] : '_';
    const bool letter = (c >= 'A' && c <= 'Z') || c == '_';
    SOLDER_CHECK(letter || (i != 0 && c >= '0' && c <= '9'), "names are capital letters, digits and '_'");
    out.push_back(static_cast<u8>(c));
  }
}

}  // namespace

Term name_string(std::string_view name) {
  Term out;
  while (!name.empty() && (name.front() == '\\' || name.front() == '^')) {
    out.push_back(static_cast<u8>(name.front()));
    name.remove_prefix(1);
  }
  std::vector<std::string_view> segments;
  while (!name.empty()) {
    const usize dot = name.find('.');
    segments.push_back(name.substr(0, dot));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  SOLDER_CHECK(segments.size() < 256, "a path has at most 255 segments");
  if (segments.empty()) out.push_back(kZero);
  if (segments.size() == 2) out.push_back(kDualName);
  if (segments.size() > 2) {
    out.push_back(kMultiName);
    out.push_back(static_cast<u8>(segments.size()));
  }
  for (const std::string_view segment : segments) append_segment(out, segment);
  return out;
}

Term integer(u64 value) {
  if (value == 0) return {kZero};
  if (value == 1) return {kOne};
  Term out;
  if (value <= 0xff) {
    out = {kByte, static_cast<u8>(value)};
  } else if (value <= 0xffff) {
    out = {kWord};
    append_le<u16>(out, static_cast<u16>(value));
  } else if (value <= 0xffffffff) {
    out = {kDword};
    append_le<u32>(out, static_cast<u32>(value));
  } else {
    out = {kQword};
    append_le<u64>(out, value);
  }
  return out;
}

Term string(std::string_view ascii) {
  Term out = {kString};
  for (const char c : ascii) {
    SOLDER_CHECK(c > 0, "AML strings are ASCII without NUL");
    out.push_back(static_cast<u8>(c));
  }
  out.push_back(0);
  return out;
}

bool is_eisa_id(std::string_view id) {
  if (id.size() != 7) return false;
  for (usize i = 0; i < 7; ++i) {
    const char c = id[i];
    if (i < 3 ? c < 'A' || c > 'Z' : (c < '0' || c > '9') && (c < 'A' || c > 'F')) return false;
  }
  return true;
}

Term eisa_id(std::string_view id) {
  SOLDER_CHECK(is_eisa_id(id), "an EISA ID has three letters and four hexadecimal digits");
  // Five bits a letter, four a digit, most significant first; then stored as big-endian.
  u32 value = 0;
  for (usize i = 0; i < 3; ++i) value = value << 5 | static_cast<u32>(id[i] - 'A' + 1);
  for (usize i = 3; i < 7; ++i) value = value << 4 | static_cast<u32>(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
  Term out = {kDword};
  append_le<u32>(out, byte_swap(value));
  return out;
}

Term buffer(std::span<const u8> bytes) {
  Term body = integer(bytes.size());
  body.insert(body.end(), bytes.begin(), bytes.end());
  return packaged({kBuffer}, body);
}

Term unicode(std::string_view ascii) {
  std::vector<u8> bytes;
  for (const char c : ascii) append_le<u16>(bytes, static_cast<u8>(c));
  append_le<u16>(bytes, u16{0});
  return buffer(bytes);
}

Term package(const Terms& elements) {
  SOLDER_CHECK(elements.size() < 256, "a package has at most 255 elements");
  Term body = {static_cast<u8>(elements.size())};
  append(body, joined(elements));
  return packaged({kPackage}, body);
}

Term name(std::string_view path, const Term& value) {
  return operation(kName, name_string(path), value);
}

Term scope(std::string_view path, const Terms& body) {
  Term inner = name_string(path);
  append(inner, joined(body));
  return packaged({kScope}, inner);
}

Term device(std::string_view path, const Terms& body) {
  Term inner = name_string(path);
  append(inner, joined(body));
  return packaged({kExtended, kExtDevice}, inner);
}

Term method(std::string_view path, unsigned arguments, bool serialized, const Terms& body) {
  SOLDER_CHECK(arguments < 8, "a method has at most seven arguments");
  Term inner = name_string(path);
  inner.push_back(static_cast<u8>(arguments | (serialized ? 8U : 0U)));
  append(inner, joined(body));
  return packaged({kMethod}, inner);
}

Term operation_region(std::string_view path, RegionSpace space, u64 address, u64 length) {
  Term out = {kExtended, kExtRegion};
  append(out, name_string(path));
  out.push_back(static_cast<u8>(space));
  append(out, integer(address));
  append(out, integer(length));
  return out;
}

Term field(std::string_view region, FieldAccess access, std::initializer_list<FieldUnit> units) {
  Term inner = name_string(region);
  // No lock; bits that are not written are preserved.
  inner.push_back(static_cast<u8>(access));
  for (const FieldUnit& unit : units) {
    if (unit.name.empty()) {
      inner.push_back(0);
    } else {
      append_segment(inner, unit.name);
    }
    append(inner, encoded_length(unit.bits));
  }
  return packaged({kExtended, kExtField}, inner);
}

Term local(unsigned index) {
  SOLDER_CHECK(index < 8, "there are Local0 to Local7");
  return {static_cast<u8>(kLocal0 + index)};
}

Term argument(unsigned index) {
  SOLDER_CHECK(index < 7, "there are Arg0 to Arg6");
  return {static_cast<u8>(kArgument0 + index)};
}

Term store(const Term& value, const Term& target) {
  return operation(kStore, value, target);
}

Term bit_and(const Term& left, const Term& right) {
  Term out = operation(kAnd, left, right);
  out.push_back(kZero);  // no target: the value is the expression's
  return out;
}

Term equal(const Term& left, const Term& right) {
  return operation(kEqual, left, right);
}

Term if_then(const Term& predicate, const Terms& body) {
  Term inner = predicate;
  append(inner, joined(body));
  return packaged({kIf}, inner);
}

Term otherwise(const Terms& body) {
  return packaged({kElse}, joined(body));
}

Term notify(std::string_view object, u64 value) {
  return operation(kNotify, name_string(object), integer(value));
}

Term return_value(const Term& value) {
  Term out = {kReturn};
  append(out, value);
  return out;
}

ResourceTemplate& ResourceTemplate::memory32(u32 base, u32 size) {
  // Section 6.4.3.4.
  bytes_.insert(bytes_.end(), {0x86, 9, 0, 1});
  append_le<u32>(bytes_, base);
  append_le<u32>(bytes_, size);
  return *this;
}

ResourceTemplate& ResourceTemplate::memory64(u64 base, u64 size) {
  SOLDER_CHECK(size != 0 && base + (size - 1) >= base, "a window has a size and does not wrap");
  // Section 6.4.3.5.1: memory; minimum and maximum fixed, positive decode, consumer; not cacheable, read and write.
  bytes_.insert(bytes_.end(), {0x8a, 43, 0, 0, 0x0d, 0x01});
  append_le<u64>(bytes_, 0);  // granularity
  append_le<u64>(bytes_, base);
  append_le<u64>(bytes_, base + (size - 1));
  append_le<u64>(bytes_, 0);  // translation
  append_le<u64>(bytes_, size);
  return *this;
}

ResourceTemplate& ResourceTemplate::io(u16 base, u8 size) {
  // Section 6.4.2.5: decodes 16 bits.
  bytes_.insert(bytes_.end(), {0x47, 1});
  append_le<u16>(bytes_, base);
  append_le<u16>(bytes_, base);
  bytes_.insert(bytes_.end(), {1, size});
  return *this;
}

ResourceTemplate& ResourceTemplate::irq(u8 number) {
  SOLDER_CHECK(number < 16, "the i8259 pair has 16 inputs");
  // Section 6.4.2.1, without the byte of flags.
  bytes_.push_back(0x22);
  append_le<u16>(bytes_, static_cast<u16>(1U << number));
  return *this;
}

ResourceTemplate& ResourceTemplate::interrupt(u32 gsi, Trigger trigger, Polarity polarity, bool shared) {
  // Section 6.4.3.6: consumer.
  const unsigned flags =
      1U | (trigger == Trigger::edge ? 2U : 0U) | (polarity == Polarity::low ? 4U : 0U) | (shared ? 8U : 0U);
  bytes_.insert(bytes_.end(), {0x89, 6, 0, static_cast<u8>(flags), 1});
  append_le<u32>(bytes_, gsi);
  return *this;
}

Term ResourceTemplate::term() const {
  std::vector<u8> bytes = bytes_;
  bytes.push_back(0x79);
  // The end tag's checksum makes the sum of all bytes zero (section 6.4.2.9).
  u8 sum = 0;
  for (const u8 byte : bytes) sum = static_cast<u8>(sum + byte);
  bytes.push_back(static_cast<u8>(0 - sum));
  return buffer(bytes);
}

}  // namespace solder::boot::acpi::aml
