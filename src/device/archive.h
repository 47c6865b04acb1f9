/// A model's state, described once: the same description saves, loads and compares.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace solder::device {

/// Visits named fields. In save mode it reads them, in load mode it writes them. Bad input makes it fail, never
/// overrun.
class Archive {
 public:
  enum class Mode : u8 { save, load };
  static Archive saver() { return Archive(Mode::save); }
  static Archive loader(std::vector<u8> data);
  [[nodiscard]] Mode mode() const { return mode_; }

  template <class T>
    requires std::integral<T> || std::is_enum_v<T>
  Archive& operator()(std::string_view name, T& value) {
    u64 wide = static_cast<u64>(value);
    number(name, wide, sizeof(T));
    if (mode_ == Mode::load) value = static_cast<T>(wide);
    return *this;
  }
  template <class T>
  Archive& operator()(std::string_view name, std::atomic<T>& value) {
    T plain = value.load();
    (*this)(name, plain);
    if (mode_ == Mode::load) value.store(plain);
    return *this;
  }
  template <class T, usize N>
  Archive& operator()(std::string_view name, std::array<T, N>& values) {
    u32 count = N;
    (*this)(name, count);
    if (count != N) return mismatch(name);
    for (auto& v : values) (*this)("", v);
    return *this;
  }
  /// Bytes of variable length, at most `limit`.
  Archive& bytes(std::string_view name, std::vector<u8>& value, usize limit);
  template <class T>
    requires requires(T& t, Archive& a) { t.state(a); }
  Archive& operator()(std::string_view name, T& part) {
    open(name);
    part.state(*this);
    close();
    return *this;
  }

  [[nodiscard]] Status status() const;
  [[nodiscard]] const std::vector<u8>& data() const { return data_; }

 private:
  explicit Archive(Mode mode) : mode_(mode) {}
  void number(std::string_view name, u64& value, usize size);
  void open(std::string_view name);
  void close();
  Archive& mismatch(std::string_view name);

  Mode mode_;
  std::vector<u8> data_;
  usize position_ = 0;
  std::vector<std::string> path_;
  std::string error_;
};

}  // namespace solder::device
