/// Kernel files as distributions ship them, reduced to what the boot protocol takes.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::boot {

/// The largest file, and the largest unpacked kernel, that we take: hostile input must not take the host's memory.
inline constexpr u64 kMaximumKernelBytes = 512_MiB;
inline constexpr u64 kMaximumInitrdBytes = 8_GiB;

/// A whole file. Errors: cannot be opened or read, larger than `limit` bytes.
[[nodiscard]] Result<std::vector<u8>> read_file(const std::filesystem::path& path, u64 limit);

/// Removes the wrappings around a kernel: gzip (RFC 1952), and EFI "zboot" images (Linux'
/// drivers/firmware/efi/libstub/zboot-header.S: "MZ", "zimg", offset and size of a gzip payload). What is not wrapped
/// is returned as it is. `name` is for errors: damaged data, a compression we do not know, larger than
/// kMaximumKernelBytes.
[[nodiscard]] Result<std::vector<u8>> unwrap_kernel(std::vector<u8> file, const std::string& name);

/// Inflates one gzip file of at most `limit` bytes of content.
[[nodiscard]] Result<std::vector<u8>> gunzip(std::span<const u8> packed, u64 limit, const std::string& name);

}  // namespace solder::boot
