#include "translator/host_x64/code_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/bits.h"

namespace solder::host_x64 {

Result<std::unique_ptr<CodeBuffer>> CodeBuffer::create(u64 bytes) {
  const u64 size = align_up(bytes, 64_KiB);
  const auto failed = [&](const char* call) {
    return fail("code buffer", fmt::format("{} of {} bytes: {}", call, size, std::strerror(errno)),
                "allow more memory, or make the translator's buffer smaller");
  };
  UniqueFd fd(::memfd_create("solder-code", MFD_CLOEXEC));
  if (!fd) return failed("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return failed("ftruncate");
  void* write = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (write == MAP_FAILED) return failed("mmap");
  void* execute = ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd.get(), 0);
  if (execute == MAP_FAILED) {
    const int error = errno;
    ::munmap(write, size);
    errno = error;
    return failed("mmap for execution");
  }
  return std::unique_ptr<CodeBuffer>(
      new CodeBuffer(std::move(fd), static_cast<u8*>(write), static_cast<u8*>(execute), size));
}

CodeBuffer::~CodeBuffer() {
  ::munmap(write_, size_);
  ::munmap(execute_, size_);
}

Chunk CodeBuffer::allocate(usize bytes) {
  const std::scoped_lock lock(mutex_);
  const u64 wanted = align_up(bytes, 64);
  if (size_ - next_ < wanted) return {};
  Chunk chunk{write_ + next_, write_ + next_ + wanted};
  next_ += wanted;
  return chunk;
}

}  // namespace solder::host_x64
