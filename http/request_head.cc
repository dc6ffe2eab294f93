#include "http/request_head.h"

#include <fmt/format.h>

#include <algorithm>

namespace tallymill::http {
namespace {

constexpr std::string_view bearer = "Authorization: Bearer ";

void append_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

bool is_of_the_connection(std::string_view name) {
  static constexpr std::string_view names[] = {"host",       "content-length", "transfer-encoding",
                                               "connection", "keep-alive",     "upgrade",
                                               "te",         "trailer",        "expect"};
  return std::ranges::find(names, lower_case(name)) != std::end(names);
}

}  // namespace

std::string request_head(const ClientRequest& asked, const Url& url, const Secret& token) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", name_of(asked.method), url.target);
  append_field(head, "Host", url.authority());
  if (asked.headers.count("User-Agent") == 0) append_field(head, "User-Agent", "tallymill");
  for (const auto& [name, value] : asked.headers.all())
    if (!is_of_the_connection(name)) append_field(head, name, value);
  if (asked.feed && !asked.feed->bytes())
    append_field(head, "Transfer-Encoding", "chunked");
  else if (asked.feed)
    append_field(head, "Content-Length", std::to_string(*asked.feed->bytes()));
  else if (!asked.body.empty() || asked.method == Method::post || asked.method == Method::put)
    append_field(head, "Content-Length", std::to_string(asked.body.size()));
  if (!token.empty() && asked.headers.count("Authorization") == 0) {
    // At once, or a copy of the token stays behind where it grew.
    head.reserve(head.size() + bearer.size() + token.reveal().size() + 4);
    head.append(bearer).append(token.reveal()).append("\r\n");
  }
  return head += "\r\n";
}

}  // namespace tallymill::http
