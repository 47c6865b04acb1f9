// The DSDT: what is on the board, in AML.
#include <map>
#include <set>

#include "base/check.h"
#include "boot/acpi/tables.h"

namespace solder::boot::acpi {

namespace {

using aml::Term;
using aml::Terms;

// Four characters, told apart by as many base-36 digits as it takes: SER0 … SERZ, SE00 … SEZZ, S000 ….
class Names {
 public:
  void reserve(std::string name) { taken_.insert(std::move(name)); }
  std::string next(std::string_view hint) {
    std::string letters;
    for (const char c : hint) {
      if (c >= 'a' && c <= 'z') letters += static_cast<char>(c - 'a' + 'A');
      if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) letters += c;
      if (letters.size() == 3) break;
    }
    if (letters.empty() || letters[0] < 'A') letters.insert(letters.begin(), 'D');
    letters.resize(3, '_');
    for (usize kept = 3; kept != 0; --kept) {
      const std::string prefix = letters.substr(0, kept);
      u32& used = counts_[prefix];
      for (const u32 limit = power(4 - kept); used < limit;) {
        std::string name = prefix + digits(used++, 4 - kept);
        if (taken_.insert(name).second) return name;
      }
    }
    SOLDER_CHECK(false, "kMaximumDevices is less than there are names with one letter");
    return {};
  }

  static std::string digits(u32 value, usize count) {
    std::string out(count, '0');
    for (usize i = count; i-- != 0; value /= 36)
      out[i] = static_cast<char>(value % 36 < 10 ? '0' + value % 36 : 'A' + value % 36 - 10);
    return out;
  }

 private:
  static u32 power(usize digits) {
    u32 out = 1;
    for (usize i = 0; i < digits; ++i) out *= 36;
    return out;
  }
  std::set<std::string> taken_;
  std::map<std::string, u32> counts_;
};

Term hid(std::string_view id) {
  return aml::name("_HID", aml::is_eisa_id(id) ? aml::eisa_id(id) : aml::string(id));
}

void add_interrupt(aml::ResourceTemplate& resources, const Interrupt& interrupt) {
  if (interrupt.isa && interrupt.trigger == Trigger::edge && interrupt.polarity == Polarity::high && !interrupt.shared)
    resources.irq(*interrupt.isa);
  else
    resources.interrupt(interrupt.gsi, interrupt.trigger, interrupt.polarity, interrupt.shared);
}

aml::ResourceTemplate resources_of(const Device& device) {
  constexpr u64 kOneDescriptor = 255;
  aml::ResourceTemplate out;
  for (const Window& window : device.memory) {
    if (window.base + window.size <= u64{1} << 32)
      out.memory32(static_cast<u32>(window.base), static_cast<u32>(window.size));
    else
      out.memory64(window.base, window.size);
  }
  for (const Window& window : device.ports)
    for (u64 done = 0; done < window.size; done += kOneDescriptor)
      out.io(static_cast<u16>(window.base + done), static_cast<u8>(std::min(window.size - done, kOneDescriptor)));
  for (const Interrupt& interrupt : device.interrupts) add_interrupt(out, interrupt);
  return out;
}

Term device_term(const Device& device, Names& names) {
  Terms body = {hid(device.hid), aml::name("_UID", aml::integer(device.uid))};
  if (!device.text.empty()) body.push_back(aml::name("_STR", aml::unicode(device.text)));
  if (const auto resources = resources_of(device); !resources.empty())
    body.push_back(aml::name("_CRS", resources.term()));
  return aml::device(names.next(device.hint), body);
}

// The event device asks its register why it interrupted, and tells who is concerned (section 5.6.9.3).
Term event_device_term(const EventDevice& events) {
  aml::ResourceTemplate resources;
  resources.interrupt(events.interrupt.gsi, events.interrupt.trigger, events.interrupt.polarity,
                      events.interrupt.shared);
  Terms reasons = {aml::store(aml::name_string("ESEL"), aml::local(0))};
  const auto when = [&](u32 bit, std::string_view object, u64 notification) {
    if (bit == 0) return;
    reasons.push_back(aml::if_then(aml::equal(aml::bit_and(aml::local(0), aml::integer(bit)), aml::integer(bit)),
                                   {aml::notify(object, notification)}));
  };
  // Notifications of section 5.6.6: 0, look at the bus again; 0x80, the button was pressed.
  when(events.hot_plug, "\\_SB", 0);
  when(events.power_button, "\\_SB.PWRB", 0x80);
  return aml::device("GED_", {
                                 hid("ACPI0013"),
                                 aml::name("_UID", aml::integer(0)),
                                 aml::name("_CRS", resources.term()),
                                 aml::operation_region("EREG", aml::RegionSpace::memory, events.selector, 4),
                                 aml::field("EREG", aml::FieldAccess::dword, {{"ESEL", 32}}),
                                 aml::method("_EVT", 1, true, reasons),
                             });
}

}  // namespace

std::vector<u8> make_dsdt(const Description& machine) {
  SOLDER_CHECK(machine.devices.size() <= kMaximumDevices && machine.cpus.size() <= kMaximumCpus,
               "whoever describes a machine keeps to the limits");
  Names names;
  Terms board;
  for (u32 uid = 0; uid < machine.cpus.size(); ++uid) {
    const std::string name = "C" + Names::digits(uid, 3);
    names.reserve(name);
    board.push_back(aml::device(name, {hid("ACPI0007"), aml::name("_UID", aml::integer(uid))}));
  }
  if (machine.events) {
    names.reserve("GED_");
    if (machine.events->power_button != 0) {
      names.reserve("PWRB");
      board.push_back(aml::device("PWRB", {hid("PNP0C0C"), aml::name("_UID", aml::integer(0))}));
    }
    board.push_back(event_device_term(*machine.events));
  }
  for (const Device& device : machine.devices) board.push_back(device_term(device, names));

  TableWriter table("DSDT", 2);
  table.bytes(aml::scope("\\_SB", board));
  if (machine.power) {
    const Term type = aml::integer(machine.power->sleep_type);
    table.bytes(aml::name("\\_S5", aml::package({type, type, aml::integer(0), aml::integer(0)})));
  }
  return table.finish();
}

}  // namespace solder::boot::acpi
