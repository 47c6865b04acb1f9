#include <vector>

#include "translator/ir/guest.h"

namespace solder::ir {
namespace {

/// Filled by static objects before main, only read afterwards. A function's static: the order of initialisation between
/// translation units is unspecified.
std::vector<GuestInfo>& registered() {
  static std::vector<GuestInfo> guests;
  return guests;
}

}  // namespace

GuestRegistration::GuestRegistration(const GuestInfo& info) {
  registered().push_back(info);
}

const GuestInfo* find_guest(std::string_view compatible) {
  for (const GuestInfo& guest : registered()) {
    if (guest.accepts(compatible)) return &guest;
  }
  return nullptr;
}

}  // namespace solder::ir
