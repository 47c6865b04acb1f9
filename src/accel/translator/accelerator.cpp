#include "accel/translator/accelerator.h"

#include "accel/translator/translator_vcpu.h"
#include "translator/run/engine.h"

namespace solder::accel {

Translator::Translator(const run::TranslatorOptions& options) : options_(options) {}
Translator::~Translator() = default;

Result<std::unique_ptr<cpu::Vcpu>> Translator::create_vcpu(const cpu::CpuRequest& request) {
  const ir::GuestInfo* info = ir::find_guest(request.compatible);
  if (info == nullptr) {
    return fail("", "the translator has no front end for a CPU with compatible \"" + request.compatible + "\"",
                "use a CPU of a supported architecture, for example compatible = \"arm,armv8\"");
  }
  if (!architecture_.empty() && architecture_ != info->name) {
    return fail("", "a machine's CPUs must be of one architecture: this one is " + std::string(info->name) +
                        ", the first one is " + architecture_);
  }
  auto guest = SOLDER_TRY(info->make(request));
  if (!engine_) {
    engine_ = SOLDER_TRY(run::Engine::create(*guest, *request.memory, options_));
    architecture_ = info->name;
  }
  return std::make_unique<TranslatorVcpu>(*engine_, std::move(guest), request.index);
}

std::string Translator::statistics() const {
  return engine_ && options_.stats ? engine_->statistics() : std::string{};
}

}  // namespace solder::accel
