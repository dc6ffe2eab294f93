#include "store/sqlite.h"

#include <sqlite3.h>

#include "base/check.h"

namespace tallymill::store {

namespace detail {
void close_connection(sqlite3* connection) { sqlite3_close_v2(connection); }
void finalize(sqlite3_stmt* statement) { sqlite3_finalize(statement); }
}  // namespace detail

Errc errc_of_sqlite(int code) {
  // The shared memory of the WAL's index is a file too: it fails to grow on a full disk.
  if (code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMOPEN) return Errc::disk;
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return Errc::disk;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::busy;
    case SQLITE_INTERRUPT:
      return Errc::deadline;
    case SQLITE_NOMEM:
      return Errc::memory;
    case SQLITE_TOOBIG:
      return Errc::too_big;
    default:
      return Errc::corrupt;
  }
}

void Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

void Statement::bind_real(int index, double value) {
  sqlite3_bind_double(statement_.get(), index, value);
}

void Statement::bind_text(int index, std::string_view text) {
  const char* bytes = text.data() ? text.data() : "";
  sqlite3_bind_text64(statement_.get(), index, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::bind_blob(int index, std::string_view bytes) {
  const char* data = bytes.data() ? bytes.data() : "";
  sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC);
}

void Statement::bind_null(int index) { sqlite3_bind_null(statement_.get(), index); }

void Statement::bind_text_or_null(int index, std::string_view text) {
  text.empty() ? bind_null(index) : bind_text(index, text);
}

void Statement::bind_blob_or_null(int index, std::string_view bytes) {
  bytes.empty() ? bind_null(index) : bind_blob(index, bytes);
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) {
    ok_ = true;
    return true;
  }
  ok_ = code == SQLITE_DONE;
  sqlite3_reset(statement_.get());
  return false;
}

bool Statement::run() {
  while (step()) {
  }
  return ok_;
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string_view Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return text ? std::string_view(text, static_cast<std::size_t>(size)) : std::string_view();
}

std::string_view Statement::blob(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data ? std::string_view(data, static_cast<std::size_t>(size)) : std::string_view();
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Sqlite> Sqlite::open(const std::filesystem::path& file, Mode mode, const std::string& vfs) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (mode == Mode::read) flags |= SQLITE_OPEN_READONLY;
  if (mode == Mode::write) flags |= SQLITE_OPEN_READWRITE;
  if (mode == Mode::create) flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &raw, flags, vfs.empty() ? nullptr : vfs.c_str());
  Sqlite opened;
  opened.connection_.reset(raw);
  if (code != SQLITE_OK) return std::unexpected(opened.error("open " + file.string()));
  return opened;
}

Status Sqlite::exec(const std::string& sql) {
  if (sqlite3_exec(raw(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return std::unexpected(error(sql.substr(0, 80)));
  return {};
}

Result<Statement> Sqlite::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(raw(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &statement, nullptr) != SQLITE_OK)
    return std::unexpected(error(sql.substr(0, 80)));
  return Statement(statement);
}

Status Sqlite::prepare_all(std::initializer_list<Prepared> all) {
  for (const Prepared& each : all) {
    auto statement = prepare(each.sql);
    if (!statement) return std::unexpected(std::move(statement).error());
    each.into = std::move(*statement);
  }
  return {};
}

Result<std::int64_t> Sqlite::number(std::string_view sql) {
  auto query = prepare(sql);
  if (!query) return std::unexpected(std::move(query).error());
  const std::int64_t value = query->step() ? query->integer(0) : 0;
  if (!query->ok()) return std::unexpected(error(sql));
  return value;
}

Result<std::string> Sqlite::word(std::string_view sql) {
  auto query = prepare(sql);
  if (!query) return std::unexpected(std::move(query).error());
  std::string value;
  if (query->step()) value = query->text(0);
  if (!query->ok()) return std::unexpected(error(sql));
  return value;
}

Error Sqlite::error(std::string_view doing) const {
  if (!raw()) return {Errc::memory, std::string(doing) + ": no memory for a connection"};
  return {errc_of_sqlite(code()), std::string(doing) + ": " + sqlite3_errmsg(raw()) + " (SQLite " +
                                      std::to_string(code()) + ")"};
}

void Sqlite::release_memory() { sqlite3_db_release_memory(raw()); }

Bytes sqlite_memory() { return Bytes(sqlite3_memory_used()); }

int Sqlite::code() const { return sqlite3_extended_errcode(raw()); }
std::int64_t Sqlite::changes() const { return sqlite3_changes64(raw()); }
bool Sqlite::in_transaction() const { return sqlite3_get_autocommit(raw()) == 0; }

}  // namespace tallymill::store
