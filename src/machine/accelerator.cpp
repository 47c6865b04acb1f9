#include "machine/accelerator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace solder::machine {

namespace {

// The first CPU's `compatible`; empty when the tree has none, which is an error of building, not of choosing.
std::string first_cpu(const tree::Tree& tree) {
  const tree::Node* cpus = tree.find("/cpus");
  if (cpus == nullptr) return {};
  for (const auto& child : cpus->children()) {
    if (child->string("device_type") != "cpu" || !child->enabled()) continue;
    const auto compatibles = child->compatible();
    return compatibles.empty() ? std::string{} : compatibles.front();
  }
  return {};
}

Result<ChosenAccelerator> take(const cpu::AcceleratorInfo& info, const std::string& options,
                               const cpu::Suitability& found, const std::string& text) {
  ChosenAccelerator chosen;
  chosen.name = info.name;
  chosen.reason = fmt::format("{}: {}", info.name, text);
  auto make = info.prepare(options, found);
  if (!make) return fail(fmt::format("--accel {}", info.name), make.error().what, make.error().fix);
  chosen.make = std::move(*make);
  return chosen;
}

Result<ChosenAccelerator> by_name(const std::string& name, const std::string& options, const std::string& cpu) {
  const auto all = cpu::all_accelerators();
  const auto it = std::ranges::find(all, name, &cpu::AcceleratorInfo::name);
  if (it == all.end()) {
    std::string known = "auto";
    for (const auto* info : all) known += fmt::format(", {}", info->name);
    return fail("--accel", fmt::format("there is no accelerator \"{}\"", name), "there are: " + known);
  }
  const auto suits = (*it)->suits(cpu);
  if (!suits.usable) return fail("--accel " + name, suits.text, suits.fix);
  if (!suits.fast) log::warn(fmt::format("{}: {}", name, suits.text));
  return take(**it, options, suits, suits.text);
}

}  // namespace

Result<ChosenAccelerator> choose_accelerator(const AcceleratorChoice& choice, const tree::Tree& tree) {
  const std::string cpu = first_cpu(tree);
  const usize equals = choice.accelerator.find('=');
  const std::string name = choice.accelerator.substr(0, equals);
  const std::string options = equals == std::string::npos ? std::string{} : choice.accelerator.substr(equals + 1);
  if (name == "translator" && options.empty()) return by_name(name, choice.translator, cpu);
  if (name != "auto") return by_name(name, options, cpu);

  std::string refusals;
  std::string why;
  const cpu::AcceleratorInfo* slow = nullptr;
  cpu::Suitability slow_found;
  for (const auto* info : cpu::all_accelerators()) {
    if (info->preference < 0) continue;
    const auto suits = info->suits(cpu);
    if (!suits.usable || !suits.fast) why += fmt::format("; not {}: {}", info->name, suits.text);
    if (!suits.usable) {
      refusals += fmt::format("{}{}: {}", refusals.empty() ? "" : "; ", info->name, suits.text);
      if (!suits.fix.empty()) refusals += fmt::format(" ({})", suits.fix);
      continue;
    }
    if (suits.fast)
      return take(*info, info->name == "translator" ? choice.translator : std::string{}, suits, suits.text + why);
    if (slow == nullptr) {
      slow = info;
      slow_found = suits;
    }
  }
  if (slow == nullptr)
    return fail("--accel auto", fmt::format("nothing here can run \"{}\" CPUs: {}", cpu, refusals),
                "describe other CPUs in the tree, or run on another host");
  return take(*slow, {}, slow_found, "nothing faster runs these CPUs" + why);
}

}  // namespace solder::machine
