// Limits: the bounds of alerting.
//
// Threads: constants.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tallymill::limits {

// A file of rules; the largest that people publish (kubernetes-mixin in one file) has 300 KB.
inline constexpr std::size_t rule_file_bytes = 8 << 20;
inline constexpr std::size_t rule_files = 1'000;
// Values of one such file, 150 bytes each in memory; a rule has about 25.
inline constexpr std::size_t yaml_nodes = 1'000'000;
// What the library reads ahead of the last value: of brackets in brackets it keeps all, 240 bytes
// each. An expression or a template has at most 64 KiB.
inline constexpr std::size_t yaml_lookahead = 256 << 10;
inline constexpr int yaml_merge_depth = 16;         // of maps that merge (<<) maps that merge ...
inline constexpr std::size_t rule_groups = 10'000;  // of all files together
// Of all files together: what one second of two cores can judge (`bench alert-load`), with room.
inline constexpr std::size_t rules = 20'000;
// Rows that one rule may give, whatever its group's own limit says: each is a series, and an alert.
inline constexpr std::size_t rule_rows = 10'000;
inline constexpr std::size_t alerts = 100'000;  // of all rules
// A template, and what it may become: a mistake in a loop shall not fill a message.
inline constexpr std::size_t template_bytes = 64 << 10;
inline constexpr std::size_t template_output_bytes = 64 << 10;
inline constexpr int template_depth = 32;                // of blocks and of parentheses
inline constexpr std::int64_t template_steps = 100'000;  // of one expansion
inline constexpr std::size_t template_queries = 10;      // of one expansion
inline constexpr int template_program = 10'000;          // instructions of a regular expression
// Notices that wait for one sink; those of an alert that come above it are merged with the last
// one.
inline constexpr std::size_t outbox_notices = 100'000;
// An answer of a sink is read so far and no further.
inline constexpr std::size_t sink_answer_bytes = 64 << 10;
inline constexpr std::chrono::milliseconds sink_timeout{10'000};
// After a failed try: doubled from the first to the last, each at random between a half and all.
inline constexpr std::chrono::milliseconds sink_again_first{500};
inline constexpr std::chrono::milliseconds sink_again_slowest{60'000};

}  // namespace tallymill::limits
