// The process tree does what `up` promises. Goal: nothing outlives the supervisor, what dies comes
// back and leaves its last words, a drain goes front first, what cannot run ends the tree with its
// code. Method: the shipped launcher and supervisor, copied beside scripts that play the programs.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Long enough that only a hang reaches it.
constexpr auto patience = 20s;

bool eventually(const std::function<bool()>& condition) {
  for (const auto end = steady_clock::now() + patience; steady_clock::now() < end;) {
    if (condition()) return true;
    ::poll(nullptr, 0, 5);
  }
  return condition();
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool is_alive(pid_t pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const auto state = stat.rfind(") ");
  return state != std::string::npos && stat[state + 2] != 'Z';
}

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

class UpTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tallymill-up-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::create_directories(folder_ / "bin");
    for (const char* program : {"tallymill", "tallymill-up"}) {
      fs::copy(fs::path(TALLYMILL_BIN_DIR) / program, folder_ / "bin" / program);
    }
    // Each says who it is and what it was given, then waits to be told to stop.
    script("tallymill-front", waits("front"));
    script("tallymill-stage-compute", waits("compute"));
    script("tallymill-stage-image", waits("image"));
  }

  void TearDown() override {
    if (up_ > 0) {
      ::kill(up_, SIGKILL);
      ::waitpid(up_, nullptr, 0);
    }
    if (HasFailure()) std::fprintf(stderr, "---- what was said:\n%s", said().c_str());
    fs::remove_all(folder_);
  }

  std::string waits(const std::string& name) const {
    return "trap 'echo end " + name + " >>" + events() + "; exit 0' TERM\n" +  //
           "echo start " + name + " $$ \"$@\" >>" + events() + "\n" +          //
           "echo " + name + " is ready >&2\n" +                                //
           "while :; do sleep 0.02; done\n";
  }

  void script(const std::string& name, const std::string& body) const {
    const fs::path path = folder_ / "bin" / name;
    std::ofstream(path) << "#!/bin/sh\n" << body;
    fs::permissions(path, fs::perms::owner_all);
  }

  [[nodiscard]] std::string events() const { return folder_ / "events"; }
  [[nodiscard]] std::string happened() const { return text_of(events()); }
  [[nodiscard]] std::string said() const { return text_of(folder_ / "said"); }

  pid_t launch(std::vector<std::string> args) const {
    args.insert(args.begin(), folder_ / "bin" / "tallymill");
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const int out = ::open((folder_ / "said").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }

  void start_up(std::vector<std::string> more = {}) {
    std::vector<std::string> args{"up",
                                  "--run-dir",
                                  folder_ / "run",
                                  "--data-dir",
                                  folder_ / "data",
                                  "--listen",
                                  "ipc://" + (folder_ / "l").string(),
                                  "--results",
                                  "ipc://" + (folder_ / "r").string(),
                                  "--control",
                                  "ipc://" + (folder_ / "c").string(),
                                  "--http",
                                  "off",
                                  "--stages.compute.workers",
                                  "1",
                                  "--stages.image.workers",
                                  "1"};
    if (std::ranges::find(more, "--collector.http") == more.end())
      more.insert(more.end(), {"--collector.http", "off"});
    args.insert(args.end(), more.begin(), more.end());
    up_ = launch(args);
  }

  static int exit_of(pid_t pid) {
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; });
    EXPECT_TRUE(ended);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int exit_of_up() { return exit_of(std::exchange(up_, -1)); }

  // The pid that the newest process of this name said it had.
  [[nodiscard]] pid_t newest(const std::string& name) const {
    std::istringstream lines(happened());
    pid_t found = -1;
    for (std::string line; std::getline(lines, line);) {
      const std::string prefix = "start " + name + " ";
      if (line.starts_with(prefix)) found = std::stoi(line.substr(prefix.size()));
    }
    return found;
  }

  [[nodiscard]] bool all_ready() const {
    const std::string text = said();
    return text.find("front is ready") != std::string::npos &&
           text.find("compute is ready") != std::string::npos &&
           text.find("image is ready") != std::string::npos;
  }

  fs::path folder_;
  pid_t up_ = -1;
};

TEST_F(UpTest, TheLauncherAnswersVersionItselfAndFast) {
  auto fastest = steady_clock::duration::max();
  for (int i = 0; i < 20; ++i) {
    const auto before = steady_clock::now();
    const pid_t pid = launch({"version"});
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    fastest = std::min(fastest, steady_clock::now() - before);
  }
  EXPECT_EQ(count(said(), "tallymill 0."), 20) << said();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LE(fastest, 5ms);
#endif
}

TEST_F(UpTest, TheLauncherBecomesTheProgramBesideIt) {
  script("tallymill-stage-compute", "echo compute \"$@\"; exit 7\n");
  script("tallymill-cli", "echo cli \"$@\"; exit 8\n");
  EXPECT_EQ(exit_of(launch({"stage", "compute", "--control", "x y"})), 7);
  EXPECT_EQ(exit_of(launch({"jobs", "--state", "failed"})), 8);
  EXPECT_EQ(exit_of(launch({"stage", "nonsense"})), 2);
  EXPECT_EQ(exit_of(launch({})), 8);
  EXPECT_NE(said().find("compute --control x y\n"), std::string::npos);
  EXPECT_NE(said().find("cli jobs --state failed\n"), std::string::npos);
  fs::remove(folder_ / "bin" / "tallymill-front");
  EXPECT_EQ(exit_of(launch({"front"})), 70);
}

TEST_F(UpTest, ChildrenGetTheAddressesAndEverySettingThatUpWasGiven) {
  script("tallymill-stage-image", "echo \"$@\" $TALLYMILL_CONFIG $TALLYMILL_STAGES__PREFETCH >" +
                                      events() + "-image\n" + waits("image"));
  const std::string file = folder_ / "t.yaml";
  std::ofstream(file) << "log: {level: info}\n";
  start_up({"--stages.prefetch", "9", file});
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  const std::string given = text_of(events() + "-image");
  EXPECT_NE(given.find("--results ipc://"), std::string::npos) << given;
  EXPECT_NE(given.find("--control ipc://"), std::string::npos) << given;
  EXPECT_NE(given.find("--run-dir " + (folder_ / "run").string()), std::string::npos) << given;
  EXPECT_NE(given.find(file + " 9\n"), std::string::npos) << given;
  EXPECT_NE(happened().find("--listen ipc://"), std::string::npos) << happened();
  EXPECT_NE(said().find("compute-1 | compute is ready\n"), std::string::npos);
}

TEST_F(UpTest, WhatAChildSaysIsShownInTheFormThatWasAskedForAndKeptWithItsName) {
  script("tallymill-stage-compute",
         "echo '{\"ts\":\"2026-11-21T07:15:02.123456Z\",\"level\":\"info\",\"program\":\"compute\","
         "\"pid\":7,\"msg\":\"in '$TALLYMILL_LOG__FORMAT'\",\"job\":\"42\"}' >&2\n"
         "printf 'a crash \\033[31m\\n' >&2\n" +
             waits("compute"));
  start_up({"--log.format", "logfmt"});
  const auto kept = [&] { return text_of(folder_ / "data" / "logs" / "0000000001.jsonl"); };
  ASSERT_TRUE(eventually([&] {
    return all_ready() && count(kept(), "is ready") == 3 && count(kept(), "a crash") == 1;
  })) << kept();
  EXPECT_EQ(count(said(),
                  "ts=2026-11-21T07:15:02.123456Z level=info process=compute-1 "
                  "program=compute pid=7 msg=\"in json\" job=42\n"),
            1);
  EXPECT_EQ(count(said(), " level=warning process=compute-1 program=compute-1 pid="), 2);
  EXPECT_EQ(count(said(), "a crash \\u001b[31m"), 1);
  std::istringstream lines(kept());
  for (std::string text; std::getline(lines, text);) {
    const auto line = nlohmann::json::parse(text);
    EXPECT_TRUE(line.contains("process")) << text;
    EXPECT_EQ(line.contains("job"), line["msg"] == "in json") << text;
  }
  EXPECT_EQ(count(kept(), "\"process\":\"up\""), 1) << "where it listens";
}

TEST_F(UpTest, ADrainTellsTheFrontFirstAndTheStagesWhenItIsGone) {
  start_up();
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 0);
  const std::string text = happened();
  const auto front = text.find("end front");
  ASSERT_NE(front, std::string::npos) << text;
  EXPECT_LT(front, text.find("end compute")) << text;
  EXPECT_LT(front, text.find("end image")) << text;
  EXPECT_EQ(count(text, "end "), 3) << text;
}

TEST_F(UpTest, ShippedRulesAreJudgedWhereNobodySaidThatTheyAreNot) {
  script("tallymill-collector", waits("collector"));
  start_up({"--collector.http", "127.0.0.1:0"});
  ASSERT_TRUE(eventually([&] { return newest("collector") > 0; }));
  EXPECT_NE(happened().find("--shipped-rules"), std::string::npos) << happened();
}

TEST_F(UpTest, ShippedRulesAreNotJudgedWhenSomebodySaidSo) {
  script("tallymill-collector", waits("collector"));
  start_up({"--collector.http", "127.0.0.1:0", "--alerting.shipped_rules=false"});
  ASSERT_TRUE(eventually([&] { return newest("collector") > 0; }));
  EXPECT_EQ(happened().find("--shipped-rules"), std::string::npos) << happened();
}

TEST_F(UpTest, EverybodyTellsTheCollectorWhichIsToldToEndWhenAllOthersHave) {
  script("tallymill-collector", waits("collector"));
  start_up({"--collector.http", "127.0.0.1:0"});
  ASSERT_TRUE(eventually([&] { return all_ready() && newest("collector") > 0; }));
  const std::string bus = "ipc://" + (folder_ / "run" / "telemetry.sock").string();
  const std::string given = happened();
  EXPECT_EQ(count(given, "--telemetry.endpoint " + bus), 3) << given;
  EXPECT_NE(given.find("--telemetry.instance compute-1\n"), std::string::npos) << given;
  EXPECT_NE(given.find("--data " + (folder_ / "data" / "collector").string()), std::string::npos);
  EXPECT_NE(given.find("--bus " + bus), std::string::npos) << given;
  EXPECT_NE(said().find("metrics at http://127.0.0.1:0"), std::string::npos);
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 0);
  const std::string text = happened();
  const auto collector = text.find("end collector");
  ASSERT_NE(collector, std::string::npos) << text;
  EXPECT_GT(collector, text.find("end compute")) << text;
  EXPECT_GT(collector, text.find("end image")) << text;
}

TEST_F(UpTest, ACollectorThatCannotRunEndsNobodyAndIsTriedAgain) {
  script("tallymill-collector", "[ -e " + events() + "-mended ] && { " + waits("collector") +
                                    " }\necho no such disk >&2\nexit 70\n");
  start_up({"--collector.http", "127.0.0.1:0"});
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  ASSERT_TRUE(eventually([&] {
    return said().find("collector cannot run (exit 70): no such disk; jobs go on without it") !=
           std::string::npos;
  }));
  std::ofstream(events() + "-mended") << "\n";
  ASSERT_TRUE(eventually([&] { return newest("collector") > 0; }));
  EXPECT_EQ(count(happened(), "start front"), 1);
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 0);
}

TEST_F(UpTest, ASecondSignalKillsAllAtOnce) {
  script("tallymill-front", "trap '' TERM\necho front is ready\nwhile :; do sleep 0.02; done\n");
  start_up();
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  ::kill(up_, SIGTERM);
  ASSERT_TRUE(eventually([&] { return said().find("stopping: ") != std::string::npos; }));
  EXPECT_EQ(count(happened(), "end "), 0) << "stages are told only after the front";
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 130);
  EXPECT_FALSE(is_alive(newest("compute")));
}

TEST_F(UpTest, AKilledWorkerIsBackWithinASecondAndLeavesItsLastWords) {
  script("tallymill-stage-image",
         "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done >&2\n" + waits("image"));
  start_up();
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  const pid_t first = newest("image");
  const auto killed = steady_clock::now();
  ::kill(first, SIGKILL);
  ASSERT_TRUE(eventually([&] { return newest("image") != first; }));
  EXPECT_LE(steady_clock::now() - killed, 1s);
  const auto path = folder_ / "run" / "deaths" / (std::to_string(first) + ".json");
  const auto death = nlohmann::json::parse(text_of(path));
  EXPECT_EQ(death["pid"], first);
  EXPECT_EQ(death["name"], "image-1");
  EXPECT_EQ(death["signal"], SIGKILL);
  EXPECT_EQ(death["last_stderr"].size(), 20u);
  EXPECT_EQ(death["last_stderr"].back(), "image is ready");
}

TEST_F(UpTest, ACrashLoopIsSaidAndCostsLittle) {
  // Once healthy enough not to be a start that can never work: exit 1, not 2 or 70.
  script("tallymill-stage-compute", "echo start compute $$ >>" + events() + "\nexit 1\n");
  start_up();
  ASSERT_TRUE(eventually([&] { return said().find("is in a crash loop") != std::string::npos; }));
  EXPECT_GE(count(happened(), "start compute"), 5);
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 0);
  EXPECT_LE(count(happened(), "start compute"), 20);
}

TEST_F(UpTest, NoChildOutlivesASupervisorThatIsKilled) {
  start_up();
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  ::kill(up_, SIGKILL);
  EXPECT_EQ(exit_of_up(), -SIGKILL);
  for (const char* name : {"front", "compute", "image"}) {
    const pid_t pid = newest(name);
    EXPECT_TRUE(eventually([&] { return !is_alive(pid); })) << name;
  }
}

TEST_F(UpTest, WhatCannotRunEndsTheTreeWithItsCodeAndLastWords) {
  script("tallymill-front", "echo no such ledger >&2\nexit 70\n");
  start_up();
  EXPECT_EQ(exit_of_up(), 70);
  EXPECT_NE(said().find("front cannot run (exit 70): no such ledger"), std::string::npos);

  fs::remove(folder_ / "bin" / "tallymill-stage-image");
  script("tallymill-front", waits("front"));
  start_up();
  EXPECT_EQ(exit_of_up(), 70);
  EXPECT_NE(said().find("tallymill-stage-image: No such file"), std::string::npos);
}

TEST_F(UpTest, AFrontThatWasReadyIsStartedAgainHoweverSoonItsDiskFailed) {
  // A failed sync ends it with 70, as a port in use does; what it said before tells them apart.
  script("tallymill-front", "[ -e " + events() + "-mended ] && { " + waits("front") + " }\n" +
                                "echo start front $$ $TALLYMILL_LAST_END >>" + events() + "\n" +
                                "[ \"$TALLYMILL_LAST_END\" = 'exit 70' ] ||" +
                                " echo ready >/proc/self/fd/$TALLYMILL_READY_FD\n" +
                                "echo the disk failed >&2\nexit 70\n");
  start_up();
  // That it can run is known from its first start on: the next ones do not even come so far.
  ASSERT_TRUE(
      eventually([&] { return said().find("front is in a crash loop") != std::string::npos; }));
  EXPECT_NE(happened().find(" exit 70\n"), std::string::npos) << happened();
  std::ofstream(events() + "-mended") << "\n";
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  ::kill(up_, SIGTERM);
  EXPECT_EQ(exit_of_up(), 0);
  EXPECT_LE(count(happened(), "start front"), 20) << "the crash loop is bounded";
}

TEST_F(UpTest, APortInUseIsExit70WithThePortAndWhoHasIt) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(socket, 1), 0);
  ASSERT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  start_up({"--control", "tcp://127.0.0.1:" + port});
  EXPECT_EQ(exit_of_up(), 70);
  EXPECT_NE(said().find("front.control: tcp://127.0.0.1:" + port +
                        " is in use by apps_test (process " + std::to_string(::getpid()) + ")"),
            std::string::npos);
  EXPECT_EQ(happened(), "") << "nothing was started";
  ::close(socket);
}

TEST_F(UpTest, ASecondSupervisorOfTheSameFoldersIsRefused) {
  start_up();
  ASSERT_TRUE(eventually([&] { return all_ready(); }));
  const pid_t first = up_;
  start_up();
  EXPECT_EQ(exit_of_up(), 70);
  EXPECT_NE(said().find("another `tallymill up` runs in "), std::string::npos);
  up_ = first;
}

TEST_F(UpTest, OneAddressForTwoDoorsIsAUsageErrorThatNamesBoth) {
  start_up({"--control", "ipc://" + (folder_ / "l").string()});
  EXPECT_EQ(exit_of_up(), 2);
  EXPECT_NE(said().find("--control: front.control: it is the address of front.listen"),
            std::string::npos);
  EXPECT_EQ(happened(), "") << "nothing was started";
}

TEST_F(UpTest, AWrongSettingIsAUsageErrorThatNamesItsPlace) {
  const std::string file = folder_ / "t.yaml";
  std::ofstream(file) << "front:\n  lisen: x\n";
  start_up({file});
  EXPECT_EQ(exit_of_up(), 2);
  EXPECT_NE(said().find("t.yaml:2:3: front.lisen: no such key (did you mean front.listen?)"),
            std::string::npos);
}

}  // namespace
