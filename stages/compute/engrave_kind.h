// The kind `engrave`: its route and parameters. Both its hops announce it: compute resolves the
// laser settings, image makes picture and G-code.
//
// Threads: any.
#pragma once

#include "base/schema.h"

namespace tallymill::stages::compute {

[[nodiscard]] KindSpec engrave_kind();

}  // namespace tallymill::stages::compute
