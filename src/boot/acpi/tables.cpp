#include "boot/acpi/tables.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace solder::boot::acpi {

namespace {

constexpr usize kHeaderSize = 36;
constexpr std::string_view kOemId = "SOLDER";
constexpr std::string_view kOemTableId = "SOLDERVM";
constexpr std::string_view kCreator = "SLDR";

void append_text(std::vector<u8>& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

u32 aligned(u32 value, u32 alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

u8 checksum(std::span<const u8> bytes) {
  u8 sum = 0;
  for (const u8 byte : bytes) sum = static_cast<u8>(sum + byte);
  return static_cast<u8>(0 - sum);
}

TableWriter::TableWriter(std::string_view signature, u8 revision) {
  SOLDER_CHECK(signature.size() == 4, "a table's signature has four characters");
  append_text(bytes_, signature);
  zeros(4);  // length
  put8(revision).put8(0);
  append_text(bytes_, kOemId);
  append_text(bytes_, kOemTableId);
  put32(1);
  append_text(bytes_, kCreator);
  put32(1);
  SOLDER_CHECK(bytes_.size() == kHeaderSize, "the header is complete");
}

TableWriter& TableWriter::put(u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
  return *this;
}

TableWriter& TableWriter::zeros(usize count) {
  bytes_.resize(bytes_.size() + count);
  return *this;
}

TableWriter& TableWriter::bytes(std::span<const u8> data) {
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  return *this;
}

TableWriter& TableWriter::address(Space space, u8 bits, u8 access, u64 where) {
  return put8(static_cast<u8>(space)).put8(bits).put8(0).put8(access).put64(where);
}

std::vector<u8> TableWriter::finish() {
  store_le<u32>(&bytes_[4], static_cast<u32>(bytes_.size()));
  bytes_[9] = 0;
  bytes_[9] = checksum(bytes_);
  return std::move(bytes_);
}

std::vector<u8> make_xsdt(std::span<const u32> tables) {
  TableWriter table("XSDT", 1);
  for (const u32 address : tables) table.put64(address);
  return table.finish();
}

std::vector<u8> make_rsdp(u32 xsdt) {
  // Section 5.2.5.3. The first checksum is over the 20 bytes of revision 0.
  std::vector<u8> out;
  append_text(out, "RSD PTR ");
  out.push_back(0);
  append_text(out, kOemId);
  out.push_back(2);
  out.resize(36);
  store_le<u32>(&out[20], static_cast<u32>(out.size()));
  store_le<u64>(&out[24], xsdt);
  out[8] = checksum(std::span(out).first(20));
  out[32] = checksum(out);
  return out;
}

std::vector<Table> make_tables(const Description& machine, u32 rsdp, u32 tables) {
  SOLDER_CHECK(rsdp % 16 == 0 && tables % 64 == 0, "the RSDP is on 16 bytes, the FACS on 64");
  std::vector<Table> out;
  u32 next = tables;
  const auto add = [&](const char* name, std::vector<u8> bytes) {
    const u32 address = next;
    next = aligned(next + static_cast<u32>(bytes.size()), 16);
    out.push_back({name, address, std::move(bytes)});
    return address;
  };
  // Hardware-reduced machines have none (section 5.2.10).
  const u32 facs = machine.power ? add("FACS", make_facs()) : 0;
  const u32 dsdt = add("DSDT", make_dsdt(machine));
  std::vector<u32> listed;
  listed.push_back(add("FACP", make_fadt(machine, facs, dsdt)));
  listed.push_back(add("APIC", make_madt(machine)));
  if (machine.hpet) listed.push_back(add("HPET", make_hpet(*machine.hpet)));
  if (machine.console) listed.push_back(add("SPCR", make_spcr(*machine.console)));
  if (!machine.ecams.empty()) listed.push_back(add("MCFG", make_mcfg(machine.ecams)));
  const u32 xsdt = add("XSDT", make_xsdt(listed));
  out.push_back({"RSDP", rsdp, make_rsdp(xsdt)});
  return out;
}

u32 tables_size(const Description& machine) {
  const auto tables = make_tables(machine, 0, 0);
  u32 end = 0;
  for (const Table& table : tables)
    if (table.name != "RSDP") end = std::max(end, table.address + static_cast<u32>(table.bytes.size()));
  return end;
}

}  // namespace solder::boot::acpi
