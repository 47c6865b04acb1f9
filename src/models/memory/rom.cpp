// A ROM: memory with the content of a file, which the guest cannot change. Firmware lies in one.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "device/registry.h"

namespace solder::models {
namespace {

class Rom final : public device::Device {
 public:
  explicit Rom(u64 bytes) : bytes_(bytes) {}
  [[nodiscard]] std::string describe() const override { return fmt::format("{} bytes from a file", bytes_); }

 private:
  u64 bytes_;
};

// The content is not part of a device's state: it is the file's, and the same at every start.
Result<std::unique_ptr<device::Device>> make_rom(device::Ports& ports) {
  const tree::Node& node = ports.node();
  const auto path = node.string("solder,path");
  if (!path || path->empty())
    return fail(node.place(), "a ROM needs the file of its content", "add solder,path = \"FILE\"");
  memory::Ram* ram = ports.memory_window(0, true);
  if (ram == nullptr) return std::make_unique<Rom>(0);
  std::error_code error;
  const u64 size = std::filesystem::file_size(*path, error);
  if (error) return fail(*path, "cannot be read: " + error.message(), "correct solder,path or --firmware");
  if (size > ram->size())
    return fail(node.place("reg"), fmt::format("{} has {} bytes, and the ROM only {}", *path, size, ram->size()),
                "make reg large enough for the file");
  std::ifstream in(*path, std::ios::binary);
  if (!in.read(reinterpret_cast<char*>(ram->host()), static_cast<std::streamsize>(size)))
    return fail(*path, "cannot be read to its end");
  ram->mark_written(0, size);
  return std::make_unique<Rom>(size);
}

const device::Registration kRom{"mtd-rom", make_rom, "Read-only memory with the content of a file"};

}  // namespace
}  // namespace solder::models
