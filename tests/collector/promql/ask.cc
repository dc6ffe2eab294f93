// ask: PromQL from standard input over series from a file, for tests that compare with others.
//
// The file has a line for each series, its labels as JSON, and behind it a line "TIME_MS VALUE" for
// each sample ("stale" for the marker), up to an empty line. Each line of input is START_MS END_MS
// STEP_MS QUERY, STEP_MS 0 for a moment; each answer is a line of JSON: {"error": ...}, or
// {"type": ..., "result": [[labels, [[t, value], ...]], ...]}.
//
// usage: promql_ask FILE
#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "tests/collector/promql/memory_source.h"

namespace {

using namespace tallymill;
using namespace tallymill::promql;
using nlohmann::json;

void read_series(const char* file, collector::MemorySource& into) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    Labels::Pairs pairs;
    const json said = json::parse(line);
    for (const auto& [name, value] : said.items())
      pairs.emplace_back(name, value.get<std::string>());
    const Labels labels = Labels::of(std::move(pairs));
    while (std::getline(in, line) && !line.empty()) {
      const auto blank = line.find(' ');
      const std::string value = line.substr(blank + 1);
      into.add(labels, std::stoll(line),
               value == "stale" ? collector::stale_marker : std::stod(value));
    }
  }
}

json labels_json(const Labels& labels) {
  json all = json::object();
  for (const Label& label : labels) all[std::string(label.name)] = std::string(label.value);
  return all;
}

json scalar_json(const Value& value, const Grid& grid) {
  json points = json::array();
  for (std::size_t i = 0; i < grid.count; ++i)
    points.push_back({grid.at(i), number_text(value.scalars[i])});
  return json::array({json::array({json::object(), points})});
}

json rows_json(const Rows& rows, const Grid& grid) {
  json result = json::array();
  for (const Row& row : rows) {
    json points = json::array();
    for (std::size_t i = 0; i < grid.count; ++i)
      if (!is_absent(row.values[i])) points.push_back({grid.at(i), number_text(row.values[i])});
    result.push_back({labels_json(row.labels), points});
  }
  return result;
}

json answer(const std::string& query, const Grid& grid, const collector::Source& source) {
  const auto node = parse(query);
  if (!node) return {{"error", node.error().message}};
  if ((*node)->type == Type::matrix) {
    const auto raw = evaluate_raw(**node, grid.start_ms, source, {});
    if (!raw) return {{"error", raw.error().message}};
    json result = json::array();
    for (const auto& [labels, samples] : *raw) {
      json points = json::array();
      for (std::size_t i = 0; i < samples.size(); ++i)
        points.push_back({samples.t_ms[i], number_text(samples.value[i])});
      result.push_back({labels_json(labels), points});
    }
    return {{"type", "matrix"}, {"result", result}};
  }
  const auto value = evaluate(**node, grid, source, {});
  if (!value) return {{"error", value.error().message}};
  if (value->type == Type::string) return {{"type", "string"}, {"result", value->text}};
  return {{"type", value->type == Type::scalar ? "scalar" : "vector"},
          {"result",
           value->type == Type::scalar ? scalar_json(*value, grid) : rows_json(value->rows, grid)}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: promql_ask FILE\n");
    return 2;
  }
  collector::MemorySource source;
  read_series(argv[1], source);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    Grid grid;
    std::int64_t end = 0;
    words >> grid.start_ms >> end >> grid.step_ms;
    std::string query;
    std::getline(words, query);
    if (grid.step_ms > 0) {
      grid.count = static_cast<std::size_t>((end - grid.start_ms) / grid.step_ms) + 1;
      grid.asked_end_ms = end;
    }
    std::cout << answer(query, grid, source).dump() << std::endl;
  }
  return 0;
}
