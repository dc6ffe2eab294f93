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
// Of all files together: what expressions and templates are made of, 130 to 250 bytes each in
// memory with the text that it holds; a matcher is one, too. A rule of what people publish has 10
// to 60 (kubernetes-mixin: 20 on average), `a + a + ...` in the 64 KiB of one expression 2,000.
inline constexpr std::size_t rule_nodes = 1'000'000;
// Instructions of all regular expressions of them, 16 bytes each, as limits::query_program.
inline constexpr std::int64_t rule_program = 4'000'000;
// Rows that one rule may give, whatever its group's own limit says: each is a series, and an alert.
inline constexpr std::size_t rule_rows = 10'000;
// Of all rules, pending or firing; 1 to 2 KB each with its series. Of alerts that are over each
// rule keeps rule_rows more for a while.
inline constexpr std::size_t alerts = 100'000;
// What the last sample of a rule's series was is remembered for so long.
inline constexpr std::chrono::milliseconds rule_series_forgotten{15 * 60'000};
// Series that are watched for rules that are judged on arrival, a series once for each of its
// rules: 200 bytes each. Those above it wait for their rules' timer.
inline constexpr std::size_t arrival_watches = 200'000;
// A rule is judged on arrival no more often than this, whatever comes: 50 times a second is more
// than who is told can tell apart, and all that comes meanwhile is judged at once.
inline constexpr std::chrono::milliseconds arrival_distance{20};
// After it judged on arrival, the thread rests for so many times as long as that took: at most a
// fifth of one core, so that timers keep theirs.
inline constexpr int arrival_rest = 4;
// A group that is being evaluated is looked at again after this.
inline constexpr std::chrono::milliseconds arrival_again{2};
// A sample whose time has not come yet, for clocks differ, is judged when it has; one that is
// further ahead waits for the timer.
inline constexpr std::chrono::milliseconds arrival_ahead{1'000};
// A template, and what it may become: a mistake in a loop shall not fill a message.
inline constexpr std::size_t template_bytes = 64 << 10;
inline constexpr std::size_t template_output_bytes = 64 << 10;
inline constexpr int template_depth = 32;                // of blocks and of parentheses
inline constexpr std::int64_t template_steps = 100'000;  // of one expansion
inline constexpr std::size_t template_queries = 10;      // of one expansion
inline constexpr int template_program = 10'000;          // instructions of a regular expression
// Of one unit test of rules: samples in memory, 16 bytes each (a month of 50 series at 15 s), and
// moments at which all rules are judged (a year at 1 m).
inline constexpr std::size_t rule_test_samples = 10'000'000;
inline constexpr std::int64_t rule_test_moments = 1'000'000;
// Notices that wait for one sink; those of an alert that come above it are merged with the last
// one.
inline constexpr std::size_t outbox_notices = 100'000;
// Changes of alerts that the disk did not take yet, 1 KB each; of more the oldest evaluation's go.
inline constexpr std::size_t unstored_changes = 50'000;
// How often it is stored that all was judged and nothing happened: so exact is the time that nobody
// looked.
inline constexpr std::chrono::milliseconds judged_noted{1'000};
// An answer of a sink is read so far and no further.
inline constexpr std::size_t sink_answer_bytes = 64 << 10;
inline constexpr std::chrono::milliseconds sink_timeout{10'000};
// After a failed try: doubled from the first to the last, each at random between a half and all.
inline constexpr std::chrono::milliseconds sink_again_first{500};
inline constexpr std::chrono::milliseconds sink_again_slowest{60'000};
// A weekend and a Monday: who was away longer reads the state, not what it missed.
inline constexpr std::chrono::milliseconds sink_gives_up{72 * 3'600'000};
// How often it is looked whether what was silenced or inhibited still is.
inline constexpr std::chrono::milliseconds sink_muted_again{1'000};
// Notices of one message, and alerts that it shows beside them: a mail that people read.
inline constexpr std::size_t sink_message_notices = 64;
inline constexpr std::size_t sink_message_standing = 192;
// Notices that a sink's thread looks at in one go.
inline constexpr std::size_t sink_page = 1'000;
// What became of notices, for who asks where an alert was told; the oldest go.
inline constexpr std::int64_t outbox_told = 20'000;
// Alerts of one POST to Alertmanager, as Prometheus has it, and how long it hears of an end.
inline constexpr std::size_t alertmanager_batch = 64;
inline constexpr std::chrono::milliseconds alertmanager_resolved{15 * 60'000};
// The file of sinks, and what it may name: each sink is a thread or two.
inline constexpr std::size_t sink_file_bytes = 1 << 20;
inline constexpr std::size_t sinks = 64;
inline constexpr std::size_t inhibit_rules = 256;
inline constexpr std::size_t sink_secret_bytes = 4'096;
// A backtest (alerting/backtest.h): rules times moments. 50 rules at each 15 s of 30 days are
// 8,640,000 and take some minutes; a year of them is in it.
inline constexpr std::uint64_t backtest_evaluations = 200'000'000;
// That it tells: whoever has more has a rule that is wrong, and knows it by then.
inline constexpr std::size_t backtest_firings = 100'000;
// Of recording rules that others look back at; 16 bytes each.
inline constexpr std::size_t backtest_samples = 16'000'000;
// Numbers that one expression may have in memory for many moments at once: what needs more is asked
// for fewer.
inline constexpr std::size_t backtest_numbers = 8'000'000;
// Moments that are asked for at once: many, so that samples are read once for them, and few enough
// that the rows of 200 series are in the processor's cache. At most, when ranges are long.
inline constexpr std::size_t backtest_slice = 960;
inline constexpr std::size_t backtest_longest_slice = 8'192;
// Over HTTP: as long as one may take, and one at a time.
inline constexpr std::chrono::milliseconds backtest_time{30 * 60'000};
// A dump that is read into memory, 16 bytes each.
inline constexpr std::size_t backtest_dump_samples = 200'000'000;
// Silences that are kept, those that are over among them: the oldest of those go first, and when
// all are to come or active one more is refused. A deployment that silences itself 50 times a day
// needs 250, for they are kept as long as Alertmanager does.
inline constexpr std::size_t silences = 2'000;
inline constexpr std::chrono::hours silence_kept{120};
// The body that makes one, which is what it has in memory; a text of it (a comment, a value).
inline constexpr std::size_t silence_bytes = 32 << 10;
inline constexpr std::size_t silence_text_bytes = 4'096;
inline constexpr std::size_t silence_matchers = 64;
// Instructions of its regular expressions: 100 names of hosts have about 1,000. All are asked of
// each alert that is to be told.
inline constexpr std::int64_t silence_program = 2'000;
// Of `alerts explain`: alerts that are told at length, series of one selector, samples of a series,
// and changes of state. What is left out is counted.
inline constexpr std::size_t explain_alerts = 20;
inline constexpr std::size_t explain_series = 20;
inline constexpr std::size_t explain_samples = 60;
inline constexpr std::size_t explain_changes = 100;

// What shipped rules are scaled down to and no further: telemetry comes once a second, but what has
// not changed only each 10 s, and a rate wants two samples.
inline constexpr std::chrono::milliseconds scaled_interval_least{1'000};
inline constexpr std::chrono::milliseconds scaled_range_least{25'000};
// The file of probes, and what it may name: each probe is a thread, and a connection.
inline constexpr std::size_t probe_file_bytes = 256 << 10;
inline constexpr std::size_t probes = 64;
inline constexpr std::size_t probe_text_bytes = 4'096;  // of each text in it, and of a secret
inline constexpr std::chrono::milliseconds probe_interval{15'000};
inline constexpr std::chrono::milliseconds probe_interval_least{100};
inline constexpr std::chrono::milliseconds probe_timeout{5'000};
// The body of an answer that is looked through for a text.
inline constexpr std::int64_t probe_body_bytes = 1 << 20;
// A redis answers PING in one line.
inline constexpr std::size_t probe_line_bytes = 1'024;

}  // namespace tallymill::limits
