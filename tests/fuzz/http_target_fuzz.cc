// links: tm_http
// What stands in a request's first lines. Goal: no target becomes a path that a handler would take
// for another, no Host or Origin but ours is admitted, no plain form's type passes for a write.
// Input, a line each: the target, Host, Origin, Content-Type, Authorization and the subprotocols.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "http/guard.h"

namespace tallymill::http {
namespace {

void check_target(std::string_view text) {
  const auto target = parse_target(text);
  if (!target) return;
  const std::string& path = target->path;
  TM_CHECK(path.starts_with('/') && is_utf8(path));
  TM_CHECK((path + '/').find("/../") == std::string::npos);
  TM_CHECK(path.find("//") == std::string::npos && path.find('\\') == std::string::npos);
  TM_CHECK(std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20; }));
  // Said again, it is the same.
  std::string again;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin + 1), path.size());
    again += "/" + percent_encoded(std::string_view(path).substr(begin + 1, end - begin - 1));
    begin = end;
  }
  const auto same = parse_target(again);
  TM_CHECK(same && same->path == path);
}

bool is_ours(std::string_view host) {
  const std::string low = lower_case(host);
  const std::string_view name = std::string_view(low).substr(0, low.rfind(':'));
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]" || low == "mill.example" ||
         name == "mill.example";
}

const Guard& guard() {
  static const Guard made(
      {.hosts = {"mill.example"},
       .tokens = Tokens::parse("ci submit " + sha256_hex("secret"), "tokens").value()},
      "127.0.0.1:7780", false);
  return made;
}

void check_admitted(const Request& request, Method method, bool upgrade) {
  Request asked = request;
  asked.method = method;
  const auto caller = guard().admit(asked, Role::submit, upgrade);
  if (!caller) {
    TM_CHECK(caller.error().status >= 400 && !caller.error().error.message.empty());
    TM_CHECK(caller.error().error.message.find("secret") == std::string::npos);
    return;
  }
  TM_CHECK(caller->name == "ci" && is_ours(asked.headers.get("Host")));
  if (method == Method::get && !upgrade) return;
  const std::string_view origin = asked.headers.get("Origin");
  TM_CHECK(asked.headers.count("Origin") == 0 || origin.starts_with("http"));
  if (!origin.empty()) TM_CHECK(is_ours(origin.substr(origin.find("//") + 2)));
  if (upgrade) return;
  const std::string type = media_type_of(asked.headers.get("Content-Type"));
  TM_CHECK(type != "text/plain" && type != "application/x-www-form-urlencoded");
}

}  // namespace
}  // namespace tallymill::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::http;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto line = [&] {
    const std::string_view first = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(first.size() + 1, input.size()));
    return first;
  };
  check_target(line());
  Request request;
  // An empty line: no such field.
  for (const char* name :
       {"Host", "Origin", "Content-Type", "Authorization", "Sec-WebSocket-Protocol"})
    if (const auto value = line(); !value.empty()) request.headers.add(name, std::string(value));
  request.headers.add("Content-Length", "2");
  check_admitted(request, Method::get, false);
  check_admitted(request, Method::get, true);
  check_admitted(request, Method::post, false);
  check_admitted(request, Method::put, false);
  return 0;
}
