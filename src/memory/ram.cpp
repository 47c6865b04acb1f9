#include "memory/ram.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace solder::memory {

namespace {

constexpr u64 kPagesPerWord = 64;

u64 words_for(u64 size) {
  return (size / kPageSize + kPagesPerWord - 1) / kPagesPerWord;
}

}  // namespace

Result<std::unique_ptr<Ram>> Ram::create(std::string name, u64 size) {
  if (size == 0 || size % kPageSize != 0) {
    return fail(name, "memory of " + std::to_string(size) + " bytes is not a whole number of 4 KiB pages",
                "give a size that is a multiple of 4096");
  }
  UniqueFd fd(::memfd_create(("solder-ram:" + name).c_str(), MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return fail(name, std::string("the host cannot reserve ") + std::to_string(size >> 20) +
                          " MiB of shared memory: " + std::strerror(errno));
  }
  void* host = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (host == MAP_FAILED) {
    return fail(name,
                std::string("the host cannot map ") + std::to_string(size >> 20) +
                    " MiB of guest memory: " + std::strerror(errno),
                "give the machine less memory");
  }
  // Advice only: a host without shmem huge pages runs with small ones.
  ::madvise(host, size, MADV_HUGEPAGE);
  return std::unique_ptr<Ram>(new Ram(std::move(name), size, std::move(fd), static_cast<u8*>(host)));
}

Ram::Ram(std::string name, u64 size, UniqueFd fd, u8* host)
    : name_(std::move(name)),
      size_(size),
      fd_(std::move(fd)),
      host_(host),
      code_pages_(std::make_unique<std::atomic<u8>[]>(size >> kPageShift)) {
  for (auto& bitmap : dirty_) bitmap = std::make_unique<std::atomic<u64>[]>(words_for(size));
}

Ram::~Ram() {
  ::munmap(host_, size_);
}

void Ram::mark_dirty(u64 offset, u64 length) {
  const u32 clients = tracking_.load(std::memory_order_acquire);
  if (clients == 0 || length == 0) return;
  SOLDER_CHECK(offset < size_ && length <= size_ - offset, "a dirty range lies inside its RAM");
  const u64 first = offset >> kPageShift;
  const u64 last = (offset + length - 1) >> kPageShift;
  for (usize client = 0; client < static_cast<usize>(DirtyClient::count); ++client) {
    if ((clients >> client & 1) == 0) continue;
    for (u64 page = first; page <= last; ++page) {
      std::atomic<u64>& word = dirty_[client][page / kPagesPerWord];
      const u64 mask = u64{1} << (page % kPagesPerWord);
      // A plain look first: most pages are dirty already, and a locked write would bounce the line.
      if ((word.load(std::memory_order_relaxed) & mask) == 0) word.fetch_or(mask, std::memory_order_acq_rel);
    }
  }
}

void Ram::mark_written(u64 offset, u64 length) {
  if (length == 0) return;
  SOLDER_CHECK(offset < size_ && length <= size_ - offset, "a written range lies inside its RAM");
  mark_dirty(offset, length);
  CodeWatcher* watcher = watcher_.load(std::memory_order_acquire);
  if (watcher == nullptr) return;
  // The bytes were stored before; the translator marks the page and then reads them. One of the two sees the other's.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const u64 last = (offset + length - 1) >> kPageShift;
  for (u64 page = offset >> kPageShift; page <= last; ++page) {
    if (code_pages_[page].load(std::memory_order_acquire) != 0) {
      watcher->code_written(*this, offset, length);
      return;
    }
  }
}

std::shared_ptr<DirtySource> Ram::dirty_source() const {
  const std::lock_guard guard(source_mutex_);
  return source_.lock();
}

void Ram::set_dirty_source(std::weak_ptr<DirtySource> source) {
  const std::lock_guard guard(source_mutex_);
  source_ = std::move(source);
}

Status Ram::start_tracking(DirtyClient client) {
  const u32 bit = 1U << static_cast<u32>(client);
  if ((tracking_.fetch_or(bit, std::memory_order_seq_cst) & bit) != 0) return {};
  const auto source = dirty_source();
  if (!source) return {};
  Status done = source->tracking_changed(*this);
  if (!done) stop_tracking(client);
  return done;
}

void Ram::stop_tracking(DirtyClient client) {
  tracking_.fetch_and(~(1U << static_cast<u32>(client)), std::memory_order_seq_cst);
  auto& bitmap = dirty_[static_cast<usize>(client)];
  for (u64 i = 0; i < words_for(size_); ++i) bitmap[i].store(0, std::memory_order_relaxed);
  // Tracking that goes on costs time and nothing else.
  if (const auto source = dirty_source()) {
    [[maybe_unused]] const Status done = source->tracking_changed(*this);
  }
}

Status Ram::collect_dirty() {
  const auto source = dirty_source();
  return source ? source->collect(*this) : Status{};
}

bool Ram::dirty(DirtyClient client, u64 offset) const {
  const u64 page = offset >> kPageShift;
  return (dirty_[static_cast<usize>(client)][page / kPagesPerWord].load(std::memory_order_acquire) >>
              (page % kPagesPerWord) &
          1) != 0;
}

u64 Ram::take_dirty(DirtyClient client, u64 first_page) {
  SOLDER_CHECK(first_page % kPagesPerWord == 0, "dirty pages are taken 64 at a time");
  return dirty_[static_cast<usize>(client)][first_page / kPagesPerWord].exchange(0, std::memory_order_acq_rel);
}

void Ram::set_code_page(u64 offset, bool has_code) {
  code_pages_[offset >> kPageShift].store(has_code ? 1 : 0, std::memory_order_release);
}

}  // namespace solder::memory
