/// Network backends.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace solder::host {

/// A host network: Ethernet frames in and out, without FCS.
class Network {
 public:
  virtual ~Network() = default;
  /// Sends one frame to the host side. Any thread.
  virtual void send(std::span<const u8> frame) = 0;
  /// Who takes frames from the host; false means no room: the frame is offered again after `ready`. Backend's thread.
  using Receiver = std::function<bool(std::span<const u8>)>;
  virtual void set_receiver(Receiver receiver) = 0;
  virtual void ready() = 0;
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// Text: "user[,forward=tcp:HOSTPORT:GUESTPORT…]" (libslirp), "tap=IFNAME", "none".
[[nodiscard]] Result<std::unique_ptr<Network>> open_network(const std::string& text);

}  // namespace solder::host
