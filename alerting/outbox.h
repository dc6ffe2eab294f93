// Outbox: what was decided and what is still to be told, in one SQLite database.
//
// States of alerts and notices change in one transaction: an alert that fired is stored together
// with the notices of it, or neither is. A notice stays until its sink took it, in the order of an
// alert's transitions; a sink that is down keeps its own, and holds up no other.
//
//   invariant: what commit() acknowledged is on disk, synced
//   invariant: of one alert and one sink, notices are told in the order in which they came, and a
//              later one is not told before an earlier one was taken or given up
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
#include "alerting/sink.h"
#include "base/result.h"

namespace tallymill::alerting {

// An alert and whose it is.
struct StoredAlert {
  std::string file;
  std::string group;
  std::string rule;  // name and expression: what makes it the same rule after a reload
  Alert alert;
};

class Outbox {
 public:
  // disk, corrupt, version: as store::Sqlite says.
  [[nodiscard]] static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& file);
  virtual ~Outbox() = default;

  // One transaction: these alerts are as they say (those that are over and forgotten are removed),
  // each notice waits for each of these sinks; `at_ms`: when this was judged.
  struct Commit {
    std::int64_t at_ms = 0;
    std::vector<StoredAlert> alerts = {};
    std::vector<StoredAlert> forgotten = {};
    std::vector<Notice> notices = {};  // ids are given here
    std::vector<std::string> sinks = {};
  };
  [[nodiscard]] virtual Status commit(Commit commit) = 0;

  struct Stored {
    std::int64_t at_ms = 0;  // of the last commit; 0: none
    std::vector<StoredAlert> alerts;
  };
  [[nodiscard]] virtual Result<Stored> read() = 0;

  // The notices that this sink may be told now, oldest first, at most `most`; those of an alert
  // whose earlier one waits for its next try are not among them.
  [[nodiscard]] virtual Result<std::vector<Notice>> due(const std::string& sink,
                                                        std::int64_t now_ms, std::size_t most) = 0;
  // When the next one is due; nothing: there is none.
  [[nodiscard]] virtual Result<std::optional<std::int64_t>> next_due(const std::string& sink) = 0;
  [[nodiscard]] virtual Status taken(const std::string& sink, std::span<const std::int64_t> ids,
                                     std::int64_t now_ms) = 0;
  [[nodiscard]] virtual Status again(const std::string& sink, std::span<const std::int64_t> ids,
                                     std::int64_t at_ms, const std::string& why) = 0;
  [[nodiscard]] virtual Status given_up(const std::string& sink, std::span<const std::int64_t> ids,
                                        std::int64_t now_ms, const std::string& why) = 0;
  [[nodiscard]] virtual Result<std::int64_t> waiting(const std::string& sink) = 0;
};

}  // namespace tallymill::alerting
