// LabelsCheck: what a metric's name, a label and the labels of a series may be; one answer for
// every door of the collector.
//
// A metric's name is [a-zA-Z_:][a-zA-Z0-9_:]*, a label's the same without colons; a value is any
// UTF-8, NUL too. How many and how long: limits::series_labels, label_name_bytes,
// label_value_bytes, series_bytes.
//
// Threads: plain functions.
// Source: the data model of Prometheus 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collector/series.h"

namespace tallymill::collector {

[[nodiscard]] bool is_metric_name(std::string_view name);
[[nodiscard]] bool is_label_name(std::string_view name);
// How many bytes of `text` from its begin on could stand in such a name, but not at its begin.
[[nodiscard]] std::size_t metric_name_length(std::string_view text);
[[nodiscard]] std::size_t label_name_length(std::string_view text);

// Why labels are none of a series.
enum class LabelFault : std::uint8_t {
  none,
  no_labels,
  too_many,
  bad_metric_name,
  bad_name,
  long_name,
  long_value,
  not_utf8,
  twice,
  too_large
};
inline constexpr std::size_t label_faults = 10;

// For people: "a label's name is there twice".
[[nodiscard]] std::string_view text(LabelFault fault);
// For the label of a counter: "label_twice".
[[nodiscard]] std::string_view name_of(LabelFault fault);

// Puts them in the order of their names and takes away those without a value, then says whether
// they may be a series.
[[nodiscard]] LabelFault settle(std::vector<Label>& labels);

// The same for what tells exemplars apart: it may be empty, and is bounded by
// limits::exemplar_chars instead.
enum class ExemplarFault : std::uint8_t { none, bad, too_long };
[[nodiscard]] ExemplarFault settle_exemplar(std::vector<Label>& labels);

// REQUIRES: settle() found no fault in them.
[[nodiscard]] Labels labels_of(std::span<const Label> labels);

// At most so many bytes of it, up to the end of a character.
// REQUIRES: text is UTF-8.
[[nodiscard]] std::string_view cut_utf8(std::string_view text, std::size_t bytes);

}  // namespace tallymill::collector
