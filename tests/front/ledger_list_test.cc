// Lists of jobs at their edges. Goal: what is asked wrongly is said so, a page is never larger than
// it may be, and pages go on where the one before ended. Method: small ledgers, all pages read.
// That lists hold what they should is the property test's.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/limits.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

class LedgerListTest : public ::testing::Test {
 protected:
  LedgerListTest() : opened(open_ledger(options_in(folder.path()))) {
    auto made = opened.ledger->reader();
    EXPECT_TRUE(made);
    reader = std::move(*made);
  }

  Errc refusal(const JobsQuery& query, const std::string& field) {
    const auto page = reader->jobs(query);
    EXPECT_FALSE(page);
    if (page) return Errc::corrupt;
    EXPECT_EQ(page.error().field, field);
    return page.error().code;
  }

  JobsPage page(const JobsQuery& query) {
    auto page = reader->jobs(query);
    EXPECT_TRUE(page) << page.error().message;
    return page ? std::move(*page) : JobsPage{};
  }

  std::vector<std::int64_t> all(JobsQuery query) {
    std::vector<std::int64_t> ids;
    do {
      JobsPage one = page(query);
      for (const JobRow& row : one.rows) ids.push_back(row.id.raw());
      query.cursor = std::move(one.next);
    } while (!query.cursor.empty());
    return ids;
  }

  TempFolder folder;
  OpenLedger opened;
  std::unique_ptr<LedgerReader> reader;
};

TEST_F(LedgerListTest, AStateThatIsNoneAndACursorThatIsNotOfThisListAreBadParams) {
  commit(*opened.ledger, {job_with(1), job_with(2), job_with(3)});
  EXPECT_EQ(refusal({.state = "nowhere", .limit = 1}, "/state"), Errc::bad_params);
  const std::string cursor = page({.limit = 1}).next;
  ASSERT_FALSE(cursor.empty());
  EXPECT_EQ(refusal({.sort = JobsSort::oldest, .cursor = cursor, .limit = 1}, "/cursor"),
            Errc::bad_params);
  for (const std::string bad : {"n", "n.", "n1", "n1.", "n.1", "n-1.1", "n1.1x", "n 1.1",
                                "n99999999999999999999.1", "x1.1", "n1.1.1", "\xff", "1.1"})
    EXPECT_EQ(refusal({.cursor = bad, .limit = 1}, "/cursor"), Errc::bad_params) << bad;
  EXPECT_TRUE(page({.cursor = "n0.0", .limit = 1}).rows.empty());
  EXPECT_TRUE(page({.sort = JobsSort::oldest, .cursor = "o9223372036854775807.9223372036854775807"})
                  .rows.empty());
}

TEST_F(LedgerListTest, NothingIsListedOfAnEmptyLedgerOrForNoKindOrForALimitOfNone) {
  for (const JobsSort sort :
       {JobsSort::newest, JobsSort::oldest, JobsSort::ended, JobsSort::slowest})
    for (const char* text : {"", "7"})
      EXPECT_TRUE(all({.since = wall_from_ns(5), .text = text, .sort = sort, .limit = 9}).empty());
  commit(*opened.ledger, {job_with(1)});
  EXPECT_TRUE(all({.kinds = std::vector<std::string>(), .limit = 9}).empty());
  EXPECT_TRUE(all({.limit = 0}).empty());
  EXPECT_TRUE(all({.limit = -1}).empty());
}

TEST_F(LedgerListTest, AJobWhoseIdIsAskedForComesFirstAndOnce) {
  NewJob keyed = job_with(7);
  keyed.key = "3-is-its-order";
  keyed.content_hash = "hash";
  commit(*opened.ledger, {job_with(3), keyed, job_with(9)});
  for (const int limit : {1, 2, 10}) {
    EXPECT_EQ(all({.text = "3", .limit = limit}), (std::vector<std::int64_t>{3, 7}));
    EXPECT_EQ(all({.text = "3", .sort = JobsSort::oldest, .limit = limit}),
              (std::vector<std::int64_t>{3, 7}));
  }
  // Its other filters hold for it too.
  EXPECT_EQ(all({.client = "client-1", .text = "3", .limit = 10}), std::vector<std::int64_t>{7});
  EXPECT_TRUE(all({.text = "3", .sort = JobsSort::ended, .limit = 10}).empty());
  EXPECT_TRUE(all({.text = "00", .limit = 10}).empty());
}

TEST_F(LedgerListTest, JobsSubmittedBeforeAreLeftOutAlsoWhenTheClockWasSetBack) {
  std::vector<Entry> jobs;
  for (std::int64_t id = 1; id <= 1000; ++id) {
    NewJob job = job_with(id);
    job.submitted = wall_from_ns(id <= 500 ? id : id - 400);  // it was set back after 500
    jobs.emplace_back(std::move(job));
  }
  commit(*opened.ledger, jobs);
  std::vector<std::int64_t> expected;
  for (std::int64_t id = 1000; id > 0; --id)
    if (std::get<NewJob>(jobs[static_cast<std::size_t>(id - 1)]).submitted >= wall_from_ns(450))
      expected.push_back(id);
  EXPECT_EQ(all({.since = wall_from_ns(450), .limit = 37}), expected);
  EXPECT_TRUE(all({.since = wall_from_ns(601), .limit = 37}).empty());
}

// As the front writes a row, of the largest values.
std::string as_json(const JobRow& row) {
  nlohmann::json json{{"job", row.id.raw()},
                      {"kind", row.kind},
                      {"client", row.client},
                      {"priority", row.priority},
                      {"submitted_unix_ns", to_ns(row.submitted)},
                      {"charges", row.charges},
                      {"state", std::string(name_of(row.end->state))},
                      {"attempts", row.end->attempts},
                      {"end_unix_ns", to_ns(row.end->at)},
                      {"took_ns", row.end->took.count()},
                      {"code", row.end->code},
                      {"message", row.end->message},
                      {"field", row.end->field}};
  if (row.deadline) json["deadline_unix_ns"] = to_ns(*row.deadline);
  if (row.parent != JobId()) json["parent"] = row.parent.raw();
  return json.dump();
}

TEST_F(LedgerListTest, APageIsNoLargerAsJsonThanItMayBeAndTheNextOneGoesOn) {
  const std::int64_t many = 1'000'000'000'000'000'000;
  std::vector<Entry> entries;
  for (std::int64_t id = 1; id <= 300; ++id) {
    NewJob job = job_with(many + id);
    job.client = std::string(limits::client_name_bytes, id % 2 == 0 ? '\x01' : '"');
    job.deadline = wall_from_ns(many);
    job.parent = JobId(many);
    entries.emplace_back(std::move(job));
  }
  for (std::int64_t id = 1; id <= 300; ++id) {
    JobEnd end = end_of_job(many + 300 + id, many + id, EndState::cancelled);
    end.attempts = 2'000'000'000;
    end.took = Duration(many);
    end.message = std::string(limits::list_text_bytes, id % 3 == 0 ? '\n' : 'x');
    entries.emplace_back(std::move(end));
  }
  commit(*opened.ledger, entries);
  JobsQuery query{.limit = 300};
  std::size_t listed = 0;
  do {
    const JobsPage one = page(query);
    ASSERT_FALSE(one.rows.empty());
    std::size_t bytes = std::string_view(R"({"cursor":"","jobs":[],"schema":1})").size();
    bytes += one.next.size();
    for (const JobRow& row : one.rows) bytes += as_json(row).size() + 1;
    EXPECT_LE(bytes, static_cast<std::size_t>(limits::jobs_page_bytes.raw()));
    if (!one.next.empty()) {
      EXPECT_GE(bytes, static_cast<std::size_t>(limits::jobs_page_bytes.raw()) / 2);
    }
    listed += one.rows.size();
    query.cursor = one.next;
  } while (!query.cursor.empty());
  EXPECT_EQ(listed, 300U);
}

TEST_F(LedgerListTest, ARareJobIsFoundOnceHoweverManyPagesAreLookedThroughForIt) {
  std::int64_t seq = 0;
  for (int n = 0; n < 20; ++n) {
    std::vector<Entry> jobs;
    for (int i = 0; i < 2000; ++i) jobs.emplace_back(job_with(++seq));
    if (n == 0) std::get<NewJob>(jobs[5]).client = "rare";
    commit(*opened.ledger, jobs);
  }
  EXPECT_EQ(all({.text = "rar", .limit = 10}), std::vector<std::int64_t>{6});
  EXPECT_EQ(all({.client = "rare", .limit = 10}), std::vector<std::int64_t>{6});
  EXPECT_EQ(all({.client = "rare", .sort = JobsSort::oldest, .limit = 1}),
            std::vector<std::int64_t>{6});
}

}  // namespace
}  // namespace tallymill::front
