#include "translator/host_x64/emitter.h"

namespace solder::host_x64 {

bool Emitter::vector(u32) {
  return false;
}

}  // namespace solder::host_x64
