/// libslirp, loaded when the first user network is made. It brings GLib with it, a tenth of the memory of a small
/// machine (bench/kvm), and most machines have no such network.
#pragma once

#include <libslirp.h>

#include "base/result.h"

namespace solder::host {

/// The functions of libslirp.so.0 that Solder calls, by their names in <libslirp.h> without the prefix.
struct SlirpLibrary {
  /// The name that programs linked with <libslirp.h>'s version 4 ask for: it changes when the interface does.
  static constexpr const char* kName = "libslirp.so.0";

  /// Loads the library, and keeps it for as long as the process lives. Errors: there is none of that name, or it lacks
  /// a function; with the package to install.
  [[nodiscard]] static Result<SlirpLibrary> load(const char* name = kName);

  // `create` is slirp_new: `new` is a keyword.
  decltype(&::slirp_new) create = nullptr;
  decltype(&::slirp_cleanup) cleanup = nullptr;
  decltype(&::slirp_add_hostfwd) add_hostfwd = nullptr;
  decltype(&::slirp_pollfds_fill) pollfds_fill = nullptr;
  decltype(&::slirp_pollfds_poll) pollfds_poll = nullptr;
  decltype(&::slirp_input) input = nullptr;
};

}  // namespace solder::host
