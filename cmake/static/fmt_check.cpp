// Whether fmt.cpp is all that this version of fmt needs: what Solder uses of it, formatted.
#include <fmt/format.h>

#include <string>

int main(int count, char** arguments) {
  const std::string text = fmt::format("{:>8} {:#010x} {:.2f} {:L}", arguments[0], count, count / 3.0, count);
  fmt::print("{}\n", text);
  fmt::print(stderr, fmt::runtime("{}\n"), text);
  return 0;
}
