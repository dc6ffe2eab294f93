// Codec: files to pixels and back; JPEG, PNG and WebP behind one reader and four encoders.
//
// The format is decided by the file's first bytes, never by its name. probe() reads the header only
// and holds it against base/limits.h, so that a hostile file is refused before it costs memory.
// open() starts a decode that the caller pulls in strips of rows; a picture that needs all of
// itself at once (WebP, interlaced PNG) is decoded by the first read. Alpha is flattened on white,
// 16 bits become 8, CMYK becomes RGB by the plain formula (colour profiles are not applied).
//
// A damaged file is an error at the row where the damage shows, never a gray remainder.
// Errors: bad_params "/inputs/0" for a file that is not a picture, or a broken or unsupported one;
// too_big "/inputs/0" over a limit; memory when the codec's own memory limit is reached; cancelled
// when keep_going said so.
//
// Threads: functions from any; a Reader belongs to one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "stages/image/raster.h"

namespace tallymill::stages::image {

enum class Format : std::uint8_t { jpeg, png, webp };

struct ImageInfo {
  Format format = Format::jpeg;
  Size size;            // as stored, before the orientation is applied
  int channels = 3;     // that a decode gives: 1 or 3
  int orientation = 1;  // EXIF, 1..8
};

// What the header says, within all limits.
[[nodiscard]] Result<ImageInfo> probe(std::string_view untrusted_bytes);

struct ReadOptions {
  bool gray = false;  // one channel: Rec. 601 luma
  // When set, a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as it is no smaller than this on
  // either side; far cheaper than decoding it all.
  Size at_least = {};
  // Asked now and then during long work inside a codec; false stops it. May be empty.
  std::function<bool()> keep_going = {};
};

// A decode under way. invariant: read() is called with no more rows than are left.
class Reader {
 public:
  virtual ~Reader() = default;
  // The next `count` rows into `rows`. After an error the reader is of no more use.
  [[nodiscard]] virtual Status read(std::uint8_t* rows, int count) = 0;

  [[nodiscard]] Size size() const { return size_; }
  [[nodiscard]] int channels() const { return channels_; }

 protected:
  Size size_;
  int channels_ = 0;
};

// `bytes` must outlive the reader. REQUIRES: `info` is what probe(bytes) gave.
[[nodiscard]] Result<std::unique_ptr<Reader>> open(std::string_view bytes, const ImageInfo& info,
                                                   const ReadOptions& options);

// probe, open and read to the end; for small pictures and tests.
[[nodiscard]] Result<Raster> decode(std::string_view untrusted_bytes,
                                    const ReadOptions& options = {});

// `quality` 1..100. Errors: memory; stage_failed with the library's words.
[[nodiscard]] Result<std::string> encode_jpeg(const Raster& picture, int quality);
[[nodiscard]] Result<std::string> encode_webp(const Raster& picture, int quality);
[[nodiscard]] Result<std::string> encode_png(const Raster& picture);
// One bit a pixel, set bits black; says its size in `dots_per_mm` so that other programs agree on
// the millimetres.
[[nodiscard]] Result<std::string> encode_png(const BitRaster& picture, double dots_per_mm);

[[nodiscard]] std::string_view media_type(Format format);  // "image/jpeg"
[[nodiscard]] std::string_view extension(Format format);   // "jpg"

}  // namespace tallymill::stages::image
