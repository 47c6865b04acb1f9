/// Block backends.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::host {

enum class DiskOperation : u8 { read, write, flush, discard, write_zeroes };

/// One request; `pieces` stay valid until `done` has been called.
struct DiskRequest {
  DiskOperation operation = DiskOperation::read;
  u64 offset = 0;  ///< bytes
  u64 length = 0;  ///< bytes; for read and write the sum of the pieces
  std::vector<iovec> pieces{};
  bool unmap = false;                     ///< write_zeroes may deallocate
  std::function<void(int error)> done{};  ///< 0 or an errno; on the backend's thread
};

/// A disk image on the host.
class Disk {
 public:
  virtual ~Disk() = default;
  [[nodiscard]] virtual u64 size() const = 0;        ///< bytes
  [[nodiscard]] virtual u32 block_size() const = 0;  ///< logical, bytes
  [[nodiscard]] virtual bool read_only() const = 0;
  [[nodiscard]] virtual bool can_discard() const = 0;
  virtual void submit(DiskRequest request) = 0;
  /// Waits until all submitted requests are done.
  virtual void drain() = 0;
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// Opens a raw image by io_uring (falling back to a thread with preadv where io_uring is not allowed).
/// Text: "PATH[,readonly]". Errors: cannot open, not a multiple of 512 bytes, locked by another process.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_disk(const std::string& text);

}  // namespace solder::host
