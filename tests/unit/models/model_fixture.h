/// Makes a model through the registry, as the machine does.
#pragma once

#include <gtest/gtest.h>

#include "device/registry.h"
#include "support/fake_ports.h"

namespace solder::testing {

/// The device of `ports`' node by `compatible`, which is set on the node; started.
inline Result<std::unique_ptr<device::Device>> try_make_model(FakePorts& ports, const std::string& compatible) {
  ports.mutable_node().set_string("compatible", compatible);
  const std::vector<std::string> compatibles{compatible};
  const device::ModelInfo* info = device::find_model(compatibles);
  if (info == nullptr || info->factory == nullptr) return fail("", "no such model: " + compatible);
  auto made = info->factory(ports);
  if (made) SOLDER_TRY_STATUS((*made)->start());
  return made;
}

inline std::unique_ptr<device::Device> make_model(FakePorts& ports, const std::string& compatible) {
  auto made = try_make_model(ports, compatible);
  EXPECT_TRUE(made.has_value()) << made.error().text();
  return made ? std::move(*made) : nullptr;
}

}  // namespace solder::testing
