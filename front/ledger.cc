#include "front/ledger.h"

namespace tallymill::front {

std::string_view name_of(EndState state) {
  constexpr std::string_view names[end_states] = {"done", "failed", "cancelled", "expired"};
  return names[static_cast<int>(state)];
}

std::int64_t seq_of(const Entry& entry) {
  if (const auto* job = std::get_if<NewJob>(&entry)) return job->id.raw();
  if (const auto* end = std::get_if<JobEnd>(&entry)) return end->seq;
  return std::get<Note>(entry).seq;
}

}  // namespace tallymill::front
