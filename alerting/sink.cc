#include "alerting/sink.h"

namespace tallymill::alerting {

std::string_view word_of(const Alert& alert) {
  if (is_over(alert)) return "resolved";
  switch (alert.state) {
    case AlertState::inactive:
      return "inactive";
    case AlertState::pending:
      return "pending";
    case AlertState::firing:
      return "firing";
  }
  return "inactive";
}

}  // namespace tallymill::alerting
