#include <webp/decode.h>
#include <webp/encode.h>

#include <algorithm>
#include <cstring>

#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

const std::uint8_t* data_of(std::string_view bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// libwebp decodes a picture in one go.
class WebpReader final : public Reader {
 public:
  // REQUIRES: `bytes` passed probe_webp.
  WebpReader(std::string_view bytes, Size size, int channels, std::function<bool()> keep_going)
      : bytes_(bytes), keep_going_(std::move(keep_going)) {
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data_of(bytes), bytes.size(), &features) == VP8_STATUS_OK)
      stored_channels_ = features.has_alpha != 0 ? 4 : 3;
    size_ = size;
    channels_ = channels;
  }

  Status read(std::uint8_t* rows, int count) override {
    if (keep_going_ && !keep_going_()) return fail(Errc::cancelled, "cancelled");
    if (pixels_.empty()) {
      if (Status all = decode_all(); !all) return all;
    }
    const auto width = static_cast<std::size_t>(size_.width);
    for (int done = 0; done < count; ++done, ++next_)
      flatten_row(
          pixels_.data() +
              width * static_cast<std::size_t>(stored_channels_) * static_cast<std::size_t>(next_),
          stored_channels_,
          rows + width * static_cast<std::size_t>(channels_) * static_cast<std::size_t>(done),
          channels_, size_.width);
    return {};
  }

 private:
  Status decode_all() {
    const int stride = stored_channels_ * size_.width;
    pixels_.resize(static_cast<std::size_t>(stride) * static_cast<std::size_t>(size_.height));
    const auto into = stored_channels_ == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    if (into(data_of(bytes_), bytes_.size(), pixels_.data(), pixels_.size(), stride) == nullptr)
      return bad_picture("WebP: the file is damaged or ends too early");
    return {};
  }

  std::string_view bytes_;
  std::function<bool()> keep_going_;
  std::vector<std::uint8_t> pixels_;
  int stored_channels_ = 3;
  int next_ = 0;
};

}  // namespace

Result<ImageInfo> probe_webp(std::string_view bytes) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data_of(bytes), bytes.size(), &features) != VP8_STATUS_OK)
    return bad_picture("WebP: the header is damaged or incomplete");
  if (features.has_animation != 0) return bad_picture("WebP: animations are not supported");
  return ImageInfo{Format::webp, {features.width, features.height}, 3, 1};
}

Result<std::unique_ptr<Reader>> open_webp(std::string_view bytes, const ImageInfo& info,
                                          const ReadOptions& options) {
  return std::make_unique<WebpReader>(bytes, info.size, options.gray ? 1 : 3, options.keep_going);
}

Result<std::string> encode_webp(const Raster& picture, int quality) {
  WebPConfig config;
  if (WebPConfigPreset(&config, WEBP_PRESET_PHOTO, static_cast<float>(quality)) == 0)
    return fail(Errc::stage_failed, "WebP: the library is of another version");
  config.method = 2;  // half the time of the default, 4, for 3 % more bytes
  WebPPicture frame;
  WebPMemoryWriter writer;
  WebPPictureInit(&frame);
  WebPMemoryWriterInit(&writer);
  frame.width = picture.width();
  frame.height = picture.height();
  frame.writer = WebPMemoryWrite;
  frame.custom_ptr = &writer;
  bool imported = false;
  if (picture.channels() == 3) {
    imported = WebPPictureImportRGB(&frame, picture.row(0), static_cast<int>(picture.stride()));
  } else {
    std::vector<std::uint8_t> rgb(3 * picture.byte_count());
    for (std::size_t i = 0; i < picture.byte_count(); ++i)
      std::memset(&rgb[3 * i], picture.bytes()[i], 3);
    imported = WebPPictureImportRGB(&frame, rgb.data(), 3 * picture.width());
  }
  const bool ok = imported && WebPEncode(&config, &frame) != 0;
  std::string bytes;
  if (ok) bytes.assign(reinterpret_cast<const char*>(writer.mem), writer.size);
  WebPPictureFree(&frame);
  WebPMemoryWriterClear(&writer);
  if (!ok) return fail(Errc::stage_failed, "WebP: the encoder gave up");
  return bytes;
}

}  // namespace tallymill::stages::image
