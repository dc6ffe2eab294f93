#include "tests/sim/store.h"

#include <algorithm>

#include "front/mutant.h"

namespace tallymill::sim {

using front::Mutant;
using front::Outcome;
using front::plants;

namespace {

constexpr std::size_t commit_entries = 2000;
constexpr Duration blob_age = 60s;  // longer than any fault

}  // namespace

front::Opened Store::open(Done done) {
  done_ = std::move(done);
  open_ = true;
  paused_ = false;
  ++life_;
  if (!plants(Mutant::epoch_not_raised) || epoch_ == 0) ++epoch_;
  return {"sim", epoch_, head_, totals_, false};
}

void Store::crash() {
  // The commit that ran may have reached the disk, and nobody heard of it.
  if (!running_.empty() && events_.chance(500))
    for (const Op& op : running_) (void)apply(op);
  running_.clear();
  queue_.clear();
  open_ = false;
  finish_due_ = false;
  ++life_;
}

const Row* Store::row(JobId job) const {
  const auto found = rows_.find(job.raw());
  return found == rows_.end() ? nullptr : &found->second;
}

void Store::queue(Op op) {
  queue_.push_back(std::move(op));
  if (running_.empty()) start_commit();
}

void Store::pause(bool paused) {
  paused_ = paused;
  if (!paused && finish_due_) finish_commit();
}

void Store::start_commit() {
  if (queue_.empty() || !open_) return;
  while (!queue_.empty() && running_.size() < commit_entries) {
    running_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  Duration takes = events_.between(80us, 400us);
  if (faults_.disk_slow && events_.chance(100)) takes += events_.between(5ms, 200ms);
  events_.after(takes, [this, life = life_] {
    if (life != life_) return;
    if (paused_)
      finish_due_ = true;
    else
      finish_commit();
  });
}

void Store::finish_commit() {
  finish_due_ = false;
  std::vector<Op> ended;
  ended.swap(running_);
  std::vector<std::optional<Outcome>> outcomes;
  outcomes.reserve(ended.size());
  for (const Op& op : ended) outcomes.push_back(apply(op));
  const auto life = life_;
  for (std::size_t i = 0; i < ended.size() && life == life_; ++i)
    done_(ended[i], std::move(outcomes[i]));
  if (life == life_) start_commit();
}

std::optional<Outcome> Store::apply(const Op& op) {
  if (op.what == Op::What::append) {
    if (full_) return std::nullopt;
    head_ = std::max(head_, op.seq);
    return append(op);
  }
  head_ = std::max(head_, op.seq);
  const auto found = rows_.find(op.job.raw());
  if (found == rows_.end()) throw Broken{"an end or a note is of a job that the ledger has"};
  Row& row = found->second;
  if (op.what == Op::What::settle) {
    if (row.end) throw Broken{"a job has one end"};
    row.end = op.end;
    row.end_seq = op.seq;
    ++totals_.ended[static_cast<int>(op.end)];
    if (op.result) {
      row.result = op.result->content;
      row.has_output = op.result->has_output && op.end == EndState::done;
      if (row.has_output) referred_.insert(output_of(row.result));
    }
    return Outcome{};
  }
  row.charges = op.charges;
  row.failures = op.failures;
  if (op.due) row.due = op.due;
  row.cancel_requested |= op.note == front::Note::What::cancel_requested;
  row.deadline_passed |= op.note == front::Note::What::deadline_passed;
  return Outcome{};
}

Outcome Store::append(const Op& op) {
  const Request& request = op.request;
  if (!request.key.empty() && !plants(Mutant::no_idempotency)) {
    const auto known = keys_.find({request.client, request.key});
    if (known != keys_.end()) {
      const Row& row = rows_.at(known->second);
      const bool same = row.request.content == request.content;
      return {same ? Outcome::What::known : Outcome::What::conflict,
              JobId(known->second),
              same ? row.end : std::nullopt,
              {}};
    }
  }
  const std::uint64_t input = input_of(request.content);
  if (request.plan.has_input && !has(input))
    return {Outcome::What::blob_missing, JobId(0), std::nullopt, std::to_string(input)};
  if (request.plan.has_input) referred_.insert(input);
  if (!request.key.empty()) keys_[{request.client, request.key}] = op.job.raw();
  Row row;
  row.request = request;
  row.submitted = op.submitted;
  row.intake = op.intake;
  row.queued = op.queued;
  rows_.emplace(op.job.raw(), std::move(row));
  ++totals_.accepted;
  return {};
}

void Store::collect() {
  // Runs between commits, on the thread that registers references. What was put and is not referred
  // to yet is young; the mutant does not ask for its age.
  std::erase_if(blobs_, [&](const auto& blob) {
    const bool young =
        events_.now() - blob.second < blob_age && !plants(Mutant::blob_before_commit);
    return !referred_.contains(blob.first) && !young;
  });
}

}  // namespace tallymill::sim
