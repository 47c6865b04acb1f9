#include "translator/run/runner.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/bits.h"
#include "base/check.h"

namespace solder::run {
namespace {

constexpr u64 kPage = memory::kPageSize;
constexpr usize kSingles = 256;
constexpr u32 kMaxInsts = 64;
constexpr usize kMaxInstructionBytes = 16;

}  // namespace

Runner::Runner(Engine& engine, std::unique_ptr<ir::GuestCpu> guest, u32 index)
    : engine_(engine),
      guest_(std::move(guest)),
      state_(guest_->state()),
      index_(index),
      mailbox_(state_),
      memory_(*guest_, engine.space(), engine.code(), pool_, index, engine.options(), *this),
      interpreter_(guest_->helpers(), memory_),
      singles_(kSingles) {
  state_.runtime = this;
  guest_->attach(*this);
  if (engine.options().random_irq) random_state_ = (*engine.options().random_irq + index) * 2 + 1;
  engine_.add(*this);
  regime_changed();
}

Runner::~Runner() {
  engine_.remove(*this);
}

u64 Runner::random() {
  // xorshift64 (Marsaglia 2003): the same points for the same seed.
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_;
}

// -- the loop
// ----------------------------------------------------------------------------------------------------------

cpu::ExitReason Runner::run() {
  engine_.enter();
  mailbox_.announce();
  drain();
  if (epoch_ != engine_.epoch()) {
    pool_.clear_jumps();
    epoch_ = engine_.epoch();
  }
  // A reset or a register write may have come from another thread since.
  regime_changed();
  attention_ = true;
  const cpu::ExitReason reason = loop();
  mailbox_.leave_guest();
  engine_.leave();
  return reason;
}

cpu::ExitReason Runner::loop() {
  const bool interpreter = engine_.compiler() == nullptr;
  cpu::ExitReason reason = cpu::ExitReason::kicked;
  for (;;) {
    if (state_.exit_request.load(std::memory_order_acquire) != 0 && service(reason)) return reason;
    if (attention_ || delayed_) {
      attention_ = false;
      if (halted(reason)) return reason;
      take_interrupt();
    }
    if (engine_.options().trace) [[unlikely]]
      trace();
    if (alone_) {
      run_alone();
    } else if (interpreter) {
      step_interpreter();
    } else {
      step_host();
    }
    if (!fault_.empty()) return cpu::ExitReason::fault;
  }
}

void Runner::trace() const {
  u64 sum = state_.flags & (ir::kFlagN | ir::kFlagZ | ir::kFlagC | ir::kFlagV);
  for (const u16 offset : guest_->layout().hot_registers) {
    u64 value = 0;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(&state_) + offset, sizeof value);
    sum = (sum ^ value) * 0x9e37'79b9'7f4a'7c15U;
    sum ^= sum >> 29;
  }
  fmt::print(stderr, "{} {:x} {:016x}\n", index_, state_.pc, sum);
}

bool Runner::service(cpu::ExitReason& reason) {
  const u32 request = state_.exit_request.load(std::memory_order_seq_cst);
  if ((request & ir::kExitFlush) != 0) {
    state_.exit_request.fetch_and(~u32{ir::kExitFlush}, std::memory_order_seq_cst);
    mailbox_.leave_guest();
    engine_.let_flush();
    mailbox_.announce();
    drain();
    if (epoch_ != engine_.epoch()) {
      pool_.clear_jumps();
      epoch_ = engine_.epoch();
    }
  } else if ((request & ir::kExitShootdown) != 0) {
    drain();
  }
  if ((request & ir::kExitInterrupt) != 0) {
    // Cleared before the lines are looked at: one that rises now sets it again.
    state_.exit_request.fetch_and(~u32{ir::kExitInterrupt}, std::memory_order_seq_cst);
    attention_ = true;
  }
  if ((request & ir::kExitKick) != 0) {
    state_.exit_request.fetch_and(~u32{ir::kExitKick}, std::memory_order_seq_cst);
    attention_ = true;
    reason = cpu::ExitReason::kicked;
    return true;
  }
  return false;
}

bool Runner::halted(cpu::ExitReason& reason) {
  if (guest_->halted() && !guest_->has_wake_reason()) {
    attention_ = true;
    reason = cpu::ExitReason::halted;
    return true;
  }
  // Not only when it waited: a reason that goes away later must not put a running CPU to sleep.
  guest_->wake_up();
  return false;
}

void Runner::take_interrupt() {
  if (engine_.options().random_irq) {
    if (!guest_->has_wake_reason()) {
      delayed_ = false;
      return;
    }
    if (!delayed_) {
      delayed_ = true;
      delay_ = static_cast<u32>(random() % 8);
    }
    if (delay_ != 0) {
      --delay_;
      return;
    }
    delayed_ = false;
  }
  if (guest_->take_interrupt()) {
    alone_ = false;
    ++counts_.interrupts;
  }
}

ir::TranslateRequest Runner::request(u64 pc, bool single) {
  ir::TranslateRequest wanted;
  wanted.pc = pc;
  wanted.key = state_.key;
  wanted.single = single || engine_.options().one_insn;
  wanted.max_insts = wanted.single ? 1 : kMaxInsts;
  if (engine_.options().random_irq && !wanted.single) wanted.max_insts = 1 + static_cast<u32>(random() % kMaxInsts);
  return wanted;
}

TranslatedBlock* Runner::find_block() {
  ++counts_.lookups;
  const auto code = memory_.find_code(state_.pc);
  if (!code) {
    attention_ = true;
    return nullptr;
  }
  if (code->ram == nullptr) {
    alone_ = true;
    return nullptr;
  }
  const u8* host = code->ram->host() + code->offset;
  for (;;) {
    if (TranslatedBlock* block = engine_.code().find(host, state_.key)) return block;
    const u32 flush_every = engine_.options().flush_every;
    const bool due = flush_every != 0 && translated_since_flush_ >= flush_every;
    TranslatedBlock* block = nullptr;
    if (!due && !engine_.code().wants_flush()) {
      block = engine_.code().translate(*guest_, *code->ram, code->offset, request(state_.pc, false),
                                       [this](CodePage& page, u8 writers) { return protect(page, writers); });
    }
    if (block != nullptr) {
      ++translated_since_flush_;
      return block;
    }
    translated_since_flush_ = 0;
    // While this vCPU waits for the others to come out, they need not wait for it.
    mailbox_.leave_guest();
    engine_.flush_code();
    mailbox_.announce();
    drain();
    pool_.clear_jumps();
    epoch_ = engine_.epoch();
  }
}

void Runner::step_host() {
  ++counts_.enters;
  host_x64::Compiler& compiler = *engine_.compiler();
  const bool link = !engine_.options().no_link && !engine_.options().random_irq;
  ir::Context& context = *state_.context;
  const u64 pc = state_.pc;
  const ir::JumpEntry& jump = context.jumps[ir::Context::jump_index(pc)];
  const u8* entry = nullptr;
  if (jump.pc == pc) {
    entry = static_cast<const u8*>(jump.host);
  } else {
    TranslatedBlock* block = find_block();
    if (block == nullptr) return;
    entry = block->entry;
    if (link) ContextPool::of(&context).add_jump(pc, entry);
  }
  host_x64::LeaveInfo left;
  for (;;) {
    left = compiler.enter(&state_, entry);
    if (left.why != host_x64::Leave::link || !link) break;
    // The slot stays valid only while no flush comes between: nothing that waits happens before it is linked.
    if (state_.exit_request.load(std::memory_order_acquire) != 0) break;
    const u64 epoch = epoch_;
    const u64 target_pc = state_.pc;
    TranslatedBlock* target = find_block();
    if (target == nullptr) return;
    if (epoch == epoch_ && target_pc == state_.pc) engine_.code().link(left.slot, target);
    ContextPool::of(state_.context).add_jump(target_pc, target->entry);
    entry = target->entry;
    ++counts_.enters;
  }
  switch (left.why) {
    case host_x64::Leave::dispatch:
      ++counts_.dispatches;
      attention_ = true;
      return;
    case host_x64::Leave::interpret:
      alone_ = true;
      return;
    case host_x64::Leave::lookup: {
      // A jump cache entry may lead to a block that was killed, which sends one back here.
      ir::JumpEntry& again = state_.context->jumps[ir::Context::jump_index(state_.pc)];
      if (again.pc == state_.pc) again = ir::JumpEntry{};
      return;
    }
    case host_x64::Leave::requested:
    case host_x64::Leave::link:
      return;
  }
}

void Runner::step_interpreter() {
  ++counts_.enters;
  const u64 pc = state_.pc;
  ir::JumpEntry& jump = state_.context->jumps[ir::Context::jump_index(pc)];
  const TranslatedBlock* block = nullptr;
  if (jump.pc == pc) block = static_cast<const TranslatedBlock*>(jump.host);
  if (block == nullptr || !block->alive.load(std::memory_order_acquire)) {
    TranslatedBlock* found = find_block();
    if (found == nullptr) return;
    ContextPool::of(state_.context).add_jump(pc, found);
    block = found;
  }
  state_.pc_page = align_down(pc, kPage);
  switch (interpreter_.run(block->ir, pc, state_)) {
    case interpreter::End::next:
      return;
    case interpreter::End::dispatch:
    case interpreter::End::exception:
      ++counts_.dispatches;
      attention_ = true;
      return;
    case interpreter::End::interpret:
      alone_ = true;
      return;
  }
}

void Runner::run_alone() {
  alone_ = false;
  ++counts_.interpreted;
  attention_ = true;
  const u64 pc = state_.pc;
  const auto code = memory_.find_code(pc);
  if (!code) return;
  std::array<u8, kMaxInstructionBytes> fetched{};
  ir::TranslateRequest wanted = request(pc, true);
  const u64 room = std::min<u64>(kMaxInstructionBytes, kPage - (pc & (kPage - 1)));
  if (code->ram != nullptr) {
    std::memcpy(fetched.data(), code->ram->host() + code->offset, room);
  } else {
    engine_.space().read(code->physical, fetched.data(), std::min<u64>(room, 4));
  }
  wanted.code = {fetched.data(), room};
  Single& single = singles_[(pc >> 2) % kSingles];
  const bool known = single.key == state_.key && !single.bytes.empty() && single.bytes.size() <= room &&
                     std::memcmp(single.bytes.data(), fetched.data(), single.bytes.size()) == 0;
  if (!known) {
    single.block.clear();
    guest_->translate(wanted, single.block);
    single.key = state_.key;
    single.bytes.assign(fetched.data(),
                        fetched.data() + std::clamp<u64>(single.block.guest_bytes, 1, wanted.code.size()));
  }
  state_.pc_page = align_down(pc, kPage);
  memory_.set_alone(true);
  const interpreter::End end = interpreter_.run(single.block, pc, state_);
  memory_.set_alone(false);
  alone_ = false;
  if (end == interpreter::End::interpret && state_.pc == pc) {
    fault_ = fmt::format("cpu {}: the instruction at {:#x} has no meaning in the interpreter: {}", index_, pc,
                         guest_->disassemble(single.bytes, pc));
  }
}

// -- TLB maintenance
// ---------------------------------------------------------------------------------------------------

void Runner::regime_changed() {
  // Cheap when nothing changed, because exception entries and returns come here.
  PooledContext& context = pool_.select(guest_->context_key(), state_.key);
  if (&context != state_.context) {
    ++counts_.regime_switches;
    state_.context = &context;
  }
  state_.unprivileged = &pool_.select_data(guest_->unprivileged_context_key());
}

void Runner::drain() {
  mailbox_.drain([this](const Shootdown& request) { act(request); });
}

void Runner::act(const Shootdown& request) {
  ++counts_.shootdowns;
  switch (request.kind) {
    case Shootdown::Kind::all:
      pool_.flush_all();
      return;
    case Shootdown::Kind::asid:
      pool_.flush_asid(request.asid);
      return;
    case Shootdown::Kind::range:
      pool_.flush_range(request.address, request.length, request.one_asid ? std::optional(request.asid) : std::nullopt);
      return;
    case Shootdown::Kind::write_tags:
      pool_.drop_writes(request.page->ram->host() + request.page->offset);
      engine_.code().answered(*request.page);
      return;
  }
}

u32 Runner::protect(CodePage& page, u8 writers) {
  u32 asked = 0;
  for (Runner* runner : engine_.runners()) {
    if ((writers >> (runner->index_ % 8) & 1) == 0) continue;
    if (runner == this) {
      pool_.drop_writes(page.ram->host() + page.offset);
    } else {
      Shootdown shootdown;
      shootdown.kind = Shootdown::Kind::write_tags;
      shootdown.page = &page;
      runner->mailbox_.post(shootdown);
      ++asked;
    }
  }
  return asked;
}

void Runner::send(const Shootdown& shootdown) {
  for (Runner* runner : engine_.runners()) {
    if (runner == this) continue;
    const u64 ticket = runner->mailbox_.post(shootdown);
    const auto known = std::find_if(sent_.begin(), sent_.end(), [&](const Sent& sent) { return sent.to == runner; });
    if (known == sent_.end()) {
      sent_.push_back({runner, ticket});
    } else {
      known->ticket = ticket;
    }
  }
}

void Runner::flush_all(bool broadcast) {
  ++counts_.flushes;
  pool_.flush_all();
  if (broadcast) send(Shootdown{});
}

void Runner::flush_asid(u32 asid, bool broadcast) {
  ++counts_.flushes;
  pool_.flush_asid(asid);
  Shootdown shootdown;
  shootdown.kind = Shootdown::Kind::asid;
  shootdown.asid = asid;
  if (broadcast) send(shootdown);
}

void Runner::flush_range(u64 address, u64 length, std::optional<u32> asid, bool broadcast) {
  ++counts_.flushes;
  Shootdown shootdown;
  shootdown.kind = Shootdown::Kind::range;
  shootdown.address = guest_->canonical(address);
  shootdown.length = length;
  shootdown.one_asid = asid.has_value();
  shootdown.asid = asid.value_or(0);
  pool_.flush_range(shootdown.address, length, asid);
  if (broadcast) send(shootdown);
}

void Runner::barrier() {
  // What others asked of this vCPU is done first: its stores before the barrier may have gone to pages that became code
  // pages meanwhile. It also keeps two vCPUs that wait for each other from waiting for ever.
  if (!mailbox_.empty()) drain();
  for (const Sent& sent : sent_) {
    while (!sent.to->mailbox_.settled(sent.ticket)) {
      if (!mailbox_.empty()) drain();
      std::this_thread::yield();
    }
  }
  sent_.clear();
}

void Runner::leave_for_device() {
  mailbox_.leave_guest();
}

void Runner::back_from_device() {
  mailbox_.announce();
  if (!mailbox_.empty()) drain();
}

}  // namespace solder::run
