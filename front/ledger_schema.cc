#include "front/ledger_schema.h"

#include <array>
#include <cstring>
#include <map>
#include <string>

#include "front/ledger_fates.h"

namespace tallymill::front {
namespace {

// In all versions so far, but for an index of what was not done that those before 5 had. Times are
// nanoseconds; digests are hex, separated by one space.
constexpr const char* base_tables =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE epochs(epoch INTEGER PRIMARY KEY, after_seq INTEGER NOT NULL,"
    " boot TEXT NOT NULL, opened_ns INTEGER NOT NULL);"
    "CREATE TABLE jobs(id INTEGER PRIMARY KEY, client TEXT NOT NULL, kind TEXT NOT NULL,"
    " priority INTEGER NOT NULL, submitted_ns INTEGER NOT NULL, deadline_ns INTEGER,"
    " not_before_ns INTEGER, intake_ns INTEGER NOT NULL, queued_ns INTEGER NOT NULL,"
    " parent INTEGER, key TEXT, content_hash TEXT, trace TEXT, digests TEXT, body BLOB);"
    "CREATE TABLE ends(seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, at_ns INTEGER NOT NULL, code TEXT, message TEXT, field TEXT,"
    " digests TEXT, timeline BLOB, result BLOB);"
    "CREATE TABLE notes(job INTEGER NOT NULL, seq INTEGER NOT NULL, what INTEGER NOT NULL,"
    " charges INTEGER NOT NULL, failures INTEGER NOT NULL, due_ns INTEGER, data BLOB,"
    " PRIMARY KEY(job, seq)) WITHOUT ROWID;"
    "CREATE TABLE refs(digest TEXT NOT NULL, job INTEGER NOT NULL, PRIMARY KEY(digest, job))"
    " WITHOUT ROWID;"
    "CREATE TABLE commits(head INTEGER PRIMARY KEY, accepted INTEGER NOT NULL,"
    " done INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,"
    " expired INTEGER NOT NULL, keys INTEGER NOT NULL, result_bytes INTEGER NOT NULL, ends BLOB,"
    " wholes BLOB);"
    "CREATE TABLE retired(done INTEGER NOT NULL, failed INTEGER NOT NULL,"
    " cancelled INTEGER NOT NULL, expired INTEGER NOT NULL, keys INTEGER NOT NULL,"
    " result_bytes INTEGER NOT NULL, through_seq INTEGER NOT NULL,"
    " results_through_seq INTEGER NOT NULL);"
    "INSERT INTO retired VALUES(0, 0, 0, 0, 0, 0, 0, 0);"
    "INSERT INTO meta VALUES('ledger_id', lower(hex(randomblob(16))));";

// Version 1 found ends by an index on their job (tests/front/ledger_v1.sql); version 2 found them
// by the job's slot, and counted a row's live slots (tests/front/ledger_v2.sql). Until version 5 a
// slot was its number alone (tests/front/ledger_v4.sql).
constexpr const char* v5_fates =
    "CREATE TABLE fates(block INTEGER PRIMARY KEY, live INTEGER NOT NULL,"
    " latest_ns INTEGER NOT NULL, slots BLOB NOT NULL);"
    "CREATE INDEX fates_live ON fates(block) WHERE live > 0;";

// Versions 1 and 2 kept every key in a table of its own, with an index by job.
constexpr const char* v3_keys =
    "CREATE UNIQUE INDEX jobs_key ON jobs(client, key) WHERE key IS NOT NULL;"
    "CREATE TABLE retired_keys(client TEXT NOT NULL, key TEXT NOT NULL, job INTEGER NOT NULL,"
    " content_hash TEXT NOT NULL, at_ns INTEGER NOT NULL, end INTEGER NOT NULL,"
    " PRIMARY KEY(client, key)) WITHOUT ROWID;"
    "CREATE INDEX retired_keys_job ON retired_keys(job);";

// Until version 4 files in the blob store were not counted among the bytes of results.
constexpr const char* v4_files = "ALTER TABLE ends ADD COLUMN file_bytes INTEGER;";

// Until version 5 how long a job took stood in its timeline only; of its ends it stays NULL.
constexpr const char* v5_took = "ALTER TABLE ends ADD COLUMN took_ns INTEGER;";

// Until version 6 a waterfall went with its job (tests/front/ledger_v5.sql).
constexpr const char* v6_kept =
    "CREATE TABLE kept(keep_seq INTEGER PRIMARY KEY, seq INTEGER NOT NULL, job INTEGER NOT NULL,"
    " weight REAL NOT NULL, client TEXT NOT NULL, kind TEXT NOT NULL, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, submitted_ns INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " intake_ns INTEGER NOT NULL, queued_ns INTEGER NOT NULL, took_ns INTEGER NOT NULL,"
    " whole_ns INTEGER, code TEXT, message TEXT, field TEXT, earlier BLOB, timeline BLOB);"
    "ALTER TABLE retired ADD COLUMN kept_through INTEGER NOT NULL DEFAULT 0;";

// All of `jobs` by rising id, with their ends: one row of slots after the other.
Status fill_fates(store::Sqlite& db) {
  auto jobs = db.prepare(
      "SELECT j.id, j.client, j.kind, j.submitted_ns, coalesce(e.seq, 0), e.state,"
      " e.at_ns - j.submitted_ns FROM jobs j LEFT JOIN ends e ON e.job = j.id ORDER BY j.id");
  auto fates = Fates::prepare(db);
  if (!jobs) return std::unexpected(std::move(jobs).error());
  if (!fates) return std::unexpected(std::move(fates).error());
  int in_memory = 0;
  while (jobs->step()) {
    const JobId job(jobs->integer(0));
    const std::int64_t end_seq = jobs->integer(4);
    std::uint32_t tag = client_tag(jobs->text(1));
    bool made = fates->append(job, tag, jobs->text(2), wall_from_ns(jobs->integer(3))) ==
                Fates::Change::made;
    if (made && end_seq > 0)
      made = fates->settle(job, end_seq, static_cast<EndState>(jobs->integer(5)),
                           Duration(jobs->integer(6)), tag) == Fates::Change::made;
    if (!made || (++in_memory % 100'000 == 0 && !fates->flush()))
      return std::unexpected(db.error("fill fates"));
  }
  if (!jobs->ok() || !fates->flush()) return std::unexpected(db.error("fill fates"));
  return {};
}

// Version 1 has the index that finds the ends of jobs; later ones get it while it is needed.
Status make_fates(store::Sqlite& db, std::int64_t found) {
  const Status ready = db.exec(
      found == 1 ? std::string(v5_fates)
                 : std::string("DROP TABLE fates; CREATE INDEX ends_job ON ends(job);") + v5_fates);
  if (!ready) return ready;
  if (auto filled = fill_fates(db); !filled) return filled;
  return db.exec("DROP INDEX ends_job; DROP INDEX ends_not_done");
}

Status move_keys(store::Sqlite& db) {
  if (auto made = db.exec(v3_keys); !made) return made;
  return db.exec(
      "INSERT INTO retired_keys SELECT client, key, job, content_hash, at_ns, end FROM keys"
      " WHERE end IS NOT NULL;"
      "DROP TABLE keys");
}

Status bring_to_v5(store::Sqlite& db, std::int64_t found) {
  std::string tables;
  if (found == 0) tables = std::string(base_tables) + v5_fates + v3_keys;
  if (found < 4) tables += v4_files;
  if (auto made = db.exec(tables + v5_took); !made) return made;
  if (found == 1 || found == 2) {
    if (auto moved = move_keys(db); !moved) return moved;
  }
  return found == 0 ? Status{} : make_fates(db, found);
}

Status bring_up(store::Sqlite& db, std::int64_t found) {
  if (found < 5) {
    if (auto made = bring_to_v5(db, found); !made) return made;
  }
  if (auto made = db.exec(v6_kept); !made) return made;
  return db.exec("PRAGMA user_version = " + std::to_string(ledger_schema_version) +
                 "; PRAGMA application_id = " + std::to_string(ledger_application_id));
}

}  // namespace

Status prepare_schema(store::Sqlite& db) {
  auto found = db.number("PRAGMA user_version");
  if (!found) return std::unexpected(std::move(found).error());
  if (*found == ledger_schema_version) return {};
  if (*found > ledger_schema_version)
    return fail(Errc::version, "the ledger has schema version " + std::to_string(*found) +
                                   ", this program knows up to " +
                                   std::to_string(ledger_schema_version) +
                                   ": start the newer program");
  auto tables = db.number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return std::unexpected(std::move(tables).error());
  if (*found == 0 && *tables != 0)
    return fail(Errc::corrupt, "a database with other tables, not a ledger");
  if (auto begun = db.exec("BEGIN IMMEDIATE"); !begun) return begun;
  if (auto done = bring_up(db, *found); !done) {
    (void)db.exec("ROLLBACK");
    return done;
  }
  return db.exec("COMMIT");
}

}  // namespace tallymill::front
