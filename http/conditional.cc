#include "http/conditional.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace tallymill::http {
namespace {

enum class Comparison : unsigned char { weak, strong };

struct Tag {
  bool weak = false;
  std::string_view opaque;  // with its quotes
};

// The first tag of `rest`, which goes on behind it and its comma; nothing when there is none.
std::optional<Tag> take_tag(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t,"), rest.size()));
  Tag tag{.weak = rest.starts_with("W/"), .opaque = {}};
  if (tag.weak) rest.remove_prefix(2);
  if (!rest.starts_with('"')) return std::nullopt;
  const std::size_t end = rest.find('"', 1);  // a comma may stand before it
  if (end == std::string_view::npos) return std::nullopt;
  tag.opaque = rest.substr(0, end + 1);
  rest.remove_prefix(end + 1);
  return tag;
}

// The etag as the list has it, which may be weak where ours is strong; nothing when it has not.
std::optional<std::string> tag_in(std::string_view list, std::string_view etag, Comparison how) {
  if (list == "*") return std::string(etag);
  const std::optional<Tag> ours = take_tag(etag);
  if (!ours) return std::nullopt;
  while (const std::optional<Tag> theirs = take_tag(list)) {
    const bool weak = ours->weak || theirs->weak;
    if (theirs->opaque != ours->opaque || (weak && how == Comparison::strong)) continue;
    return (weak ? "W/" : "") + std::string(ours->opaque);
  }
  return std::nullopt;
}

struct Range {
  std::size_t begin = 0;
  std::size_t length = 0;  // 0: there is no such part
};

// A number of any length: a huge one is beyond every body.
std::optional<std::size_t> position(std::string_view digits) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  std::size_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return read.ec == std::errc() ? value : std::numeric_limits<std::size_t>::max();
}

// Nothing for what is to be answered whole: another unit, several parts, no range at all.
std::optional<Range> range_of(std::string_view field, std::size_t size) {
  constexpr std::string_view unit = "bytes=";
  if (lower_case(field.substr(0, unit.size())) != unit) return std::nullopt;
  field.remove_prefix(unit.size());
  const std::size_t dash = field.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = position(field.substr(0, dash));
  const auto last = position(field.substr(dash + 1));
  if (dash == 0) {  // the last so many
    if (!last || (size == 0 && *last > 0)) return std::nullopt;
    const std::size_t length = std::min(*last, size);
    return Range{size - length, length};
  }
  if (!first || (!last && dash + 1 != field.size()) || (last && *last < *first))
    return std::nullopt;
  if (*first >= size) return Range{};
  return Range{*first, std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

bool range_counts(const Request& request, const Response& response) {
  if (!response.ranges || request.method != Method::get || request.headers.count("Range") != 1)
    return false;
  // A date never: no response has Last-Modified.
  return request.headers.count("If-Range") == 0 ||
         (request.headers.get("If-Range") != "*" &&
          tag_in(request.headers.list("If-Range"), response.etag, Comparison::strong));
}

Response precondition_failed() {
  return problem({Errc::wrong_state, "it is not, or no longer, what If-Match names"}, 412);
}

Response not_modified(Response response, std::string etag) {
  response.status = 304;
  response.etag = std::move(etag);
  response.body = Body();
  return response;
}

Response part_of(const Request& request, Response response) {
  const std::size_t size = response.body.size();
  const auto range = range_of(request.headers.get("Range"), size);
  if (!range) return response;
  if (range->length == 0) {
    Response refused =
        problem({Errc::bad_params, fmt::format("there are {} bytes, and none there", size)}, 416);
    refused.headers.add("Content-Range", fmt::format("bytes */{}", size));
    return refused;
  }
  response.status = 206;
  response.headers.add("Content-Range", fmt::format("bytes {}-{}/{}", range->begin,
                                                    range->begin + range->length - 1, size));
  response.body.narrow(range->begin, range->length);
  return response;
}

bool is_asked(std::string_view name) {
  constexpr std::array<std::string_view, 5> names = {"if-match", "if-none-match", "if-range",
                                                     "range", "accept-encoding"};
  return std::ranges::any_of(names, [&](std::string_view asked) {
    return asked.size() == name.size() && asked == lower_case(name);
  });
}

}  // namespace

Request kept_for_answer(const Request& request) {
  Request kept;
  kept.method = request.method;
  kept.target = request.target;
  kept.peer = request.peer;
  kept.caller = request.caller;
  kept.id = request.id;
  kept.trace = request.trace;
  for (const auto& [name, value] : request.headers.all())
    if (is_asked(name)) kept.headers.add(name, value);
  return kept;
}

// In the order of RFC 9110, 13.2.2, less the steps that ask for dates.
Response conditional(const Request& request, Response response) {
  const bool reads = request.method == Method::get || request.method == Method::head;
  if (!reads || response.status != 200 || response.etag.empty()) return response;
  const Headers& asked = request.headers;
  if (asked.count("If-Match") != 0 &&
      !tag_in(asked.list("If-Match"), response.etag, Comparison::strong))
    return precondition_failed();
  if (asked.count("If-None-Match") != 0)
    if (auto tag = tag_in(asked.list("If-None-Match"), response.etag, Comparison::weak))
      return not_modified(std::move(response), std::move(*tag));
  if (response.ranges) response.headers.add("Accept-Ranges", "bytes");
  return range_counts(request, response) ? part_of(request, std::move(response)) : response;
}

}  // namespace tallymill::http
