// evaluate_rules: rules over series from a file, at moments from standard input, for tests that
// compare with Prometheus.
//
// The series are as promql_ask reads them: a line of labels as JSON, then a line "TIME_MS VALUE"
// for each sample ("stale" for the marker), up to an empty line. Each line of input is "TIME_MS",
// or "TIME_MS GROUP" for that group alone; each answer is a line of JSON:
//   {"t": ..., "series": [[labels, value], ...], "firing": [[name, labels, annotations], ...],
//    "rules": [[group, name, health, error], ...]}
// where the series are what a query for ALERTS, ALERTS_FOR_STATE and r_... gives at that moment. A
// line "restore NAME ACTIVE_MS AWAY_MS NOW_MS" restores a pending alert without labels of its own,
// and has no answer.
//
// usage: evaluate_rules RULES SERIES [FOR_GRACE_MS]
#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "alerting/group.h"
#include "alerting/memory_store.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace {

using namespace tallymill;
using namespace tallymill::alerting;
using collector::Labels;
using nlohmann::json;
using Groups = std::vector<std::unique_ptr<Group>>;

void read_series(const char* file, MemoryStore& into) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    Labels::Pairs pairs;
    const json said = json::parse(line);
    for (const auto& [name, value] : said.items())
      pairs.emplace_back(name, value.get<std::string>());
    const Labels labels = Labels::of(std::move(pairs));
    while (std::getline(in, line) && !line.empty()) {
      const std::string value = line.substr(line.find(' ') + 1);
      into.add(labels, std::stoll(line),
               value == "stale" ? collector::stale_marker : std::stod(value));
    }
  }
}

std::string text_of(const char* file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

json labels_json(const Labels& labels) {
  json all = json::object();
  for (const collector::Label& label : labels) all[std::string(label.name)] = label.value;
  return all;
}

json series_json(const MemoryStore& store, std::int64_t at_ms) {
  static const auto selector = promql::parse("{__name__=~\"ALERTS|ALERTS_FOR_STATE|r_.+\"}");
  const auto value = promql::evaluate(**selector, {.start_ms = at_ms}, store, {});
  json all = json::array();
  if (!value) return all;
  for (const promql::Row& row : value->rows)
    all.push_back({labels_json(row.labels), promql::number_text(row.values[0])});
  return all;
}

const char* name_of_health(Health health) {
  constexpr const char* names[] = {"unknown", "ok", "err", "nodata"};
  return names[static_cast<int>(health)];
}

void add_status(const Group& group, json& answer) {
  const std::vector<RuleStatus> all = group.status();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string& name = group.rules().rules[i].name;
    answer["rules"].push_back(
        {group.rules().name, name, name_of_health(all[i].health), all[i].last_error});
    for (const Alert& alert : all[i].alerts)
      if (alert.state == AlertState::firing)
        answer["firing"].push_back(
            {name, labels_json(alert.labels), labels_json(alert.annotations)});
  }
}

void restore(const Groups& groups, std::istringstream& words) {
  std::string name;
  std::int64_t active_ms = 0;
  std::int64_t away_ms = 0;
  std::int64_t now_ms = 0;
  words >> name >> active_ms >> away_ms >> now_ms;
  const Alert alert{.labels = Labels::of({{"alertname", name}}), .active_ms = active_ms};
  for (const auto& group : groups) {
    const auto& rules = group->rules().rules;
    for (std::size_t i = 0; i < rules.size(); ++i)
      if (rules[i].kind == Rule::Kind::alerting && rules[i].name == name)
        group->state(i).restore(alert, away_ms, now_ms);
  }
}

void answer_all(const Groups& groups, const MemoryStore& store) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    if (line.starts_with("restore ")) {
      words.ignore(8);
      restore(groups, words);
      continue;
    }
    std::int64_t at_ms = 0;
    std::string only;
    words >> at_ms >> only;
    json answer = {{"t", at_ms}, {"firing", json::array()}, {"rules", json::array()}};
    for (const auto& group : groups) {
      if (!only.empty() && only != group->rules().name) continue;
      (void)group->evaluate(at_ms);
      add_status(*group, answer);
    }
    answer["series"] = series_json(store, at_ms);
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fmt::print(stderr, "usage: evaluate_rules RULES SERIES [FOR_GRACE_MS]\n");
    return 2;
  }
  MemoryStore store;
  read_series(argv[2], store);
  auto parsed = parse_rule_file(text_of(argv[1]), argv[1]);
  if (!parsed) {
    fmt::print(stderr, "{}\n", parsed.error().message);
    return 1;
  }
  Group::Options options;
  if (argc == 4) options.rules.for_grace = std::chrono::milliseconds(std::stoll(argv[3]));
  Groups groups;
  for (RuleGroup& group : *parsed)
    groups.push_back(std::make_unique<Group>(std::move(group), options, store, store));
  answer_all(groups, store);
  return 0;
}
