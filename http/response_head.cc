#include "http/response_head.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <iterator>

namespace tallymill::http {
namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  out += "\r\n";
}

}  // namespace

std::string http_date(std::int64_t unix_seconds) {
  constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t at = unix_seconds;
  std::tm utc{};
  ::gmtime_r(&at, &utc);
  // By hand: strftime would speak the locale's language.
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                     days.at(static_cast<std::size_t>(utc.tm_wday)), utc.tm_mday,
                     months.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

void append_head(std::string& out, const Response& response, const HeadFacts& facts) {
  fmt::format_to(std::back_inserter(out), "HTTP/1.{} {} {}\r\n", facts.http_1_0 ? 0 : 1,
                 response.status, reason_of(response.status));
  append_field(out, "Date", facts.date);
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  if (has_body && !response.type.empty()) append_field(out, "Content-Type", response.type);
  if (has_body) {
    if (facts.length)
      fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", *facts.length);
    else if (!facts.http_1_0)
      append_field(out, "Transfer-Encoding", "chunked");
  }
  if (!response.etag.empty()) append_field(out, "ETag", response.etag);
  if (!facts.request_id.empty()) append_field(out, "X-Request-Id", facts.request_id);
  for (const auto& [name, value] : response.headers.all()) append_field(out, name, value);
  if (!facts.keep_alive)
    append_field(out, "Connection", "close");
  else if (facts.http_1_0)
    append_field(out, "Connection", "keep-alive");
  out += "\r\n";
}

}  // namespace tallymill::http
