// The kind `synthetic`: a job of known service time, size and fate, for benches, chaos and tests of
// the pipeline itself. Served only with --diagnostics.
//
// It reads its msgpack without building JSON, so that 0 microseconds cost next to nothing.
//
// Threads: as Handler says; the handler holds no state.
#pragma once

#include <string>

#include "stages/handler.h"

namespace tallymill::stages {

// Any stage serves it; the front reads the parameter `route` and chooses the stages.
[[nodiscard]] StageKind synthetic_kind(std::string stage);

}  // namespace tallymill::stages
