// TargetSeries: the series of one scraped target: from an answer's text to points.
//
// Labels of the target go onto each of its series; one that the series has already moves to
// exported_NAME, unless the job honors it. A series that the last answer had and this one has not,
// or that a target had which no longer answers, ends with a stale marker; one that says its own
// time never ends, for nobody knows when. Each answer also makes `up`, how long it took, and how
// many samples and new series it had.
//
//   invariant: an answer counts whole or not at all
//   invariant: what is known of a target's series is what its last answer had
//
// Threads: one at a time.
// Source: Prometheus 2.42, scraping.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "collector/exemplars.h"
#include "collector/exposition.h"
#include "collector/metadata.h"
#include "collector/scrape_config.h"
#include "collector/seeded_hash.h"
#include "collector/store.h"

namespace tallymill::collector {

class TargetSeries {
 public:
  // REQUIRES: all of them outlive it.
  TargetSeries(const ScrapeJob& job, const ScrapeTarget& target, Store& store,
               MetadataStore& metadata, ExemplarStore& exemplars)
      : job_(job), target_(target), store_(store), metadata_(metadata), exemplars_(exemplars) {}

  struct Counts {
    std::size_t samples = 0;  // that the answer has
    std::size_t kept = 0;
    std::size_t added = 0;  // series that the last answer had not
    std::size_t bad_labels = 0;
    std::size_t no_room = 0;
  };
  // The points of an answer at `t_ms`, behind those in `points`. bad_params, too_big, as
  // read_exposition() or for more than limits::scrape_samples: there are none.
  [[nodiscard]] Result<Counts> take(std::string_view text, ExpositionFormat format,
                                    std::int64_t t_ms, std::vector<Point>& points);
  // The end of all of them: there was no answer.
  void lose(std::int64_t t_ms, std::vector<Point>& points);
  // What is told of each scrape.
  void report(bool up, double seconds, const Counts& counts, std::int64_t t_ms,
              std::vector<Point>& points);

 private:
  class Sink;
  struct Known {
    SeriesId series;
    std::uint64_t round = 0;  // the last answer that had it
  };
  [[nodiscard]] std::vector<Label> labels_of_target(std::span<const Label> scraped);
  // Ids are asked for again when the store has forgotten series.
  void follow_drops();
  void add_stale(const std::vector<SeriesId>& still, std::int64_t t_ms, std::vector<Point>& points);

  const ScrapeJob& job_;
  const ScrapeTarget& target_;
  Store& store_;
  MetadataStore& metadata_;
  ExemplarStore& exemplars_;
  std::uint64_t round_ = 0;
  std::uint64_t drops_ = 0;
  std::unordered_map<std::string, Known, SeededHash, std::equal_to<>>
      known_;                   // as they are written
  std::vector<SeriesId> last_;  // sorted; of the last answer, without those with their own times
  std::vector<std::string> renamed_;  // names of labels, while one series is read
  std::vector<std::optional<SeriesId>> reports_;
};

}  // namespace tallymill::collector
