// Outbox: what was decided and what is still to be told, in one SQLite database.
//
// States of alerts and notices change in one transaction: an alert that fired is stored together
// with the notices of it, or neither is. A notice waits until its sink took it, in the order of an
// alert's transitions; a sink that is down keeps its own, and holds up no other. Of an alert that
// fires the notice that a sink took last is standing: it is what the sink believes, and what it is
// reminded of.
//
//   invariant: what commit() acknowledged is on disk, synced
//   invariant: of one alert (its labels) and one sink, notices are told in the order in which they
//              came, and a later one is not told before an earlier one was taken or given up
//   invariant: notices that were claimed for a message are in that message at every try
//
// What only says how far the telling came is written without a sync: a power cut may take the last
// of it whole, and then it is told once more, under the same key.
//
// Threads: any; one writes at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alerting/alert.h"
#include "alerting/limits.h"
#include "alerting/sink.h"
#include "base/result.h"

namespace tallymill::alerting {

// An alert and whose it is.
struct StoredAlert {
  std::string file;
  std::string group;
  std::string rule;  // its identity (rule_identity.h): no other's in the group
  Alert alert;
};

class Outbox {
 public:
  struct Options {
    std::size_t notices = limits::outbox_notices;  // that wait for one sink
    std::int64_t told = limits::outbox_told;
    std::string vfs = {};  // as store::Sqlite
  };
  // disk, corrupt, version: as store::Sqlite says.
  [[nodiscard]] static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& file,
                                                            const Options& options);
  [[nodiscard]] static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& file) {
    return open(file, Options());
  }
  virtual ~Outbox() = default;

  // One transaction: the forgotten are removed, then these alerts are as they say, and each notice
  // waits for each of these sinks; `at_ms`: when this was judged. An alert that is over is kept as
  // long as an Alertmanager hears of its end.
  struct Commit {
    std::int64_t at_ms = 0;
    std::vector<StoredAlert> alerts = {};
    std::vector<StoredAlert> forgotten = {};
    // Ids are given here, and keys where there is none. One that neither fires nor is over waits
    // for nobody, and one whose key is there already is the same one.
    std::vector<Notice> notices = {};
    std::vector<std::string> sinks = {};
  };
  [[nodiscard]] virtual Status commit(Commit commit) = 0;
  // It was judged, and nothing happened. A power cut may take it.
  [[nodiscard]] virtual Status judged(std::int64_t at_ms) = 0;

  struct Stored {
    std::int64_t at_ms = 0;  // when it was judged last; 0: never
    std::vector<StoredAlert> alerts;
  };
  [[nodiscard]] virtual Result<Stored> read() = 0;

  // Those of other sinks are given up: their sink is no longer in the file.
  [[nodiscard]] virtual Status only(std::span<const std::string> sinks, std::int64_t now_ms) = 0;

  struct Due {
    Notice notice;
    std::string message = {};  // the key of the message that it was claimed for; empty: none yet
    std::int64_t tries = 0;
    bool followed = false;  // a later one of its alert waits
  };
  // The notices that this sink may be told now, oldest first, about `most`: of an alert only the
  // earliest that waits, and of a message that was claimed all or none.
  [[nodiscard]] virtual Result<std::vector<Due>> due(const std::string& sink, std::int64_t now_ms,
                                                     std::size_t most) = 0;
  // When the next one is due; nothing: there is none.
  [[nodiscard]] virtual Result<std::optional<std::int64_t>> next_due(const std::string& sink) = 0;

  using Ids = std::span<const std::int64_t>;
  // They are told in the message of this key, and in no other.
  [[nodiscard]] virtual Status claim(const std::string& sink, Ids ids, const std::string& key) = 0;
  // Not before `until_ms`; it was no try.
  [[nodiscard]] virtual Status hold(const std::string& sink, Ids ids, std::int64_t until_ms) = 0;
  [[nodiscard]] virtual Status taken(const std::string& sink, Ids ids, std::int64_t now_ms) = 0;
  [[nodiscard]] virtual Status again(const std::string& sink, Ids ids, std::int64_t at_ms,
                                     const std::string& why) = 0;
  [[nodiscard]] virtual Status given_up(const std::string& sink, Ids ids, std::int64_t now_ms,
                                        const std::string& why) = 0;
  // It was silenced or inhibited until it was over: neither it nor its end is told.
  [[nodiscard]] virtual Status muted(const std::string& sink, std::int64_t id, std::int64_t now_ms,
                                     const std::string& why) = 0;
  // Sinks were reminded of these, which are standing.
  [[nodiscard]] virtual Status reminded(const std::string& sink, Ids ids, std::int64_t now_ms) = 0;
  [[nodiscard]] virtual Result<std::int64_t> waiting(const std::string& sink) = 0;
  // When the one was judged that waits longest; nothing: none does.
  [[nodiscard]] virtual Result<std::optional<std::int64_t>> oldest(const std::string& sink) = 0;
  // Notices that were merged with an earlier one, over the limit, since this was opened.
  [[nodiscard]] virtual std::int64_t merged(const std::string& sink) = 0;

  struct Held {
    Notice notice;
    std::int64_t told_ms = 0;  // 0: not yet, it is claimed
    std::int64_t due_ms = 0;   // of one that is claimed
  };
  // What this sink believes, and what it is being told.
  [[nodiscard]] virtual Result<std::vector<Held>> held(const std::string& sink) = 0;

  struct Told {
    std::string sink;
    std::string key;
    std::string state;    // word_of the notice
    std::string outcome;  // taken, given_up, muted, waiting
    std::int64_t at_ms = 0;
    std::int64_t tries = 0;
    std::string why = {};  // the last failure; empty: none
  };
  // Where an alert was told and where it waits, the newest last.
  [[nodiscard]] virtual Result<std::vector<Told>> told(const collector::Labels& alert) = 0;
};

// What an outbox calls a notice that has no key: the same for the same transition.
[[nodiscard]] std::string key_of(const Notice& notice);

}  // namespace tallymill::alerting
