#include "http/response_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace tallymill::http {
namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  const auto is_control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  };
  const std::size_t begin = out.size();
  out += value;
  if (std::ranges::any_of(value, is_control))
    std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), is_control, ' ');
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
  out += facts.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  out += fmt::format_int(response.status).c_str();
  out += ' ';
  out += reason_of(response.status);
  out += "\r\n";
  append_field(out, "Date", facts.date);
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  if (has_body && !response.type.empty()) append_field(out, "Content-Type", response.type);
  if (has_body) {
    if (facts.length)
      append_field(out, "Content-Length", fmt::format_int(*facts.length).c_str());
    else if (!facts.http_1_0)
      append_field(out, "Transfer-Encoding", "chunked");
  }
  if (!response.etag.empty()) append_field(out, "ETag", response.etag);
  if (!facts.request_id.empty()) append_field(out, "X-Request-Id", facts.request_id);
  for (const auto& [name, value] : response.headers.all()) append_field(out, name, value);
  out += facts.fields;
  if (!facts.keep_alive)
    append_field(out, "Connection", "close");
  else if (facts.http_1_0)
    append_field(out, "Connection", "keep-alive");
  out += "\r\n";
}

}  // namespace tallymill::http
