// The kind `box`: parameters in, a sheet of panels as box.svg out, with the sizes as values.
//
// Threads: pure functions; the handler holds no state.
#pragma once

#include "base/schema.h"
#include "stages/handler.h"

namespace tallymill::stages::compute {

[[nodiscard]] KindSpec box_kind();
[[nodiscard]] Handler box_handler();

}  // namespace tallymill::stages::compute
