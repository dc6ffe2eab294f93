#include "http/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/limits.h"
#include "http/message.h"

namespace tallymill::http {
namespace {

constexpr std::size_t longest_name = 253;  // of a host, RFC 1035

struct Scheme {
  std::string_view name;
  bool socket;
  bool tls;
};
constexpr Scheme schemes[] = {
    {"http", false, false}, {"https", false, true}, {"ws", true, false}, {"wss", true, true}};

std::uint16_t usual_port(bool tls) { return tls ? 443 : 80; }

bool is_name(std::string_view host) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  return !host.empty() && host.size() <= longest_name && std::ranges::all_of(host, fits) &&
         !host.starts_with('.') && !host.starts_with('-') &&
         host.find("..") == std::string_view::npos;
}

bool is_ipv6(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  if (read.ec != std::errc{} || read.ptr != end || port == 0) return std::nullopt;
  return port;
}

// Without the text: a user's secret may stand in it.
std::unexpected<Error> none(std::string_view why) {
  return fail(Errc::bad_params, fmt::format("this is no URL: {}", why));
}

}  // namespace

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : '[' + host + ']';
  return port == usual_port(tls) ? name : fmt::format("{}:{}", name, port);
}

std::string Url::origin() const {
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host, port);
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > static_cast<std::size_t>(limits::http_header_bytes.raw()) / 2)
    return none("it is longer than half of what a header may be");
  if (!std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '\\'; }))
    return none("spaces, backslashes and what is not ASCII must be escaped");
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return none("it begins with no scheme");
  const std::string named = lower_case(text.substr(0, colon));
  const auto* scheme = std::ranges::find(schemes, named, &Scheme::name);
  if (scheme == std::end(schemes)) return none("the scheme is not http, https, ws or wss");
  Url url{.socket = scheme->socket, .tls = scheme->tls, .host = {}, .port = 0, .target = {}};

  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, path);
  url.target = rest.substr(path);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");

  if (authority.find('@') != std::string_view::npos) return none("it names a user");
  if (authority.starts_with('[')) {
    const std::size_t end = std::min(authority.find(']'), authority.size());
    url.host = lower_case(authority.substr(1, end - 1));
    authority.remove_prefix(std::min(end + 1, authority.size()));
    if (rest.find(']') >= path || !is_ipv6(url.host))
      return none("what stands in brackets is no IPv6 address");
    if (!authority.empty() && !authority.starts_with(':'))
      return none("its host does not end behind the bracket");
  } else {
    const std::size_t end = std::min(authority.find(':'), authority.size());
    url.host = lower_case(authority.substr(0, end));
    authority.remove_prefix(end);
    if (!is_name(url.host)) return none("it has no host, or one that is none");
  }
  url.port = usual_port(url.tls);
  if (authority.empty()) return url;
  const auto port = port_of(authority.substr(1));
  if (!port) return none("its port is not a number from 1 to 65535");
  url.port = *port;
  return url;
}

}  // namespace tallymill::http
