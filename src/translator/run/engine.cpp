#include "translator/run/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "translator/run/runner.h"

namespace solder::run {

Result<std::unique_ptr<Engine>> Engine::create(const ir::GuestCpu& guest, memory::AddressSpace& space,
                                               const TranslatorOptions& options) {
  std::unique_ptr<Engine> engine(new Engine(space, options));
  if (!options.interpreter) {
    host_x64::CompilerOptions compiler_options;
    compiler_options.buffer_bytes = options.buffer_bytes;
    compiler_options.force_slow_memory = options.slow_memory;
    compiler_options.force_fallback = options.fallback;
    engine->compiler_ =
        SOLDER_TRY(host_x64::Compiler::create(guest.layout(), guest.helpers(), Runner::hooks(), compiler_options));
  }
  engine->tracking_ = std::make_shared<WriteTracking>(*engine);
  engine->code_ = std::make_unique<CodeCache>(engine->compiler_.get(), engine->tracking_);
  Engine* self = engine.get();
  // The TLBs hold pieces of the old map; the host pages behind them stay, so the vCPUs may act a little later.
  space.listen([self](const memory::FlatMap&, const memory::FlatMap&) {
    for (Runner* runner : self->runners_) runner->mailbox().post(Shootdown{});
  });
  return engine;
}

Status WriteTracking::tracking_changed(memory::Ram& ram) {
  if (!ram.tracking()) return {};  // tags come back by themselves
  std::vector<std::pair<Runner*, u64>> asked;
  for (Runner* runner : engine_.runners()) asked.emplace_back(runner, runner->mailbox().post(Shootdown{}));
  for (const auto& [runner, ticket] : asked)
    while (!runner->mailbox().settled(ticket)) std::this_thread::yield();
  return {};
}

void Engine::add(Runner& runner) {
  runners_.push_back(&runner);
}
void Engine::remove(Runner& runner) {
  std::erase(runners_, &runner);
}

void Engine::enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !flushing_; });
  ++inside_;
}

void Engine::leave() {
  const std::scoped_lock lock(mutex_);
  --inside_;
  changed_.notify_all();
}

void Engine::let_flush() {
  std::unique_lock lock(mutex_);
  if (!flushing_) return;
  --inside_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !flushing_; });
  ++inside_;
}

void Engine::flush_code() {
  std::unique_lock lock(mutex_);
  if (flushing_) {
    --inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !flushing_; });
    ++inside_;
    return;
  }
  flushing_ = true;
  for (Runner* runner : runners_) runner->state().exit_request.fetch_or(ir::kExitFlush, std::memory_order_seq_cst);
  changed_.wait(lock, [this] { return inside_ == 1; });
  code_->clear();
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  flushing_ = false;
  changed_.notify_all();
}

std::string Engine::statistics() const {
  const CodeCacheCounts& code = code_->counts();
  RunnerCounts total;
  MemoryCounts memory;
  for (const Runner* runner : runners_) {
    const RunnerCounts& one = runner->counts();
    total.enters += one.enters;
    total.lookups += one.lookups;
    total.interpreted += one.interpreted;
    total.dispatches += one.dispatches;
    total.regime_switches += one.regime_switches;
    total.flushes += one.flushes;
    total.shootdowns += one.shootdowns;
    total.interrupts += one.interrupts;
    const MemoryCounts& m = runner->memory_counts();
    memory.slow_accesses += m.slow_accesses;
    memory.walks += m.walks;
    memory.device_accesses += m.device_accesses;
    memory.code_page_stores += m.code_page_stores;
  }
  return fmt::format(
      "blocks translated     {}\nguest instructions    {}\nblocks killed         {}\nlinks                 {}\n"
      "code cache flushes    {}\nhost code bytes       {}\nblock entries         {}\ndispatches            {}\n"
      "lookups               {}\ninterpreted alone     {}\ninterrupts taken      {}\nregime switches       {}\n"
      "TLB flushes           {}\nshootdowns received   {}\nslow memory accesses  {}\ntable walks           {}\n"
      "device accesses       {}\nstores to code pages  {}\n",
      code.translations.load(), code.guest_insts.load(), code.kills.load(), code.links.load(), code.flushes.load(),
      compiler_ ? compiler_->bytes_used() : 0, total.enters, total.dispatches, total.lookups, total.interpreted,
      total.interrupts, total.regime_switches, total.flushes, total.shootdowns, memory.slow_accesses, memory.walks,
      memory.device_accesses, memory.code_page_stores);
}

}  // namespace solder::run
