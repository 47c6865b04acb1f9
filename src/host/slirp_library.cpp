#include "host/slirp_library.h"

#include <dlfcn.h>

#include <string>

namespace solder::host {

namespace {

std::string dynamic_linker_says() {
  const char* what = ::dlerror();
  return what != nullptr ? what : "for a reason that the dynamic linker does not tell";
}

template <typename Function>
Status find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function != nullptr) return {};
  return fail("--net user", "libslirp lacks a function: " + dynamic_linker_says(), "install the package libslirp0");
}

}  // namespace

Result<SlirpLibrary> SlirpLibrary::load(const char* name) {
  // Never unloaded: GLib keeps thread-local data that cannot be taken back.
  void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr)
    return fail("--net user", "libslirp cannot be loaded: " + dynamic_linker_says(),
                "install the package libslirp0, or use --net tap=NAME or --net none");
  SlirpLibrary out;
  SOLDER_TRY_STATUS(find(library, "slirp_new", out.create));
  SOLDER_TRY_STATUS(find(library, "slirp_cleanup", out.cleanup));
  SOLDER_TRY_STATUS(find(library, "slirp_add_hostfwd", out.add_hostfwd));
  SOLDER_TRY_STATUS(find(library, "slirp_pollfds_fill", out.pollfds_fill));
  SOLDER_TRY_STATUS(find(library, "slirp_pollfds_poll", out.pollfds_poll));
  SOLDER_TRY_STATUS(find(library, "slirp_input", out.input));
  return out;
}

}  // namespace solder::host
