// Questions to the ledger, off the loop. Goal: each is answered once, in order, and the bound
// holds. Method: the real ledger; the test's thread is the loop.
#include "front/ledger_reads.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <vector>

#include "front/ledger_sqlite.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

void run_answers(LedgerReads& reads, int count) {
  pollfd fd{reads.fd(), POLLIN, 0};
  for (int ran = 0; ran < count;) {
    ASSERT_EQ(::poll(&fd, 1, 30'000), 1) << "no answer in 30 s";
    ran += reads.run_answers();
  }
}

TEST(LedgerReads, AnswersEachQuestionOnceInTheOrderTheyWereAsked) {
  const TempFolder folder;
  const auto opened = open_ledger(options_in(folder.path()));
  std::vector<Entry> entries;
  for (std::int64_t id = 1; id <= 600; ++id) entries.emplace_back(job_with(id));
  commit(*opened.ledger, entries);
  LedgerReads reads(std::move(*opened.ledger->reader()));
  std::vector<std::int64_t> answered;
  for (std::int64_t id = 1; id <= 600; ++id) {
    ASSERT_TRUE(reads.ask([&answered, id](LedgerReader& ledger) -> LedgerReads::Answer {
      return [&answered, row = ledger.status(JobId(id))] {
        ASSERT_TRUE(row);
        answered.push_back(row->id.raw());
      };
    }));
  }
  run_answers(reads, 600);
  ASSERT_EQ(answered.size(), 600U);
  for (std::int64_t id = 1; id <= 600; ++id)
    EXPECT_EQ(answered[static_cast<std::size_t>(id - 1)], id);
  EXPECT_EQ(reads.open(), 0U);
}

TEST(LedgerReads, SeesWhatWasCommittedBeforeItWasAsked) {
  const TempFolder folder;
  const auto opened = open_ledger(options_in(folder.path()));
  LedgerReads reads(std::move(*opened.ledger->reader()));
  for (std::int64_t id = 1; id <= 50; ++id) {
    commit(*opened.ledger, {job_with(id)});
    bool found = false;
    ASSERT_TRUE(reads.ask([&found, id](LedgerReader& ledger) -> LedgerReads::Answer {
      return [&found, there = ledger.body(JobId(id)).has_value()] { found = there; };
    }));
    run_answers(reads, 1);
    ASSERT_TRUE(found) << id;
  }
}

TEST(LedgerReads, RefusesAQuestionAboveItsBoundAndTakesOneAgainAfterAnAnswer) {
  const TempFolder folder;
  const auto opened = open_ledger(options_in(folder.path()));
  LedgerReads reads(std::move(*opened.ledger->reader()), 2);
  const auto nothing = [](LedgerReader&) { return LedgerReads::Answer(); };
  EXPECT_TRUE(reads.ask(nothing));
  EXPECT_TRUE(reads.ask(nothing));
  EXPECT_FALSE(reads.ask(nothing));
  run_answers(reads, 2);
  EXPECT_TRUE(reads.ask(nothing));
}

TEST(LedgerReads, EndsWithQuestionsStillOpen) {
  const TempFolder folder;
  const auto opened = open_ledger(options_in(folder.path()));
  auto reads = std::make_unique<LedgerReads>(std::move(*opened.ledger->reader()));
  auto asked = std::make_shared<int>(0);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(reads->ask([asked](LedgerReader&) -> LedgerReads::Answer {
      ++*asked;
      return [] {};
    }));
  }
  reads.reset();
  EXPECT_EQ(*asked, 10);
}

}  // namespace
}  // namespace tallymill::front
