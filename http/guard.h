// Guard: who may speak: what stands before every handler, also on loopback.
//
//   1. Host must be one of ours, or a name rebound to our address would speak for its page (421);
//      a second Host, or one that is no host and port, is refused before (400).
//   2. An upgrade, and every request that is not GET or HEAD, may come from a page of our own
//      origin only: Origin is absent (no browser) or ours (403).
//   3. What is written must have a type that a route may read (415): never text/plain or
//      application/x-www-form-urlencoded, which any page may send. Plain forms can send multipart
//      too: they are held by 2 alone. A Content-Encoding is refused as well (415).
//   4. With tokens: `Authorization: Bearer`, or, for a WebSocket, the subprotocol
//      `bearer.<base64url>` beside `tallymill.v1` (401); its role must reach the route's (403).
//
// Nothing answers with CORS headers, and there are no cookies.
//
// Threads: const after it was made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/tokens.h"

namespace tallymill::http {

struct GuardOptions {
  // What Host may say beside the loopback names and the listening address: "mill.example" with any
  // port, "mill.example:8443" with that one.
  std::vector<std::string> hosts = {};
  Tokens tokens = {};     // empty: everybody may do everything
  bool insecure = false;  // an address that other hosts can reach may go without tokens
};

// Why not, and with which status.
struct Refusal {
  int status = 403;
  Error error;
};

// What a route takes beside the types that every one does.
struct Accepts {
  std::string type = {};    // "a/b, c/d"; a form, only where nothing is changed
  std::string coding = {};  // "snappy": whoever reads the body bounds what comes out of it
};

class Guard {
 public:
  // bad_params: one of the hosts is neither a name nor a name and a port.
  [[nodiscard]] static Status check(const GuardOptions& options);
  // `listen`: "127.0.0.1:7780", with the port that is served. A host that is none names nobody.
  Guard(GuardOptions options, std::string_view listen, bool tls);

  // Who may ask this; `upgrade`: for a WebSocket. A route without a role is open to everybody, and
  // its caller is somebody only with a token. Reads nothing but the method and the headers.
  [[nodiscard]] std::expected<Caller, Refusal> admit(const Request& request, Role role,
                                                     bool upgrade,
                                                     const Accepts& accepts = {}) const;
  // The response's headers that hold a page to its own origin; on every response. Those that the
  // handler set stay.
  static void harden(Response& response);
  // The same fields as they stand in a head, for a response that says none of them itself; empty:
  // it says one, and is hardened by itself.
  [[nodiscard]] static std::string_view hardening(const Response& response);

 private:
  [[nodiscard]] bool is_ours(std::string_view authority, std::string_view scheme,
                             bool any_port) const;
  [[nodiscard]] bool is_own_origin(std::string_view origin, std::string_view host) const;

  Tokens tokens_;
  std::string scheme_;
  std::vector<std::string> authorities_;  // "localhost:7780", lower case, always with the port
  std::vector<std::string> hosts_;        // "mill.example", with any port
};

}  // namespace tallymill::http
