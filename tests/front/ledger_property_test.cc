// The ledger against a model of plain maps. Goal: no order of appends, notes, ends, keys, restarts
// and retention breaks a law, and every reader answers what the model knows. Method: random
// commits; after each round all questions are asked and the offline check must find nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "front/ledger_check.h"
#include "front/ledger_fates.h"
#include "front/ledger_sqlite.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

using What = Outcome::What;

// What a ledger should know.
struct Model {
  struct Known {
    NewJob job;
    std::optional<JobEnd> end;
    std::optional<Duration> whole;
    LiveJob live;
    std::vector<std::string> failed_attempts;
  };
  std::map<std::int64_t, Known> jobs;
  std::map<std::pair<std::string, std::string>, std::int64_t> keys;
  Totals totals;
  std::int64_t seq = 0;
  std::int64_t retired_through = 0;
  struct Kept {
    JobEnd end;
    NewJob job;
    std::vector<std::string> failed_attempts;
    std::optional<Duration> whole;
  };
  std::map<std::int64_t, Kept> kept;  // by keep number
  std::int64_t keep_seq = 0;
  std::int64_t kept_through = 0;
  std::vector<Whole> wholes;  // of ends stored earlier, to ride on the next commit

  [[nodiscard]] std::vector<std::int64_t> live() const {
    std::vector<std::int64_t> ids;
    for (const auto& [id, known] : jobs)
      if (!known.end) ids.push_back(id);
    return ids;
  }
};

class LedgerProperty : public ::testing::TestWithParam<int> {
 protected:
  void open() {
    opened_ = open_ledger(options_in(folder_.path()));
    EXPECT_EQ(opened_.found.epoch, ++epoch_);
  }
  int up_to(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n + 1)); }

  NewJob random_job() {
    NewJob job = job_with(++model_.seq, std::string(static_cast<std::size_t>(1 + up_to(600)), 'b'));
    job.client = "client-" + std::to_string(up_to(4));
    job.kind = up_to(1) ? "box" : "engrave";
    job.priority = up_to(9);
    if (up_to(3) == 0) job.deadline = wall_from_ns(up_to(1000));
    if (up_to(3) == 0) job.not_before = wall_from_ns(up_to(1000));
    if (up_to(2) == 0) {
      job.key = "key-" + std::to_string(up_to(30));
      job.content_hash = "hash-" + std::to_string(up_to(2));
    }
    return job;
  }

  // What the ledger must answer to it; the model changes.
  Outcome expect_job(const NewJob& job) {
    Outcome outcome;
    outcome.job = job.id;
    const auto key = std::pair(job.client, job.key);
    if (const auto taken = model_.keys.find(key); !job.key.empty() && taken != model_.keys.end()) {
      const Model::Known& known = model_.jobs.at(taken->second);
      const bool same = known.job.content_hash == job.content_hash;
      outcome.what = same ? What::known : What::conflict;
      outcome.job = known.job.id;
      if (same && known.end) outcome.end = known.end->state;
      return outcome;
    }
    if (!job.key.empty()) model_.keys[key] = job.id.raw();
    Model::Known& known = model_.jobs[job.id.raw()];
    known.job = job;
    known.live.not_before = job.not_before;
    ++model_.totals.accepted;
    return outcome;
  }

  Entry random_note(std::int64_t job) {
    Note note = note_for(++model_.seq, job, static_cast<Note::What>(up_to(4)));
    LiveJob& live = model_.jobs[job].live;
    if (note.what == Note::What::charged) live.charges += up_to(1);
    if (note.what == Note::What::retry_at) live.failures += up_to(1);
    note.charges = live.charges;
    note.failures = live.failures;
    note.data = pack_attempt({}, {job, 1, 1}, "lost " + std::to_string(note.seq), {});
    if (note.what == Note::What::retry_at) {
      note.due = wall_from_ns(note.seq);
      live.not_before = note.due;
      live.backoff = true;
    }
    if (!note.data.empty()) model_.jobs[job].failed_attempts.push_back(note.data);
    if (note.what == Note::What::cancel_requested) live.cancel_requested = true;
    if (note.what == Note::What::deadline_passed) live.deadline_passed = true;
    return note;
  }

  Entry random_end(std::int64_t job) {
    JobEnd end = end_of_job(++model_.seq, job, static_cast<EndState>(up_to(3)));
    end.took = Duration(up_to(1'000'000'000));
    if (end.state == EndState::failed) {
      end.code = "E_STAGE";
      end.message = "gave up";
      end.field = "/width_mm";
    }
    const bool failure = end.state == EndState::failed || end.state == EndState::expired;
    if (failure || up_to(2) == 0) {
      end.keep_weight = failure ? 1 : 1 + up_to(9) / 2.0;
      const Model::Known& known = model_.jobs[job];
      model_.kept[++model_.keep_seq] = {end, known.job, known.failed_attempts, {}};
    }
    model_.jobs[job].end = end;
    ++model_.totals.ended[static_cast<int>(end.state)];
    return end;
  }

  void random_commit() {
    std::vector<Entry> entries;
    std::vector<Outcome> expected;
    std::vector<Whole> ended;
    for (int n = 1 + up_to(40); n > 0; --n) {
      const std::vector<std::int64_t> live = model_.live();
      const int choice = up_to(9);
      if (live.empty() || choice < 5) {
        NewJob job = random_job();
        expected.push_back(expect_job(job));
        entries.emplace_back(std::move(job));
        continue;
      }
      // Mostly among the oldest, as jobs end.
      const int span = up_to(4) == 0 ? static_cast<int>(live.size()) : 20;
      const auto pick = std::min(static_cast<std::size_t>(up_to(span)), live.size() - 1);
      const std::int64_t job = live[pick];
      entries.push_back(choice < 6 ? random_note(job) : random_end(job));
      expected.push_back({});
      expected.back().job = JobId(job);
      if (choice < 6) continue;
      if (model_.jobs[job].end->keep_weight > 0) expected.back().keep_seq = model_.keep_seq;
      ended.push_back({model_.seq, Duration(job * 1000), expected.back().keep_seq});
    }
    const std::vector<Whole> wholes = std::exchange(model_.wholes, std::move(ended));
    for (const Whole& whole : wholes)
      if (const auto kept = model_.kept.find(whole.keep_seq); kept != model_.kept.end())
        kept->second.whole = whole.whole;
    for (const Whole& whole : wholes)
      for (auto& [id, known] : model_.jobs)
        if (known.end && known.end->seq == whole.seq) known.whole = whole.whole;
    const std::vector<Outcome> outcomes = commit(*opened_.ledger, entries, wholes);
    ASSERT_EQ(outcomes.size(), expected.size());
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      ASSERT_EQ(outcomes[i].what, expected[i].what) << "entry " << seq_of(entries[i]);
      ASSERT_EQ(outcomes[i].job, expected[i].job);
      ASSERT_EQ(outcomes[i].end, expected[i].end);
      ASSERT_EQ(outcomes[i].keep_seq, expected[i].keep_seq);
    }
  }

  void retire_some() {
    std::vector<std::pair<std::int64_t, std::int64_t>> ended;  // seq, job
    for (const auto& [id, known] : model_.jobs)
      if (known.end) ended.emplace_back(known.end->seq, id);
    std::sort(ended.begin(), ended.end());
    const std::size_t keep = static_cast<std::size_t>(up_to(static_cast<int>(ended.size())));
    RetainPolicy policy;
    policy.jobs = static_cast<std::int64_t>(keep);
    policy.age = Duration::max();
    policy.key_age = Duration(0);
    policy.waterfalls = up_to(static_cast<int>(model_.kept.size()));
    policy.waterfall_age = Duration::max();
    for (bool more = true; more;) {
      const auto retired = opened_.ledger->retire(policy, wall_from_ns(2'000'000'000'000'000'000));
      ASSERT_TRUE(retired) << retired.error().message;
      more = *retired;
    }
    retire_kept(policy.waterfalls);
    for (std::size_t i = 0; i + keep < ended.size(); ++i) {
      const auto& [seq, job] = ended[i];
      model_.retired_through = seq;
      const NewJob& gone = model_.jobs[job].job;
      if (!gone.key.empty()) model_.keys.erase({gone.client, gone.key});
      model_.jobs.erase(job);
    }
  }

  // Apart from their jobs.
  void retire_kept(std::int64_t left) {
    while (std::ssize(model_.kept) > left) {
      model_.kept_through = model_.kept.begin()->first;
      model_.kept.erase(model_.kept.begin());
    }
  }

  void compare_kept(LedgerReader& reader) {
    std::int64_t after = 0;
    auto expected = model_.kept.begin();
    for (bool more = true; more;) {
      const auto page = reader.waterfalls(
          {.after = after, .limit = 5, .bytes = Bytes(2000), .now = WallTime::max()});
      ASSERT_TRUE(page) << page.error().message;
      ASSERT_EQ(page->oldest, model_.kept_through);
      ASSERT_EQ(page->head, model_.keep_seq);
      for (const Waterfall& kept : page->waterfalls) {
        ASSERT_NE(expected, model_.kept.end());
        const Model::Kept& known = expected->second;
        ASSERT_EQ(kept.keep_seq, expected->first);
        ASSERT_EQ(kept.weight, known.end.keep_weight);
        ASSERT_EQ(kept.of.job.id, known.end.job);
        ASSERT_EQ(kept.of.job.client, known.job.client);
        ASSERT_EQ(kept.of.job.kind, known.job.kind);
        ASSERT_EQ(kept.of.job.end->state, known.end.state);
        ASSERT_EQ(kept.of.job.end->took, known.end.took);
        ASSERT_EQ(kept.of.job.end->code, known.end.code);
        ASSERT_EQ(kept.of.timeline, known.end.timeline);
        ASSERT_EQ(kept.of.failed_attempts, known.failed_attempts);
        ASSERT_EQ(kept.of.whole, known.whole);
        after = kept.keep_seq;
        ++expected;
      }
      more = page->more;
    }
    ASSERT_EQ(expected, model_.kept.end());
    ASSERT_EQ(opened_.ledger->waterfalls(), std::ssize(model_.kept));
  }

  void compare_replay() {
    const std::vector<LiveJob> live = replay(*opened_.ledger);
    const std::vector<std::int64_t> expected = model_.live();
    ASSERT_EQ(live.size(), expected.size());
    for (std::size_t i = 0; i < live.size(); ++i) {
      const Model::Known& known = model_.jobs.at(expected[i]);
      ASSERT_EQ(live[i].id, known.job.id);
      ASSERT_EQ(live[i].client, known.job.client);
      ASSERT_EQ(live[i].kind, known.job.kind);
      ASSERT_EQ(live[i].priority, known.job.priority);
      ASSERT_EQ(live[i].size, Bytes(std::ssize(known.job.body)));
      ASSERT_EQ(live[i].submitted, known.job.submitted);
      ASSERT_EQ(live[i].deadline, known.job.deadline);
      ASSERT_EQ(live[i].not_before, known.live.not_before);
      ASSERT_EQ(live[i].backoff, known.live.backoff);
      ASSERT_EQ(live[i].charges, known.live.charges);
      ASSERT_EQ(live[i].failures, known.live.failures);
      ASSERT_EQ(live[i].cancel_requested, known.live.cancel_requested);
      ASSERT_EQ(live[i].deadline_passed, known.live.deadline_passed);
    }
  }

  void compare_jobs(LedgerReader& reader) {
    for (const auto& [id, known] : model_.jobs) {
      const auto body = reader.body(JobId(id));
      ASSERT_TRUE(body);
      ASSERT_EQ(body->body, known.job.body);
      const auto status = reader.status(JobId(id));
      ASSERT_TRUE(status);
      ASSERT_EQ(status->end.has_value(), known.end.has_value());
      ASSERT_EQ(status->charges, known.live.charges);
      const auto timeline = reader.timeline(JobId(id));
      ASSERT_TRUE(timeline);
      ASSERT_EQ(timeline->failed_attempts, known.failed_attempts);
      ASSERT_EQ(timeline->whole, known.whole);
      const auto result = reader.result(JobId(id));
      ASSERT_EQ(result.has_value(), known.end.has_value());
      if (!known.end) continue;
      ASSERT_EQ(result->result, known.end->result);
      ASSERT_EQ(result->code, known.end->code);
      ASSERT_EQ(result->field, known.end->field);
      ASSERT_EQ(timeline->timeline, known.end->timeline);
    }
    ASSERT_EQ(reader.body(JobId(model_.seq + 1)).error().code, Errc::not_found);
  }

  [[nodiscard]] std::vector<std::int64_t> expected_list(const JobsQuery& query) const {
    std::vector<std::pair<std::pair<std::int64_t, std::int64_t>, std::int64_t>> found;
    for (const auto& [id, known] : model_.jobs) {
      const std::string is = known.end ? std::string(name_of(known.end->state)) : "live";
      const NewJob& job = known.job;
      const bool by_end = query.sort == JobsSort::ended || query.sort == JobsSort::slowest;
      if ((by_end && !known.end) || (!query.state.empty() && query.state != is) ||
          (query.kinds && std::ranges::find(*query.kinds, job.kind) == query.kinds->end()) ||
          (!query.client.empty() && query.client != job.client) ||
          (query.since && job.submitted < *query.since))
        continue;
      if (!query.text.empty() && !job.client.starts_with(query.text) &&
          !job.kind.starts_with(query.text) && !job.key.starts_with(query.text) &&
          !(known.end && known.end->code.starts_with(query.text)))
        continue;
      const std::int64_t major = query.sort == JobsSort::ended     ? known.end->seq
                                 : query.sort == JobsSort::slowest ? took_key(known.end->took)
                                                                   : id;
      found.push_back({{major, id}, id});
    }
    std::ranges::sort(found);
    if (query.sort != JobsSort::oldest) std::ranges::reverse(found);
    std::vector<std::int64_t> ids;
    for (const auto& each : found) ids.push_back(each.second);
    return ids;
  }

  // Page by page, as a client asks.
  void compare_list(LedgerReader& reader, JobsQuery query) {
    std::vector<std::int64_t> listed;
    query.limit = 7;
    do {
      const auto page = reader.jobs(query);
      ASSERT_TRUE(page) << page.error().message;
      ASSERT_LE(page->rows.size(), 7U);
      for (const JobRow& row : page->rows) listed.push_back(row.id.raw());
      query.cursor = page->next;
    } while (!query.cursor.empty());
    ASSERT_EQ(listed, expected_list(query))
        << name_of(query.sort) << ": " << query.state << ", " << query.client << ", " << query.text;
  }

  void compare_lists(LedgerReader& reader) {
    for (const JobsSort sort :
         {JobsSort::newest, JobsSort::oldest, JobsSort::ended, JobsSort::slowest}) {
      for (const std::string state : {"", "live", "done", "failed", "cancelled", "expired"}) {
        JobsQuery query{.state = state, .sort = sort};
        ASSERT_NO_FATAL_FAILURE(compare_list(reader, query));
        query.kinds = {"box"};
        ASSERT_NO_FATAL_FAILURE(compare_list(reader, query));
        query.client = "client-1";
        ASSERT_NO_FATAL_FAILURE(compare_list(reader, query));
      }
      for (const std::string text : {"client-2", "eng", "key-1", "E_CANC", "none"})
        ASSERT_NO_FATAL_FAILURE(compare_list(reader, {.text = text, .sort = sort}));
      JobsQuery query{.since = wall_from_ns(1'700'000'000'000'000'000 + model_.seq / 2),
                      .sort = sort};
      ASSERT_NO_FATAL_FAILURE(compare_list(reader, query));
      query.kinds.emplace();
      ASSERT_NO_FATAL_FAILURE(compare_list(reader, query));
    }
  }

  void compare_events(LedgerReader& reader) {
    for (const std::string client : {"", "client-1"}) {
      std::vector<std::int64_t> expected;
      for (const auto& [id, known] : model_.jobs)
        if (known.end && (client.empty() || client == known.job.client))
          expected.push_back(known.end->seq);
      std::sort(expected.begin(), expected.end());
      std::vector<std::int64_t> seen;
      std::int64_t since = model_.retired_through;
      while (true) {
        const auto page =
            reader.ends_since({.since = since, .client = client, .limit = 5, .bytes = Bytes(1000)});
        ASSERT_TRUE(page) << page.error().message;
        ASSERT_EQ(page->oldest, model_.retired_through);
        ASSERT_LE(page->ends.size(), 5U);
        for (const EndsPage::Of& of : page->ends) {
          seen.push_back(of.end.seq);
          ASSERT_LE(of.end.seq, page->reached);
          ASSERT_EQ(of.client, model_.jobs.at(of.end.job.raw()).job.client);
          ASSERT_EQ(of.kind, model_.jobs.at(of.end.job.raw()).job.kind);
        }
        if (!page->more) break;
        ASSERT_GT(page->reached, since);
        since = page->reached;
      }
      ASSERT_EQ(seen, expected) << client;
    }
  }

  void expect_clean() {
    const auto report = check_ledger({folder_.path()});
    ASSERT_TRUE(report) << report.error().message;
    for (const Violation& v : report->violations)
      ADD_FAILURE() << v.law << ": job " << v.job.raw() << ": " << v.what;
    EXPECT_EQ(report->accepted, model_.totals.accepted);
    EXPECT_EQ(report->live, static_cast<std::int64_t>(model_.live().size()));
  }

  TempFolder folder_;
  OpenLedger opened_;
  std::int64_t epoch_ = 0;
  Model model_;
  std::mt19937_64 random_;
};

TEST_P(LedgerProperty, AgreesWithTheModelAfterAnyHistory) {
  random_.seed(seed_for("ledger property") + static_cast<unsigned>(GetParam()));
  open();
  for (int round = 0; round < 8; ++round) {
    for (int n = 0; n < 6; ++n) ASSERT_NO_FATAL_FAILURE(random_commit());
    if (up_to(1) == 0) {
      ASSERT_NO_FATAL_FAILURE(retire_some());
    }
    if (up_to(1) == 0) opened_.ledger->release_memory();
    if (up_to(1) == 0) {
      opened_ = {};
      open();
      EXPECT_EQ(opened_.found.head, model_.seq);
      EXPECT_EQ(opened_.found.totals.accepted, model_.totals.accepted);
      for (int i = 0; i < end_states; ++i)
        EXPECT_EQ(opened_.found.totals.ended[i], model_.totals.ended[i]);
    }
    auto reader = opened_.ledger->reader();
    ASSERT_TRUE(reader);
    ASSERT_NO_FATAL_FAILURE(compare_replay());
    ASSERT_NO_FATAL_FAILURE(compare_jobs(**reader));
    ASSERT_NO_FATAL_FAILURE(compare_lists(**reader));
    ASSERT_NO_FATAL_FAILURE(compare_events(**reader));
    ASSERT_NO_FATAL_FAILURE(compare_kept(**reader));
    ASSERT_NO_FATAL_FAILURE(expect_clean());
  }
}

INSTANTIATE_TEST_SUITE_P(Histories, LedgerProperty, ::testing::Range(0, 6));

}  // namespace
}  // namespace tallymill::front
