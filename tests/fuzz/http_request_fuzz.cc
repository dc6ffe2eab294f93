// links: tm_http tm_base
// What a stranger writes in a request's head. Goal: no target is taken whose path could be read in
// two ways, and no fields make an answer of other bytes than it says. Method: the first line is the
// target, the others are fields; a target that is taken is written again and must be read the same,
// and an answer of known bytes is made conditional, cut and compressed with those fields.
//
// tests/fuzz/corpus/http_request holds targets that must be refused and fields of each kind.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "http/assets.h"
#include "http/conditional.h"
#include "http/message.h"

namespace tallymill::http {
namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

bool is_plain(std::string_view text) {
  return is_utf8(text) && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

std::string path_again(std::string_view path) {
  std::string again;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view step = path.substr(1, end - 1);
    must(step != "." && step != ".." && step.find('\\') == std::string_view::npos);
    must(!step.empty() || end == path.size());
    again += '/' + percent_encoded(step);
    path.remove_prefix(end);
  }
  return again;
}

void check(const Target& target) {
  must(target.path.starts_with('/') && is_plain(target.path));
  std::string again = path_again(target.path);
  for (std::size_t i = 0; i < target.query.size(); ++i) {
    const auto& [name, value] = target.query[i];
    must(is_plain(name) && is_plain(value));
    again += (i == 0 ? '?' : '&') + percent_encoded(name) + '=' + percent_encoded(value);
  }
  const auto same = parse_target(again);
  // Escaped it may be three times as long, and too long then.
  must(same ? same->path == target.path && same->query == target.query
            : same.error().code == Errc::too_big);
}

Headers fields_of(std::string_view rest) {
  Headers headers;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    const std::size_t colon = std::min(line.find(':'), line.size());
    headers.add(std::string(line.substr(0, colon)),
                std::string(line.substr(std::min(colon + 1, line.size()))));
  }
  for (const auto& [name, value] : headers.all())
    must(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  return headers;
}

void answer(const Request& request) {
  static const std::string text(2048, 'x');
  static const Asset asset = make_asset("/a.txt", text);
  for (const bool ranges : {true, false}) {
    Response response = asset_response(request, asset);
    response.ranges = ranges;
    response = compressed(request, conditional(request, std::move(response)));
    const std::size_t size = response.body.size();
    const std::string_view range = response.headers.get("Content-Range");
    const bool packed = response.headers.count("Content-Encoding") != 0;
    if (response.status == 200) {
      must(packed ? size < text.size() : size == text.size());
    } else if (response.status == 206) {
      must(ranges && size > 0 && size <= text.size() && range.ends_with("/2048"));
    } else if (response.status == 304) {
      must(size == 0 && !response.etag.empty());
    } else if (response.status == 416) {
      must(ranges && range == "bytes */2048");
    } else {
      must(response.status == 412);
    }
  }
}

}  // namespace
}  // namespace tallymill::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::http;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view line = take_line(rest);
  if (const auto target = parse_target(line)) check(*target);
  (void)base64url_decoded(line);  // it may refuse: what matters is that it ends
  Request request = {.headers = fields_of(rest)};
  (void)media_type_of(request.headers.get("Content-Type"));
  answer(request);
  return 0;
}
