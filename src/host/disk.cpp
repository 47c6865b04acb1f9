#include "host/disk.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <span>
#include <thread>

#include "base/check.h"
#include "base/unique_fd.h"

namespace solder::host {

namespace {

constexpr u64 kSector = 512;
constexpr unsigned kRingEntries = 256;

/// What both engines share: the file and how an operation is carried out step by step.
class RawDisk : public Disk {
 public:
  RawDisk(std::string path, UniqueFd fd, u64 size, bool read_only)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), read_only_(read_only) {}
  u64 size() const override { return size_; }
  u32 block_size() const override { return kSector; }
  bool read_only() const override { return read_only_; }
  bool can_discard() const override { return !read_only_; }

 protected:
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Carries out a whole request on the calling thread; returns 0 or an errno.
  int execute(DiskRequest& request) {
    switch (request.operation) {
      case DiskOperation::read:
      case DiskOperation::write:
        return transfer(request);
      case DiskOperation::flush:
        return ::fdatasync(fd()) == 0 ? 0 : errno;
      case DiskOperation::discard:
        return punch(request, true);
      case DiskOperation::write_zeroes:
        return zero(request);
    }
    return EINVAL;
  }

 private:
  int transfer(DiskRequest& request) {
    u64 offset = request.offset;
    std::span<iovec> left = request.pieces;
    while (!left.empty()) {
      const int count = static_cast<int>(std::min<usize>(left.size(), IOV_MAX));
      const ssize_t n = request.operation == DiskOperation::read
                            ? ::preadv(fd(), left.data(), count, static_cast<off_t>(offset))
                            : ::pwritev(fd(), left.data(), count, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      // The file got shorter under us: the bytes that are not there read as an error, not as old memory.
      if (n == 0) return EIO;
      offset += static_cast<u64>(n);
      left = advance(left, static_cast<usize>(n));
    }
    return 0;
  }

  int punch(const DiskRequest& request, bool advice) {
    const int done = ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(request.offset),
                                 static_cast<off_t>(request.length));
    if (done == 0) return 0;
    // A discard is advice: a file system that cannot do it has still done what was asked.
    return advice && (errno == EOPNOTSUPP || errno == ENOSYS) ? 0 : errno;
  }

  int zero(const DiskRequest& request) {
    if (request.unmap && punch(request, false) == 0) return 0;
    if (::fallocate(fd(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(request.offset),
                    static_cast<off_t>(request.length)) == 0) {
      return 0;
    }
    static constexpr usize kChunk = 65536;
    const std::vector<u8> zeroes(kChunk, 0);
    for (u64 done = 0; done < request.length;) {
      const u64 chunk = std::min<u64>(kChunk, request.length - done);
      const ssize_t n = ::pwrite(fd(), zeroes.data(), chunk, static_cast<off_t>(request.offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0 ? errno : EIO;
      done += static_cast<u64>(n);
    }
    return 0;
  }

 protected:
  /// The pieces after the first `bytes` bytes.
  static std::span<iovec> advance(std::span<iovec> pieces, usize bytes) {
    while (!pieces.empty() && bytes >= pieces.front().iov_len) {
      bytes -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (!pieces.empty()) {
      pieces.front().iov_base = static_cast<u8*>(pieces.front().iov_base) + bytes;
      pieces.front().iov_len -= bytes;
    }
    return pieces;
  }

 private:
  std::string path_;
  UniqueFd fd_;
  u64 size_;
  bool read_only_;
};

/// One thread that carries out requests in order: where io_uring is not allowed.
class ThreadDisk final : public RawDisk {
 public:
  using RawDisk::RawDisk;
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  ~ThreadDisk() override {
    {
      const std::lock_guard guard(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }
  void submit(DiskRequest request) override {
    const std::lock_guard guard(mutex_);
    queue_.push_back(std::move(request));
    changed_.notify_all();
  }
  void drain() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
  }
  std::string describe() const override { return path() + (read_only() ? " (read-only)" : ""); }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      DiskRequest request = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
      lock.unlock();
      request.done(execute(request));
      lock.lock();
      busy_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<DiskRequest> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

/// io_uring: any thread submits, one thread takes completions.
class UringDisk final : public RawDisk {
 public:
  using RawDisk::RawDisk;
  /// False when this host does not let us.
  bool start() {
    if (::io_uring_queue_init(kRingEntries, &ring_, 0) < 0) return false;
    thread_ = std::thread([this] { run(); });
    return true;
  }
  ~UringDisk() override {
    if (!thread_.joinable()) return;
    drain();
    {
      const std::lock_guard guard(mutex_);
      io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
      ::io_uring_prep_nop(entry);
      ::io_uring_sqe_set_data(entry, nullptr);  // no request: stop
      ::io_uring_submit(&ring_);
    }
    thread_.join();
    ::io_uring_queue_exit(&ring_);
  }

  void submit(DiskRequest request) override {
    auto* flight = new Flight{std::move(request), {}, 0, {}};
    flight->left = flight->request.pieces;
    std::unique_lock lock(mutex_);
    // Never more in flight than completions have room for.
    changed_.wait(lock, [this] { return in_flight_ < kRingEntries; });
    ++in_flight_;
    start_flight(flight);
  }

  void drain() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return in_flight_ == 0; });
  }
  std::string describe() const override { return path() + (read_only() ? " (read-only, io_uring)" : " (io_uring)"); }

 private:
  /// Owned by the ring from start_flight to its completion.
  struct Flight {
    DiskRequest request;
    std::span<iovec> left;
    u64 done_bytes;
    /// The kernel carries the pointer from submitter to completion thread, which orders their accesses on the host but
    /// not in the language's memory model (nor for ThreadSanitizer): this release and acquire do.
    std::atomic<bool> handed_over;
  };

  // With mutex_ held.
  void start_flight(Flight* flight) {
    const DiskRequest& r = flight->request;
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    const u64 offset = r.offset + flight->done_bytes;
    const auto pieces = static_cast<unsigned>(std::min<usize>(flight->left.size(), IOV_MAX));
    switch (r.operation) {
      case DiskOperation::read:
        ::io_uring_prep_readv(entry, fd(), flight->left.data(), pieces, offset);
        break;
      case DiskOperation::write:
        ::io_uring_prep_writev(entry, fd(), flight->left.data(), pieces, offset);
        break;
      case DiskOperation::flush:
        ::io_uring_prep_fsync(entry, fd(), IORING_FSYNC_DATASYNC);
        break;
      case DiskOperation::discard:
      case DiskOperation::write_zeroes:
        // Rare, and with fall-backs of several steps: carried out by the completion thread.
        ::io_uring_prep_nop(entry);
        break;
    }
    ::io_uring_sqe_set_data(entry, flight);
    flight->handed_over.store(true, std::memory_order_release);
    ::io_uring_submit(&ring_);
  }

  void run() {
    for (;;) {
      io_uring_cqe* completion = nullptr;
      if (::io_uring_wait_cqe(&ring_, &completion) < 0) continue;
      auto* flight = static_cast<Flight*>(::io_uring_cqe_get_data(completion));
      const int result = completion->res;
      ::io_uring_cqe_seen(&ring_, completion);
      if (flight == nullptr) return;
      land(flight, result);
    }
  }

  void land(Flight* flight, int result) {
    SOLDER_CHECK(flight->handed_over.load(std::memory_order_acquire), "a completion of a request that was submitted");
    DiskRequest& r = flight->request;
    const bool moves = r.operation == DiskOperation::read || r.operation == DiskOperation::write;
    if (moves && (result > 0 || result == -EINTR || result == -EAGAIN)) {
      // A short transfer goes on where it stopped.
      if (result > 0) {
        flight->left = advance(flight->left, static_cast<usize>(result));
        flight->done_bytes += static_cast<u64>(result);
      }
      if (!flight->left.empty()) {
        const std::lock_guard guard(mutex_);
        start_flight(flight);
        return;
      }
      result = 0;
    } else if (moves && result == 0 && !flight->left.empty()) {
      result = -EIO;  // past the end of a file that got shorter
    } else if (r.operation == DiskOperation::discard || r.operation == DiskOperation::write_zeroes) {
      result = -execute(r);
    }
    r.done(result < 0 ? -result : 0);
    delete flight;
    const std::lock_guard guard(mutex_);
    --in_flight_;
    changed_.notify_all();
  }

  io_uring ring_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned in_flight_ = 0;
  std::thread thread_;
};

Result<u64> size_of(const std::string& path, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail(path, std::string("cannot be examined: ") + std::strerror(errno));
  if (S_ISBLK(info.st_mode)) {
    u64 bytes = 0;
    if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
      return fail(path, std::string("the block device does not tell its size: ") + std::strerror(errno));
    }
    return bytes;
  }
  if (!S_ISREG(info.st_mode)) return fail(path, "is neither a file nor a block device", "give a raw disk image");
  return static_cast<u64>(info.st_size);
}

}  // namespace

Result<std::unique_ptr<Disk>> open_disk(const std::string& text) {
  std::string path = text;
  bool read_only = false;
  if (const auto comma = text.rfind(','); comma != std::string::npos) {
    const std::string option = text.substr(comma + 1);
    if (option != "readonly") {
      return fail("--disk " + text, "does not know the option '" + option + "'", "write PATH or PATH,readonly");
    }
    read_only = true;
    path = text.substr(0, comma);
  }
  UniqueFd fd(::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!fd) {
    return fail(path, std::string("the disk cannot be opened: ") + std::strerror(errno),
                errno == EACCES || errno == EROFS ? "add ',readonly' if the guest need not write" : "");
  }
  // An open-file-description lock: two machines that write one image destroy it.
  struct flock lock {};
  lock.l_type = static_cast<short>(read_only ? F_RDLCK : F_WRLCK);
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)) {
    return fail(path, "the disk is in use by another process", "end the other machine, or open it ',readonly' in both");
  }
  const u64 size = SOLDER_TRY(size_of(path, fd.get()));
  if (size == 0 || size % kSector != 0) {
    return fail(path, "its size of " + std::to_string(size) + " bytes is not a whole number of 512-byte sectors",
                "only raw images are read; extend it with truncate, or convert it with qemu-img");
  }
  auto ring = std::make_unique<UringDisk>(path, std::move(fd), size, read_only);
  if (ring->start()) return ring;
  // The ring took the descriptor; open again for the plain engine.
  ring.reset();
  auto plain = std::make_unique<ThreadDisk>(
      path, UniqueFd(::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC)), size, read_only);
  plain->start();
  return plain;
}

}  // namespace solder::host
