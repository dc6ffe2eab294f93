// ScrapeConfig: which targets are asked for their metrics, from a file in YAML.
//
//   global:
//     scrape_interval: 15s
//   scrape_configs:
//     - job_name: node
//       static_configs:
//         - targets: [10.0.0.1:9100, 10.0.0.2:9100]
//           labels: {zone: a}
//
// The keys are Prometheus' own, those that static targets need: of `global` scrape_interval and
// scrape_timeout; of a job also job_name, metrics_path, scheme, honor_labels, honor_timestamps,
// bearer_token_file and static_configs. Any other key is an error, so that a file that says more
// than is done here is not half believed.
//
//   invariant: what is read can be asked: addresses, labels and times are checked
//
// Threads: pure functions, but for the files.
// Source: Prometheus 2.42, scrape_config.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "base/secret.h"
#include "collector/series.h"

namespace tallymill::collector {

struct ScrapeTarget {
  std::string address;  // as it was said
  std::string url;
  Labels own;     // that the file gives it
  Labels labels;  // with job and instance
};

struct ScrapeJob {
  std::string name;
  std::chrono::milliseconds interval = limits::scrape_interval;
  std::chrono::milliseconds timeout = limits::scrape_timeout;
  std::string path = "/metrics";
  std::string scheme = "http";
  bool honor_labels = false;
  bool honor_timestamps = true;
  std::string token_file = {};
  Secret token = {};
  std::vector<ScrapeTarget> targets = {};
};

// bad_params, "FILE:LINE:COLUMN: ...": what it says is none of this. `name`: the file's.
[[nodiscard]] Result<std::vector<ScrapeJob>> parse_scrape_config(std::string_view text,
                                                                 std::string_view name);
// The same of a file, with the tokens that it names. not_found: one cannot be read.
[[nodiscard]] Result<std::vector<ScrapeJob>> read_scrape_config(const std::string& path);

// As a file, with what was not said. Names files with tokens, never tokens.
[[nodiscard]] std::string text_of(const std::vector<ScrapeJob>& jobs);

}  // namespace tallymill::collector
