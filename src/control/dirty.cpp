#include "control/dirty.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <vector>

namespace solder::control {

namespace {

// A reply must fit into a line.
constexpr u64 kMostRuns = 2048;
constexpr u64 kWordPages = 64;
constexpr auto kClient = memory::DirtyClient::watch;

using Bits = std::vector<u64>;

Bits take(memory::Ram& ram) {
  Bits bits((ram.size() / memory::kPageSize + kWordPages - 1) / kWordPages);
  for (usize word = 0; word < bits.size(); ++word) bits[word] = ram.take_dirty(kClient, word * kWordPages);
  return bits;
}

// Calls `use(first, count)` for each run of set bits in [first, end), in their order.
template <class Use>
void for_each_run(const Bits& bits, u64 first, u64 end, Use use) {
  const auto set = [&](u64 page) { return (bits[page / kWordPages] >> (page % kWordPages) & 1) != 0; };
  for (u64 page = first; page < end;) {
    if (page % kWordPages == 0 && bits[page / kWordPages] == 0) {
      page += kWordPages;
      continue;
    }
    if (!set(page)) {
      ++page;
      continue;
    }
    u64 last = page;
    while (last < end && set(last)) ++last;
    use(page, last - page);
    page = last;
  }
}

}  // namespace

Status DirtyWatch::start(machine::Machine& machine) {
  for (const auto& ram : machine.fabric().rams) {
    ram->stop_tracking(kClient);  // memory that a machine has taken over from another is tracked from now on only
    if (Status done = ram->start_tracking(kClient); !done) {
      stop(machine);
      return done;
    }
  }
  tracked_ = &machine;
  return {};
}

void DirtyWatch::stop(machine::Machine& machine) {
  for (const auto& ram : machine.fabric().rams) ram->stop_tracking(kClient);
  tracked_ = nullptr;
}

Result<Json> DirtyWatch::answer(machine::Machine& machine, const Request& request) {
  SOLDER_TRY_STATUS(request.only({"stop", "runs"}));
  const bool ends = SOLDER_TRY(request.flag("stop", false));
  u64 room = SOLDER_TRY(request.number("runs", 0, kMostRuns));
  if (ends) {
    stop(machine);
    return Json::object();
  }
  Json reply = {{"started", tracked_ != &machine}, {"page_bytes", memory::kPageSize}, {"ranges", Json::array()}};
  if (tracked_ != &machine) {
    SOLDER_TRY_STATUS(start(machine));
    reply["uptime_ns"] = machine.fabric().clock.now();
    return reply;
  }
  std::map<const memory::Ram*, Bits> all;
  for (const auto& ram : machine.fabric().rams) {
    SOLDER_TRY_STATUS(ram->collect_dirty());
    all.emplace(ram.get(), take(*ram));
  }
  reply["uptime_ns"] = machine.fabric().clock.now();
  u64 left_out = 0;
  for (const memory::FlatRange& range : machine.fabric().memory.map().ranges()) {
    const auto bits = all.find(range.ram);
    if (range.ram == nullptr || range.read_only || bits == all.end()) continue;
    const u64 first = range.offset / memory::kPageSize;
    const u64 end = (range.offset + range.size + memory::kPageSize - 1) / memory::kPageSize;
    u64 dirty = 0;
    Json runs = Json::array();
    for_each_run(bits->second, first, end, [&](u64 page, u64 count) {
      dirty += count;
      if (room == 0) {
        ++left_out;
        return;
      }
      --room;
      const u64 at = page * memory::kPageSize;
      runs.push_back({{"address", fmt::format("{:#x}", range.start + (std::max(at, range.offset) - range.offset))},
                      {"pages", count}});
    });
    reply["ranges"].push_back({{"node", *range.name},
                               {"start", fmt::format("{:#x}", range.start)},
                               {"bytes", range.size},
                               {"pages", end - first},
                               {"dirty", dirty},
                               {"runs", std::move(runs)}});
  }
  reply["runs_left_out"] = left_out;
  return reply;
}

}  // namespace solder::control
