// Image files of kinds that our own encoders do not write: progressive and CMYK JPEG; PNG of every
// colour type and depth; headers that lie. Made with the libraries themselves.
//
// Threads: any.
#pragma once

#include <cstdio>

#include <jpeglib.h>
#include <libdeflate.h>
#include <png.h>
#include <webp/encode.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "stages/image/codec.h"

namespace tallymill::stages::image::testing {

struct JpegShape {
  int components = 3;  // 1 gray, 3 RGB in, 4 CMYK in
  bool progressive = false;
  bool many_scans = false;  // one scan per coefficient and component: 192
  bool adobe = true;        // mark CMYK as Adobe does: inverted ink
  int restart_rows = 0;
  bool full_chroma = false;
};

// A JPEG at quality 90 of `samples`, height x width x components.
inline std::string write_jpeg(Size size, const std::vector<std::uint8_t>& samples,
                              const JpegShape& shape) {
  jpeg_compress_struct codec{};
  jpeg_error_mgr errors{};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* out = nullptr;
  unsigned long out_size = 0;
  jpeg_mem_dest(&codec, &out, &out_size);
  codec.image_width = static_cast<JDIMENSION>(size.width);
  codec.image_height = static_cast<JDIMENSION>(size.height);
  codec.input_components = shape.components;
  codec.in_color_space = shape.components == 1   ? JCS_GRAYSCALE
                         : shape.components == 3 ? JCS_RGB
                                                 : JCS_CMYK;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, 90, TRUE);
  codec.restart_in_rows = shape.restart_rows;
  codec.write_Adobe_marker = shape.components == 4 && shape.adobe ? TRUE : FALSE;
  if (shape.full_chroma) codec.comp_info[0].h_samp_factor = codec.comp_info[0].v_samp_factor = 1;
  if (shape.progressive) jpeg_simple_progression(&codec);
  std::vector<jpeg_scan_info> scans;
  if (shape.many_scans) {
    for (int c = 0; c < shape.components; ++c)
      for (int k = 0; k < 64; ++k) scans.push_back({1, {c, 0, 0, 0}, k, k, 0, 0});
    codec.scan_info = scans.data();
    codec.num_scans = static_cast<int>(scans.size());
  }
  jpeg_start_compress(&codec, TRUE);
  const std::size_t stride =
      static_cast<std::size_t>(size.width) * static_cast<std::size_t>(shape.components);
  for (int y = 0; y < size.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(samples.data() + stride * static_cast<std::size_t>(y));
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  std::string bytes(reinterpret_cast<const char*>(out), out_size);
  std::free(out);
  return bytes;
}

struct PngShape {
  int colour_type = PNG_COLOR_TYPE_RGB;
  int depth = 8;
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::vector<png_byte> palette_alpha = {};
};

// A PNG of `rows`, packed as the format stores them.
inline std::string write_png(Size size, const std::vector<std::string>& rows,
                             const PngShape& shape) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp writer, png_bytep data, std::size_t count) {
        static_cast<std::string*>(png_get_io_ptr(writer))
            ->append(reinterpret_cast<const char*>(data), count);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(size.width),
               static_cast<png_uint_32>(size.height), shape.depth, shape.colour_type,
               shape.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!shape.palette.empty())
    png_set_PLTE(png, info, shape.palette.data(), static_cast<int>(shape.palette.size()));
  if (!shape.palette_alpha.empty())
    png_set_tRNS(png, info, shape.palette_alpha.data(),
                 static_cast<int>(shape.palette_alpha.size()), nullptr);
  std::vector<png_bytep> pointers;
  for (const std::string& row : rows)
    pointers.push_back(reinterpret_cast<png_bytep>(const_cast<char*>(row.data())));
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

inline std::string big_endian(std::uint32_t value) {
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>(value >> shift));
  return out;
}

inline std::string png_chunk(const std::string& type, const std::string& body) {
  const std::string checked = type + body;
  return big_endian(static_cast<std::uint32_t>(body.size())) + checked +
         big_endian(libdeflate_crc32(0, checked.data(), checked.size()));
}

// A PNG whose header claims this size; nothing behind it but an empty IDAT.
inline std::string png_header(std::uint32_t width, std::uint32_t height, char depth = 8,
                              char colour_type = 2) {
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR", big_endian(width) + big_endian(height) + depth + colour_type +
                               std::string(3, '\0')) +
         png_chunk("IDAT", "") + png_chunk("IEND", "");
}

// `jpeg` with another size in its frame header.
inline std::string jpeg_claiming(std::string jpeg, unsigned width, unsigned height) {
  for (std::size_t at = 2; at + 9 < jpeg.size();) {
    const auto marker = static_cast<unsigned char>(jpeg[at + 1]);
    if (marker == 0xc0 || marker == 0xc1 || marker == 0xc2) {
      jpeg[at + 5] = static_cast<char>(height >> 8), jpeg[at + 6] = static_cast<char>(height);
      jpeg[at + 7] = static_cast<char>(width >> 8), jpeg[at + 8] = static_cast<char>(width);
      return jpeg;
    }
    at += 2 + (static_cast<std::size_t>(static_cast<unsigned char>(jpeg[at + 2])) << 8 |
               static_cast<unsigned char>(jpeg[at + 3]));
  }
  return jpeg;
}

// Lossless, 2 x 1: (10, 20, 30), then a clear pixel.
inline std::string webp_with_alpha() {
  const std::uint8_t rgba[] = {10, 20, 30, 255, 200, 0, 0, 0};
  std::uint8_t* out = nullptr;
  const std::size_t size = WebPEncodeLosslessRGBA(rgba, 2, 1, 8, &out);
  std::string bytes(reinterpret_cast<const char*>(out), size);
  WebPFree(out);
  return bytes;
}

}  // namespace tallymill::stages::image::testing
