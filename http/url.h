// Url: where a client shall go: scheme, host, port and what to ask there.
//
// Only what a request needs: a fragment is dropped, for it is never sent, and a user's name in
// front of the host is refused, for it is a secret in the wrong place, or a trick on the reader.
//
//   invariant: target and host can be written into a request's head as they are
//
// Threads: plain values.
// Source: RFC 3986 (URI), RFC 9110, 4.2 (http, https), RFC 6455, 3 (ws, wss).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill::http {

struct Url {
  bool socket = false;  // ws, wss
  bool tls = false;     // https, wss
  std::string host;     // lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string target;  // "/v1/jobs?state=done", never empty

  // As Host says it: the port only where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  // "https://mill.example:443": the same for all URLs that one connection can serve.
  [[nodiscard]] std::string origin() const;
};

// bad_params: another scheme, a user, no host or one that is none, no port behind a colon or port
// 0, a character that had to be escaped, or longer than half of what a header may be. The text is
// not quoted.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace tallymill::http
