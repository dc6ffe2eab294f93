// Message: a request as a handler sees it and a response as it gives one, in plain structs.
//
// What reads and writes them on a socket is server.cc and client.cc; everything between (router,
// guard, conditional requests, compression) is a function from these structs to these structs, and
// is tested without a socket.
//
//   invariant: no field of Headers can end its line: add() is the only way in, and a head is
//   written
//              from fields that went through it, Content-Type and ETag too
//
// Threads: plain values.
// Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9457 (problem+json).
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tallymill::http {

// other: none that a route may have.
enum class Method : std::uint8_t { get, head, post, put, del, options, other };
[[nodiscard]] std::string_view name_of(Method method);
// It only reads, so that a page of another origin may ask it.
[[nodiscard]] constexpr bool is_safe(Method method) {
  return method == Method::get || method == Method::head;
}
[[nodiscard]] Method method_named(std::string_view name);

// Names as they came; found without regard to case.
class Headers {
 public:
  // Control characters of the value become spaces, as RFC 9110, 5.5 wants it of CR, LF and NUL. A
  // name that is no token is not added.
  void add(std::string name, std::string value);
  // The first of this name; empty when there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // All of this name as the one list that they are: "gzip, br".
  [[nodiscard]] std::string list(std::string_view name) const;
  [[nodiscard]] const auto& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// What a caller may do; each includes those before it.
enum class Role : std::uint8_t { none, read, submit, operate };
[[nodiscard]] std::string_view name_of(Role role);

// Who asks.
struct Caller {
  std::string name;  // of its token; empty without tokens
  Role role = Role::operate;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;
// The value of the first of this name; nothing when there is none.
[[nodiscard]] std::optional<std::string_view> find(const Pairs& pairs, std::string_view name);

struct Request {
  Method method = Method::get;
  std::string target;  // as it came: "/v1/jobs/7?wait=2"
  std::string path;    // decoded, "/v1/jobs/7"; see parse_target()
  Pairs query;         // decoded, in order
  Pairs parts;         // of the route's pattern: {"id", "7"}
  Headers headers;
  std::string body;  // empty on a route that reads it in pieces
  Caller caller;
  std::string id;     // X-Request-Id, the caller's if it is a fit one, else a random one
  std::string trace;  // W3C traceparent, the caller's or empty
  std::string peer;   // "127.0.0.1:4711", for the log
  bool tls = false;

  [[nodiscard]] std::string_view part(std::string_view name) const;
};

// Bytes and who keeps them: text of its own, or a view into a mapped file or an embedded one.
class Body {
 public:
  Body() = default;
  Body(std::string text) : text_(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  Body(const char* text) : text_(text) {}             // NOLINT(google-explicit-constructor)
  Body(std::string_view bytes, std::shared_ptr<const void> owner)
      : view_(bytes), owner_(std::move(owner)), shared_(true) {}
  [[nodiscard]] std::string_view bytes() const { return shared_ ? view_ : text_; }
  [[nodiscard]] std::size_t size() const { return bytes().size(); }
  // Only these bytes of it. REQUIRES: begin + length <= size().
  void narrow(std::size_t begin, std::size_t length);

 private:
  std::string text_;
  std::string_view view_;
  std::shared_ptr<const void> owner_;
  bool shared_ = false;
};

struct Response {
  int status = 200;
  std::string type = "application/json";  // not written where there is no content (204, 304)
  Body body;
  Headers headers = {};
  std::string etag = {};  // quoted; empty: none. Set, it is answered conditionally (conditional.h)
  bool ranges = false;    // and in parts
  bool close = false;     // no further request on this connection
  std::optional<std::uint64_t> length = {};  // of a stream's body, where it is known
};

[[nodiscard]] Response json_response(const nlohmann::json& value, int status = 200);
// application/problem+json with the protocol's code, the field's pointer and retry_after_ms;
// Retry-After where there is one, WWW-Authenticate on a 401. `status`: another one than the error
// table's.
[[nodiscard]] Response problem(const Error& error, int status = 0);
[[nodiscard]] std::string_view reason_of(int status);

// The path and query of a request's target, each escape decoded once. A form's '+' in the query is
// a space. No step of the path holds a slash, so that splitting it yields the steps as they came;
// only the last may be empty. bad_frame: no leading slash ("*", "http://..."), a bad escape, a "."
// or ".." step, an empty one, a slash or backslash that was escaped, a raw space, '#' or backslash,
// NUL or another control character (but for escaped lines and tabs in the values of `query` and
// `match[]`, which are PromQL), not UTF-8. too_big: longer than a header may be.
struct Target {
  std::string path;
  Pairs query;
};
[[nodiscard]] Result<Target> parse_target(std::string_view untrusted);
// application/x-www-form-urlencoded, of a body: as a query, but that text may have lines and tabs.
[[nodiscard]] Result<Pairs> parse_form(std::string_view untrusted);
// Decoded, '+' as it is; nothing for a bad escape.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view untrusted);
[[nodiscard]] std::string percent_encoded(std::string_view text);

// "text/html; charset=utf-8" -> "text/html", in lower case.
[[nodiscard]] std::string media_type_of(std::string_view content_type);
// Whether a list field ("gzip, br;q=0") has this member and does not refuse it. By its name: a
// wildcard is none.
[[nodiscard]] bool accepts(std::string_view list, std::string_view member);

// How much an Accept field wants this type ("text/plain; version=0.0.4"), 0 to 1: as the most
// specific of its ranges says that does not name another value for one of the type's parameters.
// 1 when the field is empty.
[[nodiscard]] double weight_of(std::string_view accept, std::string_view type);

// ASCII only.
[[nodiscard]] std::string lower_case(std::string_view text);
// base64url without padding; nothing for what is none, or not its one canonical form.
[[nodiscard]] std::optional<std::string> base64url_decoded(std::string_view untrusted);

}  // namespace tallymill::http
