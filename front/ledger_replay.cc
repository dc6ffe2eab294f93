#include "front/ledger_replay.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "bus/envelope.h"
#include "front/body.h"
#include "front/ledger_fates.h"
#include "front/waiting.h"

namespace tallymill::front {
namespace {

using store::Sqlite;
using store::Statement;

constexpr std::size_t chunk_jobs = 4096;

// Of the inputs that a body names by digest. A body that cannot be read is found when it is sent.
Bytes bytes_in_blobs(std::string_view packed) {
  const auto body = packed.empty() ? Result<Body>(Body{}) : read_body(packed);
  if (!body || body->header.empty()) return Bytes(0);
  const auto submit = bus::read<bus::Submit>({bus::Verb::submit, body->header, {}, {}});
  std::int64_t bytes = 0;
  if (submit)
    for (const bus::FileRef& input : submit->inputs)
      if (!input.digest.empty())
        bytes += std::clamp<std::int64_t>(input.bytes, 0, limits::max_job_bytes.raw());
  return Bytes(bytes);
}

class Replay {
 public:
  Replay(Sqlite& db, const std::string& boot) : db_(db), boot_(boot) {}

  [[nodiscard]] Status prepare();
  [[nodiscard]] Status run(const std::function<void(std::vector<LiveJob>&&)>& found);

 private:
  [[nodiscard]] Status read_block(std::int64_t block, std::string_view slots);
  [[nodiscard]] Status read_job();
  void read_note();
  [[nodiscard]] bool is_of_this_boot(JobId job) const;

  Sqlite& db_;
  const std::string& boot_;
  std::vector<std::pair<std::int64_t, bool>> epochs_;  // ids after this; of this boot
  Statement blocks_, jobs_, notes_;
  std::vector<LiveJob> chunk_;
  std::size_t block_begin_ = 0;  // of the block at work, in chunk_
};

Status Replay::prepare() {
  auto epochs = db_.prepare("SELECT after_seq, boot FROM epochs ORDER BY epoch");
  auto blocks = db_.prepare("SELECT block, slots FROM fates WHERE live > 0 ORDER BY block");
  auto jobs = db_.prepare(
      "SELECT id, client, kind, priority, length(body), deadline_ns, not_before_ns, intake_ns,"
      " queued_ns, submitted_ns, CASE WHEN digests IS NOT NULL THEN body END FROM jobs WHERE id >= "
      "?1 AND id <= ?2 ORDER BY id");
  auto notes = db_.prepare(
      "SELECT job, what, charges, failures, due_ns FROM notes WHERE job >= ?1 AND job <= ?2"
      " ORDER BY job, seq");
  if (!epochs) return std::unexpected(std::move(epochs).error());
  if (!blocks) return std::unexpected(std::move(blocks).error());
  if (!jobs) return std::unexpected(std::move(jobs).error());
  if (!notes) return std::unexpected(std::move(notes).error());
  while (epochs->step()) epochs_.emplace_back(epochs->integer(0), epochs->text(1) == boot_);
  if (!epochs->ok()) return std::unexpected(db_.error("replay: epochs"));
  blocks_ = std::move(*blocks);
  jobs_ = std::move(*jobs);
  notes_ = std::move(*notes);
  return {};
}

Status Replay::run(const std::function<void(std::vector<LiveJob>&&)>& found) {
  while (blocks_.step()) {
    auto read = read_block(blocks_.integer(0), blocks_.blob(1));
    if (!read) return read;
    if (chunk_.size() >= chunk_jobs) {
      found(std::move(chunk_));
      chunk_ = {};
      chunk_.reserve(chunk_jobs + Fates::per_row);
    }
  }
  if (!blocks_.ok()) return std::unexpected(db_.error("replay: fates"));
  if (!chunk_.empty()) found(std::move(chunk_));
  return {};
}

Status Replay::read_block(std::int64_t block, std::string_view slots) {
  if (slots.size() != Fates::row_bytes)
    return fail(Errc::corrupt, "fates row " + std::to_string(block) + " has a wrong size");
  const std::int64_t base = block * Fates::per_row;
  int first = -1;
  int last = -1;
  int live = 0;
  for (int i = 0; i < Fates::per_row; ++i) {
    if (Fates::slot_in(slots, i) >= 0) continue;
    if (first < 0) first = i;
    last = i;
    ++live;
  }
  if (live == 0) return {};
  block_begin_ = chunk_.size();
  for (Statement* each : {&jobs_, &notes_}) {
    each->bind(1, base + first);
    each->bind(2, base + last);
  }
  while (jobs_.step())
    if (Fates::slot_in(slots, static_cast<int>(jobs_.integer(0) - base)) < 0)
      if (auto read = read_job(); !read) return read;
  if (!jobs_.ok()) return std::unexpected(db_.error("replay: jobs"));
  if (chunk_.size() - block_begin_ != static_cast<std::size_t>(live))
    return fail(Errc::corrupt, "live jobs between " + std::to_string(base + first) + " and " +
                                   std::to_string(base + last) + " have no row: ledger check");
  while (notes_.step()) read_note();
  if (!notes_.ok()) return std::unexpected(db_.error("replay: notes"));
  return {};
}

// What the machine would use as an index is not taken on trust.
Status Replay::read_job() {
  const std::int64_t priority = jobs_.integer(3);
  if (priority < 0 || priority >= priorities)
    return fail(Errc::corrupt,
                "job " + std::to_string(jobs_.integer(0)) + ": priority is " +
                    std::to_string(priority) + ", it is 0 to " + std::to_string(priorities - 1) +
                    ": ledger check",
                "priority");
  LiveJob& job = chunk_.emplace_back();
  job.id = JobId(jobs_.integer(0));
  job.client = jobs_.text(1);
  job.kind = jobs_.text(2);
  job.priority = static_cast<std::int32_t>(priority);
  job.size =
      std::min(limits::max_job_bytes, Bytes(jobs_.integer(4)) + bytes_in_blobs(jobs_.blob(10)));
  if (!jobs_.is_null(5)) job.deadline = wall_from_ns(jobs_.integer(5));
  if (!jobs_.is_null(6)) job.not_before = wall_from_ns(jobs_.integer(6));
  job.intake = instant_from_ns(jobs_.integer(7));
  job.queued = instant_from_ns(jobs_.integer(8));
  job.submitted = wall_from_ns(jobs_.integer(9));
  job.same_boot = is_of_this_boot(job.id);
  return {};
}

void Replay::read_note() {
  const JobId id(notes_.integer(0));
  const auto job =
      std::lower_bound(chunk_.begin() + static_cast<std::ptrdiff_t>(block_begin_), chunk_.end(), id,
                       [](const LiveJob& a, JobId b) { return a.id < b; });
  if (job == chunk_.end() || job->id != id) return;
  job->charges = static_cast<std::int32_t>(notes_.integer(2));
  job->failures = static_cast<std::int32_t>(notes_.integer(3));
  switch (static_cast<Note::What>(notes_.integer(1))) {
    case Note::What::retry_at:
      ++job->attempts;
      job->backoff = true;
      job->not_before = wall_from_ns(notes_.integer(4));
      break;
    case Note::What::cancel_requested:
      job->cancel_requested = true;
      break;
    case Note::What::deadline_passed:
      job->deadline_passed = true;
      break;
    case Note::What::attempt_failed:
    case Note::What::charged:
      ++job->attempts;
      break;
  }
}

// The last epoch that began before the job was appended.
bool Replay::is_of_this_boot(JobId job) const {
  const auto after =
      std::lower_bound(epochs_.begin(), epochs_.end(), job.raw(),
                       [](const auto& epoch, std::int64_t id) { return epoch.first < id; });
  return after != epochs_.begin() && std::prev(after)->second;
}

}  // namespace

Status replay_live(store::Sqlite& db, const std::string& boot,
                   const std::function<void(std::vector<LiveJob>&&)>& found) {
  Replay replay(db, boot);
  if (auto prepared = replay.prepare(); !prepared) return prepared;
  return replay.run(found);
}

}  // namespace tallymill::front
