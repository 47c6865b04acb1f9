#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace solder {

void check_failed(const char* file, int line, const char* condition, const char* why) {
  std::fprintf(stderr,
               "solder: internal fault at %s:%d: %s\n  invariant: %s\n  This is a bug of Solder's; please report it "
               "with the command line.\n",
               file, line, why, condition);
  std::abort();
}

}  // namespace solder
