// JPEG through libjpeg's scanline interface. libjpeg reports errors by a call that must not return:
//   1. every call into it goes through guarded(), which sets the jump and holds no object with a
//      destructor;
//   2. warnings that mean lost picture data (it would paint on in gray) are made errors;
//   3. its progress monitor counts scans, asks keep_going, and jumps out the same way.
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>

#include "base/limits.h"
#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

struct Failure {
  jpeg_error_mgr manager{};
  std::jmp_buf jump{};
  Errc code = Errc::bad_params;
  char message[JMSG_LENGTH_MAX] = "";
};

Failure& failure_of(j_common_ptr codec) { return *static_cast<Failure*>(codec->client_data); }

[[noreturn]] void leave(j_common_ptr codec) {
  Failure& failure = failure_of(codec);
  if (codec->err->msg_code == JERR_OUT_OF_MEMORY || codec->err->msg_code == JERR_NO_BACKING_STORE)
    failure.code = Errc::memory;
  codec->err->format_message(codec, failure.message);
  std::longjmp(failure.jump, 1);
}

void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;  // a trace
  switch (codec->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
      leave(codec);
    default:
      ++codec->err->num_warnings;  // oddities in metadata and padding, common in real files
  }
}

// Runs `work`, which calls libjpeg and owns nothing that needs a destructor. False: libjpeg gave
// up.
template <class Work>
bool guarded(Failure& failure, const Work& work) {
  if (setjmp(failure.jump) != 0) return false;
  work();
  return true;
}

class JpegReader final : public Reader {
 public:
  JpegReader(std::string_view bytes, const ReadOptions& options)
      : keep_going_(options.keep_going), gray_(options.gray) {
    codec_.err = jpeg_std_error(&failure_.manager);
    failure_.manager.error_exit = leave;
    failure_.manager.emit_message = on_message;
    codec_.client_data = &failure_;
    created_ = guarded(failure_, [&] {
      jpeg_create_decompress(&codec_);
      codec_.mem->max_memory_to_use = static_cast<long>(limits::max_jpeg_memory.raw());
      jpeg_mem_src(&codec_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    });
    monitor_.base.progress_monitor = watch;
    monitor_.reader = this;
    codec_.progress = &monitor_.base;
  }
  ~JpegReader() override { jpeg_destroy_decompress(&codec_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Status header() {
    if (!created_ || !guarded(failure_, [&] { jpeg_read_header(&codec_, TRUE); })) return failed();
    return {};
  }

  Status start(Size at_least) {
    cmyk_ = codec_.jpeg_color_space == JCS_CMYK || codec_.jpeg_color_space == JCS_YCCK;
    const bool gray = gray_ || codec_.num_components == 1;
    codec_.out_color_space = cmyk_ ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_RGB;
    codec_.scale_num = 8 / denominator(at_least);
    codec_.scale_denom = 8;
    if (!guarded(failure_, [&] { jpeg_start_decompress(&codec_); })) return failed();
    size_ = {static_cast<int>(codec_.output_width), static_cast<int>(codec_.output_height)};
    channels_ = gray ? 1 : 3;
    if (cmyk_) line_ = std::make_unique<std::uint8_t[]>(4 * std::size_t{codec_.output_width});
    return {};
  }

  Status read(std::uint8_t* rows, int count) override {
    const std::size_t stride =
        static_cast<std::size_t>(size_.width) * static_cast<std::size_t>(channels_);
    const bool ok = guarded(failure_, [&] {
      for (int done = 0; done < count; ++done) {
        std::uint8_t* const out = rows + stride * static_cast<std::size_t>(done);
        JSAMPROW into = cmyk_ ? line_.get() : out;
        jpeg_read_scanlines(&codec_, &into, 1);
        if (cmyk_) convert_line(out);
      }
      if (codec_.output_scanline == codec_.output_height) jpeg_finish_decompress(&codec_);
    });
    return ok ? Status{} : failed();
  }

  [[nodiscard]] ImageInfo info() const {
    const Size size{static_cast<int>(codec_.image_width), static_cast<int>(codec_.image_height)};
    return {Format::jpeg, size, codec_.num_components == 1 ? 1 : 3, 1};
  }

 private:
  struct Monitor {
    jpeg_progress_mgr base{};
    JpegReader* reader = nullptr;
  };

  static void watch(j_common_ptr codec) {
    JpegReader& self = *reinterpret_cast<Monitor*>(codec->progress)->reader;
    if (self.codec_.input_scan_number > limits::max_jpeg_scans) {
      self.failure_.code = Errc::too_big;
      std::snprintf(self.failure_.message, sizeof self.failure_.message, "more than %d scans",
                    limits::max_jpeg_scans);
      std::longjmp(self.failure_.jump, 1);
    }
    // A row of blocks each; asked now and then only.
    if (++self.pulses_ % 16 == 0 && self.keep_going_ && !self.keep_going_()) {
      self.failure_.code = Errc::cancelled;
      std::snprintf(self.failure_.message, sizeof self.failure_.message, "cancelled");
      std::longjmp(self.failure_.jump, 1);
    }
  }

  [[nodiscard]] std::unexpected<Error> failed() const {
    return fail(failure_.code, std::string("JPEG: ") + failure_.message, "/inputs/0");
  }

  // Only these: libjpeg-turbo has fast code for no others.
  [[nodiscard]] unsigned denominator(Size at_least) const {
    if (at_least.width < 1 || at_least.height < 1) return 1;
    for (const unsigned by : {8U, 4U, 2U}) {
      if ((codec_.image_width + by - 1) / by >= static_cast<unsigned>(at_least.width) &&
          (codec_.image_height + by - 1) / by >= static_cast<unsigned>(at_least.height))
        return by;
    }
    return 1;
  }

  // Adobe's files hold the ink inverted.
  void convert_line(std::uint8_t* out) {
    const bool inverted = codec_.saw_Adobe_marker != FALSE;
    std::uint8_t* p = line_.get();
    for (int x = 0; x < size_.width; ++x) {
      const std::uint8_t* ink = line_.get() + 4 * x;
      const unsigned key = inverted ? ink[3] : 255U - ink[3];
      for (int c = 0; c < 3; ++c) {
        const unsigned light = inverted ? ink[c] : 255U - ink[c];
        *p++ = static_cast<std::uint8_t>((light * key + 127) / 255);
      }
    }
    flatten_row(line_.get(), 3, out, channels_, size_.width);
  }

  Failure failure_;
  jpeg_decompress_struct codec_{};
  Monitor monitor_;
  std::function<bool()> keep_going_;
  std::unique_ptr<std::uint8_t[]> line_;
  unsigned pulses_ = 0;
  bool gray_ = false;
  bool cmyk_ = false;
  bool created_ = false;
};

}  // namespace

Result<ImageInfo> probe_jpeg(std::string_view bytes) {
  JpegReader reader(bytes, {});
  if (Status header = reader.header(); !header) return std::unexpected(std::move(header).error());
  return reader.info();
}

Result<std::unique_ptr<Reader>> open_jpeg(std::string_view bytes, const ReadOptions& options) {
  auto reader = std::make_unique<JpegReader>(bytes, options);
  if (Status header = reader->header(); !header) return std::unexpected(std::move(header).error());
  if (Status start = reader->start(options.at_least); !start)
    return std::unexpected(std::move(start).error());
  return reader;
}

Result<std::string> encode_jpeg(const Raster& picture, int quality) {
  Failure failure;
  jpeg_compress_struct codec{};
  codec.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave;
  codec.client_data = &failure;
  unsigned char* out = nullptr;
  unsigned long out_size = 0;
  const bool ok = guarded(failure, [&] {
    jpeg_create_compress(&codec);
    jpeg_mem_dest(&codec, &out, &out_size);
    codec.image_width = static_cast<JDIMENSION>(picture.width());
    codec.image_height = static_cast<JDIMENSION>(picture.height());
    codec.input_components = picture.channels();
    codec.in_color_space = picture.channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&codec);
    jpeg_set_quality(&codec, quality, TRUE);
    codec.optimize_coding = TRUE;
    jpeg_start_compress(&codec, TRUE);
    for (int y = 0; y < picture.height(); ++y) {
      JSAMPROW row = const_cast<JSAMPROW>(picture.row(y));  // libjpeg's interface; it only reads
      jpeg_write_scanlines(&codec, &row, 1);
    }
    jpeg_finish_compress(&codec);
  });
  jpeg_destroy_compress(&codec);
  std::string bytes;
  if (ok) bytes.assign(reinterpret_cast<const char*>(out), out_size);
  std::free(out);
  if (!ok) {
    const Errc code = failure.code == Errc::memory ? Errc::memory : Errc::stage_failed;
    return fail(code, std::string("JPEG: ") + failure.message);
  }
  return bytes;
}

}  // namespace tallymill::stages::image
