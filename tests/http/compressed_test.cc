// Goal: what is compressed is the text that was meant, is smaller, and is taken by its client and
// by nobody else. Method: texts at the bounds and above them, unpacked again.
#include <gtest/gtest.h>
#include <libdeflate.h>

#include "base/limits.h"
#include "http/conditional.h"

namespace tallymill::http {
namespace {

constexpr auto least = static_cast<std::size_t>(limits::http_gzip_bytes.raw());
constexpr auto largest = static_cast<std::size_t>(limits::http_gzip_largest_bytes.raw());

std::string unpacked(std::string_view gzip, std::size_t size) {
  std::string text(size, '\0');
  libdeflate_decompressor* decompressor = libdeflate_alloc_decompressor();
  const auto result = libdeflate_gzip_decompress(decompressor, gzip.data(), gzip.size(),
                                                 text.data(), text.size(), nullptr);
  libdeflate_free_decompressor(decompressor);
  return result == LIBDEFLATE_SUCCESS ? text : "not gzip";
}

std::string text_of(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "job " + std::to_string(i) + " done\n";
  text.resize(size);
  return text;
}

Request taking(std::string list) {
  Request request;
  request.headers.add("Accept-Encoding", std::move(list));
  return request;
}

bool is_gzip(const Response& response) {
  return response.headers.get("Content-Encoding") == "gzip";
}

TEST(Compressed, OnlyForAClientThatTakesIt) {
  for (const char* list : {"", "br", "gzip;q=0", "*", "identity", "xgzip"}) {
    const Response response = compressed(taking(list), {.body = text_of(least)});
    EXPECT_FALSE(is_gzip(response)) << list;
    EXPECT_EQ(response.body.bytes(), text_of(least));
    EXPECT_EQ(response.headers.get("Vary"), "Accept-Encoding");
  }
  EXPECT_FALSE(is_gzip(compressed({}, {.body = text_of(least)})));
}

TEST(Compressed, ATextComesBackAsItWas) {
  for (const std::size_t size : {least, least + 1, std::size_t{100'000}, largest}) {
    const Response response = compressed(taking("br;q=1, gzip;q=0.5"), {.body = text_of(size)});
    ASSERT_TRUE(is_gzip(response)) << size;
    EXPECT_LT(response.body.size(), size);
    EXPECT_EQ(unpacked(response.body.bytes(), size), text_of(size));
    EXPECT_EQ(response.headers.get("Vary"), "Accept-Encoding");
  }
}

TEST(Compressed, NotBelowOrAboveItsBounds) {
  for (const std::size_t size : {std::size_t{0}, least - 1, largest + 1}) {
    const Response response = compressed(taking("gzip"), {.body = text_of(size)});
    EXPECT_FALSE(is_gzip(response)) << size;
    EXPECT_EQ(response.body.bytes(), text_of(size));
    // The next one may be of another size.
    EXPECT_EQ(response.headers.get("Vary"), "Accept-Encoding");
  }
}

TEST(Compressed, NotWhereItWouldNotBeSmaller) {
  std::string noise;
  for (std::uint64_t seed = 1; noise.size() < least; seed = seed * 6364136223846793005u + 1)
    noise += static_cast<char>(seed >> 56);
  const Response response = compressed(taking("gzip"), {.type = "text/plain", .body = noise});
  EXPECT_FALSE(is_gzip(response));
  EXPECT_EQ(response.body.bytes(), noise);
}

TEST(Compressed, TextsAreAndPicturesArchivesAndStreamsAreNot) {
  for (const char* type :
       {"text/plain; charset=utf-8", "text/html", "application/json", "application/problem+json",
        "image/svg+xml", "Application/JSON", "application/openmetrics-text; version=1.0.0"})
    EXPECT_TRUE(is_gzip(compressed(taking("gzip"), {.type = type, .body = text_of(least)})))
        << type;
  for (const char* type : {"", "image/png", "application/octet-stream", "application/zip",
                           "application/jsonx", "font/woff2", "xtext/plain"}) {
    const Response response = compressed(taking("gzip"), {.type = type, .body = text_of(least)});
    EXPECT_FALSE(is_gzip(response)) << type;
    EXPECT_EQ(response.headers.count("Vary"), 0u);
  }
}

TEST(Compressed, NotAPartNorWhatHasPartsNorWhatIsAlready) {
  EXPECT_FALSE(is_gzip(compressed(taking("gzip"), {.status = 206, .body = text_of(least)})));
  EXPECT_FALSE(is_gzip(compressed(taking("gzip"), {.body = text_of(least), .ranges = true})));
  Response already = {.body = text_of(least)};
  already.headers.add("content-encoding", "br");
  const Response response = compressed(taking("gzip"), std::move(already));
  EXPECT_EQ(response.headers.list("Content-Encoding"), "br");
  EXPECT_EQ(response.body.bytes(), text_of(least));
}

TEST(Compressed, ItsEtagIsWeakAndKnownAgain) {
  const Response first = compressed(taking("gzip"), {.body = text_of(least), .etag = "\"abc\""});
  EXPECT_EQ(first.etag, "W/\"abc\"");
  Request again = taking("gzip");
  again.headers.add("If-None-Match", first.etag);
  const Response second =
      compressed(again, conditional(again, {.body = text_of(least), .etag = "\"abc\""}));
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.etag, first.etag);
  EXPECT_EQ(second.headers.get("Vary"), "Accept-Encoding");
  EXPECT_FALSE(is_gzip(second));

  EXPECT_EQ(compressed(taking("gzip"), {.body = text_of(least), .etag = "W/\"abc\""}).etag,
            "W/\"abc\"");
  EXPECT_EQ(compressed(taking(""), {.body = text_of(least), .etag = "\"abc\""}).etag, "\"abc\"");
}

TEST(VaryByEncoding, IsSaidOnceBesideWhatElseVaries) {
  Response response;
  response.headers.add("Vary", "Accept");
  vary_by_encoding(response);
  vary_by_encoding(response);
  EXPECT_EQ(response.headers.list("Vary"), "Accept, Accept-Encoding");
}

}  // namespace
}  // namespace tallymill::http
