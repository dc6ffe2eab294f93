// Router: the table of what a server answers: method, path, role, handler and what the OpenAPI
// document says of it, one row each.
//
// A path is literal but for steps in braces, "/v1/jobs/{id}", which match one step each, and none
// that is empty. Where two patterns match, the one that is literal where they first differ is the
// path's, for all methods: "/v1/jobs/search" is never the job "search". The last step may be "{*}",
// which matches all that is left, and goes behind every other.
//
//   invariant: no two rows of a method have the same pattern, and no two patterns differ in the
//              names in their braces alone
//
// Threads: plain values; a server's are not changed while it runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "http/guard.h"
#include "http/message.h"

namespace tallymill::http {

class Answer;  // exchange.h
class BodyReader;
class Socket;

// What the document says of a parameter, a body and an answer.
struct Parameter {
  std::string name;
  std::string in = "query";  // query, header; those of the path are taken from the pattern
  std::string help;
  nlohmann::json schema = {{"type", "string"}};
};
struct Content {
  std::string type;         // "application/json"
  std::string schema = {};  // a name of Api::schemas; empty: bytes
};
struct Reply {
  int status = 200;
  std::string help;
  std::vector<Content> contents = {};
};
struct Operation {
  std::string id;       // "submitJob"
  std::string summary;  // one sentence
  std::vector<Parameter> parameters = {};
  std::vector<Content> body = {};
  std::vector<Reply> replies = {};  // errors are added: each operation may answer problem+json
};

// Exactly one of the four is set.
struct Handler {
  std::function<void(Request&&, Answer)> whole = {};
  std::function<std::unique_ptr<BodyReader>(Request&&, Answer)> pieces = {};
  std::function<void(Request&&, std::shared_ptr<Socket>)> socket = {};  // a WebSocket
  // A WebSocket that Answer::open() opens, and any other answer refuses.
  std::function<void(Request&&, Answer)> asked_socket = {};
};

struct Route {
  Method method = Method::get;
  std::string path;
  Role role = Role::read;  // none: also without a token
  Handler handler;
  Operation operation;
  // The largest body, or message of a WebSocket; 0: limits::http_body_bytes, or
  // limits::http_socket_message_bytes.
  Bytes body_bytes{};
  Accepts accepts = {};
};

[[nodiscard]] inline bool is_socket(const Handler& handler) {
  return handler.socket != nullptr || handler.asked_socket != nullptr;
}

struct Match {
  const Route* route = nullptr;
  Pairs parts;
};

class Router {
 public:
  // REQUIRES: a new row by the invariant above, with exactly one handler, and an operation's id
  // that no other has.
  void add(Route route);
  // not_found: no row has this path. HEAD is answered by GET's row. wrong_state: the path has
  // other methods, see allowed().
  [[nodiscard]] Result<Match> match(Method method, std::string_view path) const;
  // "GET, HEAD, DELETE": what this path answers to; empty: nothing.
  [[nodiscard]] std::string allowed(std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

  // What is answered where no row has the path, whoever asks and whatever comes with it: for a
  // server that does not know its rows yet.
  void otherwise(std::function<Response()> say) { otherwise_ = std::move(say); }
  [[nodiscard]] const std::function<Response()>& otherwise() const { return otherwise_; }

 private:
  std::vector<Route> routes_;
  std::function<Response()> otherwise_;
};

// What the document says of the whole.
struct Api {
  std::string title;
  std::string version;
  std::string description;
  std::map<std::string, nlohmann::json> schemas;  // JSON Schema by name, "Job"
};
// The OpenAPI 3.1 document of this table. Rows without an operation id are not told.
[[nodiscard]] nlohmann::json openapi(const Router& router, const Api& api);

}  // namespace tallymill::http
