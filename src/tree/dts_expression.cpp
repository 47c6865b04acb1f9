#include "tree/dts_expression.h"

#include <cerrno>
#include <cstdlib>

#include <fmt/core.h>

namespace solder::tree {

namespace {

constexpr u32 kMaximumExpressionDepth = 64;

enum class Operator : u8 {
  logical_or,
  logical_and,
  bit_or,
  bit_xor,
  bit_and,
  equal,
  not_equal,
  less,
  greater,
  less_equal,
  greater_equal,
  shift_left,
  shift_right,
  add,
  subtract,
  multiply,
  divide,
  remainder
};

struct Binary {
  std::string_view text;
  Operator op;
  int precedence;
};
/// Longer texts first where one begins another.
constexpr Binary kBinaries[] = {
    {"||", Operator::logical_or, 1}, {"&&", Operator::logical_and, 2},
    {"==", Operator::equal, 6},      {"!=", Operator::not_equal, 6},
    {"<<", Operator::shift_left, 8}, {">>", Operator::shift_right, 8},
    {"<=", Operator::less_equal, 7}, {">=", Operator::greater_equal, 7},
    {"<", Operator::less, 7},        {">", Operator::greater, 7},
    {"|", Operator::bit_or, 3},      {"^", Operator::bit_xor, 4},
    {"&", Operator::bit_and, 5},     {"+", Operator::add, 9},
    {"-", Operator::subtract, 9},    {"*", Operator::multiply, 10},
    {"/", Operator::divide, 10},     {"%", Operator::remainder, 10},
};

class Expression {
 public:
  explicit Expression(DtsScanner& scanner) : scanner_(scanner) {}

  Result<u64> ternary(u32 depth) {
    if (depth > kMaximumExpressionDepth)
      return scanner_.error(fmt::format("this expression is nested deeper than {}", kMaximumExpressionDepth));
    const u64 condition = SOLDER_TRY(binary(1, depth));
    if (!SOLDER_TRY(scanner_.take("?"))) return condition;
    const u64 yes = SOLDER_TRY(ternary(depth + 1));
    SOLDER_TRY_STATUS(scanner_.expect(":", "the first branch of \"?\""));
    const u64 no = SOLDER_TRY(ternary(depth + 1));
    return condition != 0 ? yes : no;
  }

 private:
  Result<u64> binary(int minimum, u32 depth) {
    u64 left = SOLDER_TRY(unary(depth));
    for (;;) {
      SOLDER_TRY_STATUS(scanner_.skip());
      const Binary* found = nullptr;
      for (const Binary& b : kBinaries) {
        if (scanner_.starts_with(b.text)) {
          found = &b;
          break;
        }
      }
      if (!found || found->precedence < minimum) return left;
      scanner_.advance(found->text.size());
      const u64 right = SOLDER_TRY(binary(found->precedence + 1, depth + 1));
      left = SOLDER_TRY(apply(found->op, left, right));
    }
  }

  Result<u64> apply(Operator op, u64 a, u64 b) {
    switch (op) {
      case Operator::logical_or:
        return a != 0 || b != 0;
      case Operator::logical_and:
        return a != 0 && b != 0;
      case Operator::bit_or:
        return a | b;
      case Operator::bit_xor:
        return a ^ b;
      case Operator::bit_and:
        return a & b;
      case Operator::equal:
        return a == b;
      case Operator::not_equal:
        return a != b;
      case Operator::less:
        return a < b;
      case Operator::greater:
        return a > b;
      case Operator::less_equal:
        return a <= b;
      case Operator::greater_equal:
        return a >= b;
      case Operator::shift_left:
        return b < 64 ? a << b : 0;
      case Operator::shift_right:
        return b < 64 ? a >> b : 0;
      case Operator::add:
        return a + b;
      case Operator::subtract:
        return a - b;
      case Operator::multiply:
        return a * b;
      case Operator::divide:
      case Operator::remainder:
        if (b == 0) return scanner_.error("division by zero in this expression");
        return op == Operator::divide ? a / b : a % b;
    }
    return scanner_.error("unknown operator");
  }

  Result<u64> unary(u32 depth) {
    if (depth > kMaximumExpressionDepth)
      return scanner_.error(fmt::format("this expression is nested deeper than {}", kMaximumExpressionDepth));
    SOLDER_TRY_STATUS(scanner_.skip());
    const char c = scanner_.peek();
    if (c != '-' && c != '~' && c != '!') return parse_primary(scanner_, depth + 1);
    scanner_.advance();
    const u64 value = SOLDER_TRY(unary(depth + 1));
    return c == '-' ? u64{0} - value : c == '~' ? ~value : u64{value == 0};
  }

  DtsScanner& scanner_;
};

}  // namespace

Result<u64> parse_primary(DtsScanner& scanner, u32 depth) {
  SOLDER_TRY_STATUS(scanner.skip());
  if (scanner.peek() == '\'') return scanner.take_character();
  if (scanner.peek() == '(') {
    scanner.advance();
    const u64 value = SOLDER_TRY(Expression(scanner).ternary(depth + 1));
    SOLDER_TRY_STATUS(scanner.expect(")", "the expression"));
    return value;
  }
  usize length = 0;
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  std::string text;
  while (is_word(scanner.peek(length))) text += scanner.peek(length++);
  if (text.empty() || text[0] < '0' || text[0] > '9') {
    const bool name = !text.empty();
    return scanner.error(fmt::format("expected a number, found {}", scanner.here()),
                         name ? "if it is a macro, run \"cpp -nostdinc -undef -x assembler-with-cpp\" first; if it is "
                                "a label, write &label"
                              : "write a number, a character in single quotes, (an expression) or &label");
  }
  errno = 0;
  char* end = nullptr;
  const u64 value = std::strtoull(text.c_str(), &end, 0);
  const std::string_view suffix(end);
  const bool good =
      suffix.empty() || suffix == "U" || suffix == "L" || suffix == "UL" || suffix == "LL" || suffix == "ULL";
  if (!good) return scanner.error(fmt::format("\"{}\" is no number", text), "write decimal, 0x… or 0… (octal) digits");
  if (errno == ERANGE) return scanner.error(fmt::format("{} does not fit in 64 bits", text));
  scanner.advance(length);
  return value;
}

}  // namespace solder::tree
