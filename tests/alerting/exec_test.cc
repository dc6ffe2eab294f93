// Exec. Goal: the program reads the message, has its time and no more, and nothing of it outlives
// it. Method: real programs: shells that write down what they read and who they started.
#include "alerting/exec.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <future>
#include <iterator>
#include <nlohmann/json.hpp>

#include "alerting/alert_json.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

class ExecTest : public ::testing::Test {
 protected:
  Exec shell(const std::string& script, milliseconds timeout = milliseconds(10'000)) {
    return Exec({.name = "page",
                 .command = {"/bin/sh", "-c", script, "sh", folder_.path().string()},
                 .timeout = timeout});
  }
  std::string read(const std::string& name) {
    std::ifstream file(folder_.path() / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A process that was killed is there until its parent looked.
  static bool is_gone(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  }

  TempFolder folder_;
  Message message_ = message_of({notice_of(alert_of("Wait", "image", 1000), 1000)});
};

TEST_F(ExecTest, ProgramReadsTheMessageAndItsKey) {
  Exec exec =
      shell("cat > \"$1/in\"; echo \"$TALLYMILL_ALERT_KEY $TALLYMILL_ALERT_STATUS\" > \"$1/env\"");
  ASSERT_TRUE(exec.send(message_));
  EXPECT_EQ(read("in"), webhook_json(message_, "page", ""));
  EXPECT_EQ(read("env"), message_.key + " firing\n");
}

TEST_F(ExecTest, ProgramNeedNotRead) {
  message_.notices[0].alert.annotations =
      collector::Labels::of({{"summary", std::string(1 << 20, 'x')}});
  EXPECT_TRUE(shell("exit 0").send(message_));
}

TEST_F(ExecTest, ProgramThatFailsIsAskedAgain) {
  const Status failed = shell("exit 3").send(message_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::away);
  EXPECT_EQ(failed.error().message, "the program ended with 3");
  const Status killed = shell("kill -9 $$").send(message_);
  EXPECT_EQ(killed.error().message, "the program was ended by signal 9");
  Exec none({.name = "page", .command = {"/none/such"}});
  EXPECT_EQ(none.send(message_).error().code, Errc::away);
}

TEST_F(ExecTest, ItsTimeOverItIsKilledWithAllThatItStarted) {
  Exec exec =
      shell("sleep 1000 & echo $! > \"$1/child\"; trap '' TERM; sleep 1000", milliseconds(500));
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(exec.send(message_).error().code, Errc::deadline);
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(5000));
  const int child = std::stoi(read("child"));
  EXPECT_TRUE(eventually([&] { return is_gone(child); }));
}

TEST_F(ExecTest, WhatItLeavesRunningIsKilledWhenItEnded) {
  ASSERT_TRUE(shell("sleep 1000 & echo $! > \"$1/child\"").send(message_));
  const int child = std::stoi(read("child"));
  EXPECT_TRUE(eventually([&] { return is_gone(child); }));
}

TEST_F(ExecTest, StopEndsAProgramThatRuns) {
  Exec exec = shell("echo > \"$1/runs\"; sleep 1000", milliseconds(60'000));
  auto sent = std::async(std::launch::async, [&] { return exec.send(message_); });
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(folder_.path() / "runs"); }));
  exec.stop();
  EXPECT_EQ(sent.get().error().code, Errc::cancelled);
  EXPECT_EQ(exec.send(message_).error().code, Errc::cancelled);
}

}  // namespace
}  // namespace tallymill::alerting
