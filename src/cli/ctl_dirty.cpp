#include "cli/ctl_dirty.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "control/request.h"

namespace solder::cli {

namespace {

using control::Json;

constexpr u64 kMostRuns = 2048;  // the machine's limit

u64 number(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || !it->is_number_unsigned() ? 0 : it->get<u64>();
}
std::string text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || !it->is_string() ? "-" : it->get<std::string>();
}
Json list(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || !it->is_array() ? Json::array() : *it;
}

void print_round(const Json& reply, bool runs) {
  const double seconds = static_cast<double>(number(reply, "uptime_ns")) / 1e9;
  const u64 page_kib = number(reply, "page_bytes") >> 10;
  for (const Json& range : list(reply, "ranges")) {
    const u64 dirty = number(range, "dirty");
    fmt::print("{:.6f}  {} at {}: {} of {} pages written ({} KiB)\n", seconds, text(range, "node"),
               text(range, "start"), dirty, number(range, "pages"), dirty * page_kib);
    if (!runs) continue;
    for (const Json& run : list(range, "runs")) fmt::print("  {} {}\n", text(run, "address"), number(run, "pages"));
  }
  if (runs && number(reply, "runs_left_out") != 0)
    fmt::print("  (and {} more places)\n", number(reply, "runs_left_out"));
  std::fflush(stdout);
}

}  // namespace

void add_dirty_options(CLI::App& command, DirtyOptions& options) {
  command.add_option("--rounds", options.rounds, "ask so many times, then stop tracking")->type_name("N");
  command.add_option("--interval", options.interval, "between rounds (1000)")->type_name("MS");
  command.add_flag("--list", options.list, "each run of pages: its address and how many");
  command.add_flag("--stop", options.stop, "stop tracking");
}

Result<int> watch_dirty(control::SocketClient& client, const DirtyOptions& options) {
  const auto stop = [&]() -> Status {
    SOLDER_TRY(client.ask({{"do", "dirty"}, {"stop", true}}));
    return {};
  };
  if (options.stop) {
    SOLDER_TRY_STATUS(stop());
    return 0;
  }
  Json question = {{"do", "dirty"}};
  if (options.list) question["runs"] = kMostRuns;
  bool ours = false;
  u64 told = 0;
  do {
    const Json reply = SOLDER_TRY(client.ask(question));
    if (options.json) fmt::print("{}\n", control::dump(reply));
    if (reply.value("started", false)) {
      ours = true;
      if (options.rounds == 0 && !options.json)
        fmt::print("tracking begins: ask again to see what is written from now on\n");
    } else {
      if (!options.json) print_round(reply, options.list);
      ++told;
    }
    if (told < options.rounds) std::this_thread::sleep_for(std::chrono::milliseconds(options.interval));
  } while (told < options.rounds);
  if (options.rounds != 0 && ours) SOLDER_TRY_STATUS(stop());
  return 0;
}

}  // namespace solder::cli
