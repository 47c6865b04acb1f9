// Reads trees and says everything about them that tests/boot/dtb-corpus compares with dtc's opinion.
//
//   tree_corpus --out DIR FILE...      per FILE: DIR/<name>.dtb (written again) and DIR/<name>.dts (printed)
//   tree_corpus --interrupts FILE...   every interrupt followed to its root controller; complaints on standard output
//   tree_corpus --walks FILE...        the same for reg, DMA, MSI and the common lists of references
//   tree_corpus --compose OUT FILE...  the files composed in order, written to OUT (a blob)

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "tree/document.h"
#include "tree/resolve.h"

namespace {

using namespace solder;

bool save(const std::filesystem::path& path, std::span<const u8> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(out);
}

Result<std::unique_ptr<tree::Tree>> compose(const std::vector<std::string>& files) {
  tree::Composer composer;
  for (const auto& f : files) SOLDER_TRY_STATUS(composer.add(f));
  return composer.finish();
}

/// A lone overlay cannot be composed: it is written as it was read.
Result<std::unique_ptr<tree::Tree>> load(const std::string& file) {
  auto document = SOLDER_TRY(tree::read_document(file));
  if (document->plugin) return document;
  return compose({file});
}

int write_again(const std::filesystem::path& directory, const std::vector<std::string>& files) {
  int failures = 0;
  for (const auto& file : files) {
    const auto tree = load(file);
    if (!tree) {
      std::cout << tree.error().text() << "\n";
      ++failures;
      continue;
    }
    const auto stem = std::filesystem::path(file).stem().string();
    const std::string text = tree::print_dts(**tree);
    const std::span<const u8> bytes(reinterpret_cast<const u8*>(text.data()), text.size());
    if (!save(directory / (stem + ".dtb"), tree::write_dtb(**tree)) || !save(directory / (stem + ".dts"), bytes))
      return 2;
  }
  return failures == 0 ? 0 : 1;
}

struct Counts {
  u64 files = 0;
  u64 nodes = 0;
  u64 specifiers = 0;
  u64 mapped = 0;    ///< that went through an interrupt-map
  u64 entries = 0;   ///< of interrupt-maps, whether a node uses them or not
  u64 cascaded = 0;  ///< whose controller is not a root
  u64 complaints = 0;
};

void complain(Counts& counts, const std::string& file, const Error& error) {
  ++counts.complaints;
  std::cout << "complaint: " << std::filesystem::path(file).filename().string() << ": " << error.text() << "\n";
}

/// Asks for every entry of an interrupt-map, as the devices behind a PCI bridge will.
void follow_map(const std::string& file, const tree::Resolver& resolver, const tree::Node& nexus, Counts& counts) {
  const auto map = nexus.cell_list("interrupt-map");
  const usize address_cells = nexus.u32_value("#address-cells").value_or(0);
  const usize interrupt_cells = nexus.u32_value("#interrupt-cells").value_or(0);
  const std::span<const u32> all(map);
  for (usize i = 0; i + address_cells + interrupt_cells < map.size();) {
    const auto address = all.subspan(i, address_cells);
    const auto specifier = all.subspan(i + address_cells, interrupt_cells);
    i += address_cells + interrupt_cells;
    const tree::Node* parent = resolver.by_phandle(map[i]);
    const auto found = resolver.map_interrupt(nexus, address, specifier, nexus);
    if (!found) {
      complain(counts, file, found.error());
      return;
    }
    if (!parent) {  // an earlier entry matched, so the walk never came here
      complain(counts, file, Error{nexus.place("interrupt-map"), fmt::format("cell {} is not a phandle", i), ""});
      return;
    }
    ++counts.entries;
    i += 1 + parent->u32_value("#address-cells").value_or(0) + parent->u32_value("#interrupt-cells").value_or(0);
  }
}

void follow_all(const std::string& file, const tree::Tree& tree, Counts& counts) {
  const tree::Resolver resolver(tree);
  std::map<const tree::Node*, std::string> roots;  // the complaint about a controller's cascade, or nothing
  tree.walk([&](tree::Node& node) {
    ++counts.nodes;
    if (node.has("interrupt-map") && !node.has("interrupt-controller")) follow_map(file, resolver, node, counts);
    const auto specifiers = resolver.interrupts(node);
    if (!specifiers) {
      complain(counts, file, specifiers.error());
      return;
    }
    for (const auto& s : *specifiers) {
      if (!s.controller) continue;
      ++counts.specifiers;
      counts.mapped += s.path.size() > 1;
      const auto chain = resolver.cascade(*s.controller);
      if (!chain) {
        auto& said = roots[s.controller];
        if (said.empty()) complain(counts, file, chain.error());
        said = chain.error().text();
        continue;
      }
      counts.cascaded += !chain->empty();
    }
  });
}

int follow(const std::vector<std::string>& files) {
  Counts counts;
  for (const auto& file : files) {
    const auto tree = load(file);
    if (!tree) {
      complain(counts, file, tree.error());
      continue;
    }
    ++counts.files;
    follow_all(file, **tree, counts);
  }
  std::cout << fmt::format(
      "{} trees, {} nodes, {} interrupt specifiers: {} through an interrupt-map, {} on cascaded controllers; "
      "{} entries of interrupt-maps; {} complaints\n",
      counts.files, counts.nodes, counts.specifiers, counts.mapped, counts.cascaded, counts.entries, counts.complaints);
  return 0;
}

/// Which property lists which kind of provider.
constexpr std::pair<const char*, const char*> kLists[] = {
    {"clocks", "#clock-cells"},
    {"assigned-clocks", "#clock-cells"},
    {"resets", "#reset-cells"},
    {"power-domains", "#power-domain-cells"},
    {"dmas", "#dma-cells"},
    {"phys", "#phy-cells"},
    {"mboxes", "#mbox-cells"},
    {"pwms", "#pwm-cells"},
    {"interconnects", "#interconnect-cells"},
    {"thermal-sensors", "#thermal-sensor-cells"},
    {"io-channels", "#io-channel-cells"},
    {"msi-parent", "#msi-cells"},
    {"nvmem-cells", "#nvmem-cell-cells"},
    {"pinctrl-0", ""},
    {"memory-region", ""},
};

int walk(const std::vector<std::string>& files) {
  Counts counts;
  u64 ranges = 0;
  u64 references = 0;
  for (const auto& file : files) {
    const auto tree = load(file);
    if (!tree) {
      complain(counts, file, tree.error());
      continue;
    }
    ++counts.files;
    const tree::Resolver resolver(**tree);
    (*tree)->walk([&](tree::Node& node) {
      ++counts.nodes;
      if (const auto reg = tree::translate_reg(**tree, node)) {
        ranges += reg->size();
      } else {
        complain(counts, file, reg.error());
      }
      if (const auto dma = resolver.dma_path(node); !dma) complain(counts, file, dma.error());
      if (const auto msi = resolver.msi_target(node, 8); !msi) complain(counts, file, msi.error());
      if (const auto iommu = resolver.iommu_map(node, 8); !iommu) complain(counts, file, iommu.error());
      for (const auto& [property, cells] : kLists) {
        if (const auto list = resolver.phandle_list(node, property, cells)) {
          references += list->size();
        } else {
          complain(counts, file, list.error());
        }
      }
    });
  }
  std::cout << fmt::format("{} trees, {} nodes, {} reg entries, {} references, {} complaints\n", counts.files,
                           counts.nodes, ranges, references, counts.complaints);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 3 && args[0] == "--out") return write_again(args[1], {args.begin() + 2, args.end()});
  if (args.size() >= 2 && args[0] == "--interrupts") return follow({args.begin() + 1, args.end()});
  if (args.size() >= 2 && args[0] == "--walks") return walk({args.begin() + 1, args.end()});
  if (args.size() >= 3 && args[0] == "--compose") {
    const auto tree = compose({args.begin() + 2, args.end()});
    if (!tree) {
      std::cerr << tree.error().text() << "\n";
      return 1;
    }
    return save(args[1], tree::write_dtb(**tree)) ? 0 : 2;
  }
  std::cerr
      << "usage: tree_corpus --out DIR FILE... | --interrupts FILE... | --walks FILE... | --compose OUT FILE...\n";
  return 2;
}
