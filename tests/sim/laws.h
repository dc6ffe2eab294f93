// Laws: what must hold after every event, whatever broke. It looks at the machine from outside
// only: at what went in, what came out, and what the disk holds.
//
//   - conservation: the snapshot balances; the machine's own invariants hold
//   - nothing is announced before it is durable; a job has one end and that never changes
//   - a token is used once; nothing is dispatched whose cancel or deadline was queued
//   - a result counts only with the present token; after a restart, with the highest one listed
//   - a job is sent no sooner than its client said, and expires at its deadline, on the monotonic
//     clock: the wall clock steps, the front starts again, and neither moves by it
//   - the same key and content is the same job, other content is E_DUP
//   - a job ends for a reason: cancelled when that was asked, expired when its deadline has passed,
//     done with its worker's result, failed with an error that is final or with three charges
//   - it is charged once for a lost attempt that may be to blame, for no other (attempts.h), and
//     three times at most; a failure counts once, and its retry waits as long as it was drawn
//   - a worker gets no more than it offers; of what is ready the right one goes first (order.h)
//   - a lease does not lapse while a worker lists it; each submit gets one answer
//
// A broken law throws Broken.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "front/machine.h"
#include "tests/sim/attempts.h"
#include "tests/sim/events.h"
#include "tests/sim/model.h"
#include "tests/sim/order.h"
#include "tests/sim/store.h"

namespace tallymill::sim {

class Laws {
 public:
  Laws(Events& events, const Store& store) : events_(events), store_(store) {}

  void front_started(std::int64_t epoch);

  // What the front was given and gave.
  void asked(std::uint64_t reply_to);
  void answered(std::uint64_t reply_to);
  void appended(JobId job, std::optional<Instant> deadline, std::optional<Instant> not_before);
  void replays(const front::Machine::Replayed& job);
  void accepted(const Request& request, const Answer& answer);
  void refused(const Request& request, const Answer& answer);
  void cancel_asked(JobId job) { cancels_.insert(job.raw()); }
  void cancel_said(JobId job, std::string_view state);
  void dispatched(const front::Dispatch& dispatch, bool alone, const HopAt& first, int next);
  void turn_ends(const front::Machine& machine) { order_.turn_ends(machine); }
  void listed(const Token& token, bool live);
  void settles(const front::Settle& settle, const ResultMsg* in_hand);
  void remarks(const front::Remark& remark, const ResultMsg* in_hand);
  void announced(const front::Announce& announce);
  // A token in a heartbeat reached the front's socket, read or not.
  void list_arrived(const Token& token) { arrived_[token] = events_.now(); }
  // Between two workers, where nobody lists it.
  void on_its_way(const Token& token) { arrived_.erase(token); }
  // A lane broke: the leases in it are shortened.
  void shortened() { shortened_ = events_.now(); }
  void lapsed(const Token& token) const;

  void after_event(const front::Machine& machine) const;
  // All is mended and had time: every job has ended.
  void at_rest(const front::Machine& machine) const;

  [[nodiscard]] bool stop_queued(std::int64_t job) const { return stops_.contains(job); }
  [[nodiscard]] std::optional<Token> present(std::int64_t job) const;

  // What the front was told of attempts: it is told here too.
  Attempts attempts;

 private:
  struct Times {
    std::optional<Instant> deadline;
    std::optional<Instant> not_before;
  };

  struct Counts {
    std::int32_t charges = 0;
    std::int32_t failures = 0;
  };

  [[nodiscard]] Counts& counts_of(JobId job);
  [[nodiscard]] bool deadline_passed(std::int64_t job) const;
  void has_a_reason(const front::Settle& settle, const ResultMsg* in_hand);
  void retries(const front::Remark& remark, const ResultMsg* in_hand, const Counts& before) const;
  static void stamped(std::int64_t job, const front::FrontStamps& at);
  [[noreturn]] static void broken(std::string law, std::int64_t job = 0);

  Events& events_;
  const Store& store_;
  std::int64_t epoch_ = 0;
  std::set<std::uint64_t> open_questions_;
  std::set<std::uint64_t> answered_;
  std::set<Token> used_;                            // of all epochs
  std::map<std::int64_t, Token> dispatched_;        // the last of this epoch
  std::map<std::int64_t, Token> highest_listed_;    // of earlier epochs, while the job was live
  std::set<std::int64_t> cancels_;                  // asked for
  std::set<std::int64_t> stops_;                    // queued cancels and deadlines
  std::set<std::int64_t> ends_;                     // queued ends, of this epoch
  std::map<std::int64_t, std::int64_t> announced_;  // job -> seq of its end
  std::map<std::pair<int, std::string>, std::pair<std::int64_t, std::uint64_t>> keys_;
  std::set<std::int64_t> accepted_;
  std::map<std::int64_t, Times> times_;        // as its client gave them, when it was queued
  std::map<std::int64_t, Instant> retry_due_;  // until it is sent
  std::map<std::int64_t, Counts> counts_;      // as noted last by this front
  Order order_;
  std::map<Token, Instant> arrived_;
  Instant shortened_;
};

}  // namespace tallymill::sim
