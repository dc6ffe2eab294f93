// Rules: what the API tells of alerting, whoever does it.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string>

namespace tallymill::collector {

class RuleSource {
 public:
  enum class Kind : std::uint8_t { all, alerting, recording };
  virtual ~RuleSource() = default;
  // JSON lists, as Prometheus' /api/v1/rules has under `groups`, and /api/v1/alerts under `alerts`.
  [[nodiscard]] virtual std::string groups(Kind kind) const = 0;
  [[nodiscard]] virtual std::string alerts() const = 0;
};

}  // namespace tallymill::collector
