#include "translator/run/mailbox.h"

namespace solder::run {

u64 Mailbox::post(const Shootdown& request) {
  const std::scoped_lock lock(mutex_);
  // Many small requests for one that sleeps become one large one; what must be answered singly stays.
  constexpr usize kMany = 256;
  if (request.kind != Shootdown::Kind::write_tags && queue_.size() >= kMany) {
    std::erase_if(queue_, [](const Shootdown& old) { return old.kind != Shootdown::Kind::write_tags; });
    queue_.push_back(Shootdown{});
  } else {
    queue_.push_back(request);
  }
  state_.exit_request.fetch_or(ir::kExitShootdown, std::memory_order_seq_cst);
  return ++posted_;
}

}  // namespace solder::run
