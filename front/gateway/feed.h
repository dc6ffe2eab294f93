// Feed: what happens to all jobs, to those who follow it over Server-Sent Events or a WebSocket.
//
// The gateway watches everybody's jobs once. What it hears stands in a ring in memory, rendered
// once; a follower is a place in that ring and what it wants to hear, so that a thousand followers
// cost a thousand places. What comes alone is told at once; what follows within milliseconds is
// told together, so that a busy front writes to each follower 100 times a second, not thousands.
// One that does not read falls behind, and when its place has left the ring, or it comes back with
// the number of the last end that it saw, the ends between are read back from the ledger, a page at
// a time, as fast as it reads them.
//
// A number of another ledger, or beyond ours, is answered with a gap, and what comes from then on.
//
//   invariant: a follower hears of each end behind the number that it named, in order and once, or
//              of a gap first
//   invariant: of a follower nothing is held but its place, limits::http_outlet_bytes, and a page
//   of
//              ends while it is told one
//
// Threads: the HTTP server's.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "bus/messages.h"
#include "front/gateway/line.h"

namespace tallymill::gateway {

// One thing that happened, as it is told.
struct Happening {
  std::int64_t seq = 0;  // of an end its own; of anything else that of the end before it
  std::int64_t job = 0;
  std::string what;  // accepted, progress, done, failed, cancelled, expired; gap
  std::string kind;
  std::string client;
  std::string json;
  std::string sse;  // the same as one of Server-Sent Events
  Instant heard{};
  [[nodiscard]] bool is_end() const { return bus::is_end(what); }
};

// What a follower wants to hear; what is empty or 0 rules nothing out.
struct Interest {
  std::int64_t job = 0;
  std::string kind;
  std::string client;
  [[nodiscard]] bool wants(const Happening& happening) const;
};

class Feed {
 public:
  // `line`: of which the feed takes all events. `server`: its thread's timers.
  Feed(Line& line, http::Server& server);

  // Called with the job of each end; with 0 when any may have ended unheard.
  void on_end(std::function<void(std::int64_t job)> ended) { ended_ = std::move(ended); }
  // What was heard is told now, as far as there is room.
  void tell_all();
  // What was heard before this moment leaves the ring.
  void forget(Instant before);

  // Tells one; false: not now, go_on() is called when there is room.
  using Tell = std::function<bool(const Happening&)>;

  class Follower {
   public:
    // There is room again.
    void go_on() { feed_.pump(*this); }
    ~Follower() { feed_.followers_.erase(this); }
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

   private:
    friend class Feed;
    // Of a page that was read back: what is told, if anything, and the end up to which the follower
    // then has everything that there is for it.
    struct Step {
      std::optional<Happening> told;
      std::int64_t reached = 0;
    };
    Follower(Feed& feed, Interest interest, Tell tell)
        : feed_(feed), interest_(std::move(interest)), tell_(std::move(tell)) {}
    Feed& feed_;
    Interest interest_;
    Tell tell_;
    std::uint64_t at_ = 0;        // its place in the ring
    std::int64_t seen_ = 0;       // the last end that it was told of, or passed over
    std::deque<Step> read_back_;  // of the page that is being told
    bool behind_ = false;         // its next ends come from the ledger
    bool asking_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  };

  // From now on; with `since`, from the end after that number of that ledger on.
  [[nodiscard]] std::shared_ptr<Follower> follow(Interest interest,
                                                 std::optional<std::int64_t> since,
                                                 const std::string& ledger, Tell tell);
  // Whether the front has said where it is: before, nobody can follow it and may try again.
  static constexpr std::chrono::milliseconds try_again{1000};
  [[nodiscard]] bool ready() const { return !ledger_.empty(); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] std::size_t followers() const { return followers_.size(); }
  [[nodiscard]] const std::string& ledger() const { return ledger_; }
  [[nodiscard]] std::int64_t head() const { return head_; }

 private:
  void watch();
  void on_event(const bus::Item& item);
  void lose(std::int64_t last);
  void add(Happening&& happening);
  void render(Happening& happening, std::int64_t reached) const;
  void drop_first();
  void pump(Follower& follower);
  [[nodiscard]] bool tell_read_back(Follower& follower);
  void read_back(Follower& follower, const std::string& ledger);
  void take_page(Follower& follower, const bus::Item& item);

  Line& line_;
  http::Server& server_;
  log::Limited away_;  // of questions that the front does not answer
  std::string ledger_;
  std::int64_t head_ = 0;  // the last end that is in the ring, or was when the feed began
  std::deque<Happening> ring_;
  std::uint64_t first_ = 0;  // the place of ring_.front()
  Bytes bytes_{};
  std::int64_t ring_since_ = 0;  // the ring has all ends behind this number
  std::set<Follower*> followers_;
  std::function<void(std::int64_t)> ended_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool gathering_ = false;  // what comes now is told when the time is up
  bool untold_ = false;
};

}  // namespace tallymill::gateway
