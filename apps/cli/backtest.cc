// rules backtest: how often rules would have fired, over the samples of a collector, of a store
// that nobody has open, or of a dump.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "alerting/backtest.h"
#include "alerting/backtest_json.h"
#include "alerting/memory_store.h"
#include "alerting/yaml_reader.h"
#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/clock.h"
#include "collector/exposition.h"
#include "collector/labels_check.h"
#include "collector/parameters.h"
#include "collector/store.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

std::unexpected<Error> wrong(std::string text, std::string field = {}) {
  return std::unexpected(Error{Errc::bad_params, std::move(text), std::move(field), {}});
}

Result<std::string> text_of_file(const std::string& path, std::uint64_t most) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = file.is_open() ? file.tellg() : std::ifstream::pos_type(-1);
  if (size < 0) return fail(Errc::not_found, fmt::format("'{}' cannot be read", path));
  if (static_cast<std::uint64_t>(size) > most)
    return fail(Errc::too_big, fmt::format("'{}' has {} bytes, more than the {} that it may have",
                                           path, static_cast<std::int64_t>(size), most));
  std::string text(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(text.data(), size))
    return fail(Errc::disk, fmt::format("'{}' cannot be read", path));
  return text;
}

struct Period {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
};
Result<Period> period_of(const BacktestArgs& args) {
  const std::int64_t now_ms = to_ns(SystemClock().wall()) / 1'000'000;
  Period period{0, now_ms};
  if (!args.to.empty()) {
    const auto to = collector::time_ms_of(args.to);
    if (!to) return wrong("'" + args.to + "' is no time: seconds since 1970, or RFC 3339", "/to");
    period.to_ms = *to;
  }
  if (args.last_s > 0) {
    period.from_ms = now_ms - static_cast<std::int64_t>(args.last_s * 1000);
    return period;
  }
  if (args.from.empty()) return wrong("say of which time: --last 30d, or --from T --to T", "/from");
  const auto from = collector::time_ms_of(args.from);
  if (!from)
    return wrong("'" + args.from + "' is no time: seconds since 1970, or RFC 3339", "/from");
  period.from_ms = *from;
  return period;
}

// ---- what a collector says ----

// The texts of the files that the patterns name: they are read as a collector reads them.
Result<json> texts_of(const std::vector<alerting::RuleGroup>& groups) {
  json texts = json::object();
  for (const alerting::RuleGroup& group : groups) {
    if (texts.contains(group.file)) continue;
    auto text = text_of_file(group.file, limits::rule_file_bytes);
    if (!text) return std::unexpected(std::move(text).error());
    texts[group.file] = std::move(*text);
  }
  return texts;
}

Result<json> asked_of_collector(const BacktestArgs& args, const Period& period,
                                const std::vector<alerting::RuleGroup>& groups) {
  auto texts = texts_of(groups);
  if (!texts) return std::unexpected(std::move(texts).error());
  json body = {{"rules", std::move(*texts)},
               {"from", static_cast<double>(period.from_ms) / 1000},
               {"to", static_cast<double>(period.to_ms) / 1000}};
  if (!args.interval.empty()) body["interval"] = args.interval;
  if (!args.sinks.empty()) {
    // The collector knows no name of the file to tell with what is wrong in it.
    if (auto read = alerting::read_sinks(args.sinks); !read)
      return std::unexpected(std::move(read).error());
    auto sinks = text_of_file(args.sinks, limits::sink_file_bytes);
    if (!sinks) return std::unexpected(std::move(sinks).error());
    body["sinks"] = std::move(*sinks);
  }
  return ask_collector(args.common, args.collector, "/api/v1/rules/backtest",
                       body.dump(-1, ' ', false, json::error_handler_t::replace),
                       "application/json", limits::backtest_time + std::chrono::minutes(1));
}

// ---- what is judged here ----

// Puts the samples of a dump into memory.
class DumpSink final : public collector::ExpositionSink {
 public:
  explicit DumpSink(alerting::MemoryStore& store) : store_(store) {}
  Status metadata(const collector::Metadata&) override { return {}; }
  Status sample(const collector::ExpositionSample& sample) override {
    if (!sample.t_ms) return wrong(fmt::format("{}: a sample has no timestamp", sample.series));
    if (++samples_ > limits::backtest_dump_samples)
      return fail(Errc::too_big, fmt::format("there are more than {} samples, which may be",
                                             limits::backtest_dump_samples));
    if (store_.add(collector::labels_of(sample.labels), *sample.t_ms, sample.value)) return {};
    return wrong(fmt::format("{}: its samples are not in the order of their times", sample.series));
  }

 private:
  alerting::MemoryStore& store_;
  std::size_t samples_ = 0;
};

struct Samples {
  std::unique_ptr<collector::Source> source;
};
Result<Samples> samples_of(const BacktestArgs& args) {
  if (!args.store.empty()) {
    collector::Store::Options options;
    options.background = false;
    if (!std::filesystem::exists(std::filesystem::path(args.store) / "log"))
      return fail(Errc::not_found, fmt::format("'{}' is no folder of samples", args.store));
    auto store = collector::Store::open(args.store, options);
    if (!store) return std::unexpected(std::move(store).error());
    return Samples{std::move(*store)};
  }
  constexpr std::uint64_t most_bytes = std::uint64_t{16} << 30;
  const auto text = text_of_file(args.dump, most_bytes);
  if (!text) return std::unexpected(text.error());
  auto store = std::make_unique<alerting::MemoryStore>();
  DumpSink sink(*store);
  const auto read =
      collector::read_exposition(*text, collector::ExpositionFormat::open_metrics, sink);
  if (!read) return std::unexpected(Error(read.error()).in(args.dump));
  return Samples{std::move(store)};
}

Result<json> judged_here(const BacktestArgs& args, const Period& period,
                         std::vector<alerting::RuleGroup> groups) {
  std::optional<alerting::SinksConfig> sinks;
  if (!args.sinks.empty()) {
    auto read = alerting::read_sinks(args.sinks);
    if (!read) return std::unexpected(std::move(read).error());
    sinks = std::move(*read);
  }
  ProgressLine line;
  alerting::BacktestOptions options{.from_ms = period.from_ms, .to_ms = period.to_ms, .threads = 2};
  options.progress = [&](double done) { line.show("backtest", done); };
  if (!args.interval.empty()) {
    const auto interval = alerting::config_duration_ms(args.interval);
    if (!interval || *interval <= 0)
      return wrong("'" + args.interval + "' is no length of time as 15s or 1m", "/interval");
    options.interval = std::chrono::milliseconds(*interval);
  }
  line.show("reads samples", -1);
  const auto samples = samples_of(args);
  if (!samples) return std::unexpected(samples.error());
  const auto result = alerting::backtest(std::move(groups), *samples->source, options);
  line.clear();
  if (!result) return std::unexpected(result.error());
  return json::parse(alerting::backtest_json(
      *result, alerting::count_messages(*result, sinks ? &*sinks : nullptr)));
}

// ---- how it is told ----

std::string length(double seconds) {
  if (seconds <= 0) return "-";
  return human(Duration(static_cast<std::int64_t>(seconds * 1e9)));
}

std::string labels_text(const json& labels) {
  std::string out;
  for (const auto& [name, value] : labels.items()) {
    if (name == "alertname" || !value.is_string()) continue;
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", name, value.dump());
  }
  return "{" + out + "}";
}

std::string number_text(const json& value) {
  return value.is_number()   ? fmt::format("{:.6g}", value.get<double>())
         : value.is_string() ? value.get<std::string>()
                             : "";
}

void print_firings(const json& answer) {
  Table table(
      {{"START"}, {"DURATION", true}, {"VALUE", true}, {"PEAK", true}, {"ALERT"}, {"LABELS"}});
  for (const json& one : answer["firings"]) {
    std::string took = length(one.value("durationSeconds", 0.0));
    if (one["end"].is_null()) took = "> " + took;
    table.row({text_at(one, "start"), took, number_text(one["value"]), number_text(one["peak"]),
               printable(text_at(one, "name")), printable(labels_text(one["labels"]))});
  }
  if (!table.empty()) print(table.text() + "\n");
}

void print_rules(const json& answer) {
  Table table({{"RULE"},
               {"FIRED", true},
               {"IN ALL", true},
               {"LONGEST", true},
               {"PENDING ONLY", true},
               {"FAILED", true},
               {"FILE"}});
  for (const json& one : answer["rules"]) {
    if (text_at(one, "type") != "alerting") continue;
    table.row({printable(text_at(one, "name")), human_count(number_at(one, "firings")),
               length(one.value("totalSeconds", 0.0)), length(one.value("longestSeconds", 0.0)),
               human_count(number_at(one, "unfulfilled")), human_count(number_at(one, "failures")),
               printable(fmt::format("{}:{}", text_at(one, "file"), number_at(one, "line")))});
  }
  print(table.text());
}

void print_answer(const json& answer) {
  print_firings(answer);
  print_rules(answer);
  std::string told =
      fmt::format("\n{} to {}: {} evaluations, {} firings\n", text_at(answer, "from"),
                  text_at(answer, "to"), human_count(number_at(answer, "evaluations")),
                  human_count(static_cast<std::int64_t>(answer["firings"].size())));
  for (const json& one : answer["notifications"]) {
    const std::string sink = text_at(one, "sink");
    told += fmt::format("{}: {} messages and {} reminders would have been sent\n",
                        sink.empty() ? "each firing and each end told alone" : printable(sink),
                        human_count(number_at(one, "messages")),
                        human_count(number_at(one, "reminders")));
  }
  print(told);
}

bool has_nothing(const json& answer) {
  for (const json& one : answer["rules"])
    if (number_at(one, "samples") > 0) return false;
  return true;
}

}  // namespace

int backtest(const BacktestArgs& args) {
  const auto period = period_of(args);
  if (!period) return tell(args.common, period.error());
  auto groups = alerting::read_rule_files(args.rules);
  if (!groups) return tell(args.common, groups.error());
  const bool here = !args.dump.empty() || !args.store.empty();
  const auto answer = here ? judged_here(args, *period, std::move(*groups))
                           : asked_of_collector(args, *period, *groups);
  if (!answer) return tell(args.common, answer.error());
  const bool is_whole = answer->is_object() && answer->contains("rules") &&
                        answer->contains("firings") && answer->contains("notifications");
  if (!is_whole)
    return tell(args.common, {Errc::bad_frame, "the collector's answer is no backtest"});
  if (args.common.json)
    print_json(*answer);
  else
    print_answer(*answer);
  for (const json& warning : answer->value("warnings", json::array()))
    if (warning.is_string()) fmt::print(stderr, "  {}\n", printable(warning.get<std::string>()));
  return has_nothing(*answer) ? exit_negative : exit_ok;
}

}  // namespace tallymill::cli
