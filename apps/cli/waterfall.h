// Waterfall: a job's timeline as rows that begin and end, and as text for a terminal.
//
//   intake | commit | per attempt: queue, per hop wire wait service(+ spans) handover, wire back
//   | backoff between attempts | settle
//
// The rows are cut from the stamps; their lengths and the parts that the front added up are two
// ways to the same sum, and what is missing from the whole is shown, never spread over the rest.
//
// Threads: plain values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"

namespace tallymill::cli {

struct WaterfallRow {
  std::string name;  // "wire", "service"; a heading has no length
  int depth = 0;
  Duration begin{};  // since the front's first reading for this job
  Duration length{};
  bool heading = false;
  bool part = true;  // counts for the sum; spans lie inside a part
};

struct Waterfall {
  std::int64_t job = 0;
  std::string kind;
  std::string state;
  Duration whole{};        // zero: not known (yet)
  Duration parts{};        // as the front added them up
  Duration clock_error{};  // the largest of its hops; 0 on one host
  std::vector<WaterfallRow> rows;
};

// Of a timeline (docs/protocol.md); what a newer or older front leaves out is left out.
[[nodiscard]] Waterfall waterfall_of(const nlohmann::json& timeline);

// For a terminal that is `width` columns wide; colours as stdout has them.
[[nodiscard]] std::string text_of(const Waterfall& waterfall, int width);

}  // namespace tallymill::cli
