// Client: HTTP/1.1 and WebSocket as the one who asks, on one thread of its own, or on a Server's.
//
//   Client client({.token = Secret(std::move(token))});
//   if (auto started = client.start(); !started) ...
//   auto answer = client.fetch({.url = "http://127.0.0.1:7780/v1/jobs"});
//
// Connections are kept and used again, up to a number for each origin; beyond it requests wait in
// order, and a stream holds one for as long as it lasts. Redirects are not followed: a 3xx is the
// answer. A kept connection that its server had closed costs nothing: the request goes out again on
// a new one, if nothing of it was sent or if it is GET or HEAD.
//
// Any status is an answer; an Error says that none came: bad_params (the URL), busy (too many
// wait), away (no connection, or it broke; a certificate that is not to be trusted), deadline (not
// in time), bad_frame (not HTTP), too_big (header or body over the bound), cancelled.
//
//   invariant: each request is answered by exactly one call, whatever becomes of its connection
//
// Threads: request(), stream(), cancel(), open_socket() and post() from any; fetch() from any but
// its own. Calls are made on its own, where they must not block; Sockets and bodies in pieces are
// used there only, and hold() too.
// Source: Boost.Beast reads and writes the protocol, Boost.Asio waits; neither is seen outside
// client.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/units.h"
#include "http/body_feed.h"
#include "http/exchange.h"
#include "http/message.h"

namespace tallymill::http {

struct ClientOptions {
  Duration timeout = limits::http_client_timeout;  // of a request, or until a stream's or socket's
                                                   // answer begins
  Duration silence = limits::http_client_silence;  // how long a stream may say nothing
  Duration idle = limits::http_client_idle;        // how long a connection is kept
  std::size_t connections = limits::http_client_connections;  // to one origin
  std::size_t waiting = limits::http_client_waiting;          // for one origin's connections
  Bytes body_bytes = limits::http_client_body_bytes;          // of an answer that is not streamed
  Bytes message_bytes = limits::http_socket_message_bytes;    // of a WebSocket
  Secret token = {};          // bearer, sent to every URL that is asked: none but its owner's
  std::string ca_file = {};   // PEM; empty: those of the system
  bool insecure_tls = false;  // takes any certificate: for tests
  std::string thread = "http client";  // its name
};

class Server;

struct ClientRequest {
  Method method = Method::get;
  std::string url = {};
  // Host, Content-Length and what belongs to the connection are said by the client; an
  // Authorization here is said instead of the token.
  Headers headers = {};
  std::string body = {};
  std::shared_ptr<BodyFeed> feed = {};  // instead of a body; the request is sent once at most
  Duration timeout{};                   // another one than the client's; again from each piece
};

struct ClientResponse {
  int status = 0;
  Headers headers = {};
  std::string body = {};  // empty when it was streamed
};

class Client {
 public:
  explicit Client(ClientOptions options);
  // On the thread of this server, so that its handlers and the client's calls need no lock.
  // REQUIRES: it is stopped when the server's thread has ended, and before the server is gone.
  Client(ClientOptions options, Server& on);
  ~Client();  // stops
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // bad_params: the CA file cannot be read. To be called once, before anything is asked.
  [[nodiscard]] Status start();
  // Ends the thread and waits for it: what is not answered yet is answered `cancelled`, and sockets
  // are told 1001. What is asked later is `cancelled` too, on the thread that asks.
  // REQUIRES: not on the client's thread.
  void stop();

  using Answered = std::function<void(Result<ClientResponse>)>;
  // With the answer's head and nothing as soon as it is there, then with each piece of its body.
  using Heard = std::function<void(const ClientResponse& head, std::string_view piece)>;
  using Opened = std::function<void(Result<std::shared_ptr<Socket>>)>;
  using RequestId = std::uint64_t;

  RequestId request(ClientRequest asked, Answered answered);
  // `ended` comes behind the last piece, or says why there is none. As long as `heard` runs nothing
  // is read, which is how it holds up a fast sender.
  RequestId stream(ClientRequest asked, Heard heard, Answered ended);
  // While a stream is held nothing of it is read, which holds up its sender.
  void hold(RequestId id, bool on);
  // Nothing when it was answered already.
  void cancel(RequestId id);
  // Waits for the answer.
  [[nodiscard]] Result<ClientResponse> fetch(ClientRequest asked);

  // A WebSocket: "ws://", "wss://" or their http names. `protocols` are offered in this order;
  // `headers` are said beside those of the handshake.
  // A server that refuses is the Error that refusal() makes of its answer. A Socket that is dropped
  // is not closed by that.
  void open_socket(std::string url, std::vector<std::string> protocols, Opened opened,
                   Headers headers = {});

  // `work` on the client's thread, soon.
  void post(std::function<void()> work);

  struct State;  // of client.cc

 private:
  std::unique_ptr<State> state_;
};

// What an answer that is no 2xx says: the code, field and delay of its problem+json; else the code
// that has this status, or bad_frame where none has.
[[nodiscard]] Error refusal(const ClientResponse& response);

}  // namespace tallymill::http
