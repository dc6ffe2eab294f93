#include "http/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "http/parameters.h"

namespace tallymill::http {
namespace {

constexpr std::string_view page_policy =
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
// Of what is no page: also of an SVG that is opened as one.
constexpr std::string_view other_policy = "default-src 'none'; frame-ancestors 'none'";

using Field = std::pair<std::string_view, std::string_view>;
std::array<Field, 5> hardening_fields(bool page) {
  return {Field{"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"Content-Security-Policy", page ? page_policy : other_policy},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Cache-Control", "no-store"}};
}
std::string hardening_text(bool page) {
  std::string text;
  for (const auto& [name, value] : hardening_fields(page))
    text.append(name).append(": ").append(value).append("\r\n");
  return text;
}
bool is_page(const Response& response) {
  return response.type != "application/json" && media_type_of(response.type) == "text/html";
}

std::unexpected<Refusal> refuse(int status, Errc code, std::string message) {
  return std::unexpected(Refusal{status, {code, std::move(message)}});
}

bool is_host(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  if (bracketed && (text.size() < 4 || !text.ends_with(']'))) return false;
  if (bracketed) text = text.substr(1, text.size() - 2);
  const std::string_view allowed =
      bracketed ? "0123456789abcdef:." : "abcdefghijklmnopqrstuvwxyz0123456789-._";
  return !text.empty() && text.size() <= 255 &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

struct Authority {
  std::string host;  // lower case, IPv6 in brackets
  std::string port;  // as a number is written; empty: none was said
};

// Nothing for what is no host and port.
std::optional<Authority> authority_of(std::string_view untrusted) {
  Authority read{lower_case(untrusted), ""};
  const std::size_t colon = read.host.rfind(':');
  if (colon != std::string::npos && read.host.find(']', colon) == std::string::npos) {
    const std::string digits = read.host.substr(colon + 1);
    std::uint16_t port = 0;
    const char* const digits_end = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), digits_end, port);
    if (error != std::errc() || end != digits_end) return std::nullopt;
    read.port = std::to_string(port);
    read.host.resize(colon);
  }
  if (!is_host(read.host)) return std::nullopt;
  return read;
}

std::string whole(const Authority& authority, std::string_view scheme) {
  const std::string_view usual = scheme == "https" ? "443" : "80";
  return fmt::format("{}:{}", authority.host, authority.port.empty() ? usual : authority.port);
}

bool may_write(Method method, std::string_view type) {
  if (type == "application/json" || type == "multipart/form-data") return true;
  return method == Method::put &&
         (type == "application/octet-stream" || (type.starts_with("image/") && type.size() > 6));
}

// Judged by the header: the body may not be here yet.
bool has_body(const Headers& headers) {
  if (headers.count("Transfer-Encoding") > 0) return true;
  return headers.count("Content-Length") > 0 && headers.get("Content-Length") != "0";
}

// Of types with commas between them.
bool is_member(std::string_view types, std::string_view type) {
  while (!types.empty()) {
    const std::size_t end = std::min(types.find(','), types.size());
    if (!type.empty() && trimmed(types.substr(0, end)) == type) return true;
    types.remove_prefix(std::min(end + 1, types.size()));
  }
  return false;
}

std::optional<Refusal> type_refused(const Request& request, const Accepts& accepts) {
  const std::size_t said = request.headers.count("Content-Type");
  if (is_safe(request.method) || (said == 0 && !has_body(request.headers))) return std::nullopt;
  // Nobody's bodies are unpacked: a few bytes of one may be gigabytes.
  const std::string coding = lower_case(request.headers.list("Content-Encoding"));
  const bool plain = request.headers.count("Content-Encoding") == 0 || coding == "identity";
  if (!plain && (coding.empty() || coding != accepts.coding))
    return Refusal{415, {Errc::bad_frame, "a body is sent as it is, without Content-Encoding"}};
  const std::string type = media_type_of(request.headers.get("Content-Type"));
  if (said == 1 && (may_write(request.method, type) || is_member(accepts.type, type)))
    return std::nullopt;
  return Refusal{415,
                 {Errc::bad_frame,
                  request.method == Method::put
                      ? "the Content-Type of what is put is application/json, multipart/form-data, "
                        "application/octet-stream or image/..."
                      : "the Content-Type of a body is application/json or multipart/form-data"}};
}

// "Bearer x", as it stands; nothing when it is none or there are two.
std::optional<std::string> from_authorization(const Headers& headers) {
  constexpr std::string_view scheme = "bearer ";
  const std::string_view value = headers.get("Authorization");
  if (headers.count("Authorization") != 1 || lower_case(value.substr(0, scheme.size())) != scheme)
    return std::nullopt;
  return std::string(trimmed(value.substr(scheme.size())));
}

// A browser can give a WebSocket no other header than this one.
std::optional<std::string> from_protocols(const Headers& headers) {
  constexpr std::string_view prefix = "bearer.";
  std::optional<std::string> token;
  const std::string all = headers.list("Sec-WebSocket-Protocol");
  for (std::string_view rest = all; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    const std::string_view protocol = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!protocol.starts_with(prefix)) continue;
    if (token) return std::nullopt;
    token = base64url_decoded(protocol.substr(prefix.size()));
    if (!token) return std::nullopt;
  }
  return token;
}

std::optional<Secret> token_of(const Headers& headers, bool upgrade) {
  auto token = headers.count("Authorization") == 0 && upgrade ? from_protocols(headers)
                                                              : from_authorization(headers);
  if (!token) return std::nullopt;
  return Secret(std::move(*token));
}

}  // namespace

Status Guard::check(const GuardOptions& options) {
  for (const std::string& host : options.hosts)
    if (!authority_of(host))
      return fail(Errc::bad_params, fmt::format("'{}' is no host: say NAME or NAME:PORT", host));
  return {};
}

Guard::Guard(GuardOptions options, std::string_view listen, bool tls)
    : tokens_(std::move(options.tokens)), scheme_(tls ? "https" : "http") {
  const auto served = authority_of(
      listen.starts_with('*') ? fmt::format("0.0.0.0{}", listen.substr(1)) : std::string(listen));
  const std::string port = served ? served->port : "";
  for (const char* name : {"localhost", "127.0.0.1", "[::1]"})
    authorities_.push_back(whole({name, port}, scheme_));
  // "Any address" is the name of none.
  if (served && served->host != "0.0.0.0" && served->host != "[::]")
    authorities_.push_back(whole(*served, scheme_));
  for (const std::string& said : options.hosts) {
    const auto host = authority_of(said);
    if (!host) continue;
    if (host->port.empty())
      hosts_.push_back(host->host);
    else
      authorities_.push_back(whole(*host, scheme_));
  }
}

std::expected<Caller, Refusal> Guard::admit(const Request& request, Role role, bool upgrade,
                                            const Accepts& accepts) const {
  const Headers& headers = request.headers;
  const std::string_view host = headers.get("Host");
  // As one of ours is written, it needs no closer look.
  const bool known = std::ranges::find(authorities_, host) != authorities_.end();
  if (headers.count("Host") != 1 || (!known && !host.empty() && !authority_of(host)))
    return refuse(400, Errc::bad_frame, "the request's Host is not one host and port");
  if (!known && !is_ours(host, scheme_, true))
    return refuse(421, Errc::denied, "the request's Host is no name of this server");
  const bool acts = upgrade || !is_safe(request.method);
  if (acts && headers.count("Origin") > 0 &&
      (headers.count("Origin") > 1 || !is_own_origin(headers.get("Origin"), host)))
    return refuse(403, Errc::denied, "a page of another origin may not ask this");
  if (auto refused = type_refused(request, accepts)) return std::unexpected(std::move(*refused));
  if (tokens_.empty()) return Caller{};
  const auto token = token_of(headers, upgrade);
  const auto caller = token ? tokens_.find(token->reveal()) : std::nullopt;
  if (role == Role::none) return caller.value_or(Caller{.name = "", .role = Role::none});
  if (!caller)
    return refuse(401, Errc::unauthenticated,
                  token ? "this token is not one that this server knows"
                        : "a token is needed: Authorization: Bearer TOKEN");
  if (caller->role < role)
    return refuse(403, Errc::denied,
                  fmt::format("this needs the role {}, and the token's is {}", name_of(role),
                              name_of(caller->role)));
  return *caller;
}

bool Guard::is_ours(std::string_view authority, std::string_view scheme, bool any_port) const {
  const auto read = authority_of(authority);
  if (!read) return false;
  return std::ranges::find(authorities_, whole(*read, scheme)) != authorities_.end() ||
         (any_port && std::ranges::find(hosts_, read->host) != hosts_.end());
}

// https although we speak http: a proxy before us speaks TLS, and nobody else has our name's
// certificate. Another port of one of `hosts_` may be another's server: there it must be the very
// authority that was asked.
bool Guard::is_own_origin(std::string_view origin, std::string_view host) const {
  for (const std::string_view scheme : {"http", "https"}) {
    const std::string prefix = fmt::format("{}://", scheme);
    if (!origin.starts_with(prefix) || (scheme == "http" && scheme_ == "https")) continue;
    const auto from = authority_of(origin.substr(prefix.size()));
    const auto asked = authority_of(host);
    if (!from || !asked) return false;
    return whole(*from, scheme) == whole(*asked, scheme) ||
           is_ours(origin.substr(prefix.size()), scheme, false);
  }
  return false;
}

void Guard::harden(Response& response) {
  for (const auto& [name, value] : hardening_fields(is_page(response)))
    if (response.headers.count(name) == 0)
      response.headers.add(std::string(name), std::string(value));
}

std::string_view Guard::hardening(const Response& response) {
  static const std::string of_page = hardening_text(true);
  static const std::string of_other = hardening_text(false);
  for (const auto& [name, value] : response.headers.all())
    for (const auto& [ours, said] : hardening_fields(false))
      if (name.size() == ours.size() && lower_case(name) == lower_case(ours)) return {};
  return is_page(response) ? of_page : of_other;
}

}  // namespace tallymill::http
