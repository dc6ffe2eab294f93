// What the front says of jobs that do not go well: why an attempt was lost, how one ended.
#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/log.h"
#include "front/front.h"

namespace tallymill::front {

// The trace is in the ledger alone: it is read, and the line written, behind the loop. The reader
// that has too much to do leaves lines out.
void Front::say_of(JobId job, std::string message) {
  if (!log::is_on(log::Level::info) || !job_lines_.take(clock_.now())) return;
  message += job_lines_.told();
  (void)body_reads_->put([this, job, message = std::move(message)]() -> bus::Errands::Answer {
    const auto trace = body_reader_->trace(job);
    log::info(message, {.job = std::to_string(job.raw()),
                        .trace = trace ? log::trace_id(*trace) : std::string_view{}});
    return [] {};
  });
}

void Front::say(const Settle& settle) {
  if (settle.state == EndState::done) return;
  const std::string why =
      settle.error ? fmt::format(": {}: {}", info(settle.error->code).name, settle.error->message)
                   : "";
  say_of(settle.job,
         fmt::format("{} at attempt {}{}", name_of(settle.state), settle.attempts, why));
}

void Front::say(const Remark& remark) {
  if (remark.what == Note::What::charged)
    say_of(remark.job,
           fmt::format("an attempt was lost with its worker, {} so far", remark.charges));
  if (remark.what == Note::What::retry_at)
    say_of(remark.job, fmt::format("attempt {} failed; it is tried again", remark.failures));
}

}  // namespace tallymill::front
