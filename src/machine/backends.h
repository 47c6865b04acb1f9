/// The host's side of a machine: what /solder describes and nodes refer to. It outlives resets of the guest.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "host/chardev.h"
#include "host/disk.h"
#include "host/network.h"
#include "tree/node.h"

namespace solder::machine {

/// Opens backends when a node first asks, and keeps them. Each belongs to one node.
class Backends {
 public:
  /// `dry`: describes, opens nothing and returns what does nothing (for `solder explain`).
  explicit Backends(host::ConsoleKeys keys, bool dry = false) : keys_(std::move(keys)), dry_(dry) {}

  /// What the `index`-th cell of the node's `solder,chardev` names; null when it has none.
  /// Errors: the reference leads nowhere, the description is incomplete, the host says no, another node has it already.
  [[nodiscard]] Result<host::CharDevice*> chardev(const tree::Tree& tree, const tree::Node& node, u32 index);
  [[nodiscard]] Result<host::Disk*> disk(const tree::Tree& tree, const tree::Node& node);
  [[nodiscard]] Result<host::Network*> network(const tree::Tree& tree, const tree::Node& node);

  /// The text a backend is opened with, from its node below /solder: "file=PATH", "PATH,readonly",
  /// "user,forward=tcp:2222:22".
  [[nodiscard]] static Result<std::string> chardev_text(const tree::Node& backend);
  [[nodiscard]] static Result<std::string> disk_text(const tree::Node& backend);
  [[nodiscard]] static Result<std::string> network_text(const tree::Node& backend);

 private:
  struct Entry {
    std::string owner;  // path of the node that uses it
    std::unique_ptr<host::CharDevice> chardev;
    std::unique_ptr<host::Disk> disk;
    std::unique_ptr<host::Network> network;
  };
  Result<const tree::Node*> target(const tree::Tree& tree, const tree::Node& node, std::string_view property,
                                   u32 index);
  Result<Entry*> claim(const tree::Node& backend, const tree::Node& node, std::string_view property);

  host::ConsoleKeys keys_;
  bool dry_;
  std::map<std::string, Entry> entries_;  // by path of the backend's node
};

}  // namespace solder::machine
