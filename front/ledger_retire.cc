#include "front/ledger_retire.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "front/ledger_rows.h"

namespace tallymill::front {

using store::Statement;

Result<Retirement> Retirement::prepare(store::Sqlite& db) {
  Retirement r;
  r.db_ = &db;
  auto prepared = db.prepare_all({
      {r.begin_, "BEGIN IMMEDIATE"},
      {r.commit_, "COMMIT"},
      {r.load_,
       "SELECT done, failed, cancelled, expired, keys, result_bytes, through_seq,"
       " results_through_seq, kept_through FROM retired"},
      {r.store_,
       "UPDATE retired SET done = ?1, failed = ?2, cancelled = ?3, expired = ?4, keys = ?5,"
       " result_bytes = ?6, through_seq = ?7, results_through_seq = ?8, kept_through = ?9"},
      {r.ends_,
       "SELECT seq, job, state, at_ns, coalesce(length(result), 0) + coalesce(file_bytes, 0),"
       " digests FROM ends WHERE seq > ?1 ORDER BY seq LIMIT ?2"},
      {r.job_, "SELECT digests, submitted_ns, key IS NOT NULL FROM jobs WHERE id = ?1"},
      {r.remove_job_, "DELETE FROM jobs WHERE id = ?1"},
      {r.remove_end_, "DELETE FROM ends WHERE seq = ?1"},
      {r.remove_notes_, "DELETE FROM notes WHERE job = ?1"},
      {r.remove_ref_, "DELETE FROM refs WHERE digest = ?1 AND job = ?2"},
      {r.keep_key_,
       "INSERT INTO retired_keys(client, key, job, content_hash, at_ns, end)"
       " SELECT client, key, id, content_hash, submitted_ns, ?2 FROM jobs WHERE id = ?1"},
      {r.keys_, "SELECT job, at_ns FROM retired_keys ORDER BY job LIMIT ?1"},
      {r.remove_keys_, "DELETE FROM retired_keys WHERE job <= ?1"},
      {r.drop_result_,
       "UPDATE ends SET result = NULL, digests = NULL, file_bytes = NULL WHERE seq = ?1"},
      {r.remove_commits_,
       "DELETE FROM commits WHERE head IN (SELECT head FROM commits WHERE head <= ?1 AND"
       " head < ?2 ORDER BY head LIMIT ?3)"},
      {r.kept_, "SELECT keep_seq, at_ns FROM kept WHERE keep_seq > ?1 ORDER BY keep_seq LIMIT ?2"},
      {r.remove_kept_, "DELETE FROM kept WHERE keep_seq <= ?1"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  if (auto loaded = r.load(); !loaded) return std::unexpected(std::move(loaded).error());
  auto keeps = db.number("SELECT EXISTS(SELECT 1 FROM retired_keys)");
  if (!keeps) return std::unexpected(std::move(keeps).error());
  r.keeps_keys_ = *keeps != 0;
  return r;
}

Result<bool> Retirement::piece(const RetainPolicy& policy, WallTime now, const Held& held,
                               Fates& fates) {
  if (!begin_.run()) return failed();
  const Gone before = gone_;
  auto ends = remove_ends(policy, now, held, fates);
  auto results = ends ? drop_results(policy, held) : std::unexpected(ends.error());
  auto kept = results ? remove_kept(policy, now, held) : std::unexpected(results.error());
  Status swept;
  if (kept) swept = sweep_keys(policy, now);
  // With nothing to remove, the transaction writes nothing and costs no sync.
  const bool counted = gone_ == before || store_gone();
  const bool stored = kept && swept && fates.flush() && counted && commit_.run();
  if (stored) return *ends || *results || *kept;
  gone_ = before;
  if (!kept) return std::unexpected(std::move(kept).error());
  if (!swept) return std::unexpected(std::move(swept).error());
  return failed();
}

Status Retirement::load() {
  if (!load_.step())
    return fail(Errc::corrupt, "the ledger's table `retired` has no row: ledger check");
  for (int i = 0; i < end_states; ++i) gone_.ended[i] = load_.integer(i);
  gone_.keys = load_.integer(4);
  gone_.result_bytes = load_.integer(5);
  gone_.through_seq = load_.integer(6);
  gone_.results_through_seq = load_.integer(7);
  gone_.kept_through = load_.integer(8);
  load_.reset();
  return {};
}

Status Retirement::store_gone() {
  for (int i = 0; i < end_states; ++i) store_.bind(1 + i, gone_.ended[i]);
  store_.bind(5, gone_.keys);
  store_.bind(6, gone_.result_bytes);
  store_.bind(7, gone_.through_seq);
  store_.bind(8, gone_.results_through_seq);
  store_.bind(9, gone_.kept_through);
  if (!store_.run()) return failed();
  return {};
}

template <class Stays>
Result<std::vector<Retirement::OldEnd>> Retirement::read_ends(std::int64_t after_seq,
                                                              const Stays& stays) {
  std::vector<OldEnd> old;
  ends_.bind(1, after_seq);
  ends_.bind(2, limits::retire_piece);
  while (ends_.step()) {
    OldEnd end{ends_.integer(0),
               JobId(ends_.integer(1)),
               static_cast<EndState>(ends_.integer(2)),
               wall_from_ns(ends_.integer(3)),
               ends_.integer(4),
               std::string(ends_.text(5))};
    if (stays(end)) {
      ends_.reset();
      return old;
    }
    old.push_back(std::move(end));
  }
  if (!ends_.ok()) return failed();
  return old;
}

Result<bool> Retirement::remove_ends(const RetainPolicy& policy, WallTime now, const Held& held,
                                     Fates& fates) {
  std::int64_t kept = 0;
  for (int i = 0; i < end_states; ++i) kept += held.totals.ended[i] - gone_.ended[i];
  auto old = read_ends(gone_.through_seq, [&](const OldEnd& end) {
    if (kept <= policy.jobs && now - end.at <= policy.age) return true;
    --kept;
    return false;
  });
  if (!old) return std::unexpected(std::move(old).error());
  for (const OldEnd& end : *old) {
    if (fates.retire(end.job) != Fates::Change::made)
      return fail(Errc::corrupt,
                  "job " + std::to_string(end.job.raw()) + " has an end and no slot: ledger check");
    if (auto removed = remove_job(end, policy, now); !removed)
      return std::unexpected(std::move(removed).error());
    ++gone_.ended[static_cast<int>(end.state)];
    gone_.through_seq = end.seq;
    if (end.seq > gone_.results_through_seq) {
      gone_.results_through_seq = end.seq;
      gone_.result_bytes += end.result_bytes;
    }
  }
  // Their rows told which ends they held; the newest stays, for it holds the totals.
  remove_commits_.bind(1, gone_.through_seq);
  remove_commits_.bind(2, held.head);
  remove_commits_.bind(3, limits::retire_piece);
  if (!remove_commits_.run()) return failed();
  return old->size() == static_cast<std::size_t>(limits::retire_piece);
}

Status Retirement::remove_job(const OldEnd& end, const RetainPolicy& policy, WallTime now) {
  job_.bind(1, end.job.raw());
  if (job_.step()) {
    const std::string digests(job_.text(0));
    const bool old = now - wall_from_ns(job_.integer(1)) > policy.key_age;
    const bool keyed = job_.integer(2) != 0;
    job_.reset();
    if (auto removed = remove_refs(digests, end.job, {}); !removed) return removed;
    if (keyed && old) ++gone_.keys;
    if (keyed && !old) {
      if (auto kept = keep_key(end); !kept) return kept;
    }
  }
  if (auto removed = remove_refs(end.digests, end.job, {}); !removed) return removed;
  remove_job_.bind(1, end.job.raw());
  remove_notes_.bind(1, end.job.raw());
  remove_end_.bind(1, end.seq);
  if (!remove_job_.run() || !remove_notes_.run() || !remove_end_.run()) return failed();
  return {};
}

// A key lives as long as its job and at least `key_age`; once its job is gone it says how it ended.
Status Retirement::keep_key(const OldEnd& end) {
  keep_key_.bind(1, end.job.raw());
  keep_key_.bind(2, static_cast<int>(end.state));
  if (!keep_key_.run()) return failed();
  keeps_keys_ = true;
  return {};
}

Result<bool> Retirement::drop_results(const RetainPolicy& policy, const Held& held) {
  std::int64_t left = held.result_bytes - gone_.result_bytes;
  if (left <= policy.result_bytes) return false;
  auto old = read_ends(gone_.results_through_seq, [&](const OldEnd& end) {
    if (left <= policy.result_bytes) return true;
    left -= end.result_bytes;
    return false;
  });
  if (!old) return std::unexpected(std::move(old).error());
  for (const OldEnd& end : *old) {
    job_.bind(1, end.job.raw());
    const std::string inputs(job_.step() ? job_.text(0) : std::string_view());
    job_.reset();
    if (auto removed = remove_refs(end.digests, end.job, inputs); !removed)
      return std::unexpected(std::move(removed).error());
    drop_result_.bind(1, end.seq);
    if (!drop_result_.run()) return failed();
    gone_.result_bytes += end.result_bytes;
    gone_.results_through_seq = end.seq;
  }
  return left > policy.result_bytes && !old->empty();
}

Result<bool> Retirement::remove_kept(const RetainPolicy& policy, WallTime now, const Held& held) {
  std::int64_t left = held.keep_seq - gone_.kept_through;
  kept_.bind(1, gone_.kept_through);
  kept_.bind(2, limits::retire_piece);
  std::int64_t through = 0;
  int removed = 0;
  while (kept_.step()) {
    if (left <= policy.waterfalls && now - wall_from_ns(kept_.integer(1)) <= policy.waterfall_age) {
      kept_.reset();
      break;
    }
    through = kept_.integer(0);
    --left;
    ++removed;
  }
  if (!kept_.ok()) return failed();
  if (removed == 0) return false;
  remove_kept_.bind(1, through);
  if (!remove_kept_.run()) return failed();
  gone_.kept_through = through;
  return removed == limits::retire_piece;
}

// One piece, oldest first. A job that was submitted later but retired earlier keeps the younger
// ones behind it waiting: a key may stay longer than it must, never shorter.
Status Retirement::sweep_keys(const RetainPolicy& policy, WallTime now) {
  if (!keeps_keys_) return {};
  keys_.bind(1, limits::retire_piece);
  std::int64_t old = 0;
  std::int64_t through = 0;
  while (keys_.step()) {
    if (now - wall_from_ns(keys_.integer(1)) <= policy.key_age) {
      keys_.reset();
      break;
    }
    through = keys_.integer(0);
    ++old;
  }
  if (!keys_.ok()) return failed();
  if (old == 0) return {};
  remove_keys_.bind(1, through);
  if (!remove_keys_.run()) return failed();
  gone_.keys += old;
  return {};
}

// Of the digests in the column, all but those that `but` holds too.
Status Retirement::remove_refs(std::string_view digests, JobId job, std::string_view but) {
  for (const std::string& digest : split_digests(digests)) {
    if (but.find(digest) != std::string_view::npos) continue;
    remove_ref_.bind_text(1, digest);
    remove_ref_.bind(2, job.raw());
    if (!remove_ref_.run()) return failed();
  }
  return {};
}

std::unexpected<Error> Retirement::failed() const {
  return std::unexpected(db_->error("ledger: retire"));
}

}  // namespace tallymill::front
