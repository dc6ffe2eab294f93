#include "front/ledger.h"

namespace tallymill::front {

std::string_view name_of(EndState state) {
  constexpr std::string_view names[end_states] = {"done", "failed", "cancelled", "expired"};
  return names[static_cast<int>(state)];
}

std::string_view name_of(JobsSort sort) {
  constexpr std::string_view names[] = {"newest", "oldest", "ended", "slowest"};
  return names[static_cast<int>(sort)];
}

std::optional<JobsSort> sort_named(std::string_view name) {
  for (const JobsSort sort :
       {JobsSort::newest, JobsSort::oldest, JobsSort::ended, JobsSort::slowest})
    if (name == name_of(sort)) return sort;
  return std::nullopt;
}

std::int64_t seq_of(const Entry& entry) {
  if (const auto* job = std::get_if<NewJob>(&entry)) return job->id.raw();
  if (const auto* end = std::get_if<JobEnd>(&entry)) return end->seq;
  return std::get<Note>(entry).seq;
}

}  // namespace tallymill::front
