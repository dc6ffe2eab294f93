// Line: the gateway's connection to the front as one client: a DEALER on the HTTP server's thread,
// questions with who waits for their answers, and events.
//
// Whatever HTTP asks is asked here in the words of the wire (docs/protocol.md), so that HTTP can do
// nothing that the bus cannot, and every promise of the bus holds for it.
//
//   invariant: each question's call is made exactly once: with its answer, or with away
//
// Threads: the HTTP server's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "bus/envelope.h"
#include "bus/messages.h"
#include "http/server.h"

namespace tallymill::gateway {

class Line {
 public:
  // The item is valid during the call.
  using OnAnswer = std::function<void(Result<const bus::Item*>)>;
  using OnEvent = std::function<void(const bus::Item&)>;

  // `front`: its endpoint; with inproc, in the front's own context. Errors as bus::open_socket.
  [[nodiscard]] static Result<std::unique_ptr<Line>> open(http::Server& server,
                                                          zmq::context_t& context,
                                                          const std::string& front,
                                                          const std::string& client);
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // `request` of what is asked is set here.
  void ask(bus::Verb verb, bus::Ask ask, OnAnswer done);
  void submit(bus::Submit submit, std::string_view params, std::vector<zmq::message_t>&& blobs,
              OnAnswer done);
  void watch(bus::Watch watch, OnAnswer done);
  // Ends, progress and gaps of what is watched.
  void on_event(OnEvent happened) { happened_ = std::move(happened); }

  // Says who asks, again after it was refused.
  [[nodiscard]] Status hello();
  // What is there is heard now.
  void read() { on_ready(); }
  // The front would not have it, or was not there: whatever is asked of it fails for this reason.
  [[nodiscard]] const std::optional<Error>& refused() const { return refused_; }

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] Instant last_used() const { return last_used_; }
  // Questions from before this moment are given up: away.
  void give_up(Instant before);

 private:
  Line(http::Server& server, zmq::socket_t&& socket, std::string client);
  std::int64_t expect(OnAnswer done);
  void send();
  void on_ready();
  void take(const bus::Item& item);
  void answer(std::int64_t request, Result<const bus::Item*> said);

  http::Server& server_;
  zmq::socket_t socket_;
  std::string client_;
  int fd_;
  bus::Packer packer_;
  bus::Frames frames_;
  OnEvent happened_;
  std::optional<Error> refused_;
  std::int64_t last_request_ = 0;
  struct Waiting {
    Instant since;
    OnAnswer done;
  };
  std::map<std::int64_t, Waiting> waiting_;
  Instant last_used_;
  bool reading_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted
};

// The line of each client's name; opened when it is first needed. The one that was used longest ago
// makes room when limits::gateway_lines are open.
class Lines {
 public:
  Lines(http::Server& server, zmq::context_t& context, std::string front)
      : server_(server), context_(context), front_(std::move(front)) {}

  // busy: as many are open as may be, and each waits for an answer.
  [[nodiscard]] Result<Line*> of(const std::string& client);
  // REQUIRES: called now and then.
  void give_up_old();
  void close() { lines_.clear(); }
  [[nodiscard]] std::size_t size() const { return lines_.size(); }

 private:
  http::Server& server_;
  zmq::context_t& context_;
  std::string front_;
  std::map<std::string, std::unique_ptr<Line>, std::less<>> lines_;
};

}  // namespace tallymill::gateway
