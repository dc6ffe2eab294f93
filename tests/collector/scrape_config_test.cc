// Goal: a file of targets is read as it says, or refused with the place of its first fault; what it
// says it would be written as is read back the same. Method: tables of files.
#include "collector/scrape_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tallymill::collector {
namespace {

using std::chrono::milliseconds;

constexpr const char* whole = R"(
global:
  scrape_interval: 5s
  scrape_timeout: 2s
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ['10.0.0.1:9100', 'host.example', '[::1]:9100']
        labels: {zone: a}
      - targets: [10.0.0.2:9100]
        labels: {instance: named, job: other}
  - job_name: "odd \"one\""
    scrape_interval: 1m30s
    scrape_timeout: 500ms
    metrics_path: /probe?module=x
    scheme: https
    honor_labels: true
    honor_timestamps: false
    bearer_token_file: /run/token
)";

TEST(ScrapeConfig, SaysWhoIsAskedAndHow) {
  const auto jobs = parse_scrape_config(whole, "s.yml");
  ASSERT_TRUE(jobs) << jobs.error().message;
  ASSERT_EQ(jobs->size(), 2u);
  const ScrapeJob& node = jobs->front();
  EXPECT_EQ(node.interval, milliseconds(5'000));
  EXPECT_EQ(node.timeout, milliseconds(2'000));
  ASSERT_EQ(node.targets.size(), 4u);
  EXPECT_EQ(node.targets[0].url, "http://10.0.0.1:9100/metrics");
  EXPECT_EQ(node.targets[0].labels,
            Labels::of({{"instance", "10.0.0.1:9100"}, {"job", "node"}, {"zone", "a"}}));
  EXPECT_EQ(node.targets[1].labels.get("instance"), "host.example:80");
  EXPECT_EQ(node.targets[2].labels.get("instance"), "[::1]:9100");
  EXPECT_EQ(node.targets[3].labels, Labels::of({{"instance", "named"}, {"job", "other"}}));
  const ScrapeJob& odd = jobs->back();
  EXPECT_EQ(odd.name, "odd \"one\"");
  EXPECT_EQ(odd.interval, milliseconds(90'000));
  EXPECT_EQ(odd.timeout, milliseconds(500));
  EXPECT_TRUE(odd.honor_labels);
  EXPECT_FALSE(odd.honor_timestamps);
  EXPECT_EQ(odd.token_file, "/run/token");
  EXPECT_TRUE(odd.targets.empty());
}

TEST(ScrapeConfig, IsReadBackFromItsOwnText) {
  const auto jobs = parse_scrape_config(whole, "s.yml");
  ASSERT_TRUE(jobs);
  const std::string text = text_of(*jobs);
  const auto again = parse_scrape_config(text, "again");
  ASSERT_TRUE(again) << again.error().message << text;
  EXPECT_EQ(text_of(*again), text);
}

TEST(ScrapeConfig, AShorterIntervalShortensATimeoutThatWasNotSaid) {
  const auto jobs = parse_scrape_config(
      "scrape_configs: [{job_name: a, scrape_interval: 1s, static_configs: [{targets: [x:1]}]}]",
      "s.yml");
  ASSERT_TRUE(jobs) << jobs.error().message;
  EXPECT_EQ(jobs->front().timeout, milliseconds(1'000));
}

TEST(ScrapeConfig, AFaultIsToldWithItsPlace) {
  const std::pair<const char*, const char*> rows[] = {
      {"- a", "s.yml:1:1: expected names with values"},
      {"scrape_configs: {}", "s.yml:1:17: expected a list of jobs"},
      {"rule_files: []", "s.yml:1:1: unknown key 'rule_files'"},
      {"global: {scrape_interval: 1s, scrape_interval: 2s}", "s.yml:1:31: 'scrape_interval' is"},
      {"global:\n  scrape_interval: soon", "s.yml:2:20: expected a duration"},
      {"global: {scrape_interval: 99ms}", "s.yml:1:27: expected 100ms to 1d"},
      {"global: {scrape_interval: 1s, scrape_timeout: 2s}", "longer than the scrape_interval"},
      {"scrape_configs:\n- scheme: http", "s.yml:2:3: a job without its job_name"},
      {"scrape_configs:\n- job_name: a\n- job_name: a", "s.yml:3:13: a second job of the name"},
      {"scrape_configs:\n- {job_name: a, relabel_configs: []}", "unknown key 'relabel_configs'"},
      {"scrape_configs: [{job_name: a, scheme: ftp}]", "expected http or https"},
      {"scrape_configs: [{job_name: a, metrics_path: m}]", "begins with a slash"},
      {"scrape_configs: [{job_name: a, honor_labels: maybe}]", "expected true or false"},
      {"scrape_configs: [{job_name: a, static_configs: [{labels: {}}]}]", "without targets"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [a/b]}]}]", "host:port"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [a@b:1]}]}]", "names a user"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [a:0]}]}]", "port"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [x:1, x:1]}]}]", "twice"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [x:1], labels: {1b: c}}]}]",
       "'1b' is no label's name"},
      {"scrape_configs: [{job_name: a, static_configs: [{targets: [x:1], labels: {__b: c}}]}]",
       "'__b' is no label's name"},
      {"a: [", "s.yml:"},
  };
  for (const auto& [text, says] : rows) {
    const auto jobs = parse_scrape_config(text, "s.yml");
    ASSERT_FALSE(jobs) << text;
    EXPECT_EQ(jobs.error().code, Errc::bad_params);
    EXPECT_NE(jobs.error().message.find(says), std::string::npos) << jobs.error().message;
  }
}

std::string with_targets(std::size_t count) {
  std::string text = "scrape_configs: [{job_name: a, static_configs: [{targets: [";
  for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? ", h" : "h") + std::to_string(i) + ":1";
  return text + "]}]}]";
}

TEST(ScrapeConfig, HasAsManyTargetsAndBytesAsItMayAndNotOneMore) {
  EXPECT_TRUE(parse_scrape_config(with_targets(limits::scrape_targets), "s"));
  EXPECT_FALSE(parse_scrape_config(with_targets(limits::scrape_targets + 1), "s"));
  std::string text = "scrape_configs: []\n#";
  text.resize(limits::scrape_file_bytes, 'x');
  EXPECT_TRUE(parse_scrape_config(text, "s"));
  EXPECT_FALSE(parse_scrape_config(text + "x", "s"));
}

TEST(ScrapeConfig, TokensAreReadAndNeverShown) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("tallymill-scrape-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string token = folder / "token";
  const std::string file = folder / "scrape.yml";
  std::ofstream(file) << "scrape_configs: [{job_name: a, bearer_token_file: " << token << "}]";
  EXPECT_EQ(read_scrape_config(file).error().code, Errc::not_found);
  std::ofstream(token) << "secret-word\n";
  const auto jobs = read_scrape_config(file);
  ASSERT_TRUE(jobs) << jobs.error().message;
  EXPECT_EQ(jobs->front().token.reveal(), "secret-word");
  EXPECT_EQ(text_of(*jobs).find("secret-word"), std::string::npos);
  std::ofstream(token) << "two words";
  const auto bad = read_scrape_config(file);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message.find("words"), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tallymill::collector
