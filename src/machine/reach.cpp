#include "machine/reach.h"

namespace solder::machine {

namespace {

void add(std::vector<Reach>& out, Machine& machine, const memory::AddressSpace& space, bool port) {
  for (const memory::FlatRange& range : space.map().ranges()) {
    Reach one{.port = port, .start = range.start, .size = range.size, .node = *range.name, .kind = "device", .how = {}};
    if (range.ram != nullptr) one.kind = range.read_only ? "ROM" : "RAM";
    one.how = answered_by_kernel(machine, range) ? "KVM answers" : machine.fabric().accelerator->reach(range, port);
    out.push_back(std::move(one));
  }
}

}  // namespace

bool answered_by_kernel(const Machine& machine, const memory::FlatRange& range) {
  if (range.handler == nullptr) return false;
  for (const auto& placed : machine.placements())
    if (placed.in_kernel && placed.node->path() == *range.name) return true;
  return false;
}

std::vector<Reach> reach(Machine& machine) {
  std::vector<Reach> out;
  add(out, machine, machine.fabric().memory, false);
  add(out, machine, machine.fabric().io_ports, true);
  return out;
}

}  // namespace solder::machine
