// Exposition: the text formats that Prometheus scrapes, line by line into a sink.
//
// Prometheus' text format 0.0.4 and OpenMetrics 1.0. What Prometheus 2.42 takes is taken and what
// it refuses is refused, down to blanks (OpenMetrics has exactly one), a comma behind the last
// label and one that is missing (0.0.4 alone has those), CRLF (neither has it), NUL in a text (a
// character like any other) and numbers (number.h). Different are:
//
// - A line of 0.0.4 that begins with blanks is its series, as the format's description says; there
//   the blanks become a part of the metric's name, which is refused later.
// - A line has an end: a line break inside a label's value is refused, in 0.0.4 too. So is a NUL
//   where no text is, which ends the page there, and what stands behind the name of a HELP or TYPE
//   without a blank, which loses its first byte there.
// - A timestamp of 0.0.4 may be negative, as its description says; one of OpenMetrics, in seconds,
//   is rounded to the millisecond and not cut.
// - Blanks around the type of a TYPE line of 0.0.4 are no part of it.
// - Labels that labels_check.h refuses, names that are there twice among them, are refused here;
//   there it is done later. Labels without a value are none.
// - An exemplar that is too long is dropped, and told in what read_exposition() gives.
//
// Which series belong to which metric, and in which order, is not looked at; `_created` is a series
// like any other. Native histograms are in neither format.
//
//   invariant: every sample and every metadata that the sink is given is checked; the views in them
//              are as long-lived as the call
//
// Threads: any; a call of its own each.
// Source: Prometheus' exposition formats; OpenMetrics 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "collector/incoming.h"

namespace tallymill::collector {

enum class ExpositionFormat : std::uint8_t { text, open_metrics };

// What a Content-Type says; that of 0.0.4 when it says nothing that is known, as Prometheus does.
[[nodiscard]] ExpositionFormat exposition_format(std::string_view content_type);

struct ExpositionSample {
  // As the line has them, `metric{a="b"}`: the same bytes are the same series, so that whoever
  // reads them again and again may look there first.
  std::string_view series;
  std::span<const Label> labels;  // settled, the metric's name among them
  double value = 0;
  std::optional<std::int64_t> t_ms = {};
  std::optional<Exemplar> exemplar = {};
};

class ExpositionSink {
 public:
  virtual ~ExpositionSink() = default;
  // An error ends the reading, and is its answer.
  [[nodiscard]] virtual Status metadata(const Metadata& metadata) = 0;
  [[nodiscard]] virtual Status sample(const ExpositionSample& sample) = 0;
};

struct ExpositionCounts {
  std::size_t samples = 0;
  std::size_t dropped_exemplars = 0;
};

// bad_params, "line 7: ...": not of this format; too_big, "line 7: ...": longer than
// limits::exposition_line_bytes. What stood before that line was given to the sink: whoever wants
// all or nothing gathers it until this returns.
[[nodiscard]] Result<ExpositionCounts> read_exposition(std::string_view text,
                                                       ExpositionFormat format,
                                                       ExpositionSink& sink);

}  // namespace tallymill::collector
