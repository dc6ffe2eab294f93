// The parts of the codec, one .cc file a library, so that its ways of failing (longjmp, codes) stop
// there; codec.cc chooses among them.
//
// Threads: functions from any.
#pragma once

#include <optional>

#include "stages/image/codec.h"

namespace tallymill::stages::image {

[[nodiscard]] Result<ImageInfo> probe_jpeg(std::string_view bytes);
[[nodiscard]] Result<ImageInfo> probe_png(std::string_view bytes);
[[nodiscard]] Result<ImageInfo> probe_webp(std::string_view bytes);

[[nodiscard]] Result<std::unique_ptr<Reader>> open_jpeg(std::string_view bytes,
                                                        const ReadOptions& options);
[[nodiscard]] Result<std::unique_ptr<Reader>> open_png(std::string_view bytes,
                                                       const ReadOptions& options);
[[nodiscard]] Result<std::unique_ptr<Reader>> open_webp(std::string_view bytes,
                                                        const ImageInfo& info,
                                                        const ReadOptions& options);

// The orientation that the EXIF block of such a file names; 1 when it has none or a damaged one.
[[nodiscard]] int exif_orientation(std::string_view bytes, Format format);

// A problem with the picture that the job brought.
[[nodiscard]] inline std::unexpected<Error> bad_picture(std::string message) {
  return fail(Errc::bad_params, std::move(message), "/inputs/0");
}

// Turns a row of `channels` samples (1 gray, 2 gray + alpha, 3 RGB, 4 RGBA) into 1 or 3, with the
// alpha flattened on white. `out` may be `in` when it is not wider.
void flatten_row(const std::uint8_t* in, int channels, std::uint8_t* out, int out_channels,
                 int width);

}  // namespace tallymill::stages::image
