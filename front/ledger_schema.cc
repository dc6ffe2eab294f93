#include "front/ledger_schema.h"

#include <array>
#include <cstring>
#include <map>
#include <string>

#include "front/ledger_fates.h"

namespace tallymill::front {
namespace {

// In all versions so far. Times are nanoseconds; digests are hex, separated by one space.
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
    "CREATE INDEX ends_not_done ON ends(state, job) WHERE state <> 0;"
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
// by the job's slot, and counted a row's live slots (tests/front/ledger_v2.sql).
constexpr const char* v2_fates =
    "CREATE TABLE fates(block INTEGER PRIMARY KEY, live INTEGER NOT NULL, slots BLOB NOT NULL);"
    "CREATE INDEX fates_live ON fates(block) WHERE live > 0;";

// Versions 1 and 2 kept every key in a table of its own, with an index by job.
constexpr const char* v3_keys =
    "CREATE UNIQUE INDEX jobs_key ON jobs(client, key) WHERE key IS NOT NULL;"
    "CREATE TABLE retired_keys(client TEXT NOT NULL, key TEXT NOT NULL, job INTEGER NOT NULL,"
    " content_hash TEXT NOT NULL, at_ns INTEGER NOT NULL, end INTEGER NOT NULL,"
    " PRIMARY KEY(client, key)) WITHOUT ROWID;"
    "CREATE INDEX retired_keys_job ON retired_keys(job);";

// Until version 4 files in the blob store were not counted among the bytes of results.
constexpr const char* v4_files = "ALTER TABLE ends ADD COLUMN file_bytes INTEGER";

// All of `jobs` by rising id, with the seq of their end: one row of slots after the other.
Status fill_fates(store::Sqlite& db) {
  auto jobs = db.prepare(
      "SELECT j.id, j.client, coalesce(e.seq, 0) FROM jobs j LEFT JOIN ends e ON e.job = j.id "
      "ORDER BY j.id");
  auto fates = Fates::prepare(db);
  if (!jobs) return std::unexpected(std::move(jobs).error());
  if (!fates) return std::unexpected(std::move(fates).error());
  int in_memory = 0;
  while (jobs->step()) {
    const JobId job(jobs->integer(0));
    const std::int64_t end_seq = jobs->integer(2);
    std::uint32_t tag = client_tag(jobs->text(1));
    bool made = fates->append(job, tag) == Fates::Change::made;
    if (made && end_seq > 0) made = fates->settle(job, end_seq, tag) == Fates::Change::made;
    if (!made || (++in_memory % 100'000 == 0 && !fates->flush()))
      return std::unexpected(db.error("fill fates"));
  }
  if (!jobs->ok() || !fates->flush()) return std::unexpected(db.error("fill fates"));
  return {};
}

Status to_version_2(store::Sqlite& db) {
  if (auto made = db.exec(v2_fates); !made) return made;
  if (auto filled = fill_fates(db); !filled) return filled;
  return db.exec("DROP INDEX ends_job");
}

Status to_version_3(store::Sqlite& db) {
  if (auto made = db.exec(v3_keys); !made) return made;
  return db.exec(
      "INSERT INTO retired_keys SELECT client, key, job, content_hash, at_ns, end FROM keys"
      " WHERE end IS NOT NULL;"
      "DROP TABLE keys;"
      "UPDATE fates SET live = 1 WHERE live > 1");
}

Status bring_up(store::Sqlite& db, std::int64_t found) {
  if (found == 0) {
    if (auto made = db.exec(std::string(base_tables) + v2_fates + v3_keys); !made) return made;
  }
  if (found == 1) {
    if (auto made = to_version_2(db); !made) return made;
  }
  if (found == 1 || found == 2) {
    if (auto made = to_version_3(db); !made) return made;
  }
  if (auto made = db.exec(v4_files); !made) return made;
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
