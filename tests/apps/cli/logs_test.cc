// Which lines `tallymill logs` takes. Goal: a job's lines and no other job's; every filter alone
// and together. Method: lines made here, one thing changed at a time.
#include <gtest/gtest.h>

#include <string>

#include "apps/cli/log_filter.h"

namespace tallymill::cli {
namespace {

log::Line line() {
  return {.ts = "2026-11-21T07:15:02.123456Z",
          .level = log::Level::warn,
          .process = "compute-1",
          .program = "compute",
          .pid = 7,
          .message = "it is late",
          .job = "42",
          .trace = "0af7651916cd43dd8448eb211c80319c"};
}

TEST(LogFilter, WithoutAWishItTakesAll) { EXPECT_TRUE(LogFilter{}.takes(line())); }

TEST(LogFilter, AJobIsItsWholeNumber) {
  EXPECT_TRUE(LogFilter{.job = 42}.takes(line()));
  EXPECT_FALSE(LogFilter{.job = 4}.takes(line()));
  EXPECT_FALSE(LogFilter{.job = 2}.takes(line()));
  EXPECT_FALSE(LogFilter{.job = 420}.takes(line()));
}

TEST(LogFilter, ALineAboutSeveralJobsIsOneOfEachThatItNames) {
  auto about = line();
  about.job.clear();
  about.message = "jobs 41, 42 and 7 come back";
  for (const std::int64_t job : {41, 42, 7}) EXPECT_TRUE(LogFilter{.job = job}.takes(about)) << job;
  for (const std::int64_t job : {4, 1, 2, 77})
    EXPECT_FALSE(LogFilter{.job = job}.takes(about)) << job;
}

TEST(NamesJob, OnlyANumberAfterTheWordIsAJob) {
  EXPECT_TRUE(names_job("job 7 cannot be sent", 7));
  EXPECT_TRUE(names_job("the handler of job 7: 8 ms; job 9 waits", 9));
  EXPECT_FALSE(names_job("the handler of job 7 gave no sign for 8 ms", 8));
  EXPECT_FALSE(names_job("job 7, 8 ms after its start", 8)) << "one job, and then a time";
  EXPECT_FALSE(names_job("leaves with 3 jobs held", 3));
  EXPECT_FALSE(names_job("job 99999999999999999999", 9));
  EXPECT_FALSE(names_job("job", 0));
  EXPECT_FALSE(names_job("jobs ", 1));
  EXPECT_FALSE(names_job("job x7", 7));
}

TEST(LogFilter, AProcessIsItsNameOrItsProgramsName) {
  EXPECT_TRUE(LogFilter{.process = "compute-1"}.takes(line()));
  EXPECT_TRUE(LogFilter{.process = "compute"}.takes(line()));
  EXPECT_FALSE(LogFilter{.process = "compute-10"}.takes(line()));
  EXPECT_FALSE(LogFilter{.process = "comp"}.takes(line()));
}

TEST(LogFilter, ALevelIsTakenFromItselfUpwards) {
  EXPECT_TRUE(LogFilter{.level = log::Level::info}.takes(line()));
  EXPECT_TRUE(LogFilter{.level = log::Level::warn}.takes(line()));
  EXPECT_FALSE(LogFilter{.level = log::Level::error}.takes(line()));
}

TEST(LogFilter, ATimeIsTakenFromItselfOn) {
  EXPECT_TRUE(LogFilter{.since = "2026-11-21T07:15:02.123456Z"}.takes(line()));
  EXPECT_FALSE(LogFilter{.since = "2026-11-21T07:15:02.123457Z"}.takes(line()));
}

TEST(LogFilter, EveryWishMustBeMet) {
  const std::string trace = line().trace;
  EXPECT_TRUE((LogFilter{.job = 42, .trace = trace, .process = "compute"}.takes(line())));
  EXPECT_FALSE((LogFilter{.job = 42, .trace = trace, .process = "front"}.takes(line())));
  EXPECT_FALSE((LogFilter{.job = 42, .trace = trace.substr(1)}.takes(line())));
  EXPECT_FALSE((LogFilter{.job = 43, .trace = trace}.takes(line())));
}

}  // namespace
}  // namespace tallymill::cli
