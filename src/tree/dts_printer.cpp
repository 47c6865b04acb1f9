#include <algorithm>
#include <unordered_map>

#include <fmt/core.h>

#include "base/bytes.h"
#include "tree/document.h"
#include "tree/fixups.h"
#include "tree/names.h"
#include "tree/typing.h"

namespace solder::tree {

namespace {

class DtsPrinter {
 public:
  DtsPrinter(const Tree& tree, PrintOptions options) : tree_(tree), options_(options) {
    tree.walk([&](Node& n) {
      if (const u32 p = n.phandle()) by_phandle_.emplace(p, &n);
    });
    lookup_ = [this](u32 number) -> const Node* {
      const auto it = by_phandle_.find(number);
      return it == by_phandle_.end() ? nullptr : it->second;
    };
  }

  std::string print() {
    out_ = "/dts-v1/;\n";
    if (tree_.plugin) out_ += "/plugin/;\n";
    out_ += "\n";
    for (const MemoryReservation& r : tree_.reservations) {
      labels(r.labels);
      line(fmt::format("/memreserve/ {:#x} {:#x};", r.address, r.size), r.where);
    }
    node(tree_.root(), 0);
    return std::move(out_);
  }

 private:
  void indent(usize depth) { out_.append(depth, '\t'); }
  void labels(const std::vector<std::string>& names) {
    for (const auto& l : names) {
      if (is_label(l)) out_ += l + ": ";
    }
  }
  void line(std::string_view text, const SourceLocation& where) {
    out_ += text;
    if (options_.locations) {
      std::string place = where.text();
      for (auto end = place.find("*/"); end != std::string::npos; end = place.find("*/")) place[end] = '?';
      out_ += " /* " + place + " */";
    }
    out_ += '\n';
  }

  void node(const Node& n, usize depth) {
    indent(depth);
    if (n.omit_if_no_ref && n.parent()) out_ += "/omit-if-no-ref/ ";
    labels(n.labels);
    line((n.parent() ? n.name() : "/") + " {", n.where);
    for (const Property& p : n.properties()) {
      indent(depth + 1);
      labels(p.labels);
      std::string text = p.name;
      const std::string v = value(n, p);
      if (!v.empty()) text += " = " + v;
      line(text + ";", p.where);
    }
    for (const auto& c : n.children()) {
      out_ += '\n';
      node(*c, depth + 1);
    }
    if (!n.parent() && tree_.symbols) symbols();
    indent(depth);
    out_ += "};\n";
  }

  void symbols() {
    out_ += "\n\t__symbols__ {\n";
    tree_.walk([&](Node& n) {
      for (const auto& l : n.labels) {
        if (is_label(l)) out_ += fmt::format("\t\t{} = \"{}\";\n", l, n.path());
      }
    });
    out_ += "\t};\n";
  }

  /// The right-hand side; empty for a property without value.
  std::string value(const Node& n, const Property& p) {
    // What stands at an offset instead of a number.
    std::vector<std::pair<usize, std::string>> shown;
    std::vector<std::pair<usize, std::string>> paths;
    for (const Reference& r : p.references) {
      if (r.kind == Reference::Kind::path) {
        if (!r.resolved) paths.emplace_back(r.offset, written(r.target));
      } else if (u64{r.offset} + 4 <= p.value.size()) {
        std::string text =
            r.resolved ? target_of(load_be<u32>(p.value.data() + r.offset), tree_.plugin) : written(r.target);
        if (!text.empty()) shown.emplace_back(r.offset, std::move(text));
      }
    }
    if (p.references.empty()) {
      for (const u32 offset : phandle_offsets(n, p, lookup_)) {
        std::string text = target_of(load_be<u32>(p.value.data() + offset), false);
        if (!text.empty()) shown.emplace_back(offset, std::move(text));
      }
    }
    std::vector<std::string> parts;
    usize begin = 0;
    for (const auto& [offset, text] : paths) {
      segment(p, begin, std::max<usize>(begin, std::min(offset, p.value.size())), shown, parts);
      parts.push_back(text);
      begin = std::max(begin, std::min(offset, p.value.size()));
    }
    segment(p, begin, p.value.size(), shown, parts);
    std::string out;
    for (const auto& part : parts) out += (out.empty() ? "" : ", ") + part;
    return out;
  }

  static std::string written(const std::string& target) {
    return target.starts_with('/') || target.find('/') != std::string::npos ? "&{" + target + "}" : "&" + target;
  }

  std::string target_of(u32 number, bool by_path) const {
    const Node* target = lookup_(number);
    if (!target) return {};
    const auto label =
        std::find_if(target->labels.begin(), target->labels.end(), [](const auto& l) { return is_label(l); });
    if (label != target->labels.end()) return "&" + *label;
    return by_path ? "&{" + target->path() + "}" : std::string();
  }

  void segment(const Property& p, usize begin, usize end, const std::vector<std::pair<usize, std::string>>& shown,
               std::vector<std::string>& parts) {
    if (begin >= end) return;
    std::vector<std::pair<usize, std::string>> mine;
    for (const auto& s : shown) {
      if (s.first >= begin && s.first + 4 <= end && (mine.empty() || s.first >= mine.back().first + 4))
        mine.push_back(s);
    }
    if (mine.empty()) {
      parts.push_back(guess(p, begin, end));
      return;
    }
    const usize odd = (mine.front().first - begin) % 4;
    if (odd != 0) {
      segment(p, begin, mine.front().first, {}, parts);
      begin = mine.front().first;
    }
    std::string out = "<";
    usize at = begin;
    for (auto next = mine.begin(); at + 4 <= end; at += 4) {
      if (next != mine.end() && next->first < at + 4 && next->first != at) break;  // not on this grid: a new group
      if (at != begin) out += ' ';
      if (next != mine.end() && next->first == at) {
        out += next->second;
        ++next;
      } else {
        out += fmt::format("{:#x}", load_be<u32>(p.value.data() + at));
      }
    }
    parts.push_back(out + ">");
    std::erase_if(mine, [&](const auto& s) { return s.first < at; });
    segment(p, at, end, mine, parts);
  }

  static std::string guess(const Property& p, usize begin, usize end) {
    const std::span<const u8> bytes(p.value.data() + begin, end - begin);
    const bool terminated = bytes.back() == 0;
    if (terminated && (p.form == Form::strings || looks_like_text(bytes))) return strings(bytes);
    if (bytes.size() % 4 == 0 && p.form != Form::bytes) {
      std::string out = "<";
      for (usize i = 0; i < bytes.size(); i += 4)
        out += fmt::format("{}{:#x}", i ? " " : "", load_be<u32>(bytes.data() + i));
      return out + ">";
    }
    std::string out = "[";
    for (usize i = 0; i < bytes.size(); ++i) out += fmt::format("{}{:02x}", i ? " " : "", bytes[i]);
    return out + "]";
  }

  /// Printable strings, none of them empty. (Four bytes such as "abc\0" are taken for text: that is what they look
  /// like.)
  static bool looks_like_text(std::span<const u8> bytes) {
    u8 previous = 0;
    for (const u8 b : bytes) {
      if (b == 0 && previous == 0) return false;
      if (b != 0 && (b < 0x20 || b > 0x7e) && b != '\n' && b != '\t') return false;
      previous = b;
    }
    return true;
  }

  static std::string strings(std::span<const u8> bytes) {
    std::string out = "\"";
    for (usize i = 0; i + 1 < bytes.size(); ++i) {
      const u8 b = bytes[i];
      if (b == 0) {
        out += "\", \"";
      } else if (b == '"' || b == '\\') {
        out += '\\';
        out += static_cast<char>(b);
      } else if (b == '\n') {
        out += "\\n";
      } else if (b == '\t') {
        out += "\\t";
      } else if (b < 0x20 || b > 0x7e) {
        out += fmt::format("\\x{:02x}", b);
      } else {
        out += static_cast<char>(b);
      }
    }
    return out + "\"";
  }

  const Tree& tree_;
  PrintOptions options_;
  std::string out_;
  std::unordered_map<u32, const Node*> by_phandle_;
  PhandleLookup lookup_;
};

}  // namespace

std::string print_dts(const Tree& tree, PrintOptions options) {
  return DtsPrinter(tree, options).print();
}

}  // namespace solder::tree
