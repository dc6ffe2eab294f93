// Waterfalls store: those that were pulled from a front, in one SQLite file: what they say as the
// front said it, and how far the front was read.
//
// The rows of a page and the number to ask after next are one transaction, so that each row is
// there once whenever the process dies: what a power cut takes away is asked for again. Each has a
// number of its own here, which goes on over all ledgers; who reads goes on by it.
//
//   invariant: (ledger, keep_seq) is stored once; ids grow and are never given again
//   invariant: at most `count` rows, none older here than `age`
//
// Threads: one at a time, its maker's or another's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "store/sqlite.h"

namespace tallymill::collector {

// A page of a front's waterfalls (docs/protocol.md, `waterfalls`).
struct WaterfallPage {
  struct Row {
    std::int64_t keep_seq = 0;
    std::int64_t job = 0;
    std::string kind;
    std::string json;  // the whole of it
  };
  struct Gap {
    std::int64_t from = 0;
    std::int64_t to = 0;
  };
  std::string ledger;
  std::int64_t next = 0;
  bool more = false;
  std::optional<Gap> gap = {};
  std::vector<Row> rows;
};

// What a front answered. bad_frame: it is no such page; with one row that is none, the whole.
[[nodiscard]] Result<WaterfallPage> parse_waterfall_page(std::string_view untrusted);

class WaterfallsStore {
 public:
  struct Options {
    std::int64_t count = limits::collected_waterfalls;
    Duration age = limits::kept_waterfall_age;
    std::int64_t gaps = limits::waterfall_gaps;
  };
  struct Cursor {
    std::string ledger;  // empty: nothing was read yet
    std::int64_t after = 0;
  };
  struct Stored {
    std::int64_t added = 0;
    std::int64_t removed = 0;  // too old, or too many
    bool gap = false;
    std::int64_t missed = 0;  // numbers of a gap in the ledger that was read
  };

  // Makes the file if there is none. As store::Sqlite.
  [[nodiscard]] static Result<WaterfallsStore> open(const std::filesystem::path& file,
                                                    Options options);

  [[nodiscard]] Result<Cursor> cursor();
  // The page, and that it was read. disk, corrupt: nothing of it was stored.
  [[nodiscard]] Result<Stored> add(const WaterfallPage& page, std::int64_t now_unix_ns);

  // As JSON: {schema, head, next, more, gaps, waterfalls: [{id, ledger, waterfall}]}.
  struct Asked {
    std::int64_t after = 0;
    std::string kind = {};  // empty: all
    std::int64_t limit = limits::waterfalls_page;
  };
  [[nodiscard]] Result<std::string> page(const Asked& asked);
  // The last one of this job, as an element of a page. not_found: none is here.
  [[nodiscard]] Result<std::string> of_job(std::int64_t job);
  [[nodiscard]] Result<std::int64_t> held();

 private:
  WaterfallsStore(store::Sqlite&& file, Options options)
      : file_(std::move(file)), options_(options) {}
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status add_rows(const WaterfallPage& page, std::int64_t now_unix_ns,
                                Stored& stored);
  [[nodiscard]] Status note_gap(const WaterfallPage& page, const Cursor& before,
                                std::int64_t now_unix_ns, Stored& stored);
  [[nodiscard]] Status trim(std::int64_t now_unix_ns, Stored& stored);
  [[nodiscard]] Result<std::string> gaps();
  [[nodiscard]] Status run(store::Statement& statement, std::string_view doing);

  store::Sqlite file_;
  Options options_;
  store::Statement insert_;
  store::Statement set_cursor_;
  store::Statement insert_gap_;
  store::Statement trim_count_;
  store::Statement trim_age_;
  store::Statement trim_gaps_;
  store::Statement read_;
  store::Statement read_kind_;
  store::Statement read_job_;
  store::Statement read_gaps_;
};

}  // namespace tallymill::collector
