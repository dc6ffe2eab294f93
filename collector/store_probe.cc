#include "collector/store_probe.h"

#include <string>
#include <utility>

namespace tallymill::collector {

void StoreProbe::gauge(std::string_view name, std::string_view help, std::uint64_t value) {
  registry_.gauge(name, help).set(static_cast<double>(value));
}

// The store counts; here it is said.
void StoreProbe::count(std::string_view name, std::string_view help, std::uint64_t total,
                       metrics::Labels labels) {
  metrics::Counter& counter = registry_.counter(name, help, std::move(labels));
  counter.add(total - counter.value());
}

void StoreProbe::set(const Store::Stats& stats) {
  gauge("tallymill_collector_series", "Series that the store has.", stats.series);
  gauge("tallymill_collector_series_ids", "Ids of series that it has given out, dead ones too.",
        stats.series_ids);
  gauge("tallymill_collector_largest_labels_bytes", "Labels of the largest series so far.",
        stats.largest_labels_bytes);
  gauge("tallymill_collector_labels_bytes", "Labels of all series, as they lie in memory.",
        stats.labels_bytes);
  gauge("tallymill_collector_head_samples", "Samples that are not sealed.", stats.head_samples);
  gauge("tallymill_collector_sealed_samples", "Samples in sealed parts.", stats.sealed_samples);
  gauge("tallymill_collector_parts", "Sealed parts.", stats.parts);
  gauge("tallymill_collector_part_bytes", "Bytes of sealed parts.", stats.part_bytes);
  gauge("tallymill_collector_largest_part_bytes", "Bytes of the largest of them.",
        stats.largest_part_bytes);
  gauge("tallymill_collector_log_bytes", "Bytes of the log.", stats.log_bytes);
  gauge("tallymill_collector_series_list_bytes", "Bytes of the list of series.", stats.list_bytes);
  for (const auto& [metric, refused] : stats.refused_series)
    count("tallymill_collector_refused_series_total",
          "New series that were refused because there are as many, or bytes of their labels, as "
          "there may be.",
          refused, {{"metric", metric.empty() ? "other" : metric}, {"overflow", "true"}});
  count("tallymill_collector_dropped_series_total", "Series of which no sample was left.",
        stats.dropped_series);
  count("tallymill_collector_clock_jumps_total",
        "Jumps of the clock that put off what expires until it has gone steadily.",
        stats.clock_jumps);
  count("tallymill_collector_future_samples_total",
        "Samples that were stored and are further ahead of the clock than a clock may be.",
        stats.future_samples);
  count("tallymill_collector_seals_total", "Heads that were sealed.", stats.seals);
  count("tallymill_collector_failed_seals_total", "Seals that failed and are tried again.",
        stats.failed_seals);
  count("tallymill_collector_merges_total", "Merges of parts.", stats.merges);
  count("tallymill_collector_failed_merges_total",
        "Merges and thinnings that failed and are tried again.", stats.failed_merges);
  count("tallymill_collector_thinned_parts_total",
        "Parts that were written anew with fewer samples.", stats.thinned_parts);
  gauge("tallymill_collector_snapshots", "Snapshots that lie in its folder.", stats.snapshots);
  count("tallymill_collector_damaged_parts_total", "Parts that were put aside at the start.",
        stats.damaged_parts);
  count("tallymill_collector_damaged_blocks_total", "Blocks that were left out of a read.",
        stats.damaged_blocks);
  count("tallymill_collector_damaged_records_total", "Stretches of the log that were skipped.",
        stats.replayed.damaged);
  gauge("tallymill_collector_torn_bytes", "Bytes of the log that were cut at the start.",
        stats.replayed.torn_bytes);
}

}  // namespace tallymill::collector
