#include "alerting/alert.h"

#include <utility>

namespace tallymill::alerting {

std::string_view name_of(AlertState state) {
  switch (state) {
    case AlertState::inactive:
      return "inactive";
    case AlertState::pending:
      return "pending";
    case AlertState::firing:
      return "firing";
  }
  std::unreachable();
}

}  // namespace tallymill::alerting
