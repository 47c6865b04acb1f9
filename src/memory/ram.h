/// Guest RAM: a shared, anonymous file mapped once, with dirty tracking.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::memory {

inline constexpr unsigned kPageShift = 12;
inline constexpr u64 kPageSize = u64{1} << kPageShift;

/// Why pages are tracked. Each client has its own bitmap and clears it on its own.
enum class DirtyClient : u8 { migration, display, watch, count };

class Ram;

/// Told when RAM that holds translated code is written; see `Ram::mark_written`.
class CodeWatcher {
 public:
  virtual ~CodeWatcher() = default;
  /// Bytes [offset, offset+length) of `ram` were or are about to be written, and some page of them held code.
  virtual void code_written(Ram& ram, u64 offset, u64 length) = 0;
};

/// Who lets a guest write RAM past `Ram::mark_written`: an accelerator, whose hardware or kernel tracks these writes or
/// that opens no such path while RAM is tracked.
class DirtySource {
 public:
  virtual ~DirtySource() = default;
  /// `ram.tracking()` may have changed. If it is on, no write that begins after this has returned escapes `mark_dirty`
  /// or the next `collect`. Any thread, but not inside guest code. Errors: the host cannot track.
  [[nodiscard]] virtual Status tracking_changed(Ram& ram) = 0;
  /// Marks (`Ram::mark_dirty`) what the guest wrote up to now and is not marked. CPUs may run. The same threads.
  [[nodiscard]] virtual Status collect(Ram& ram) = 0;
};

/// One block of guest memory. Lives as long as the machine; its host address never changes.
class Ram {
 public:
  /// Makes `size` bytes (a multiple of the page size) of zeroed memory: memfd, MAP_SHARED, MADV_HUGEPAGE.
  /// Errors: the host has not the memory.
  [[nodiscard]] static Result<std::unique_ptr<Ram>> create(std::string name, u64 size);
  ~Ram();
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] u64 size() const { return size_; }
  [[nodiscard]] u8* host() const { return host_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::span<u8> bytes() const { return {host_, size_}; }

  /// The one function through which every writer but the translator's own fast path announces its writes (DMA, loaders,
  /// slow paths): sets dirty bits and invalidates translated code. Call it after writing. Any thread.
  void mark_written(u64 offset, u64 length);

  /// Dirty tracking is off until a client starts it. Every write that begins after this has returned is seen, with CPUs
  /// running too. Errors: the accelerator cannot track; nothing has changed then.
  [[nodiscard]] Status start_tracking(DirtyClient client);
  void stop_tracking(DirtyClient client);
  /// Before each round of `take_dirty` or `dirty`: fetches what the accelerator knows of the guest's writes.
  [[nodiscard]] Status collect_dirty();
  /// The accelerator that runs guests on this memory, as long as it lives. Any thread.
  void set_dirty_source(std::weak_ptr<DirtySource> source);
  /// True while any client tracks: the translator then keeps its write fast path closed for clean pages.
  [[nodiscard]] bool tracking() const { return tracking_.load(std::memory_order_acquire) != 0; }
  /// Whether the page that holds `offset` was written since the client's last `take_dirty` of it, up to the last
  /// `collect_dirty`.
  [[nodiscard]] bool dirty(DirtyClient client, u64 offset) const;
  /// Returns and clears the bits of 64 pages from page index `first` (a multiple of 64); bit 0 is the first page.
  u64 take_dirty(DirtyClient client, u64 first_page);
  /// Sets dirty bits only: for writers that have already dealt with code (the translator's write-TLB fill).
  void mark_dirty(u64 offset, u64 length);

  /// Pages with translated code. Set by the translator when it translates from a page, under its own locks.
  void set_code_page(u64 offset, bool has_code);
  [[nodiscard]] bool is_code_page(u64 offset) const {
    return code_pages_[offset >> kPageShift].load(std::memory_order_acquire) != 0;
  }
  void set_code_watcher(CodeWatcher* watcher) { watcher_.store(watcher, std::memory_order_release); }

 private:
  Ram(std::string name, u64 size, UniqueFd fd, u8* host);

  std::string name_;
  u64 size_;
  UniqueFd fd_;
  u8* host_;
  std::atomic<u32> tracking_{0};  // a bit per client
  std::unique_ptr<std::atomic<u64>[]> dirty_[static_cast<usize>(DirtyClient::count)];
  std::unique_ptr<std::atomic<u8>[]> code_pages_;
  std::atomic<CodeWatcher*> watcher_{nullptr};
  [[nodiscard]] std::shared_ptr<DirtySource> dirty_source() const;
  mutable std::mutex source_mutex_;
  std::weak_ptr<DirtySource> source_;
};

}  // namespace solder::memory
