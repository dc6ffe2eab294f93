#include "http/request_check.h"

#include <string>
#include <utility>

namespace tallymill::http {
namespace {

Response closing(Error error, int status) {
  Response response = problem(error, status);
  response.close = true;
  return response;
}
Response closing(std::string message, int status) {
  return closing(Error{Errc::bad_frame, std::move(message)}, status);
}

}  // namespace

std::optional<Response> check_head(Request& request, std::string_view method, bool http_1_0) {
  const Headers& headers = request.headers;
  if (headers.count("Transfer-Encoding") > 0 &&
      (http_1_0 || lower_case(headers.list("Transfer-Encoding")) != "chunked"))
    return closing("the only transfer coding is chunked", 501);
  const auto length = headers.get("Content-Length");
  if (headers.count("Content-Length") > 1 ||
      length.find_first_not_of("0123456789") != std::string_view::npos)
    return closing("the Content-Length is not one number", 400);
  if (headers.count("Host") > 1) return closing("more than one Host", 400);
  const auto known = method_named(method);
  if (!known) return closing("no such method here", 501);
  request.method = *known;
  auto target = parse_target(request.target);
  if (!target) return problem(target.error(), target.error().code == Errc::too_big ? 414 : 400);
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  return std::nullopt;
}

}  // namespace tallymill::http
