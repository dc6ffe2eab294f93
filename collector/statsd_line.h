// StatsdLine: one line of StatsD, and the labels that its name and tags become.
//
//   name:value[:value ...]|type[|@rate][|#tag:value,tag,...][|...]
//
// Types are c, g, ms, h, d and s. Several values and tags are DogStatsD's (1.1); what it adds as
// further sections (c: container, T timestamp, e:, card:) begins with a letter and is skipped.
//
// A name becomes a metric's name: each byte that may not stand in one becomes '_', and '_' goes
// before a digit that it begins with; "api.get-user" is api_get_user. So does the name of a tag,
// where ':' may not stand either; one that the collector needs itself, __anything and le, is
// exported_... as a scraped one would be. A tag without a value has the value "true". Bytes of a
// value that are not UTF-8 become '?'. Of a tag that is there twice the last counts.
//
// Threads: plain functions.
// Source: statsd's and DogStatsD's descriptions of their datagrams.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

#include "collector/bytes.h"
#include "collector/series.h"

namespace tallymill::collector {

enum class StatsdType : std::uint8_t { counter, gauge, timing, histogram, set };

struct StatsdLine {
  std::string_view name;
  std::string_view values;  // with colons between them; a set's is one
  StatsdType type = StatsdType::counter;
  double rate = 1;
  std::string_view tags = {};  // without '#'
};

// Why a line counts for nothing.
enum class StatsdFault : std::uint8_t {
  too_long,
  no_name,
  no_value,
  bad_value,
  negative_counter,
  bad_type,
  bad_rate,
  bad_section,
  not_a_metric,  // an event or a service check
  bad_labels,    // too many tags, or too long
  other_type,    // another line had this name with another type
  no_room        // a new series, and there are limits::statsd_* of them
};
inline constexpr std::size_t statsd_faults = 12;
// For the label of a counter.
[[nodiscard]] std::string_view name_of(StatsdFault fault);

// Where `wanted` is, or text.size(). What is looked for is some bytes ahead as a rule, too near for
// a call to pay, and at another place each time: eight bytes a step leave few branches to guess
// wrong.
[[nodiscard]] inline std::size_t find_near(std::string_view text, char wanted) {
  std::size_t at = 0;
  if constexpr (std::endian::native == std::endian::little) {
    constexpr std::uint64_t ones = 0x0101010101010101;
    for (; at + 8 <= text.size(); at += 8) {
      const std::uint64_t eight =
          load_word<std::uint64_t>(text.data() + at) ^ ones * static_cast<unsigned char>(wanted);
      // The high bit of each byte that is 0; borrows make wrong ones above the first alone.
      if (const std::uint64_t found = (eight - ones) & ~eight & (ones << 7); found != 0)
        return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
    }
  }
  while (at < text.size() && text[at] != wanted) ++at;
  return at;
}

// Whether they are equal: names are some words long, and a call to compare them costs more than
// that.
[[nodiscard]] inline bool same_text(std::string_view a, std::string_view b) {
  const auto eight = load_word<std::uint64_t>;
  const std::size_t n = a.size();
  if (n != b.size()) return false;
  if (n < 8) return a == b;
  std::uint64_t differs = eight(a.data() + n - 8) ^ eight(b.data() + n - 8);
  for (std::size_t i = 0; i + 8 < n; i += 8) differs |= eight(a.data() + i) ^ eight(b.data() + i);
  return differs == 0;
}

// Off the front of `text`: up to `end`, which is taken too, or all of it when there is none.
[[nodiscard]] inline std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = find_near(text, end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at < text.size() ? at + 1 : at);
  return taken;
}

// Views into `line`, which is without its end. Values are not looked at.
[[nodiscard]] std::expected<StatsdLine, StatsdFault> read_statsd_line(std::string_view line);

// bad_labels: labels_check.h refuses what they became.
[[nodiscard]] std::expected<Labels, StatsdFault> statsd_labels(std::string_view name,
                                                               std::string_view tags);

}  // namespace tallymill::collector
