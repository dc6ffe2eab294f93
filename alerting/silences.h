// Silences: those that there are, beside the outbox in its file.
//
// One that is over is kept for limits::silence_kept, for who asks why nobody was told. Who changes
// a silence in a way that would rewrite what was (its matchers, the start of one that is active)
// ends it and gets a new one, with another id.
//
//   invariant: what set() and expire() acknowledged is on disk, synced
//   invariant: at most limits::silences are kept
//
// Threads: any.
// Source: Alertmanager 0.25, silences.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "alerting/silence.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/sqlite.h"

namespace tallymill::alerting {

class Silences {
 public:
  // disk, corrupt: as store::Sqlite. REQUIRES: an Outbox made this file; what is borrowed outlives
  // this.
  [[nodiscard]] static Result<std::unique_ptr<Silences>> open(const std::filesystem::path& file,
                                                              metrics::Registry& registry,
                                                              const Clock& clock);

  // Its id. not_found: it names one that there is not. bad_params: it is over already. busy: all
  // that are kept are still to come or active. disk, corrupt: it cannot be stored.
  [[nodiscard]] Result<std::string> set(Silence silence);
  // From now on. not_found: there is none, or it was forgotten. wrong_state: it is over.
  [[nodiscard]] Status expire(const std::string& id);

  using All = std::vector<Silence>;
  // As they are now, the one that ends last first.
  [[nodiscard]] std::shared_ptr<const All> all() const;
  [[nodiscard]] std::optional<Silence> find(const std::string& id) const;
  // The ids of those that are active and fit this alert.
  [[nodiscard]] std::vector<std::string> silencing(const collector::Labels& alert) const;
  [[nodiscard]] bool silences(const collector::Labels& alert) const;
  // Tells how many there are. Theirs end and begin without anybody's doing: to be called often.
  void tell();

 private:
  Silences(store::Sqlite&& file, metrics::Registry& registry, const Clock& clock);
  [[nodiscard]] Status load();
  [[nodiscard]] Status replace(All changed, const std::vector<std::string>& forgotten);
  [[nodiscard]] Status write(const All& changed, const std::vector<std::string>& forgotten);
  [[nodiscard]] Result<std::vector<std::string>> to_forget(std::size_t more) const;
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(clock_.wall()) / 1'000'000; }

  const Clock& clock_;
  std::mutex write_mutex_;  // guards what follows, and is taken before mutex_
  store::Sqlite file_;
  store::Statement put_;
  store::Statement remove_;

  std::mutex tell_mutex_;  // guards the gauges: who evaluates rules does not wait for the disk
  metrics::Gauge& active_;
  metrics::Gauge& pending_;
  metrics::Gauge& expired_;

  mutable std::mutex mutex_;  // guards all_
  std::shared_ptr<const All> all_ = std::make_shared<const All>();
};

}  // namespace tallymill::alerting
