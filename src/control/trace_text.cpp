#include "control/trace_text.h"

#include <fmt/format.h>

namespace solder::control {

std::string register_name(const memory::IoAccess& access) {
  std::string name = access.handler->register_name(access.offset);
  return name.empty() ? fmt::format("+{:#x}", access.offset) : name;
}

std::string trace_text(const TraceRecord& record) {
  const memory::IoAccess& access = record.access;
  const auto microseconds = [](u64 from, u64 to) { return static_cast<double>(to > from ? to - from : 0) / 1000; };
  std::string out = fmt::format("{}.{:06} cpu{}", record.machine_ns / 1'000'000'000,
                                record.machine_ns / 1000 % 1'000'000, access.cpu);
  if (access.exit_ns != 0) out += fmt::format(" exit {:.1f}us", microseconds(access.exit_ns, access.end_ns));
  out += fmt::format("  {} {} {} = {:#x}  ({} byte{} at {}{:#x})  model {:.1f}us", access.write ? "write" : "read ",
                     *access.owner, register_name(access), access.value, access.size, access.size == 1 ? "" : "s",
                     access.system_register ? "register "
                     : access.port          ? "port "
                                            : "",
                     access.address, microseconds(access.begin_ns, access.end_ns));
  return out;
}

nlohmann::json trace_json(const TraceRecord& record) {
  const memory::IoAccess& access = record.access;
  nlohmann::json out = {{"event", "io"},
                        {"ns", record.machine_ns},
                        {"cpu", access.cpu},
                        {"op", access.write ? "write" : "read"},
                        {"node", *access.owner},
                        {"register", register_name(access)},
                        {"value", fmt::format("{:#x}", access.value)},
                        {"bytes", access.size},
                        {"address", fmt::format("{:#x}", access.address)},
                        {"port", access.port},
                        {"system_register", access.system_register},
                        {"model_ns", access.end_ns - access.begin_ns},
                        {"text", trace_text(record)}};
  if (access.exit_ns != 0) out["exit_ns"] = access.end_ns - access.exit_ns;
  return out;
}

}  // namespace solder::control
