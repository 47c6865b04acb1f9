#include "device/archive.h"

#include <cstring>

#include "base/bytes.h"

namespace solder::device {

// The stream: for every field one byte of size, the name's 32-bit FNV-1a hash, and the value. The hash makes a
// description that changed since the file was written an error that names the field, not a shifted read.
namespace {

u32 hash(std::string_view name) {
  u32 h = 2166136261U;
  for (const char c : name) h = (h ^ static_cast<u8>(c)) * 16777619U;
  return h;
}

constexpr usize kHeader = 5;

}  // namespace

Archive Archive::loader(std::vector<u8> data) {
  Archive archive(Mode::load);
  archive.data_ = std::move(data);
  return archive;
}

void Archive::number(std::string_view name, u64& value, usize size) {
  if (mode_ == Mode::save) {
    const usize at = data_.size();
    data_.resize(at + kHeader + size);
    data_[at] = static_cast<u8>(size);
    store_le(&data_[at + 1], hash(name));
    std::memcpy(&data_[at + kHeader], &value, size);
    return;
  }
  if (!error_.empty()) return;
  if (data_.size() - position_ < kHeader + size || data_[position_] != size ||
      load_le<u32>(&data_[position_ + 1]) != hash(name)) {
    mismatch(name);
    return;
  }
  value = 0;
  std::memcpy(&value, &data_[position_ + kHeader], size);
  position_ += kHeader + size;
}

Archive& Archive::bytes(std::string_view name, std::vector<u8>& value, usize limit) {
  u32 length = static_cast<u32>(value.size());
  (*this)(name, length);
  if (!error_.empty()) return *this;
  if (mode_ == Mode::save) {
    data_.insert(data_.end(), value.begin(), value.end());
    return *this;
  }
  if (length > limit || data_.size() - position_ < length) return mismatch(name);
  const auto first = data_.begin() + static_cast<std::ptrdiff_t>(position_);
  value.assign(first, first + length);
  position_ += length;
  return *this;
}

void Archive::open(std::string_view name) {
  path_.emplace_back(name);
}
void Archive::close() {
  path_.pop_back();
}

Archive& Archive::mismatch(std::string_view name) {
  if (!error_.empty()) return *this;
  for (const std::string& part : path_) error_ += part + ".";
  error_ += name;
  return *this;
}

Status Archive::status() const {
  if (error_.empty()) return {};
  return fail("saved state", "the field '" + error_ + "' is missing, of another size or out of range",
              "use a snapshot that this version of Solder wrote");
}

}  // namespace solder::device
