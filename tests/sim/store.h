// Store: the simulated disk under the front: the ledger with its one committer, the blobs and their
// collector. What front/ledger.h promises, and what a crash takes away.
//
// Entries gather while a commit runs; a commit is durable as a whole when it ends. A crash loses
// what was queued; the commit that runs is lost or kept, by chance. A full disk refuses new jobs
// only.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "front/ledger.h"
#include "tests/sim/events.h"
#include "tests/sim/model.h"

namespace tallymill::sim {

// An entry on its way to the disk.
struct Op {
  enum class What : std::uint8_t { append, settle, note } what = What::append;
  std::int64_t seq = 0;
  JobId job;
  Request request;  // append
  WallTime submitted;
  Instant intake;
  Instant queued;
  EndState end = EndState::done;  // settle
  std::optional<ResultMsg> result;
  front::Note::What note = front::Note::What::charged;
  std::int32_t charges = 0;
  std::int32_t failures = 0;
  std::optional<WallTime> due;
};

// A job as the disk has it.
struct Row {
  Request request;
  WallTime submitted;
  Instant intake;
  Instant queued;
  std::int32_t charges = 0;
  std::int32_t failures = 0;
  std::optional<WallTime> due;
  bool cancel_requested = false;
  bool deadline_passed = false;
  std::optional<EndState> end;
  std::int64_t end_seq = 0;
  std::uint64_t result = 0;
  bool has_output = false;
};

class Store {
 public:
  // The end of one entry of a commit: an outcome, or nothing when the disk was full.
  using Done = std::function<void(const Op& op, std::optional<front::Outcome> outcome)>;

  Store(Events& events, const Faults& faults) : events_(events), faults_(faults) {}

  // ---- the front's life ----
  front::Opened open(Done done);
  void crash();
  void queue(Op op);
  void pause(bool paused);
  [[nodiscard]] const std::map<std::int64_t, Row>& rows() const { return rows_; }
  [[nodiscard]] const Row* row(JobId job) const;
  void set_full(bool full) { full_ = full; }

  // ---- blobs, named by the content that they belong to ----
  void put(std::uint64_t blob) { blobs_[blob] = events_.now(); }
  [[nodiscard]] bool has(std::uint64_t blob) const { return blobs_.contains(blob); }
  // What no row refers to and nobody touched for a while goes.
  void collect();

  [[nodiscard]] static std::uint64_t input_of(std::uint64_t content) { return content * 2 + 1; }
  [[nodiscard]] static std::uint64_t output_of(std::uint64_t content) { return content * 2; }

 private:
  void start_commit();
  void finish_commit();
  [[nodiscard]] std::optional<front::Outcome> apply(const Op& op);
  [[nodiscard]] front::Outcome append(const Op& op);

  Events& events_;
  const Faults& faults_;
  Done done_;
  bool open_ = false;
  bool paused_ = false;
  bool finish_due_ = false;  // it ended while the process stood still
  bool full_ = false;
  std::uint32_t life_ = 0;
  std::deque<Op> queue_;
  std::vector<Op> running_;

  // Durable.
  std::map<std::int64_t, Row> rows_;
  std::map<std::pair<int, std::string>, std::int64_t> keys_;
  front::Totals totals_;
  std::int64_t head_ = 0;
  std::int64_t epoch_ = 0;
  std::map<std::uint64_t, Instant> blobs_;  // last touched
  std::set<std::uint64_t> referred_;
};

}  // namespace tallymill::sim
