/// What a machine hands its firmware, or a kernel's boot stub, by name: the files and items of a fw_cfg device
/// (QEMU's docs/specs/fw_cfg, "Firmware Configuration Device").
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::device {

/// The numbered items that guests know. The device makes signature, id, ram_size, cpu_count, max_cpus and
/// directory by itself; who boots fills in the rest. 32-bit and 64-bit numbers are little-endian.
enum class FirmwareItem : u16 {
  signature = 0x00,
  id = 0x01,
  ram_size = 0x03,   ///< u64, bytes
  cpu_count = 0x05,  ///< u16
  kernel_address = 0x07,
  kernel_size = 0x08,
  initrd_address = 0x0a,
  initrd_size = 0x0b,
  boot_device = 0x0c,
  boot_menu = 0x0e,
  max_cpus = 0x0f,  ///< u16
  kernel_entry = 0x10,
  kernel_data = 0x11,
  initrd_data = 0x12,
  cmdline_address = 0x13,
  cmdline_size = 0x14,
  cmdline_data = 0x15,
  setup_address = 0x16,
  setup_size = 0x17,
  setup_data = 0x18,
  directory = 0x19,
  first_file = 0x20,
};

/// Filled before CPUs start.
class FirmwareFiles {
 public:
  /// The guest changed bytes of a file: all of it as it is now. On a vCPU thread.
  using Written = std::function<void(std::span<const u8> content)>;
  static constexpr usize kMaxName = 55;  ///< bytes, without the NUL

  virtual ~FirmwareFiles() = default;
  /// Adds a file, or replaces the one of this name; with `written` the guest may write it. Errors: the name is empty or
  /// too long, the file has more than 4 GiB, the directory is full.
  [[nodiscard]] virtual Status add(std::string name, std::vector<u8> content, Written written = {}) = 0;
  /// Sets a numbered item below `first_file`.
  virtual void set_item(FirmwareItem item, std::vector<u8> content) = 0;
};

}  // namespace solder::device
