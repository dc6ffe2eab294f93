// A setting is what was last said about it, and nothing that was said is ignored. Goal: flags beat
// the environment, which beats the file, which beats the default; every mistake is named with its
// place. Method: each source alone, all together, and one wrong thing at a time.
#include "base/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/config_keys.h"

namespace tallymill {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("tallymill-config-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    sources_.environment["HOME"] = "h";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& text) {
    const auto path = folder_ / "tallymill.yaml";
    std::ofstream(path) << text;
    return path.string();
  }

  // The error of a file with this text, without the folder's name.
  Error error_of(const std::string& text) {
    sources_.args = {"--config", file(text)};
    const auto loaded = load_config(sources_);
    if (loaded) return {Errc::busy, "no error at all"};
    Error error = loaded.error();
    const std::string prefix = folder_.string() + "/";
    if (error.message.starts_with(prefix)) error.message.erase(0, prefix.size());
    return error;
  }

  Error error_of_args(std::vector<std::string> args) {
    sources_.args = std::move(args);
    const auto loaded = load_config(sources_);
    return loaded ? Error{Errc::busy, "no error at all"} : loaded.error();
  }

  std::filesystem::path folder_;
  ConfigSources sources_;
};

TEST_F(ConfigTest, WithoutASourceEverythingIsADefaultOnLoopback) {
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.front.listen, "tcp://127.0.0.1:7750");
  EXPECT_EQ(loaded->config.data_dir, "h/.local/state/tallymill");
  EXPECT_EQ(loaded->config.run_dir, "h/.local/state/tallymill/run");
  EXPECT_GE(loaded->config.stages.image.workers, 1);
  for (const auto& row : describe(loaded->config)) EXPECT_EQ(row.origin, "default") << row.key;
}

TEST_F(ConfigTest, AFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault) {
  sources_.args = {"--config",
                   file("front:\n  max_depth: 1\n  retention_days: 2\nlog: {level: warn}")};
  sources_.environment["TALLYMILL_FRONT__MAX_DEPTH"] = "3";
  sources_.environment["TALLYMILL_LOG__LEVEL"] = "error";
  sources_.args.insert(sources_.args.end(), {"--log.level=debug"});
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.front.retention, std::chrono::days(2));
  EXPECT_EQ(loaded->config.front.max_depth, 3);
  EXPECT_EQ(loaded->config.log.level, "debug");
  EXPECT_EQ(loaded->config.log.format, "console");
  const auto& origins = loaded->config.origins;
  EXPECT_TRUE(origins.at("front.retention_days").ends_with("tallymill.yaml:3:19"))
      << origins.at("front.retention_days");
  EXPECT_EQ(origins.at("front.max_depth"), "TALLYMILL_FRONT__MAX_DEPTH");
  EXPECT_EQ(origins.at("log.level"), "--log.level");
  EXPECT_FALSE(origins.contains("log.format"));
}

TEST_F(ConfigTest, EveryKeyIsReadFromEachSourceAndPrintedAsItWasRead) {
  for (const auto& key : config_keys::all()) {
    const std::string name(key.name);
    ConfigSources by_flag;
    std::string value = key.choices.empty() ? "7" : std::string(key.choices.front());
    if (std::holds_alternative<bool& (*)(Config&)>(key.slot)) value = "true";
    if (std::holds_alternative<std::chrono::milliseconds& (*)(Config&)>(key.slot)) value = "7m";
    if (name == "collector.leak_window_s") value = "20";
    if (name == "front.http") value = "127.0.0.1:1";
    if (name == "front.listen" || name == "front.results" || name == "front.control") {
      value = "ipc://x";
    }
    by_flag.args = {std::string("--").append(name).append("=").append(value)};
    ConfigSources by_variable;
    std::string variable = "TALLYMILL_";
    for (const char c : name) {
      variable += c == '.' ? "__" : std::string(1, static_cast<char>(std::toupper(c)));
    }
    by_variable.environment[variable] = value;
    // These two are given together.
    const bool pair = name == "front.http_certificate" || name == "front.http_key";
    if (pair)
      for (ConfigSources* sources : {&by_flag, &by_variable})
        sources->environment[name == "front.http_key" ? "TALLYMILL_FRONT__HTTP_CERTIFICATE"
                                                      : "TALLYMILL_FRONT__HTTP_KEY"] = "other";
    for (const auto& sources : {by_flag, by_variable}) {
      const auto loaded = load_config(sources);
      ASSERT_TRUE(loaded) << loaded.error().message;
      const auto rows = describe(loaded->config);
      const auto row = std::ranges::find(rows, name, &ConfigRow::key);
      ASSERT_NE(row, rows.end());
      EXPECT_EQ(row->value, value) << name;
      EXPECT_NE(row->origin, "default") << name;
    }
  }
}

TEST_F(ConfigTest, AKeyThatDoesNotExistIsAnErrorWithItsPlaceAndTheNearestName) {
  const Error error = error_of("front:\n  insecure: false\n  max_dept: 5\n");
  EXPECT_EQ(error.code, Errc::bad_params);
  EXPECT_EQ(error.message,
            "tallymill.yaml:3:3: front.max_dept: no such key (did you mean front.max_depth?)");
  EXPECT_EQ(error.field, "/front/max_dept");
  EXPECT_EQ(error_of("fron:\n  listen: x\n").message, "tallymill.yaml:1:1: fron: no such key");
  EXPECT_EQ(error_of_args({"--max-dept", "5"}).message, "--max-dept: max-dept: no such key");

  ConfigSources by_variable;
  by_variable.environment["TALLYMILL_FRONT__LISTN"] = "x";
  const auto loaded = load_config(by_variable);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message,
            "TALLYMILL_FRONT__LISTN: front.listn: no such key (did you mean front.listen?)");
}

TEST_F(ConfigTest, WrongValuesAreNamedWithPlaceKeyAndReason) {
  EXPECT_EQ(error_of("front: {max_depth: many}").message,
            "tallymill.yaml:1:20: front.max_depth: 'many' is not a whole number");
  EXPECT_EQ(error_of("front: {max_depth: 0}").message,
            "tallymill.yaml:1:20: front.max_depth: 0 is not in 1 … 1000000000");
  EXPECT_EQ(error_of("front: {insecure: maybe}").message,
            "tallymill.yaml:1:19: front.insecure: 'maybe' is neither true nor false");
  EXPECT_EQ(error_of("log: {level: loud}").message,
            "tallymill.yaml:1:14: log.level: 'loud' is none of trace, debug, info, warn, error, "
            "off");
  EXPECT_EQ(error_of("log: 5").message,
            "tallymill.yaml:1:6: log: it is a section, with keys of its own below it");
  EXPECT_EQ(error_of("run_dir: {a: 1}").message,
            "tallymill.yaml:1:10: run_dir: it takes a value, not a section");
  EXPECT_EQ(error_of("run_dir:").message, "tallymill.yaml:1:1: run_dir: it has no value");
  EXPECT_EQ(error_of("log: {level: info}\nlog: {format: json}").message,
            "tallymill.yaml:2:1: log: it is set twice");
  EXPECT_EQ(error_of("front: [").code, Errc::bad_params);
  EXPECT_TRUE(error_of("front: [").message.starts_with("tallymill.yaml:1:")) << "yaml's own error";
  EXPECT_EQ(error_of_args({"--log.level"}).message, "--log.level: a value is missing");
  EXPECT_EQ(error_of_args({"--config", (folder_ / "none").string()}).code, Errc::not_found);
  EXPECT_EQ(error_of_args({"--run-dir", std::string(65, 'x')}).field, "/run_dir");
  EXPECT_EQ(error_of_args({"--front.listen", "here"}).field, "/front/listen");
}

TEST_F(ConfigTest, AnEmptyFileIsFine) {
  sources_.args = {"--config", file("")};
  EXPECT_TRUE(load_config(sources_));
  sources_.args = {"--config", file("# nothing yet\n")};
  EXPECT_TRUE(load_config(sources_));
}

TEST_F(ConfigTest, AnAddressThatOthersCanReachIsRefusedUnlessThatIsSaid) {
  const Error error = error_of_args({"--front.control", "tcp://0.0.0.0:7752"});
  EXPECT_EQ(error.code, Errc::denied);
  EXPECT_EQ(error.field, "/front/control");
  sources_.args = {"--front.control", "tcp://0.0.0.0:7752", "--front.insecure"};
  EXPECT_TRUE(load_config(sources_));
}

TEST_F(ConfigTest, EachDoorHasAnAddressOfItsOwn) {
  const Error error = error_of("front: {results: 'tcp://127.0.0.1:7750'}");
  EXPECT_EQ(error.code, Errc::bad_params);
  EXPECT_EQ(error.field, "/front/results");
  EXPECT_EQ(error.message, "tallymill.yaml:1:18: front.results: it is the address of front.listen");
  EXPECT_EQ(error_of_args({"--front.results", "ipc://a", "--front.control", "ipc://a"}).field,
            "/front/control");
  // Any host's port is each host's.
  EXPECT_EQ(error_of_args({"--front.control", "tcp://*:7750", "--front.insecure"}).field,
            "/front/control");
  // Ports that the system is to choose differ.
  sources_.args = {"--front.listen", "tcp://127.0.0.1:*", "--front.results", "tcp://127.0.0.1:*"};
  EXPECT_TRUE(load_config(sources_));
}

TEST_F(ConfigTest, AProgramsFlagsMayLeaveItsSectionOutAndItsOwnAreHandedBack) {
  sources_.sections = {"front"};
  sources_.program_flags = {{"name", "this worker's name"}};
  sources_.args = {"--listen", "ipc://a", "--max-depth=9", "--insecure", "--run-dir", "r",
                   "--name",   "w1",      "file.yaml",     "--",         "--not-ours"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.front.listen, "ipc://a");
  EXPECT_EQ(loaded->config.front.max_depth, 9);
  EXPECT_TRUE(loaded->config.front.insecure);
  EXPECT_EQ(loaded->config.run_dir, "r");
  EXPECT_EQ(loaded->program_flags.at("name"), "w1");
  EXPECT_EQ(loaded->positional, (std::vector<std::string>{"file.yaml", "--not-ours"}));
}

TEST_F(ConfigTest, KindsHavePoliciesOfTheirOwnAndOthersTheDefault) {
  sources_.args = {"--config",
                   file("kinds:\n"
                        "  engrave:\n"
                        "    route: [compute, image]\n"
                        "    retries: 1\n"
                        "    stall_s: 120\n"),
                   "--kinds.my-kind.retry-base-ms", "50"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto engrave = loaded->config.kind("engrave");
  EXPECT_EQ(engrave.route, (std::vector<std::string>{"compute", "image"}));
  EXPECT_EQ(engrave.retries, 1);
  EXPECT_EQ(engrave.stall, std::chrono::seconds(120));
  EXPECT_EQ(loaded->config.kind("my-kind").retry_base, std::chrono::milliseconds(50));
  EXPECT_EQ(loaded->config.kind("box").retries, KindPolicy{}.retries);
  EXPECT_EQ(error_of("kinds: {box: {retry_base_ms: 10, retry_cap_ms: 5}}").field,
            "/kinds/box/retry_cap_ms");
  EXPECT_EQ(error_of("kinds: {box: {retrys: 10}}").message,
            "tallymill.yaml:1:15: kinds.box.retrys: no such key (did you mean kinds.box.retries?)");
  EXPECT_EQ(error_of("kinds: {Box: {retries: 10}}").message,
            "tallymill.yaml:1:9: kinds.Box: no such key");
}

TEST_F(ConfigTest, ATimeWhoseKeyNamesNoUnitIsWrittenWithIt) {
  sources_.args = {"--alerting.resend_delay", "1m30s", "--alerting.for_outage_tolerance", "0"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.alerting.resend_delay, std::chrono::seconds(90));
  EXPECT_EQ(loaded->config.alerting.for_outage_tolerance, std::chrono::seconds(0));
  const auto rows = describe(loaded->config);
  const auto row = std::ranges::find(rows, "alerting.resend_delay", &ConfigRow::key);
  ASSERT_NE(row, rows.end());
  EXPECT_EQ(row->value, "1m30s");
  EXPECT_EQ(error_of_args({"--alerting.resend_delay", "90"}).message,
            "--alerting.resend_delay: alerting.resend_delay: not a valid duration string: \"90\"");
  EXPECT_EQ(error_of_args({"--alerting.resend_delay", "2d"}).message,
            "--alerting.resend_delay: alerting.resend_delay: 2d is not in 1ms … 1d");
}

TEST_F(ConfigTest, TheFlagOfAListMayBeSaidSeveralTimesAndThatOfOneValueTheLastTime) {
  sources_.args = {"--alerting.rules", "a.yml,b.yml", "--alerting.rules", "c.yml",
                   "--alerting.sinks", "x.yml",       "--alerting.sinks", "y.yml"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.alerting.rules, (std::vector<std::string>{"a.yml", "b.yml", "c.yml"}));
  EXPECT_EQ(loaded->config.alerting.sinks, "y.yml");
}

TEST_F(ConfigTest, AFlagMayHaveAnotherName) {
  sources_.aliases = {{"rules.alert.resend-delay", "alerting.resend_delay"}};
  sources_.args = {"--rules.alert.resend-delay=5s"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.alerting.resend_delay, std::chrono::seconds(5));
}

TEST_F(ConfigTest, SizesMayNameAUnit) {
  sources_.args = {"--front.disk-floor-bytes", "2 MiB"};
  const auto loaded = load_config(sources_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.front.disk_floor, Bytes(2 << 20));
  EXPECT_EQ(error_of_args({"--front.disk-floor-bytes", "9999999999TiB"}).code, Errc::bad_params);
  EXPECT_EQ(error_of_args({"--front.disk-floor-bytes", "5 apples"}).code, Errc::bad_params);
}

TEST_F(ConfigTest, HelpNamesEveryKeyOnce) {
  sources_.sections = {"front"};
  const std::string help = config_help(sources_);
  EXPECT_NE(help.find("  --max-depth "), std::string::npos) << help;
  EXPECT_NE(help.find("  --stages.image.workers "), std::string::npos);
  std::size_t flags = 0;
  for (std::size_t at = help.find("  --"); at != std::string::npos;
       at = help.find("\n  --", at + 1))
    ++flags;
  EXPECT_EQ(flags, config_keys::all().size() + config_keys::of_a_kind().size() + 1);
}

TEST_F(ConfigTest, HelpNamesOnlyWhatTheProgramReads) {
  sources_.sections = {"front"};
  sources_.reads = {"front.control", "log."};
  const std::string help = config_help(sources_);
  EXPECT_NE(help.find("  --control "), std::string::npos) << help;
  EXPECT_NE(help.find("  --log.level "), std::string::npos) << help;
  EXPECT_EQ(help.find("--listen"), std::string::npos) << help;
  EXPECT_EQ(help.find("--kinds."), std::string::npos) << help;
}

}  // namespace
}  // namespace tallymill
