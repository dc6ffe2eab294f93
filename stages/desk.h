// Desk: the jobs that this worker holds, and where its threads meet over them.
//
// The loop puts a job down when it comes; a handler thread takes it up, runs it and either leaves
// its result here until the front has settled it, or sends it on to the next hop, and then it is
// gone. What is listed here is what the worker's beats list, and that keeps the leases.
//
//   put -> waiting -> taken -> retained -> settled
//             |         +----> gone (the next hop has it, or the front has it back)
//             +-------+-> stopped or drained before it started
//
//   invariant: a token is here at most once; a waiting job is in the table
//   invariant: what has a result here has it whole, as it was sent
//
// Threads: any; one mutex, held for table work only. The atomics of a HeldJob are written by its
// handler thread and read by the loop, `stop` the other way round.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "bus/envelope.h"
#include "bus/messages.h"

namespace tallymill::stages {

// As the third number of a held token in a beat.
enum class Phase : std::uint8_t { received = 0, started = 1, finished = 2 };

// Why a handler should stop. voided: another attempt is the job's now; nobody wants the result.
enum class Stop : std::uint8_t { no, cancelled, expired, voided };

// An envelope of results as it was sent; many jobs share one.
struct Sent {
  bus::Frames frames;
};

struct HeldJob {
  bus::Token token;
  bus::Work work;  // its views, and item's, are into the envelope
  bus::Item item;
  std::shared_ptr<const bus::Envelope> envelope;
  Instant received;
  std::size_t bytes = 0;

  std::atomic<Phase> phase{Phase::received};
  std::atomic<Stop> stop{Stop::no};
  std::atomic<std::int64_t> started_ns{0};  // this host's clock
  std::atomic<float> fraction{0};

  // True for the first who asks: the handler thread that is about to start it, or the loop that
  // ends it before. The other one leaves it alone.
  [[nodiscard]] bool claim() { return !claimed_.exchange(true, std::memory_order_acq_rel); }

 private:
  friend class Desk;
  std::atomic<bool> claimed_{false};
  std::shared_ptr<const Sent> sent_;
  std::uint32_t sent_index_ = 0;
  Instant sent_at_{};
};
using HeldPtr = std::shared_ptr<HeldJob>;

// A lane of a later hop, as the front announced it.
struct NextLane {
  std::string worker;
  std::string endpoint;
};
using LaneSet = std::vector<NextLane>;

class Desk {
 public:
  // `handlers` threads will take; more than `bound` tokens are not held.
  Desk(int handlers, std::size_t bound) : handlers_(handlers), bound_(bound) {}

  // ---- the loop ----

  struct Put {
    int duplicates = 0;  // held already: dropped, the first one counts
    int refused = 0;     // over the bound: dropped; nobody lists them, so their leases lapse
  };
  Put put(std::span<const HeldPtr> jobs);

  struct Listed {
    bus::Token token;
    Phase phase;
  };
  [[nodiscard]] std::vector<Listed> list() const;

  // Sets the flag that the handler sees. A job that had not started is claimed and returned: the
  // caller answers for it. A voided one leaves the table.
  [[nodiscard]] HeldPtr stop(const bus::Token& token, Stop why);

  // The front has the end of this job on disk, or wants nothing of it.
  void settled(const bus::Token& token);

  // The result to send again, when there is one and it was not sent within `quiet`.
  struct Again {
    std::shared_ptr<const Sent> sent;
    std::uint32_t index = 0;  // of the message in it
  };
  [[nodiscard]] std::optional<Again> again(const bus::Token& token, Instant now, Duration quiet);
  // Up to `most` results that could not leave; the caller sends them.
  [[nodiscard]] std::vector<Again> take_unsent(std::size_t most, Instant now);
  [[nodiscard]] bool has_unsent() const;

  // From now on nothing starts. Returns what had not started, which is held no more.
  [[nodiscard]] std::vector<HeldPtr> drain();

  void set_lanes(std::shared_ptr<const LaneSet> lanes);
  // Handler threads return from take() with false, and what runs sees itself stopped.
  void close();

  // ---- a handler thread ----

  struct Turn {
    std::vector<HeldPtr> jobs;
    std::shared_ptr<const LaneSet> lanes;  // the newest
  };
  // Jobs to claim and run, oldest first: several when that starves nobody. Waits for the first one,
  // or for other lanes. False when closed.
  [[nodiscard]] bool take(Turn& turn, bool jobs_are_short);
  // The same without waiting: false when there is nothing new.
  [[nodiscard]] bool try_take(Turn& turn, bool jobs_are_short);

  // Keeps results until they are settled: message i of `sent` is the end of jobs[i].
  void retain(std::span<const HeldPtr> jobs, const std::shared_ptr<const Sent>& sent, Instant now);
  // Their results could not leave: the loop sends them when the front is there.
  void not_sent(std::span<const HeldPtr> jobs);
  // Held by somebody else now.
  void gone(const bus::Token& token);

  // ---- anyone ----

  struct Counts {
    std::size_t held = 0;
    std::size_t waiting = 0;
    std::size_t retained = 0;
    std::size_t bytes = 0;  // of those not finished
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct TokenHash {
    std::size_t operator()(const bus::Token& t) const {
      return static_cast<std::size_t>(t.job) * 0x9e3779b97f4a7c15U ^
             static_cast<std::size_t>(t.attempt) ^ (static_cast<std::size_t>(t.epoch) << 20);
    }
  };
  void take_locked(Turn& turn, bool jobs_are_short);
  void drop_bytes_locked(HeldJob& job);
  [[nodiscard]] bool has_news_locked(const Turn& turn) const {
    return !closed_ && (!waiting_.empty() || turn.lanes != lanes_);
  }

  const int handlers_;
  const std::size_t bound_;

  mutable std::mutex jobs_mutex_;  // guards all below, and the private members of each HeldJob
  std::condition_variable news_;
  std::unordered_map<bus::Token, HeldPtr, TokenHash> table_;
  std::deque<HeldPtr> waiting_;
  std::shared_ptr<const LaneSet> lanes_;
  std::deque<bus::Token> unsent_;
  std::size_t retained_ = 0;
  std::size_t bytes_ = 0;
  int sleeping_ = 0;
  bool closed_ = false;
};

}  // namespace tallymill::stages
