/// Memory for translated code: one memfd mapped twice, so that no page is ever writable and executable at one address.
#pragma once

#include <memory>
#include <mutex>

#include "base/result.h"
#include "base/types.h"
#include "base/unique_fd.h"

namespace solder::host_x64 {

/// A piece of the buffer that one thread fills. Addresses are of the writable view.
struct Chunk {
  u8* begin = nullptr;
  u8* end = nullptr;
};

/// Hands out chunks until it is full. `allocate` is thread-safe, `reset` is not.
class CodeBuffer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<CodeBuffer>> create(u64 bytes);
  ~CodeBuffer();
  CodeBuffer(const CodeBuffer&) = delete;
  CodeBuffer& operator=(const CodeBuffer&) = delete;

  /// Null begin when full.
  [[nodiscard]] Chunk allocate(usize bytes);
  /// What was allocated up to now stays for ever (the thunks).
  void keep_allocated() { floor_ = next_; }
  void reset() { next_ = floor_; }

  [[nodiscard]] u8* executable(u8* writable) const { return writable + (execute_ - write_); }
  [[nodiscard]] u8* writable(const u8* executable) const { return write_ + (executable - execute_); }
  [[nodiscard]] bool contains(const u8* executable) const {
    return executable >= execute_ && executable < execute_ + size_;
  }
  [[nodiscard]] u64 size() const { return size_; }

 private:
  CodeBuffer(UniqueFd fd, u8* write, u8* execute, u64 size)
      : fd_(std::move(fd)), write_(write), execute_(execute), size_(size) {}

  UniqueFd fd_;
  u8* write_;
  u8* execute_;
  u64 size_;
  std::mutex mutex_;
  u64 next_ = 0;
  u64 floor_ = 0;
};

}  // namespace solder::host_x64
