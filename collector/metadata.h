// MetadataStore: what each metric is: type, help and unit by its name, from whoever said it last.
//
// Every door that hears such a thing puts it here; /api/v1/metadata answers from it. It is kept in
// memory alone: whoever sends samples says it again soon.
//
//   invariant: at most limits::metadata_metrics names and limits::metadata_bytes of names and
//              texts; of names that are known all is heard as long as its text finds room, a new
//              one is refused when there is none
//
// Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "collector/incoming.h"

namespace tallymill::collector {

class MetadataStore {
 public:
  struct Known {
    std::string name;
    MetricType type = MetricType::unknown;
    std::string help;
    std::string unit;
  };
  struct Stats {
    std::size_t metrics = 0;
    std::size_t bytes = 0;
    std::uint64_t refused = 0;
  };

  // Bounds that tests lower.
  explicit MetadataStore(std::size_t metrics = limits::metadata_metrics,
                         std::size_t bytes = limits::metadata_bytes)
      : metrics_(metrics), bytes_(bytes) {}

  // What is not said stays as it was. False: there was no room.
  bool add(const Metadata& said);
  // In the order of their names; at most `most` of them.
  [[nodiscard]] std::vector<Known> all(std::size_t most = SIZE_MAX) const;
  // Nothing, or the one of this name.
  [[nodiscard]] std::vector<Known> of(std::string_view name) const;
  [[nodiscard]] Stats stats() const;

 private:
  struct Texts {
    MetricType type = MetricType::unknown;
    std::string help;
    std::string unit;
  };
  const std::size_t metrics_;
  const std::size_t bytes_;
  mutable std::mutex mutex_;  // guards what is below
  std::map<std::string, Texts, std::less<>> known_;
  std::size_t held_ = 0;  // bytes of names and texts
  std::uint64_t refused_ = 0;
};

}  // namespace tallymill::collector
