#include "front/ledger_kept.h"

#include <cstring>
#include <utility>

#include "base/limits.h"
#include "front/ledger_rows.h"

namespace tallymill::front {

Result<Kept> Kept::prepare(store::Sqlite& db) {
  Kept kept;
  auto prepared = db.prepare_all({
      {kept.attempts_,
       "SELECT data FROM notes WHERE job = ?1 AND data IS NOT NULL ORDER BY seq DESC"},
      {kept.insert_,
       "INSERT INTO kept(keep_seq, weight, seq, job, client, kind, state, attempts, submitted_ns,"
       " at_ns, intake_ns, queued_ns, took_ns, code, message, field, earlier, timeline)"
       " SELECT ?1, ?2, ?3, id, client, kind, ?5, ?6, submitted_ns, ?7, intake_ns, queued_ns, ?8,"
       " ?9, ?10, ?11, ?12, ?13 FROM jobs WHERE id = ?4"},
      {kept.whole_, "UPDATE kept SET whole_ns = ?2 WHERE keep_seq = ?1"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  return kept;
}

// Of the attempts before the last, the latest that there is room for.
bool Kept::store(const JobEnd& end, std::int64_t keep_seq) {
  found_.clear();
  Bytes room = limits::kept_attempts_bytes;
  attempts_.bind(1, end.job.raw());
  while (attempts_.step()) {
    room -= Bytes(static_cast<std::int64_t>(attempts_.blob(0).size()));
    if (room < Bytes(0)) {
      attempts_.reset();
      break;
    }
    found_.emplace_back(attempts_.blob(0));
  }
  if (!attempts_.ok()) return false;
  std::string earlier;
  for (auto attempt = found_.rbegin(); attempt != found_.rend(); ++attempt)
    pack_bytes(earlier, *attempt);
  insert_.bind(1, keep_seq);
  insert_.bind_real(2, end.keep_weight);
  insert_.bind(3, end.seq);
  insert_.bind(4, end.job.raw());
  insert_.bind(5, static_cast<int>(end.state));
  insert_.bind(6, end.attempts);
  insert_.bind(7, to_ns(end.at));
  insert_.bind(8, end.took.count());
  insert_.bind_text_or_null(9, end.code);
  insert_.bind_text_or_null(10, end.message);
  insert_.bind_text_or_null(11, end.field);
  insert_.bind_blob_or_null(12, earlier);
  insert_.bind_blob_or_null(13, end.timeline);
  return insert_.run();
}

bool Kept::add(std::span<const Whole> wholes) {
  for (const Whole& whole : wholes) {
    if (whole.keep_seq == 0) continue;
    whole_.bind(1, whole.keep_seq);
    whole_.bind(2, whole.whole.count());
    if (!whole_.run()) return false;
  }
  return true;
}

Result<Waterfall> read_kept(const store::Statement& row) {
  Waterfall kept;
  kept.keep_seq = row.integer(0);
  kept.weight = row.real(1);
  JobEnd end;
  end.seq = row.integer(2);
  end.job = JobId(row.integer(3));
  end.state = static_cast<EndState>(row.integer(6));
  end.attempts = static_cast<std::int32_t>(row.integer(7));
  end.at = wall_from_ns(row.integer(9));
  end.took = Duration(row.integer(12));
  end.code = row.text(14);
  end.message = row.text(15);
  end.field = row.text(16);
  JobRow& job = kept.of.job;
  job.id = end.job;
  job.client = row.text(4);
  job.kind = row.text(5);
  job.submitted = wall_from_ns(row.integer(8));
  job.end = std::move(end);
  kept.of.intake = instant_from_ns(row.integer(10));
  kept.of.queued = instant_from_ns(row.integer(11));
  if (!row.is_null(13)) kept.of.whole = Duration(row.integer(13));
  if (!each_packed_bytes(row.blob(17), [&](std::string_view attempt) {
        kept.of.failed_attempts.emplace_back(attempt);
      }))
    return fail(Errc::corrupt, "the attempts of a kept waterfall are cut short");
  kept.of.timeline = row.blob(18);
  return kept;
}

}  // namespace tallymill::front
