// What docs/metrics.md promises: the names in its tables, to be held against an export.
//
// A row of a table that begins with a metric's name in back quotes documents that metric:
// | `tallymill_jobs_accepted_total` | counter | kind | Jobs whose acceptance is durable. |
//
// Threads: a function.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace tallymill::tests {

struct DocumentedMetric {
  std::string type;
  std::vector<std::string> labels;
  std::string help;
};

inline std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" `\t");
  if (from == std::string::npos) return {};
  return text.substr(from, text.find_last_not_of(" `\t") - from + 1);
}

// By name. Labels are separated by commas or spaces; "-" and an empty cell are none.
inline std::map<std::string, DocumentedMetric> documented_metrics(const std::string& markdown) {
  std::map<std::string, DocumentedMetric> found;
  std::istringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `tallymill_")) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(trimmed(cell));
    if (cells.size() < 4) continue;
    DocumentedMetric metric{cells[1], {}, cells[3]};
    std::string label;
    for (const char c : cells[2] + ",") {
      if ((c >= 'a' && c <= 'z') || c == '_') {
        label += c;
      } else if (!label.empty()) {
        metric.labels.push_back(label);
        label.clear();
      }
    }
    found[cells[0]] = metric;
  }
  return found;
}

}  // namespace tallymill::tests
