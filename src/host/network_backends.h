/// The network backends behind `open_network`.
#pragma once

#include <span>

#include "host/network.h"

namespace solder::host {

/// A port of this host that leads to one of the guest.
struct PortForward {
  bool udp = false;
  u16 host_port = 0;  ///< on 127.0.0.1
  u16 guest_port = 0;
};

/// A private network behind this host's own connections (libslirp): guest 10.0.2.15, gateway 10.0.2.2, DNS 10.0.2.3.
[[nodiscard]] Result<std::unique_ptr<Network>> open_user_network(std::span<const PortForward> forwards);
/// An existing or new tap interface; needs CAP_NET_ADMIN or ownership of the interface.
[[nodiscard]] Result<std::unique_ptr<Network>> open_tap(const std::string& interface);

}  // namespace solder::host
