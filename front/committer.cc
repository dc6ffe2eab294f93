#include "front/committer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "front/ledger_files.h"
#include "front/mutant.h"
#include "store/blobs.h"

namespace tallymill::front {
namespace {

// What an entry adds to the log, about.
std::size_t bytes_of(const Entry& entry) {
  if (const auto* job = std::get_if<NewJob>(&entry)) return 100 + job->body.size();
  if (const auto* end = std::get_if<JobEnd>(&entry))
    return 60 + end->result.size() + end->timeline.size() + end->message.size();
  return 40 + std::get<Note>(entry).data.size();
}

}  // namespace

Committer::Committer(std::unique_ptr<Ledger> ledger, store::Blobs* blobs, const Clock& clock,
                     CommitterOptions options)
    : ledger_(std::move(ledger)),
      blobs_(blobs),
      clock_(clock),
      options_(std::move(options)),
      box_(static_cast<std::size_t>(limits::commit_queue)),
      reports_(static_cast<std::size_t>(limits::commit_queue)),
      free_bytes_(front::free_bytes(options_.folder).raw()),
      keys_(ledger_->keys()),
      waterfalls_(ledger_->waterfalls()),
      upkeep_at_(clock.now() + options_.idle),
      thread_([this] { run(); }) {}

Committer::~Committer() { stop(); }

bool Committer::put(CommitBatch&& batch) {
  const auto size = static_cast<std::int64_t>(batch.entries.size());
  if (failed_ || queued_ + size > limits::commit_queue) return false;
  queued_ += size;
  if (box_.put(std::move(batch))) return true;
  queued_ -= size;
  return false;
}

void Committer::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  box_.nudge();
  thread_.join();
}

void Committer::run() {
  name_thread("committer");
  while (!failed_) {
    const bool stopping = stopping_;
    const bool work = gather(!stopping);
    if (work && !commit_next()) {
      if (failed_) return;
      // Full: whoever waits for a job's `accepted` is told at once, whoever has ended is kept.
      refuse_jobs();
      if (stopping) return;
    }
    if (!work && stopping) return;
    if (!upkeep()) return;
  }
}

// Adds what came in to what is left. True: there is something to commit.
bool Committer::gather(bool wait) {
  const std::size_t left = pending_.size() - next_;
  if (left >= static_cast<std::size_t>(options_.entries)) return true;
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(next_));
  next_ = 0;
  if (!wait) wholes_alone_ = true;
  if (disk_full_) {
    box_.wait_for(taken_, options_.disk_retry);
  } else if (left == 0 && wait && !retire_more_) {
    box_.wait_for(taken_, options_.idle);
  } else {
    box_.take(taken_);
  }
  for (CommitBatch& batch : taken_) {
    if (batch.entries.empty()) wholes_alone_ = true;
    if (pending_.empty()) {
      pending_.swap(batch.entries);
    } else {
      pending_.insert(pending_.end(), std::make_move_iterator(batch.entries.begin()),
                      std::make_move_iterator(batch.entries.end()));
    }
    wholes_.insert(wholes_.end(), batch.wholes.begin(), batch.wholes.end());
  }
  taken_.clear();
  return !pending_.empty() || (wholes_alone_ && !wholes_.empty());
}

std::size_t Committer::slice_size() const {
  std::size_t bytes = 0;
  const std::size_t end =
      std::min(pending_.size(), next_ + static_cast<std::size_t>(options_.entries));
  for (std::size_t i = next_; i < end; ++i) {
    bytes += bytes_of(pending_[i]);
    // A single one above the bound goes alone.
    if (bytes > static_cast<std::size_t>(options_.bytes.raw()) && i > next_) return i - next_;
  }
  return end - next_;
}

// One commit. False: it was not possible; failed_ tells whether it ever will be.
bool Committer::commit_next() {
  const std::span<Entry> slice(pending_.data() + next_, slice_size());
  if constexpr (plants(Mutant::ack_before_commit)) {
    CommitDone early;
    for (const Entry& entry : slice) early.entries.push_back({entry, {}});
    report(std::move(early));
  }
  auto outcomes = ledger_->commit(slice, wholes_);
  wholes_alone_ = false;
  if (!outcomes) {
    if (slice.empty()) wholes_.clear();  // not worth waiting for room
    disk_full_ = outcomes.error().code == Errc::disk;
    if (!disk_full_) fail_with(std::move(outcomes).error());
    return false;
  }
  TM_CHECK(outcomes->size() == slice.size());
  disk_full_ = false;
  wholes_.clear();
  ++commits_;
  keys_ = ledger_->keys();
  waterfalls_ = ledger_->waterfalls();
  if (slice.empty()) return true;
  CommitDone done;
  done.entries.reserve(slice.size());
  for (std::size_t i = 0; i < slice.size(); ++i)
    done.entries.push_back({std::move(slice[i]), std::move((*outcomes)[i])});
  next_ += slice.size();
  if constexpr (!plants(Mutant::ack_before_commit)) report(std::move(done));
  return true;
}

void Committer::refuse_jobs() {
  CommitDone refused;
  std::vector<Entry> kept;
  for (std::size_t i = next_; i < pending_.size(); ++i) {
    if (const auto* job = std::get_if<NewJob>(&pending_[i])) {
      Outcome outcome;
      outcome.what = Outcome::What::disk_full;
      outcome.job = job->id;
      refused.entries.push_back({std::move(pending_[i]), std::move(outcome)});
    } else {
      kept.push_back(std::move(pending_[i]));
    }
  }
  pending_ = std::move(kept);
  next_ = 0;
  if (!refused.entries.empty()) {
    // What is left may well fit now: tried at once.
    disk_full_ = pending_.empty();
    report(std::move(refused));
  }
}

void Committer::report(CommitDone done) {
  // First: who has taken the report no longer finds its entries in queued().
  queued_ -= static_cast<std::int64_t>(done.entries.size());
  TM_CHECK(reports_.put(std::move(done)));
}

void Committer::fail_with(Error error) {
  failed_ = true;
  TM_CHECK(reports_.put(CommitFailed{std::move(error)}));
}

// A piece of retention after every commit while there is more of it, so that it keeps up with
// what ends; else everything once per `idle`. False: the ledger failed.
bool Committer::upkeep() {
  const Instant now = clock_.now();
  const bool due = now >= upkeep_at_;
  if (!due && !retire_more_) return true;
  auto more = ledger_->retire(options_.retain, clock_.wall());
  if (!more && more.error().code != Errc::disk) {
    fail_with(std::move(more).error());
    return false;
  }
  retire_more_ = more && *more;
  keys_ = ledger_->keys();
  waterfalls_ = ledger_->waterfalls();
  if (!due) return true;
  upkeep_at_ = now + options_.idle;
  free_bytes_ = front::free_bytes(options_.folder).raw();
  release_memory();
  return next_ < pending_.size() || collect_blobs();
}

void Committer::release_memory() {
  // At each upkeep, for retirement reads and removes also while nothing is committed.
  const std::int64_t before = std::exchange(upkeep_commits_, commits_);
  if (before == upkeep_commits_ && !retire_more_) ledger_->release_memory();
}

bool Committer::collect_blobs() {
  if (!blobs_) return true;
  std::optional<Error> broken;
  // A blob is put before the commit that refers to it: until then its age protects it.
  const Duration age =
      plants(Mutant::blob_before_commit) ? -Duration(std::chrono::hours(1)) : options_.blob_age;
  auto removed = blobs_->collect(age, clock_.wall(), limits::collect_piece,
                                 [&](std::span<const std::string> digests) {
                                   auto garbage = ledger_->unreferenced(digests);
                                   if (!garbage) broken = garbage.error();
                                   return garbage;
                                 });
  const bool unread = !removed && !broken;
  if (unread && collected_) log::warn("not all blobs are collected: " + removed.error().message);
  collected_ = !unread;
  if (!broken || broken->code == Errc::disk) return true;
  fail_with(std::move(*broken));
  return false;
}

}  // namespace tallymill::front
