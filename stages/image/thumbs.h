// The kind `thumbs`: a set of smaller pictures from one photo, by one decode.
//
// Threads: as Handler says.
#pragma once

#include "base/schema.h"
#include "stages/handler.h"

namespace tallymill::stages::image {

[[nodiscard]] KindSpec thumbs_kind();

// Files "thumb-SIZE.EXT"; values {width, height, orientation, files: [{name, width, height,
// bytes}]}. Each picture stands upright, fits a square of its size and is never enlarged.
[[nodiscard]] Handler thumbs_handler();

}  // namespace tallymill::stages::image
