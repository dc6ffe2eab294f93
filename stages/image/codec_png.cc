// PNG through libpng's rows; the 1-bit engraving is written by our own few lines over libdeflate,
// because dithered dots do not compress: level 1 takes an eighth of zlib's time for 0.2 % more.
// libpng reports errors by a call that must not return; see guarded().
#include <fmt/format.h>
#include <libdeflate.h>
#include <png.h>

#include <cmath>
#include <csetjmp>
#include <cstring>

#include "base/limits.h"
#include "base/thread.h"
#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

struct Failure {
  std::jmp_buf jump{};
  char message[128] = "";
};

[[noreturn]] void leave(png_structp png, png_const_charp message) {
  auto& failure = *static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(failure.message, message, sizeof failure.message - 1);
  std::longjmp(failure.jump, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

// Runs `work`, which calls libpng and owns nothing that needs a destructor. False: libpng gave up.
template <class Work>
bool guarded(Failure& failure, const Work& work) {
  if (setjmp(failure.jump) != 0) return false;
  work();
  return true;
}

std::uint32_t big_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

class PngReader final : public Reader {
 public:
  PngReader(std::string_view bytes, const ReadOptions& options)
      : left_(bytes), keep_going_(options.keep_going) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure_, leave, ignore_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
  }
  ~PngReader() override { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Status start(bool gray) {
    if (info_ == nullptr) return fail(Errc::memory, "PNG: no memory for the decoder");
    const bool ok = guarded(failure_, [&] {
      png_set_read_fn(png_, this, take);
      png_set_user_limits(png_, limits::max_image_side, limits::max_image_side);
      png_set_chunk_malloc_max(png_, static_cast<png_alloc_size_t>(limits::max_png_chunk.raw()));
      png_set_chunk_cache_max(png_, limits::max_png_chunks);
      png_read_info(png_, info_);
      png_set_expand(png_);
      png_set_scale_16(png_);
      passes_ = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    if (!ok) return failed();
    stored_channels_ = png_get_channels(png_, info_);
    size_ = {static_cast<int>(png_get_image_width(png_, info_)),
             static_cast<int>(png_get_image_height(png_, info_))};
    channels_ = gray || stored_channels_ <= 2 ? 1 : 3;
    const std::size_t line = stored_line();
    held_.resize(passes_ > 1 ? line * static_cast<std::size_t>(size_.height) : line);
    return {};
  }

  Status read(std::uint8_t* rows, int count) override {
    const std::size_t line = stored_line();
    const std::size_t stride =
        static_cast<std::size_t>(size_.width) * static_cast<std::size_t>(channels_);
    if (passes_ > 1 && next_ == 0) {
      if (Status all = read_interlaced(line); !all) return all;
    }
    for (int done = 0; done < count; ++done, ++next_) {
      if (next_ % 64 == 0 && keep_going_ && !keep_going_())
        return fail(Errc::cancelled, "cancelled");
      std::uint8_t* stored = held_.data();
      if (passes_ > 1)
        stored += line * static_cast<std::size_t>(next_);
      else if (!guarded(failure_, [&] { png_read_row(png_, stored, nullptr); }))
        return failed();
      flatten_row(stored, stored_channels_, rows + stride * static_cast<std::size_t>(done),
                  channels_, size_.width);
    }
    return {};
  }

 private:
  Status read_interlaced(std::size_t line) {
    for (int pass = 0; pass < passes_; ++pass) {
      if (keep_going_ && !keep_going_()) return fail(Errc::cancelled, "cancelled");
      const bool ok = guarded(failure_, [&] {
        for (int y = 0; y < size_.height; ++y)
          png_read_row(png_, held_.data() + line * static_cast<std::size_t>(y), nullptr);
      });
      if (!ok) return failed();
    }
    return {};
  }

  static void take(png_structp png, png_bytep into, std::size_t count) {
    auto& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self.left_.size()) png_error(png, "the file ends too early");
    std::memcpy(into, self.left_.data(), count);
    self.left_.remove_prefix(count);
  }

  [[nodiscard]] std::size_t stored_line() const {
    return static_cast<std::size_t>(size_.width) * static_cast<std::size_t>(stored_channels_);
  }

  [[nodiscard]] std::unexpected<Error> failed() const {
    return bad_picture(std::string("PNG: ") + failure_.message);
  }

  Failure failure_;
  std::string_view left_;
  std::function<bool()> keep_going_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::vector<std::uint8_t> held_;  // one row, or the whole picture when it is interlaced
  int stored_channels_ = 0;
  int passes_ = 1;
  int next_ = 0;
};

void append_big_endian(std::string& out, std::uint32_t value) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>(value >> shift));
}

void append_chunk(std::string& out, std::string_view type, std::string_view body) {
  append_big_endian(out, static_cast<std::uint32_t>(body.size()));
  const std::size_t from = out.size();
  out += type;
  out += body;
  append_big_endian(out, libdeflate_crc32(0, out.data() + from, out.size() - from));
}

using Compressor = unique_handle<libdeflate_compressor, libdeflate_free_compressor>;

}  // namespace

Result<ImageInfo> probe_png(std::string_view bytes) {
  using namespace std::string_view_literals;
  constexpr std::size_t header_bytes = 33;  // signature, then IHDR with its checksum
  if (bytes.size() < header_bytes || bytes.substr(8, 8) != "\0\0\0\x0dIHDR"sv)
    return bad_picture("PNG: the header is incomplete");
  if (libdeflate_crc32(0, bytes.data() + 12, 17) != big_endian(bytes, 29))
    return bad_picture("PNG: the header fails its checksum");
  const std::uint32_t width = big_endian(bytes, 16), height = big_endian(bytes, 20);
  const int colour_type = static_cast<unsigned char>(bytes[25]);
  constexpr std::uint32_t int_max = 0x7fffffff;
  if (width > int_max || height > int_max) return bad_picture("PNG: the size is not a size");
  const Size size{static_cast<int>(width), static_cast<int>(height)};
  const bool colour = (colour_type & PNG_COLOR_MASK_COLOR) != 0;
  return ImageInfo{Format::png, size, colour ? 3 : 1, 1};
}

Result<std::unique_ptr<Reader>> open_png(std::string_view bytes, const ReadOptions& options) {
  auto reader = std::make_unique<PngReader>(bytes, options);
  if (Status start = reader->start(options.gray); !start)
    return std::unexpected(std::move(start).error());
  return reader;
}

Result<std::string> encode_png(const Raster& picture) {
  Failure failure;
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failure, leave, ignore_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool ok =
      info != nullptr && guarded(failure, [&] {
        png_set_write_fn(
            png, &out,
            [](png_structp writer, png_bytep data, std::size_t count) {
              static_cast<std::string*>(png_get_io_ptr(writer))
                  ->append(reinterpret_cast<const char*>(data), count);
            },
            nullptr);
        png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width()),
                     static_cast<png_uint_32>(picture.height()), 8,
                     picture.channels() == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        // NOLINTNEXTLINE(bugprone-inc-dec-in-conditions): there is none, setjmp's macro confuses it
        for (int y = 0; y < picture.height(); ++y) png_write_row(png, picture.row(y));
        png_write_end(png, nullptr);
      });
  png_destroy_write_struct(&png, &info);
  if (!ok) return fail(Errc::stage_failed, std::string("PNG: ") + failure.message);
  return out;
}

Result<std::string> encode_png(const BitRaster& picture, double dots_per_mm) {
  using namespace std::string_view_literals;
  const auto height = static_cast<std::size_t>(picture.size.height);
  std::string raw;  // a filter byte (none) before each row; in PNG a set bit is white
  raw.reserve((picture.stride + 1) * height);
  for (int y = 0; y < picture.size.height; ++y) {
    raw.push_back(0);
    const std::uint8_t* row = picture.row(y);
    for (std::size_t i = 0; i < picture.stride; ++i) raw.push_back(static_cast<char>(~row[i]));
  }

  const Compressor compressor(libdeflate_alloc_compressor(1));
  if (!compressor) return fail(Errc::memory, "PNG: no memory for the compressor");
  std::string packed(libdeflate_zlib_compress_bound(compressor.get(), raw.size()), '\0');
  packed.resize(libdeflate_zlib_compress(compressor.get(), raw.data(), raw.size(), packed.data(),
                                         packed.size()));
  if (packed.empty()) return fail(Errc::stage_failed, "PNG: the compressor gave nothing");

  std::string header, density, out = "\x89PNG\r\n\x1a\n";
  append_big_endian(header, static_cast<std::uint32_t>(picture.size.width));
  append_big_endian(header, static_cast<std::uint32_t>(picture.size.height));
  header += "\x01\x00\x00\x00\x00"sv;  // 1 bit, gray, deflate, no interlace
  const auto dots_per_m = static_cast<std::uint32_t>(std::lround(dots_per_mm * 1000));
  append_big_endian(density, dots_per_m);
  append_big_endian(density, dots_per_m);
  density.push_back(1);
  append_chunk(out, "IHDR", header);
  append_chunk(out, "pHYs", density);
  append_chunk(out, "IDAT", packed);
  append_chunk(out, "IEND", "");
  return out;
}

}  // namespace tallymill::stages::image
