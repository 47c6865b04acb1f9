#include "device/registry.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/check.h"

namespace solder::device {

namespace {

// Filled by static objects before main, read-only afterwards. A function-local static, so that the order in which
// translation units initialise does not matter.
std::map<std::string_view, ModelInfo>& registry() {
  static std::map<std::string_view, ModelInfo> models;
  return models;
}

void add(const ModelInfo& info) {
  const bool fresh = registry().emplace(info.compatible, info).second;
  SOLDER_CHECK(fresh, "two models register the same compatible");
}

}  // namespace

Registration::Registration(std::string_view compatible, Factory factory, std::string_view summary, bool bus,
                           std::string_view acpi_hid) {
  add({compatible, factory, summary, bus, acpi_hid, false});
}

Registration::Registration(KernelOnly, std::string_view compatible, std::string_view summary) {
  add({compatible, nullptr, summary, false, {}, true});
}

const ModelInfo* find_model(std::span<const std::string> compatibles) {
  for (const std::string& name : compatibles) {
    if (const auto found = registry().find(name); found != registry().end()) return &found->second;
  }
  return nullptr;
}

std::vector<const ModelInfo*> all_models() {
  std::vector<const ModelInfo*> all;
  for (const auto& [name, info] : registry()) all.push_back(&info);
  return all;
}

}  // namespace solder::device
