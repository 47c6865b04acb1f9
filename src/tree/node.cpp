#include "tree/node.h"

#include <algorithm>
#include <unordered_set>

#include "base/bytes.h"

namespace solder::tree {

std::optional<std::vector<u32>> Property::cells() const {
  if (value.size() % 4 != 0) return std::nullopt;
  std::vector<u32> out(value.size() / 4);
  for (usize i = 0; i < out.size(); ++i) out[i] = load_be<u32>(value.data() + i * 4);
  return out;
}

std::optional<std::vector<std::string>> Property::strings() const {
  if (value.empty() || value.back() != 0) return std::nullopt;
  std::vector<std::string> out;
  for (usize start = 0; start < value.size();) {
    const auto end = std::find(value.begin() + static_cast<std::ptrdiff_t>(start), value.end(), u8{0});
    const auto length = static_cast<usize>(end - value.begin()) - start;
    out.emplace_back(reinterpret_cast<const char*>(value.data()) + start, length);
    start += length + 1;
  }
  return out;
}

std::string_view Node::base_name() const {
  return std::string_view(name_).substr(0, name_.find('@'));
}

std::string_view Node::unit_address() const {
  const auto at = name_.find('@');
  return at == std::string::npos ? std::string_view() : std::string_view(name_).substr(at + 1);
}

std::string Node::path() const {
  if (!parent_) return "/";
  std::vector<const Node*> chain;
  for (const Node* n = this; n->parent_; n = n->parent_) chain.push_back(n);
  std::string out;
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) out += "/" + (*it)->name_;
  return out;
}

Node* Node::exact_child(std::string_view name) const {
  for (const auto& c : children_) {
    if (c->name_ == name) return c.get();
  }
  return nullptr;
}

Node* Node::child(std::string_view name) const {
  if (Node* exact = exact_child(name)) return exact;
  if (name.find('@') != std::string_view::npos) return nullptr;
  Node* found = nullptr;
  for (const auto& c : children_) {
    if (c->base_name() != name) continue;
    if (found) return nullptr;
    found = c.get();
  }
  return found;
}

Node& Node::add_child(std::string name) {
  return *children_.emplace_back(std::make_unique<Node>(std::move(name), this));
}

Node& Node::add_child(std::unique_ptr<Node> child) {
  child->parent_ = this;
  return *children_.emplace_back(std::move(child));
}

std::unique_ptr<Node> Node::release_child(const Node& child) {
  for (auto it = children_.begin(); it != children_.end(); ++it) {
    if (it->get() != &child) continue;
    std::unique_ptr<Node> out = std::move(*it);
    children_.erase(it);
    out->parent_ = nullptr;
    return out;
  }
  return nullptr;
}

bool Node::remove_child(std::string_view name) {
  const Node* found = exact_child(name);
  return found && release_child(*found);
}

const Property* Node::property(std::string_view name) const {
  for (const auto& p : properties_) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

Property* Node::property(std::string_view name) {
  return const_cast<Property*>(static_cast<const Node*>(this)->property(name));
}

Property& Node::set(std::string_view name, std::vector<u8> value) {
  Property* p = property(name);
  if (!p) {
    p = &properties_.emplace_back();
    p->name = name;
  }
  p->value = std::move(value);
  p->references.clear();
  p->form = p->value.empty() ? Form::empty : Form::unknown;
  p->where = {};
  return *p;
}

Property& Node::set_string(std::string_view name, std::string_view text) {
  std::vector<u8> bytes(text.begin(), text.end());
  bytes.push_back(0);
  Property& p = set(name, std::move(bytes));
  p.form = Form::strings;
  return p;
}

Property& Node::set_strings(std::string_view name, std::span<const std::string> values) {
  std::vector<u8> bytes;
  for (const auto& v : values) {
    bytes.insert(bytes.end(), v.begin(), v.end());
    bytes.push_back(0);
  }
  Property& p = set(name, std::move(bytes));
  if (!values.empty()) p.form = Form::strings;
  return p;
}

Property& Node::set_cells(std::string_view name, std::span<const u32> cells) {
  std::vector<u8> bytes(cells.size() * 4);
  for (usize i = 0; i < cells.size(); ++i) store_be<u32>(bytes.data() + i * 4, cells[i]);
  Property& p = set(name, std::move(bytes));
  if (!cells.empty()) p.form = Form::cells;
  return p;
}

Property& Node::set_u32(std::string_view name, u32 value) {
  return set_cells(name, std::span(&value, 1));
}

Property& Node::set_u64(std::string_view name, u64 value) {
  const u32 cells[2] = {static_cast<u32>(value >> 32), static_cast<u32>(value)};
  return set_cells(name, cells);
}

Property& Node::set_empty(std::string_view name) {
  return set(name, {});
}

bool Node::remove_property(std::string_view name) {
  return std::erase_if(properties_, [&](const Property& p) { return p.name == name; }) != 0;
}

std::optional<u32> Node::u32_value(std::string_view name) const {
  const Property* p = property(name);
  if (!p || p->value.size() != 4) return std::nullopt;
  return load_be<u32>(p->value.data());
}

std::optional<u64> Node::number(std::string_view name) const {
  const Property* p = property(name);
  if (p && p->value.size() == 4) return load_be<u32>(p->value.data());
  if (p && p->value.size() == 8) return load_be<u64>(p->value.data());
  return std::nullopt;
}

std::optional<std::string> Node::string(std::string_view name) const {
  const auto list = string_list(name);
  return list.empty() ? std::nullopt : std::optional(list.front());
}

std::vector<std::string> Node::string_list(std::string_view name) const {
  const Property* p = property(name);
  if (!p) return {};
  return p->strings().value_or(std::vector<std::string>{});
}

std::vector<u32> Node::cell_list(std::string_view name) const {
  const Property* p = property(name);
  if (!p) return {};
  return p->cells().value_or(std::vector<u32>{});
}

bool Node::is_compatible(std::string_view name) const {
  const auto list = compatible();
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool Node::enabled() const {
  const Property* p = property("status");
  if (!p) return true;
  const auto status = string("status");
  return status == "okay" || status == "ok";
}

u32 Node::phandle() const {
  auto v = u32_value("phandle");
  if (!v) v = u32_value("linux,phandle");
  return v && *v != 0xffffffff ? *v : 0;  // 0xffffffff: not given out yet, or none (section 2.3.3)
}

std::string Node::place(std::string_view property_name) const {
  const Property* p = property_name.empty() ? nullptr : property(property_name);
  std::string out = (p ? p->where : where).text() + ": " + path();
  if (!property_name.empty()) out.append(": ").append(property_name);
  return out;
}

namespace {

Node* descend(Node* from, std::string_view path) {
  while (from && !path.empty()) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (!part.empty()) from = from->child(part);
  }
  return from;
}

Node* first_where(Node& node, const std::function<bool(const Node&)>& match) {
  if (match(node)) return &node;
  for (const auto& c : node.children()) {
    if (Node* found = first_where(*c, match)) return found;
  }
  return nullptr;
}

void visit_all(Node& node, const std::function<void(Node&)>& visit) {
  visit(node);
  // By index: a visitor may add children.
  for (usize i = 0; i < node.children().size(); ++i) visit_all(*node.children()[i], visit);
}

void copy_into(const Node& from, Node& to) {
  to.labels = from.labels;
  to.where = from.where;
  to.omit_if_no_ref = from.omit_if_no_ref;
  to.properties() = from.properties();
  to.children().reserve(from.children().size());
  for (const auto& c : from.children()) copy_into(*c, to.add_child(c->name()));
}

}  // namespace

Node* Tree::find(std::string_view path) const {
  if (path.empty()) return nullptr;
  if (path.front() == '/') return descend(root_.get(), path);
  const auto slash = path.find('/');
  const Node* aliases = root_->exact_child("aliases");
  if (!aliases) return nullptr;
  const auto target = aliases->string(path.substr(0, slash));
  if (!target || target->empty() || target->front() != '/') return nullptr;
  return descend(descend(root_.get(), *target), slash == std::string_view::npos ? "" : path.substr(slash));
}

Node* Tree::by_label(std::string_view label) const {
  return first_where(
      *root_, [&](const Node& n) { return std::find(n.labels.begin(), n.labels.end(), label) != n.labels.end(); });
}

Node* Tree::by_phandle(u32 phandle) const {
  if (phandle == 0 || phandle == 0xffffffff) return nullptr;
  return first_where(*root_, [&](const Node& n) { return n.phandle() == phandle; });
}

void Tree::walk(const std::function<void(Node&)>& visit) const {
  visit_all(*root_, visit);
}

u32 Tree::ensure_phandle(Node& node) {
  if (const u32 existing = node.phandle()) return existing;
  std::unordered_set<u32> used;
  walk([&](Node& n) { used.insert(n.phandle()); });
  u32 next = 1;
  while (used.contains(next)) ++next;
  node.set_u32("phandle", next);
  return next;
}

std::unique_ptr<Tree> Tree::clone() const {
  auto out = std::make_unique<Tree>();
  copy_into(*root_, *out->root_);
  out->reservations = reservations;
  out->boot_cpu = boot_cpu;
  out->plugin = plugin;
  out->symbols = symbols;
  return out;
}

}  // namespace solder::tree
