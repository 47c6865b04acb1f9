// Makes the test accelerator known. Nobody gets it who does not ask for it by name.
#include <fmt/format.h>

#include "accel/test/socket.h"
#include "cpu/accelerators.h"

namespace solder::accel::test {
namespace {

constexpr std::string_view kUnix = "unix:";

cpu::Suitability suits(std::string_view compatible) {
  (void)compatible;
  return {true, true, "its CPUs exist and do not run: commands on a socket stand in for them", {}};
}

Result<cpu::AcceleratorFactory> prepare(const std::string& options, const cpu::Suitability& /*found*/) {
  if (!options.starts_with(kUnix) || options.size() == kUnix.size())
    return fail("", "it needs a socket for its commands", "use --accel test=unix:PATH");
  // Opened with the first machine, and kept: clients stay connected when the machine is reset.
  return [path = options.substr(kUnix.size()),
          socket = std::shared_ptr<TestSocket>()]() mutable -> Result<std::unique_ptr<cpu::Accelerator>> {
    if (!socket) socket = SOLDER_TRY(TestSocket::open(path));
    return std::make_unique<TestBench>(socket);
  };
}

const cpu::AcceleratorRegistration kTest({"test", -1, suits, prepare});

}  // namespace
}  // namespace solder::accel::test
