#include "control/kernel_record.h"

#include <fmt/format.h>

namespace solder::control {

namespace {

using Access = KernelAccess;

// The local APICs' page, whose offsets kvm_apic has (Intel SDM volume 3, section 11.4.1): KVM has it nowhere else.
constexpr u64 kApicPage = 0xfee0'0000;

std::optional<Access> access_of(const KernelSample& sample) {
  const KernelFormat& format = *sample.format;
  const auto field = [&](std::string_view name) { return format.value(sample.record(), name).value_or(0); };
  Access out;
  if (format.name() == "kvm_pio") {
    out.port = true;
    out.write = field("rw") != 0;
    out.address = field("port");
    out.bytes = field("size");
    out.value = field("val");
    // Of a string, the first.
    if (out.write || field("count") <= 1) return out;
    return std::nullopt;
  }
  if (format.name() == "kvm_mmio") {
    constexpr u64 kUnsatisfied = 0, kWrite = 2;
    out.write = field("type") == kWrite;
    out.address = field("gpa");
    out.bytes = field("len");
    if (field("type") != kUnsatisfied) out.value = field("val");
    return out;
  }
  if (format.name() == "kvm_apic") {
    out.write = field("rw") != 0;
    out.address = kApicPage + field("reg");
    out.bytes = 4;
    out.value = field("val");
    return out;
  }
  return std::nullopt;
}

std::string details_of(const KernelSample& sample) {
  const KernelFormat& format = *sample.format;
  std::string out = format.text(sample.record());
  if (format.name() != "kvm_exit") return out;
  // Intel's reasons and AMD's have a list each; `isa` tells which, and is 1 for Intel's.
  const auto reason = format.value(sample.record(), "exit_reason");
  const auto isa = format.value(sample.record(), "isa");
  if (!reason || !isa) return out;
  const std::string_view name = format.symbol("exit_reason", *reason, *isa == 1 ? 0 : 1);
  const usize first = out.find(' ');
  if (name.empty() || first == std::string::npos) return out;
  return fmt::format("{}{}", name, out.substr(first));
}

}  // namespace

KernelReport::KernelReport(machine::Machine& machine) : machine_(machine) {
  for (const auto& placed : machine.placements())
    if (placed.in_kernel) in_kernel_.insert(placed.node->path());
}

void KernelReport::find_node(Access& access) const {
  const memory::AddressSpace& space = access.port ? machine_.fabric().io_ports : machine_.fabric().memory;
  const memory::FlatRange* range = space.map().find(access.address);
  if (range == nullptr || range->handler == nullptr) return;
  access.node = *range->name;
  const u64 offset = range->offset + (access.address - range->start);
  access.reg = range->handler->register_name(offset);
  if (access.reg.empty()) access.reg = fmt::format("+{:#x}", offset);
  access.in_kernel = in_kernel_.contains(access.node);
}

KernelRecord KernelReport::record(const KernelSample& sample, const std::string& thread) {
  KernelRecord out;
  const time::Clock& clock = machine_.fabric().clock;
  out.host_ns = sample.host_ns;
  out.machine_ns = clock.paused() ? clock.now() : sample.host_ns + static_cast<u64>(clock.offset());
  out.cpu = sample.cpu;
  if (sample.cpu == KernelSample::kNoCpu) out.thread = thread;
  out.point = sample.format->name();
  out.details = details_of(sample);
  out.access = access_of(sample);
  if (out.access) find_node(*out.access);
  if (out.point == "kvm_exit") exits_[out.cpu] = out.host_ns;
  if (out.point == "kvm_entry") {
    const auto left = exits_.find(out.cpu);
    if (left != exits_.end() && left->second != 0 && left->second <= out.host_ns) {
      out.away_ns = out.host_ns - left->second;
      left->second = 0;
    }
  }
  return out;
}

std::string kernel_text(const KernelRecord& record) {
  std::string out =
      fmt::format("{}.{:06} {} kernel  ", record.machine_ns / 1'000'000'000, record.machine_ns / 1000 % 1'000'000,
                  record.cpu == KernelSample::kNoCpu ? record.thread : fmt::format("cpu{}", record.cpu));
  if (!record.access) {
    out += record.point;
    if (!record.details.empty()) out += " " + record.details;
    if (record.away_ns) out += fmt::format("  after {:.1f}us", static_cast<double>(*record.away_ns) / 1000);
    return out;
  }
  const Access& access = *record.access;
  out += access.write ? "write " : "read  ";
  out += access.node.empty() ? "nobody" : access.node + " " + access.reg;
  out += access.value ? fmt::format(" = {:#x}", *access.value) : " = ?";
  out += fmt::format("  ({} byte{} at {}{:#x})  {}", access.bytes, access.bytes == 1 ? "" : "s",
                     access.port ? "port " : "", access.address, record.point);
  if (access.in_kernel) out += ", handled by KVM";
  return out;
}

nlohmann::json kernel_json(const KernelRecord& record) {
  nlohmann::json out = {
      {"event", "kernel"}, {"ns", record.machine_ns}, {"point", record.point}, {"text", kernel_text(record)}};
  if (record.cpu != KernelSample::kNoCpu) {
    out["cpu"] = record.cpu;
  } else {
    out["thread"] = record.thread;
  }
  if (!record.details.empty()) out["details"] = record.details;
  if (record.away_ns) out["away_ns"] = *record.away_ns;
  if (!record.access) return out;
  const Access& access = *record.access;
  out["op"] = access.write ? "write" : "read";
  out["bytes"] = access.bytes;
  out["address"] = fmt::format("{:#x}", access.address);
  out["port"] = access.port;
  if (access.value) out["value"] = fmt::format("{:#x}", *access.value);
  if (!access.node.empty()) {
    out["node"] = access.node;
    out["register"] = access.reg;
    out["handled"] = access.in_kernel ? "KVM" : "here";
  }
  return out;
}

}  // namespace solder::control
