// Makes the translator known as an accelerator.
#include <fmt/format.h>

#include "accel/translator/accelerator.h"
#include "cpu/accelerators.h"
#include "translator/ir/guest.h"

namespace solder::accel {
namespace {

cpu::Suitability suits(std::string_view compatible) {
  const ir::GuestInfo* guest = ir::find_guest(compatible);
  if (guest == nullptr)
    return {false, false, fmt::format("the translator has no front end for \"{}\" CPUs", compatible), {}};
  return {true, true, fmt::format("it runs {} guests on every host", guest->name), {}};
}

Result<cpu::AcceleratorFactory> prepare(const std::string& options, const cpu::Suitability& /*found*/) {
  const auto parsed = SOLDER_TRY(run::parse_options(options));
  return [parsed]() -> Result<std::unique_ptr<cpu::Accelerator>> { return std::make_unique<Translator>(parsed); };
}

const cpu::AcceleratorRegistration kTranslator({"translator", 1, suits, prepare});

}  // namespace
}  // namespace solder::accel
