#include "http/request_check.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "http/parameters.h"

namespace tallymill::http {
namespace {

Response closing(const Error& error, int status) {
  Response response = problem(error, status);
  response.close = true;
  return response;
}
Response closing(std::string message, int status) {
  return closing(Error{Errc::bad_frame, std::move(message)}, status);
}

}  // namespace

std::optional<Response> check_head(Request& request, bool http_1_0) {
  const Headers& headers = request.headers;
  if (headers.count("Transfer-Encoding") > 0 &&
      (http_1_0 || lower_case(headers.list("Transfer-Encoding")) != "chunked"))
    return closing("the only transfer coding is chunked", 501);
  const auto length = headers.get("Content-Length");
  if (headers.count("Content-Length") > 1 ||
      length.find_first_not_of("0123456789") != std::string_view::npos)
    return closing("the Content-Length is not one number", 400);
  if (headers.count("Host") > 1) return closing("more than one Host", 400);
  if (request.method == Method::other) return closing("no such method here", 501);
  auto target = parse_target(request.target);
  if (!target) return problem(target.error(), target.error().code == Errc::too_big ? 414 : 400);
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  return std::nullopt;
}

std::optional<Response> check_handshake(const Request& request, bool upgrade) {
  if (!upgrade) {
    Response response = problem({Errc::bad_frame, "this is a WebSocket: ask for an upgrade"}, 426);
    response.headers.add("Upgrade", "websocket");
    return response;
  }
  if (trimmed(request.headers.list("Sec-WebSocket-Version")) != "13") {
    Response response = closing("this speaks version 13 of WebSocket", 426);
    response.headers.add("Sec-WebSocket-Version", "13");
    response.headers.add("Upgrade", "websocket");
    return response;
  }
  // 16 bytes as base64.
  const auto key = request.headers.get("Sec-WebSocket-Key");
  if (request.headers.count("Sec-WebSocket-Key") != 1 || key.size() != 24 || !key.ends_with("=="))
    return closing("the Sec-WebSocket-Key is not 16 bytes in base64", 400);
  return std::nullopt;
}

std::optional<Response> check_body(const Request& request, bool comes) {
  // Or who may ask nothing else would hold a place for as long as a body may take.
  if (comes && is_safe(request.method)) return closing("what is only read has no body", 400);
  const auto expects = request.headers.get("Expect");
  if (!expects.empty() &&
      (lower_case(expects) != "100-continue" || request.headers.count("Expect") > 1))
    return closing("nothing but 100-continue can be expected", 417);
  return std::nullopt;
}

std::string request_id_of(const Headers& headers) {
  const auto said = headers.get("X-Request-Id");
  const auto fit = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-'; };
  if (said.size() > 64 || !std::ranges::all_of(said, fit)) return {};
  return std::string(said);
}

bool is_traceparent(std::string_view text) {
  constexpr std::string_view form = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  const auto fits = [](char c, char said) {
    return said == 'x' ? (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') : c == said;
  };
  return text.size() == form.size() && std::ranges::equal(text, form, fits);
}

}  // namespace tallymill::http
