/// What the vCPUs of one machine share under the translator: the code cache, the emitter, and meeting points.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/address_space.h"
#include "translator/host_x64/compiler.h"
#include "translator/run/code_cache.h"
#include "translator/run/options.h"

namespace solder::run {

class Engine;
class Runner;

/// Dirty pages under the translator: while a RAM is tracked no vCPU gets a write tag for it, so that every store comes
/// to the slow path, which marks it. What is left to do is to take away the tags of the time before.
class WriteTracking final : public memory::DirtySource {
 public:
  explicit WriteTracking(Engine& engine) : engine_(engine) {}
  /// Waits until every vCPU in guest code has dropped its tags: not from inside one's helpers.
  [[nodiscard]] Status tracking_changed(memory::Ram& ram) override;
  [[nodiscard]] Status collect(memory::Ram& ram) override {
    (void)ram;
    return {};
  }

 private:
  Engine& engine_;
};

class Engine {
 public:
  /// `guest` tells layout and helpers; all vCPUs of the engine are of its kind. Errors: no memory for the code buffer.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(const ir::GuestCpu& guest, memory::AddressSpace& space,
                                                              const TranslatorOptions& options);

  [[nodiscard]] const TranslatorOptions& options() const { return options_; }
  [[nodiscard]] memory::AddressSpace& space() { return space_; }
  [[nodiscard]] CodeCache& code() { return *code_; }
  [[nodiscard]] host_x64::Compiler* compiler() { return compiler_.get(); }

  /// All runners exist before the first one runs, and leave after the last one ran.
  void add(Runner& runner);
  void remove(Runner& runner);
  [[nodiscard]] const std::vector<Runner*>& runners() const { return runners_; }

  // Translated code may be emptied only while nobody is in it. A runner is inside between `enter` and `leave`.
  void enter();
  void leave();
  /// Called inside: steps outside while somebody empties the code cache.
  void let_flush();
  /// Called inside: empties the code cache, unless another vCPU just did.
  void flush_code();
  /// Counts flushes: jump caches of an older epoch lead nowhere.
  [[nodiscard]] u64 epoch() const { return epoch_.load(std::memory_order_acquire); }

  [[nodiscard]] std::string statistics() const;

 private:
  Engine(memory::AddressSpace& space, const TranslatorOptions& options) : options_(options), space_(space) {}

  TranslatorOptions options_;
  memory::AddressSpace& space_;
  std::unique_ptr<host_x64::Compiler> compiler_;
  std::shared_ptr<WriteTracking> tracking_;  // each RAM holds it weakly
  std::unique_ptr<CodeCache> code_;
  std::vector<Runner*> runners_;

  std::mutex mutex_;
  std::condition_variable changed_;
  u32 inside_ = 0;
  bool flushing_ = false;
  std::atomic<u64> epoch_{1};
};

}  // namespace solder::run
