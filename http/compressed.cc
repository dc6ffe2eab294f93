#include <libdeflate.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/thread.h"
#include "http/conditional.h"

namespace tallymill::http {
namespace {

bool is_text(std::string_view content_type) {
  constexpr std::array<std::string_view, 5> others = {"application/json", "application/javascript",
                                                      "application/xml", "application/yaml",
                                                      "application/openmetrics-text"};
  if (content_type == others.front()) return true;  // what most answers are
  const std::string type = media_type_of(content_type);
  return type.starts_with("text/") || type.ends_with("+json") || type.ends_with("+xml") ||
         std::ranges::find(others, type) != others.end();
}

bool fits(const Body& body) {
  const Bytes size(static_cast<std::int64_t>(body.size()));
  return size >= limits::http_gzip_bytes && size <= limits::http_gzip_largest_bytes;
}

// Empty when it would not be smaller. Level 6 takes 2.5 times as long as level 1,
// for 14 % less.
std::string gzipped(std::string_view text) {
  thread_local const unique_handle<libdeflate_compressor, libdeflate_free_compressor> compressor(
      libdeflate_alloc_compressor(1));
  if (compressor == nullptr) return {};
  std::string packed(text.size() - 1, '\0');
  packed.resize(libdeflate_gzip_compress(compressor.get(), text.data(), text.size(), packed.data(),
                                         packed.size()));
  return packed;
}

}  // namespace

Response compressed(const Request& request, Response response) {
  if (response.status == 206 || response.ranges || !is_text(response.type) ||
      response.headers.count("Content-Encoding") != 0)
    return response;
  vary_by_encoding(response);  // a short one too, for the next may be longer; and the 304 of one
  if (!fits(response.body) || !accepts(request.headers.list("Accept-Encoding"), "gzip"))
    return response;
  std::string packed = gzipped(response.body.bytes());
  if (packed.empty()) return response;
  response.body = std::move(packed);
  response.headers.add("Content-Encoding", "gzip");
  if (!response.etag.empty() && !response.etag.starts_with("W/")) response.etag.insert(0, "W/");
  return response;
}

void vary_by_encoding(Response& response) {
  constexpr const char* by = "Accept-Encoding";
  if (response.headers.count("Vary") == 0 || !accepts(response.headers.list("Vary"), by))
    response.headers.add("Vary", by);
}

}  // namespace tallymill::http
