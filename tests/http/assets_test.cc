// Goal: a browser gets a page's file in the coding it takes, under the name of those very bytes.
// Method: one file with variants, asked for by clients that take this or that.
#include "http/assets.h"

#include <gtest/gtest.h>

#include "http/conditional.h"

namespace tallymill::http {
namespace {

Asset script() {
  Asset asset = make_asset("/app/index-4f3a.js", "alert(1)");
  asset.br = "BR";
  asset.gzip = "GZ";
  asset.immutable = true;
  return asset;
}

Request taking(std::string list) {
  Request request;
  request.headers.add("Accept-Encoding", std::move(list));
  return request;
}

TEST(AssetResponse, ACodingIsChosenThatTheClientTakes) {
  struct Row {
    const char* accepted;
    const char* bytes;
    const char* coding;
  };
  for (const auto& [accepted, bytes, coding] :
       std::initializer_list<Row>{{"", "alert(1)", ""},
                                  {"deflate, *", "alert(1)", ""},
                                  {"br;q=0, gzip;q=0", "alert(1)", ""},
                                  {"gzip, br;q=0", "GZ", "gzip"},
                                  {"gzip", "GZ", "gzip"},
                                  {"gzip, deflate, br", "BR", "br"}}) {
    const Response response = asset_response(taking(accepted), script());
    EXPECT_EQ(response.body.bytes(), bytes) << accepted;
    EXPECT_EQ(response.headers.get("Content-Encoding"), coding) << accepted;
    EXPECT_EQ(response.headers.get("Vary"), "Accept-Encoding") << accepted;
    EXPECT_EQ(response.type, "text/javascript; charset=utf-8");
  }
}

TEST(AssetResponse, WithoutVariantsItIsTheSameForAll) {
  const Asset page = make_asset("/", "<p>");
  const Response response = asset_response(taking("gzip, br"), page);
  EXPECT_EQ(response.body.bytes(), "<p>");
  EXPECT_EQ(response.headers.count("Vary"), 0u);
  EXPECT_EQ(response.headers.count("Content-Encoding"), 0u);
}

TEST(AssetResponse, EachVariantHasAStrongEtagOfItsOwn) {
  const std::string plain = asset_response({}, script()).etag;
  const std::string br = asset_response(taking("br"), script()).etag;
  const std::string gzip = asset_response(taking("gzip"), script()).etag;
  EXPECT_EQ(plain.size(), 34u);
  EXPECT_TRUE(plain.starts_with('"') && plain.ends_with('"'));
  EXPECT_TRUE(br.ends_with("-br\""));
  EXPECT_TRUE(gzip.ends_with("-gzip\""));
  EXPECT_NE(make_asset("/app/index-4f3a.js", "alert(2)").etag, plain);
  EXPECT_EQ(make_asset("/other.js", "alert(1)").etag, plain);
}

TEST(AssetResponse, IsAnsweredConditionallyAndInParts) {
  Request request = taking("br");
  request.headers.add("If-None-Match", asset_response(request, script()).etag);
  EXPECT_EQ(conditional(request, asset_response(request, script())).status, 304);

  Request other = taking("gzip");
  other.headers.add("If-None-Match", asset_response(request, script()).etag);
  EXPECT_EQ(conditional(other, asset_response(other, script())).status, 200);

  Request part;
  part.headers.add("Range", "bytes=6-");
  EXPECT_EQ(conditional(part, asset_response(part, script())).body.bytes(), "1)");
}

TEST(AssetResponse, OnlyAFileThatIsNamedByItsHashIsKeptUnasked) {
  EXPECT_EQ(asset_response({}, script()).headers.get("Cache-Control"),
            "public, max-age=31536000, immutable");
  EXPECT_EQ(asset_response({}, make_asset("/index.html", "")).headers.get("Cache-Control"),
            "no-cache");
}

TEST(TypeOfFile, IsByItsLastEndingInAnyCase) {
  for (const auto& [path, type] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/index.html", "text/html; charset=utf-8"},
           {"/a.tar.JSON", "application/json"},
           {"photo.JPG", "image/jpeg"},
           {"/x/engraving.gcode", "text/plain; charset=utf-8"},
           {"/x/font.woff2", "font/woff2"},
           {"/.html", "text/html; charset=utf-8"}})
    EXPECT_EQ(type_of_file(path), type) << path;
  for (const char* path : {"", "/", "html", "/html", "/a.", "/a.html/b", "/a.htmlx", "/a.exe", "."})
    EXPECT_EQ(type_of_file(path), "application/octet-stream") << path;
}

}  // namespace
}  // namespace tallymill::http
