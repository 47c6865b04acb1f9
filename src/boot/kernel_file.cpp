#include "boot/kernel_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace solder::boot {

namespace {

bool is_gzip(std::span<const u8> bytes) {
  return bytes.size() >= 18 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == Z_DEFLATED;
}

bool has_text(std::span<const u8> bytes, u64 offset, std::string_view text) {
  return offset <= bytes.size() && text.size() <= bytes.size() - offset &&
         std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

}  // namespace

Result<std::vector<u8>> read_file(const std::filesystem::path& path, u64 limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(path.string(), fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0)
    return fail(path.string(), fmt::format("cannot be examined: {}", std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) return fail(path.string(), "is a directory, not a file");
  std::vector<u8> data;
  // Read to the end rather than trust st_size: the file may be a pipe.
  usize used = 0;
  data.resize(S_ISREG(status.st_mode) ? std::min<u64>(static_cast<u64>(status.st_size), limit) + 1 : 64_KiB);
  while (true) {
    if (used == data.size()) data.resize(std::min<u64>(data.size() * 2, limit + 1));
    const ssize_t got = ::read(fd.get(), data.data() + used, data.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(path.string(), fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) break;
    used += static_cast<usize>(got);
    if (used > limit)
      return fail(path.string(), fmt::format("is larger than {} bytes, the limit for such a file", limit));
  }
  data.resize(used);
  return data;
}

Result<std::vector<u8>> gunzip(std::span<const u8> packed, u64 limit, const std::string& name) {
  z_stream stream{};
  // 16: a gzip header is expected; 15: its largest window.
  if (inflateInit2(&stream, 16 + 15) != Z_OK) return fail(name, "zlib cannot be started: the host is out of memory");
  std::vector<u8> out;
  out.resize(std::min<u64>(limit, std::max<u64>(64_KiB, packed.size() * u64{4})));
  stream.next_in = const_cast<Bytef*>(packed.data());
  u64 fed = 0;
  u64 used = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    // zlib counts in 32 bits.
    if (stream.avail_in == 0 && fed < packed.size()) {
      const u64 piece = std::min<u64>(packed.size() - fed, 1_GiB);
      stream.avail_in = static_cast<uInt>(piece);
      fed += piece;
    }
    if (used == out.size()) {
      if (out.size() >= limit) {
        inflateEnd(&stream);
        return fail(name, fmt::format("unpacks to more than {} bytes", limit));
      }
      out.resize(std::min<u64>(limit, out.size() * u64{2}));
    }
    const u64 room = std::min<u64>(out.size() - used, 1_GiB);
    stream.next_out = out.data() + used;
    stream.avail_out = static_cast<uInt>(room);
    const uInt before = stream.avail_in;
    status = inflate(&stream, Z_NO_FLUSH);
    used += room - stream.avail_out;
    if (status == Z_BUF_ERROR && stream.avail_out == 0) status = Z_OK;
    if (status == Z_OK && before == 0 && stream.avail_out == room && fed == packed.size()) status = Z_BUF_ERROR;
  }
  const std::string message = stream.msg != nullptr ? stream.msg : "it ends too early";
  const u64 at = fed - stream.avail_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END)
    return fail(name, fmt::format("the gzip data is damaged at byte {}: {}", at, message),
                "fetch or build the file again");
  out.resize(used);
  return out;
}

Result<std::vector<u8>> unwrap_kernel(std::vector<u8> file, const std::string& name) {
  if (is_gzip(file)) return gunzip(file, kMaximumKernelBytes, name);
  // zboot: "MZ" at 0, "zimg" at 4, payload offset and size at 8 and 12, the compression's name at 24.
  if (has_text(file, 0, "MZ") && has_text(file, 4, "zimg")) {
    if (file.size() < 56) return fail(name, "is an EFI zboot image that ends within its header");
    const u64 offset = load_le<u32>(file.data() + 8);
    const u64 size = load_le<u32>(file.data() + 12);
    const auto* text = reinterpret_cast<const char*>(file.data() + 24);
    const std::string compression(text, ::strnlen(text, 32));
    if (offset > file.size() || size > file.size() - offset)
      return fail(name,
                  fmt::format("its EFI zboot header puts the payload at {:#x}, {:#x} bytes long, but the file has only "
                              "{:#x} bytes",
                              offset, size, file.size()),
                  "fetch the file again: it looks cut off");
    if (compression != "gzip")
      return fail(name, fmt::format("is an EFI zboot image compressed with \"{}\"; Solder unpacks gzip", compression),
                  "unpack it yourself and pass the Image");
    return gunzip(std::span(file).subspan(offset, size), kMaximumKernelBytes, name);
  }
  return file;
}

}  // namespace solder::boot
