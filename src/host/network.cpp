#include "host/network.h"

#include <charconv>
#include <vector>

#include "host/network_backends.h"

namespace solder::host {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  usize from = 0;
  for (;;) {
    const usize to = text.find(separator, from);
    parts.push_back(text.substr(from, to == std::string::npos ? to : to - from));
    if (to == std::string::npos) return parts;
    from = to + 1;
  }
}

/// Nobody on the other side.
class NoNetwork final : public Network {
 public:
  void send(std::span<const u8>) override {}
  void set_receiver(Receiver) override {}
  void ready() override {}
  std::string describe() const override { return "none"; }
};

Result<u16> port_number(const std::string& where, const std::string& text) {
  u16 port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    return fail(where, "'" + text + "' is not a port number", "write forward=tcp:HOSTPORT:GUESTPORT");
  }
  return port;
}

}  // namespace

Result<std::unique_ptr<Network>> open_network(const std::string& text) {
  const std::string where = "--net " + text;
  const std::vector<std::string> parts = split(text, ',');
  if (parts[0] == "none" && parts.size() == 1) return std::make_unique<NoNetwork>();
  if (parts[0].starts_with("tap=") && parts.size() == 1) return open_tap(parts[0].substr(4));
  if (parts[0] != "user") {
    return fail(where, "there is no such network", "use user[,forward=tcp:HOSTPORT:GUESTPORT…], tap=INTERFACE or none");
  }
  std::vector<PortForward> forwards;
  for (usize i = 1; i < parts.size(); ++i) {
    if (!parts[i].starts_with("forward=")) {
      return fail(where, "does not know the option '" + parts[i] + "'", "write forward=tcp:HOSTPORT:GUESTPORT");
    }
    const auto fields = split(parts[i].substr(8), ':');
    if (fields.size() != 3 || (fields[0] != "tcp" && fields[0] != "udp")) {
      return fail(where, "'" + parts[i] + "' is not a port forward", "write forward=tcp:HOSTPORT:GUESTPORT");
    }
    forwards.push_back({.udp = fields[0] == "udp",
                        .host_port = SOLDER_TRY(port_number(where, fields[1])),
                        .guest_port = SOLDER_TRY(port_number(where, fields[2]))});
  }
  return open_user_network(forwards);
}

}  // namespace solder::host
