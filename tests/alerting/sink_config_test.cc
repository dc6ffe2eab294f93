// The file of sinks. Goal: what is right is read whole, what is wrong is refused with its place,
// and no secret is ever in it or in an error. Method: texts.
#include "alerting/sink_config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "alerting/sinks.h"
#include "bus/endpoints.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

constexpr const char* whole = R"(
sinks:
  - name: ops
    kind: webhook
    url: https://ops.example/hook
    token_file: /etc/tallymill/ops.token
    ca_file: /etc/ca.pem
    timeout: 3s
    group_by: [alertname, stage]
    group_wait: 5s
    group_interval: 1m
    repeat_interval: 4h
  - {name: chat, kind: slack, url_env: SLACK_URL, group_by: []}
  - {name: am, kind: alertmanager, url: "http://127.0.0.1:9093"}
  - {name: page, kind: exec, command: [/usr/local/bin/page, --now], group_by: ["..."]}
  - {name: mail, kind: smtp, url: "smtp://mail.example:587", from: m@example.org, to: [o@example.org],
     username: mill, password_env: MAIL_PASSWORD}
  - {name: bus, kind: publish, endpoint: "tcp://127.0.0.1:7799"}
inhibit_rules:
  - source_matchers: ['severity="page"', 'stage=~"a|b"']
    target_matchers: ['severity="warning"']
    equal: [stage]
)";

TEST(SinkConfig, IsReadWhole) {
  const auto config = parse_sinks(whole, "sinks.yml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->sinks.size(), 6U);
  const SinkConfig& ops = config->sinks[0];
  EXPECT_EQ(ops.secret.file, "/etc/tallymill/ops.token");
  EXPECT_EQ(ops.timeout, milliseconds(3000));
  EXPECT_FALSE(ops.route.by_all);
  EXPECT_EQ(ops.route.group_by, (std::vector<std::string>{"alertname", "stage"}));
  EXPECT_EQ(ops.route.wait, milliseconds(5000));
  EXPECT_EQ(ops.route.interval, milliseconds(60'000));
  EXPECT_EQ(ops.route.repeat, milliseconds(4 * hour_ms));
  EXPECT_EQ(config->sinks[1].secret_url.env, "SLACK_URL");
  EXPECT_FALSE(config->sinks[1].route.by_all);
  EXPECT_TRUE(config->sinks[2].route.by_all);
  EXPECT_TRUE(config->sinks[3].route.by_all);
  EXPECT_EQ(config->sinks[3].command.size(), 2U);
  EXPECT_TRUE(config->sinks[4].starttls);
  EXPECT_EQ(config->sinks[5].endpoint, "tcp://127.0.0.1:7799");
  ASSERT_EQ(config->inhibit.size(), 1U);
  EXPECT_EQ(config->inhibit[0].source.size(), 2U);
  EXPECT_EQ(config->inhibit[0].source[1].text(), "stage=~\"a|b\"");
}

struct Wrong {
  const char* text;
  const char* says;
};
class SinkConfigWrong : public ::testing::TestWithParam<Wrong> {};

TEST_P(SinkConfigWrong, IsRefusedWithItsPlace) {
  const auto config = parse_sinks(GetParam().text, "sinks.yml");
  ASSERT_FALSE(config) << GetParam().text;
  EXPECT_EQ(config.error().code, Errc::bad_params);
  EXPECT_TRUE(config.error().message.starts_with("sinks.yml:")) << config.error().message;
  EXPECT_NE(config.error().message.find(GetParam().says), std::string::npos)
      << config.error().message;
  EXPECT_EQ(config.error().message.find("s3cr3t"), std::string::npos) << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, SinkConfigWrong,
    ::testing::Values(
        Wrong{"sinks: [", "1:"}, Wrong{"other: 1", "1:1: unknown key 'other'"},
        Wrong{"sinks: {}", "expected a list"},
        Wrong{"sinks: [{kind: webhook, url: 'http://a'}]", "without its name"},
        Wrong{"sinks: [{name: a, url: 'http://a'}]", "without its kind"},
        Wrong{"sinks: [{name: a, kind: pigeon}]", "expected webhook"},
        Wrong{"sinks: [{name: A/../b, kind: webhook, url: 'http://a'}]", "a name of a-z"},
        Wrong{"sinks:\n- {name: a, kind: webhook, url: 'http://a'}\n"
              "- {name: a, kind: webhook, url: 'http://b'}",
              "3:10: a second sink"},
        Wrong{"sinks: [{name: a, kind: webhook}]", "one of url"},
        Wrong{"sinks: [{name: a, kind: webhook, url: 'http://a', url_env: B}]", "one of url"},
        Wrong{"sinks: [{name: a, kind: webhook, url: 'http://u:s3cr3t@a/'}]", "no URL"},
        Wrong{"sinks: [{name: a, kind: smtp, url: 'smtp://u:s3cr3t@a', from: a@b, to: [a@b]}]",
              "without a user"},
        Wrong{"sinks: [{name: a, kind: webhook, url: 'http://a', token: s3cr3t}]",
              "unknown key 'token'"},
        Wrong{"sinks: [{name: a, kind: webhook, url: 'http://a', token_env: A, token_file: b}]",
              "are two"},
        Wrong{"sinks: [{name: a, kind: exec}]", "without its command"},
        Wrong{"sinks: [{name: a, kind: exec, command: [page]}]", "from the root"},
        Wrong{"sinks: [{name: a, kind: exec, command: [/a], url: 'http://a'}]",
              "unknown key 'url'"},
        Wrong{"sinks: [{name: a, kind: publish}]", "without its endpoint"},
        Wrong{"sinks: [{name: a, kind: exec, command: [/a], group_wait: soon}]", "a duration"},
        Wrong{"sinks: [{name: a, kind: exec, command: [/a], repeat_interval: 10ms}]",
              "at least 1s"},
        Wrong{"sinks: [{name: a, kind: exec, command: [/a], timeout: 1h}]", "at most 5m"},
        Wrong{"sinks: [{name: a, kind: exec, command: [/a], group_by: ['...', b]}]", "all labels"},
        Wrong{"sinks: [{name: a, kind: smtp, url: 'smtp://a', from: a@b, to: [a@b], username: u}]",
              "goes with a password"},
        Wrong{"sinks: [{name: a, kind: smtp, url: 'smtp://a', from: a@b, to: [a@b], username: u, "
              "password_env: P, starttls: false}]",
              "over the net as it is"},
        Wrong{"inhibit_rules: [{source_matchers: ['a=\"b\"']}]", "target_matchers"},
        Wrong{"inhibit_rules: [{source_matchers: [], target_matchers: ['a=\"b\"']}]",
              "expected a matcher"},
        Wrong{"inhibit_rules: [{source_matchers: ['a=~\"(\"'], target_matchers: ['a=\"b\"']}]",
              "expected a matcher"}));

TEST(SinkConfig, TakesSoManySinksAndNoMore) {
  const auto text = [](std::size_t count) {
    std::string all = "sinks:\n";
    for (std::size_t i = 0; i < count; ++i)
      all += "- {name: s" + std::to_string(i) + ", kind: exec, command: [/a]}\n";
    return all;
  };
  EXPECT_TRUE(parse_sinks(text(limits::sinks), "sinks.yml"));
  EXPECT_FALSE(parse_sinks(text(limits::sinks + 1), "sinks.yml"));
}

TEST(SinkConfig, TakesSoManyRulesAndBytesAndNoMore) {
  const auto text = [](std::size_t count) {
    std::string all = "inhibit_rules:\n";
    for (std::size_t i = 0; i < count; ++i)
      all += "- {source_matchers: ['a=\"b\"'], target_matchers: ['c=\"d\"']}\n";
    return all;
  };
  EXPECT_TRUE(parse_sinks(text(limits::inhibit_rules), "sinks.yml"));
  EXPECT_FALSE(parse_sinks(text(limits::inhibit_rules + 1), "sinks.yml"));
  std::string long_one = "sinks: []\n#";
  long_one.resize(limits::sink_file_bytes, '#');
  EXPECT_TRUE(parse_sinks(long_one, "sinks.yml"));
  EXPECT_FALSE(parse_sinks(long_one + "#", "sinks.yml"));
}

TEST(SinkSecret, IsReadFromFileOrEnvironmentAndNeverQuoted) {
  const TempFolder folder;
  const std::string file = (folder.path() / "token").string();
  std::ofstream(file) << "s3cr3t\n";
  EXPECT_EQ(read_secret({.file = file})->reveal(), "s3cr3t");
  ::setenv("TALLYMILL_TEST_SECRET", "s3cr3t two", 1);
  const auto spaced = read_secret({.env = "TALLYMILL_TEST_SECRET"});
  ASSERT_FALSE(spaced);
  EXPECT_EQ(spaced.error().message.find("s3cr3t"), std::string::npos);
  ::setenv("TALLYMILL_TEST_SECRET", "s3cr3t", 1);
  EXPECT_EQ(read_secret({.env = "TALLYMILL_TEST_SECRET"})->reveal(), "s3cr3t");
  ::unsetenv("TALLYMILL_TEST_SECRET");
  EXPECT_EQ(read_secret({.env = "TALLYMILL_TEST_SECRET"}).error().code, Errc::not_found);
  EXPECT_EQ(read_secret({.file = "/none/such"}).error().code, Errc::not_found);
  EXPECT_TRUE(read_secret({})->empty());
  std::ofstream(file) << std::string(limits::sink_secret_bytes, 'x') << "\n";
  EXPECT_TRUE(read_secret({.file = file}));
  std::ofstream(file) << std::string(limits::sink_secret_bytes + 1, 'x');
  EXPECT_FALSE(read_secret({.file = file}));
}

TEST(Sinks, EachKindBecomesItsPart) {
  ::setenv("SLACK_URL", "https://hooks.example/s3cr3t", 1);
  ::setenv("MAIL_PASSWORD", "s3cr3t", 1);
  std::string text = whole;
  for (const char* line :
       {"    token_file: /etc/tallymill/ops.token\n", "    ca_file: /etc/ca.pem\n"})
    text.erase(text.find(line), std::string_view(line).size());
  text.replace(text.find("7799"), 4, "*");
  const auto config = parse_sinks(text, "sinks.yml");
  ASSERT_TRUE(config);
  zmq::context_t context = bus::make_context();
  metrics::Registry registry;
  const SystemClock clock;
  const auto sinks = make_sinks(*config, {}, context, registry, clock);
  ASSERT_TRUE(sinks) << sinks.error().message;
  EXPECT_EQ(sinks->destinations.size(), 4U);
  EXPECT_EQ(sinks->alertmanagers.size(), 1U);
  EXPECT_EQ(sinks->publishers.size(), 1U);
  ::setenv("SLACK_URL", "s3cr3t://hooks.example", 1);
  const auto refused = make_sinks(*config, {}, context, registry, clock);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with("sink chat: ")) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("s3cr3t"), std::string::npos);
}

}  // namespace
}  // namespace tallymill::alerting
