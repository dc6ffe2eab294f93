// What the machine's tests share: two stages, three kinds, workers, and the effects of each event.
//
// Time is what each call says, in milliseconds after the start. A commit is done when the test says
// so; submit() and commit_all() do it at once. After each test the machine's own invariants hold.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "front/machine.h"

namespace tallymill::front {

class MachineTest : public testing::Test {
 protected:
  MachineTest() : MachineTest(Admission{}) {}
  explicit MachineTest(Admission admission, bool replayed = true)
      : machine_({.epoch = 5, .admission = admission, .started = at(0)}) {
    compute_ = machine_.add_stage("compute");
    image_ = machine_.add_stage("image");
    kind_ = machine_.add_kind({.name = "one hop",
                               .route = {compute_},
                               .backoff_base = std::chrono::milliseconds(100),
                               .backoff_cap = std::chrono::seconds(1),
                               .stall = std::chrono::seconds(3)});
    image_kind_ = machine_.add_kind({.name = "image", .route = {image_}});
    two_hops_ = machine_.add_kind({.name = "two hops", .route = {compute_, image_}});
    if (replayed) machine_.replay_finished(at(0));
  }
  void TearDown() override { machine_.check_invariants(); }

  static Instant at(std::int64_t ms) { return Instant(std::chrono::milliseconds(1'000'000 + ms)); }

  // A worker of `stage` whose lane is up.
  WorkerId worker(const std::string& incarnation, std::int64_t ms,
                  const std::vector<Held>& held = {}, StageId stage = 0, std::int32_t lane = 1) {
    const auto id = machine_.hello({.incarnation = incarnation,
                                    .stage = stage,
                                    .limit = {Credits(8), Bytes(1 << 20)},
                                    .unsettled_limit = Credits(8),
                                    .lane = lane},
                                   held, at(ms));
    EXPECT_TRUE(id);
    machine_.lane_up(*id, at(ms));
    return *id;
  }

  // The effects of one sort since the last take(); the others are dropped.
  template <class E>
  std::vector<E> take() {
    std::vector<E> found;
    for (const Effect& effect : machine_.effects())
      if (const E* one = std::get_if<E>(&effect)) found.push_back(*one);
    machine_.effects().clear();
    return found;
  }

  Submission submission(std::int64_t ms) const {
    return {.reply_to = 1, .client = "test", .kind = kind_, .size = Bytes(100), .intake = at(ms)};
  }
  // Accepted and on disk.
  JobId submit(std::int64_t ms) { return submit(submission(ms), ms); }
  JobId submit(const Submission& what, std::int64_t ms) {
    machine_.submit(what, at(ms));
    const auto appended = take<Append>();
    EXPECT_EQ(appended.size(), 1U);
    machine_.committed(appended.at(0).job.raw(), {}, at(ms));
    machine_.effects().clear();
    return appended.at(0).job;
  }
  // Commits all ends and notes among the effects; returns the effects of that. The others are
  // dropped.
  void commit_all(std::int64_t ms) {
    std::vector<std::int64_t> seqs;
    for (const Effect& effect : machine_.effects()) {
      if (const auto* end = std::get_if<Settle>(&effect)) seqs.push_back(end->seq);
      if (const auto* note = std::get_if<Remark>(&effect)) seqs.push_back(note->seq);
    }
    machine_.effects().clear();
    for (const std::int64_t seq : seqs) machine_.committed(seq, {}, at(ms));
  }

  std::vector<Dispatch> dispatch_all(std::int64_t ms) {
    machine_.effects().clear();
    machine_.dispatch(at(ms));
    return take<Dispatch>();
  }
  Token dispatch(std::int64_t ms) {
    const auto sent = dispatch_all(ms);
    EXPECT_EQ(sent.size(), 1U);
    return sent.at(0).token;
  }
  void beat(WorkerId id, const std::vector<Held>& held, std::int64_t ms, std::int64_t missing = 0) {
    machine_.beat(id, held, 0.5, missing, at(ms));
  }
  // Nothing happens but that this front's own clock goes on, without a gap.
  void tick_until(std::int64_t from_ms, std::int64_t to_ms) {
    for (std::int64_t ms = from_ms; ms < to_ms; ms += 100) machine_.tick(at(ms));
    machine_.tick(at(to_ms));
  }
  void ok(WorkerId from, const Token& token, std::int64_t ms) {
    machine_.done({.token = token, .worker = from}, at(ms));
  }
  void fails(WorkerId from, const Token& token, bool retry, std::int64_t ms) {
    machine_.done({.token = token,
                   .worker = from,
                   .outcome = Finished::Outcome::error,
                   .retry = retry,
                   .error = Error{Errc::away, "not now"}},
                  at(ms));
  }
  // A job that this worker runs.
  std::pair<JobId, Token> running(WorkerId on, std::int64_t ms) {
    const JobId job = submit(ms);
    const Token token = dispatch(ms);
    machine_.hop(on, token, Machine::Point::started, at(ms));
    machine_.effects().clear();
    return {job, token};
  }
  [[nodiscard]] std::int32_t places_taken(WorkerId id) const {
    return machine_.pool().at(id).here.held().jobs.raw();
  }

  Machine machine_;
  StageId compute_ = 0;
  StageId image_ = 0;
  KindId kind_ = 0;
  KindId image_kind_ = 0;
  KindId two_hops_ = 0;
};

}  // namespace tallymill::front
