// RawLabels: the labels of a series as a remote write request has them, without a string.
//
// The bytes are the label fields of one TimeSeries, tags and all. A sender writes those of a series
// in the same way each time, so that their hash is a key into a cache of series: a hit is certain
// once same_labels() was asked, and costs a comparison of memory. Only a miss is taken apart.
//
// Threads: plain functions.
// Source: Prometheus remote write 1.0: message Label, as field 1 of message TimeSeries.
#pragma once

#include <string_view>
#include <vector>

#include "collector/series.h"

namespace tallymill::collector {

// The labels in their order there, not yet settled (labels_check.h); views into `raw`. False: these
// bytes are no labels. Of more than a series may have only one more is read.
[[nodiscard]] bool read_raw_labels(std::string_view raw, std::vector<Label>& into);

// These bytes are these labels, written as every sender writes them: sorted, each with a value. Of
// labels that are the same but written otherwise it says no.
[[nodiscard]] bool same_labels(std::string_view raw, const Labels& labels);

}  // namespace tallymill::collector
