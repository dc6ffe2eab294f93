// Response head: the bytes in front of a body: status line and fields.
//
// Threads: pure functions.
// Source: RFC 9112.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tallymill::http {

struct HeadFacts {
  std::string_view date;                // "Thu, 26 Nov 2026 22:12:00 GMT"
  std::string_view request_id;          // X-Request-Id
  std::optional<std::uint64_t> length;  // nothing: chunked, or until the end for HTTP/1.0
  bool http_1_0 = false;
  bool keep_alive = true;
  std::string_view fields = {};  // more of them, as they stand in a head
};

// Control characters in a field's value become spaces: nothing that a handler copies from a request
// can begin another field.
void append_head(std::string& out, const Response& response, const HeadFacts& facts);

// RFC 9110 5.6.7, of this moment in seconds since 1970.
[[nodiscard]] std::string http_date(std::int64_t unix_seconds);

}  // namespace tallymill::http
