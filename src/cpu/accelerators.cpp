#include "cpu/accelerators.h"

#include <algorithm>

namespace solder::cpu {
namespace {

// Filled by static objects before main, only read afterwards. A function's static: the order of initialisation between
// translation units is unspecified.
std::vector<AcceleratorInfo>& registered() {
  static std::vector<AcceleratorInfo> accelerators;
  return accelerators;
}

}  // namespace

AcceleratorRegistration::AcceleratorRegistration(const AcceleratorInfo& info) {
  registered().push_back(info);
}

std::vector<const AcceleratorInfo*> all_accelerators() {
  std::vector<const AcceleratorInfo*> out;
  for (const auto& info : registered()) out.push_back(&info);
  std::ranges::sort(out, [](const auto* a, const auto* b) {
    return a->preference != b->preference ? a->preference > b->preference : a->name < b->name;
  });
  return out;
}

}  // namespace solder::cpu
