// The right-hand side of a property.

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/dts_expression.h"
#include "tree/dts_parser.h"
#include "tree/names.h"

namespace solder::tree {

struct DtsParser::Value {
  Property property;
  bool first = true;
  /// Notes how one element is written.
  void add_form(Form form) {
    property.form = first || property.form == form ? form : Form::mixed;
    first = false;
  }
};

Result<Property> DtsParser::value(const std::string& name) {
  Value out;
  out.property.name = name;
  out.property.form = Form::empty;
  if (!SOLDER_TRY(scanner_.take("="))) return std::move(out.property);
  do {
    SOLDER_TRY(take_labels());
    SOLDER_TRY_STATUS(value_element(out));
    SOLDER_TRY(take_labels());
    if (out.property.value.size() > kMaximumDocumentBytes) return scanner_.error("this property is larger than 64 MiB");
  } while (SOLDER_TRY(scanner_.take(",")));
  if (out.property.value.empty() && out.property.references.empty()) out.property.form = Form::empty;
  return std::move(out.property);
}

Status DtsParser::value_element(Value& out) {
  SOLDER_TRY_STATUS(scanner_.skip());
  std::vector<u8>& bytes = out.property.value;
  switch (scanner_.peek()) {
    case '"': {
      const std::string text = SOLDER_TRY(scanner_.take_string());
      bytes.insert(bytes.end(), text.begin(), text.end());
      bytes.push_back(0);
      out.add_form(Form::strings);
      return {};
    }
    case '<':
      scanner_.advance();
      out.add_form(Form::cells);
      return cells(out, 32);
    case '[':
      scanner_.advance();
      out.add_form(Form::bytes);
      return byte_string(out);
    case '&': {
      const SourceLocation where = scanner_.location();
      std::string target = SOLDER_TRY(reference());
      out.property.references.push_back(
          {static_cast<u32>(bytes.size()), Reference::Kind::path, std::move(target), where, false});
      out.add_form(Form::strings);
      return {};
    }
    default:
      break;
  }
  if (SOLDER_TRY(scanner_.take("/bits/"))) {
    const u64 bits = SOLDER_TRY(parse_primary(scanner_));
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
      return scanner_.error(fmt::format("/bits/ {} is none of 8, 16, 32, 64", bits));
    SOLDER_TRY_STATUS(scanner_.expect("<", "/bits/"));
    out.add_form(bits == 8 ? Form::bytes : bits == 16 ? Form::mixed : Form::cells);
    return cells(out, static_cast<u32>(bits));
  }
  if (SOLDER_TRY(scanner_.take("/incbin/"))) {
    out.add_form(Form::bytes);
    return include_binary(out);
  }
  return scanner_.error(fmt::format("expected a value, found {}", scanner_.here()),
                        "a value is \"text\", <cells>, [hexadecimal bytes], &label or /incbin/(\"file\")");
}

Status DtsParser::cells(Value& out, u32 bits) {
  std::vector<u8>& bytes = out.property.value;
  for (;;) {
    SOLDER_TRY(take_labels());
    if (SOLDER_TRY(scanner_.take(">"))) return {};
    const SourceLocation where = scanner_.location();
    if (scanner_.peek() == '&') {
      if (bits != 32) return scanner_.error("a reference needs a cell of 32 bits", "take it out of the /bits/ group");
      std::string target = SOLDER_TRY(reference());
      out.property.references.push_back(
          {static_cast<u32>(bytes.size()), Reference::Kind::phandle, std::move(target), where, false});
      bytes.insert(bytes.end(), 4, 0xff);
      continue;
    }
    if (scanner_.peek() == 0 || scanner_.peek() == ';')
      return scanner_.error("this list of cells has no closing \">\"", "close it with >");
    const u64 number = SOLDER_TRY(parse_primary(scanner_));
    const u64 mask = ~u64{0} >> (64 - bits);
    // A negative number is fine when its upper bits are all ones.
    if (number > mask && (number | mask) != ~u64{0}) {
      return fail(where.text(), fmt::format("{:#x} does not fit in {} bits", number, bits),
                  bits == 32 ? "write it as two cells, or in a /bits/ 64 group" : "use wider /bits/");
    }
    for (u32 shift = bits; shift > 0; shift -= 8) bytes.push_back(static_cast<u8>(number >> (shift - 8)));
    if (bytes.size() > kMaximumDocumentBytes) return scanner_.error("this property is larger than 64 MiB");
  }
}

Status DtsParser::byte_string(Value& out) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  for (;;) {
    SOLDER_TRY(take_labels());
    if (SOLDER_TRY(scanner_.take("]"))) return {};
    const int high = digit(scanner_.peek());
    const int low = high < 0 ? -1 : digit(scanner_.peek(1));
    if (low < 0) {
      return scanner_.error(fmt::format("expected two hexadecimal digits, found {}", scanner_.here()),
                            "bytes in […] are pairs of hexadecimal digits without 0x");
    }
    out.property.value.push_back(static_cast<u8>(high * 16 + low));
    scanner_.advance(2);
  }
}

/// `("file")` or `("file", offset, size)`.
Status DtsParser::include_binary(Value& out) {
  const SourceLocation where = scanner_.location();
  SOLDER_TRY_STATUS(scanner_.expect("(", "/incbin/"));
  SOLDER_TRY_STATUS(scanner_.skip());
  if (scanner_.peek() != '"') return scanner_.error("/incbin/ needs a file name in double quotes");
  const std::string name = SOLDER_TRY(scanner_.take_string());
  const auto path = scanner_.directory() / name;
  u64 offset = 0;
  u64 size = ~u64{0};
  if (SOLDER_TRY(scanner_.take(","))) {
    offset = SOLDER_TRY(parse_primary(scanner_));
    SOLDER_TRY_STATUS(scanner_.expect(",", "/incbin/'s offset"));
    size = SOLDER_TRY(parse_primary(scanner_));
  }
  SOLDER_TRY_STATUS(scanner_.expect(")", "/incbin/"));
  auto data = read_file(path, kMaximumDocumentBytes);
  if (!data) return fail(where.text(), fmt::format("/incbin/(\"{}\"): {}", name, data.error().text()));
  if (offset > data->size() || (size != ~u64{0} && size > data->size() - offset)) {
    return fail(where.text(),
                fmt::format("/incbin/(\"{}\"): bytes {:#x} to {:#x} lie outside of the file, which has {:#x}", name,
                            offset, offset + size, data->size()));
  }
  const auto part = std::string_view(*data).substr(offset, size);
  if (out.property.value.size() + part.size() > kMaximumDocumentBytes)
    return fail(where.text(), "this property is larger than 64 MiB");
  out.property.value.insert(out.property.value.end(), part.begin(), part.end());
  return {};
}

}  // namespace solder::tree
