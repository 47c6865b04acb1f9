/// The translator as an accelerator: vCPUs that run on any host, for any guest architecture with a front end.
#pragma once

#include <memory>
#include <string>

#include "cpu/vcpu.h"
#include "translator/run/options.h"

namespace solder::run {
class Engine;
}

namespace solder::accel {

/// All CPUs of one machine; they share one code cache. Lives longer than its vCPUs, shorter than the machine's RAM.
class Translator final : public cpu::Accelerator {
 public:
  explicit Translator(const run::TranslatorOptions& options);
  ~Translator() override;

  [[nodiscard]] std::string name() const override { return "translator"; }
  /// Errors: no front end takes the node's `compatible`, another architecture than the first CPU's, or no memory.
  [[nodiscard]] Result<std::unique_ptr<cpu::Vcpu>> create_vcpu(const cpu::CpuRequest& request) override;
  [[nodiscard]] std::string statistics() const override;

 private:
  run::TranslatorOptions options_;
  std::unique_ptr<run::Engine> engine_;
  std::string architecture_;
};

}  // namespace solder::accel
