// Chain: from a file to pictures of the sizes wanted, by one decode.
//
// The front half of both kinds. Strips of rows go from the reader through a resizer per size; a
// size at most half of a larger one is made from that instead, which costs next to nothing and
// keeps Lanczos quality. A JPEG is decoded at the smallest scale that leaves 1.5 times the largest
// size: measured, that is nearer to a full decode than what libvips and sharp do, and as fast.
// Spans: `decode` and `resize`, in turns when the picture is larger than limits::max_image_strip.
//
// Threads: the handler's.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "stages/handler.h"
#include "stages/image/codec.h"
#include "stages/image/ops.h"

namespace tallymill::stages::image {

// One picture per wanted size, in that order, upright. `sizes` are those of the upright picture;
// `progress_share` is how far the job is when this is done. Errors: as Reader's; cancelled.
[[nodiscard]] Result<std::vector<Raster>> decode_to_sizes(std::string_view bytes,
                                                          const ImageInfo& info, bool gray,
                                                          std::span<const Size> sizes,
                                                          Context& context, double progress_share);

}  // namespace tallymill::stages::image
