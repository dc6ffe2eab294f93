#include "bench/floor/sqlite_commit.h"

#include "base/check.h"

namespace tallymill::bench {
namespace {

store::Statement prepared(store::Sqlite& db, const char* sql) {
  auto statement = db.prepare(sql);
  TM_CHECK(statement);
  return std::move(*statement);
}

}  // namespace

SqliteFloor::SqliteFloor(const std::filesystem::path& file, bool own_wal_policy) {
  auto db = store::Sqlite::open(file, store::Sqlite::Mode::create);
  TM_CHECK(db);
  db_ = std::move(*db);
  TM_CHECK(
      db_.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
               "PRAGMA secure_delete = OFF; PRAGMA cache_size = -65536"));
  if (!own_wal_policy) TM_CHECK(db_.exec("PRAGMA wal_autocheckpoint = 0"));
  TM_CHECK(
      db_.exec("CREATE TABLE jobs(id INTEGER PRIMARY KEY, row BLOB);"
               "CREATE TABLE ends(job INTEGER PRIMARY KEY, row BLOB)"));
  begin_ = prepared(db_, "BEGIN IMMEDIATE");
  commit_ = prepared(db_, "COMMIT");
  append_ = prepared(db_, "INSERT INTO jobs VALUES(?1, ?2)");
  settle_ = prepared(db_, "INSERT INTO ends VALUES(?1, ?2)");
}

void SqliteFloor::begin() { TM_CHECK(begin_.run()); }

void SqliteFloor::append(std::int64_t id, std::string_view row) {
  append_.bind(1, id);
  append_.bind_blob(2, row);
  TM_CHECK(append_.run());
}

void SqliteFloor::settle(std::int64_t id, std::string_view row) {
  settle_.bind(1, id);
  settle_.bind_blob(2, row);
  TM_CHECK(settle_.run());
}

void SqliteFloor::commit() { TM_CHECK(commit_.run()); }

void SqliteFloor::checkpoint() { TM_CHECK(db_.exec("PRAGMA wal_checkpoint(RESTART)")); }

}  // namespace tallymill::bench
