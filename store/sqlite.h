// Sqlite: a connection and its statements, with our Result instead of return codes.
//
// The one file that says what SQLite's codes mean to us: `disk` for no space (nothing was stored,
// there may be room later), `corrupt` for a failed sync, a failed write or a damaged file, `busy`
// for a lock that others hold. The hot path uses Statement::run(), which builds no Error.
//
// Threads: a connection and its statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread.h"
#include "base/units.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tallymill::store {

namespace detail {
void close_connection(sqlite3* connection);
void finalize(sqlite3_stmt* statement);
}  // namespace detail

// What an extended SQLite result code means.
[[nodiscard]] Errc errc_of_sqlite(int code);

class Statement {
 public:
  Statement() = default;

  // Parameters from 1. Text and blobs are borrowed until the statement has run.
  void bind(int index, std::int64_t value);
  void bind_real(int index, double value);
  void bind_text(int index, std::string_view text);
  void bind_blob(int index, std::string_view bytes);
  void bind_null(int index);
  // Empty: NULL, which costs no byte in the row.
  void bind_text_or_null(int index, std::string_view text);
  void bind_blob_or_null(int index, std::string_view bytes);

  // True: a row is there to read. False: done, or failed; ok() tells. It is reset in both cases.
  [[nodiscard]] bool step();
  // To the end, ignoring rows. False: see Sqlite::error().
  [[nodiscard]] bool run();
  [[nodiscard]] bool ok() const { return ok_; }
  // Ends reading before the last row.
  void reset();

  // Columns from 0. Views are valid until the next step.
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::string_view blob(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Sqlite;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  unique_handle<sqlite3_stmt, detail::finalize> statement_;
  bool ok_ = true;
};

class Sqlite {
 public:
  enum class Mode : std::uint8_t { create, write, read };

  Sqlite() = default;

  // `vfs`: the name of another layer under SQLite, for tests of failing disks; empty: the default.
  [[nodiscard]] static Result<Sqlite> open(const std::filesystem::path& file, Mode mode,
                                           const std::string& vfs = {});

  [[nodiscard]] Status exec(const std::string& sql);
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  struct Prepared {
    Statement& into;
    std::string_view sql;
  };
  // The error of the first that fails.
  [[nodiscard]] Status prepare_all(std::initializer_list<Prepared> all);
  // The first column of the first row of a query; 0 when there is none.
  [[nodiscard]] Result<std::int64_t> number(std::string_view sql);
  [[nodiscard]] Result<std::string> word(std::string_view sql);

  // Of the last call that failed.
  [[nodiscard]] Error error(std::string_view doing) const;
  [[nodiscard]] int code() const;
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] bool in_transaction() const;

  // Frees the pages of the file that it keeps and has nothing to write in; they are read again.
  void release_memory();

  // For SQLite's own calls (checkpoints, hooks, file controls).
  [[nodiscard]] sqlite3* raw() const { return connection_.get(); }

 private:
  unique_handle<sqlite3, detail::close_connection> connection_;
};

// What SQLite holds in this process: mostly pages of files, each connection at most its cache_size.
// Threads: any.
[[nodiscard]] Bytes sqlite_memory();

}  // namespace tallymill::store
