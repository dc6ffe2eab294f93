#include "collector/waterfalls_store.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "collector/answers.h"

namespace tallymill::collector {
namespace {

using nlohmann::json;

constexpr const char* schema = R"(
CREATE TABLE IF NOT EXISTS waterfalls(
  id INTEGER PRIMARY KEY AUTOINCREMENT, ledger TEXT NOT NULL, keep_seq INTEGER NOT NULL,
  job INTEGER NOT NULL, kind TEXT NOT NULL, stored_unix_ns INTEGER NOT NULL, json TEXT NOT NULL,
  UNIQUE(ledger, keep_seq));
CREATE INDEX IF NOT EXISTS waterfalls_job ON waterfalls(job);
CREATE INDEX IF NOT EXISTS waterfalls_kind ON waterfalls(kind, id);
CREATE TABLE IF NOT EXISTS gaps(
  id INTEGER PRIMARY KEY AUTOINCREMENT, ledger TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, noticed_unix_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reached(
  one INTEGER PRIMARY KEY CHECK(one = 1), ledger TEXT NOT NULL, after INTEGER NOT NULL);
)";
constexpr std::int64_t schema_version = 1;
constexpr auto last_number = std::numeric_limits<std::int64_t>::max();
constexpr int deepest = 64;  // a span in a span in a hop: some twenty
// How many of those that are too old go with one page.
constexpr int trimmed_at_once = 2'000;

std::unexpected<Error> not_a_page(std::string_view why) {
  return fail(Errc::bad_frame, fmt::format("this is no page of waterfalls: {}", why));
}

std::optional<std::int64_t> number_at(const json& value, const char* name) {
  const auto found = value.find(name);
  if (found == value.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}
std::string text_at(const json& value, const char* name) {
  const auto found = value.find(name);
  return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
}
// What no UTF-8 is was not said by JSON.
std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// {"id": 7, "ledger": "...", "waterfall": {...}}; the last is JSON already.
std::string element(const store::Statement& row) {
  std::string text = fmt::format("{{\"id\":{},\"ledger\":", row.integer(0));
  append_json(text, row.text(1));
  return text.append(",\"waterfall\":").append(row.text(2)).append("}");
}

}  // namespace

Result<WaterfallPage> parse_waterfall_page(std::string_view untrusted) {
  // What is written out again is written by recursion.
  bool too_deep = false;
  const json said = json::parse(
      untrusted,
      [&](int depth, json::parse_event_t, const json&) {
        too_deep = too_deep || depth > deepest;
        return !too_deep;
      },
      false);
  if (too_deep) return not_a_page("values too deep inside one another");
  if (!said.is_object()) return not_a_page("it is no JSON object");
  const auto next = number_at(said, "next");
  const auto rows = said.find("waterfalls");
  WaterfallPage page;
  page.ledger = text_at(said, "ledger");
  if (page.ledger.empty() || !next || *next < 0) return not_a_page("no ledger, or no next");
  if (rows == said.end() || !rows->is_array()) return not_a_page("no waterfalls");
  page.next = *next;
  page.more = said.value("more", json()) == true;
  if (const auto gap = said.find("gap"); gap != said.end()) {
    if (!gap->is_object()) return not_a_page("a gap that is none");
    const auto from = number_at(*gap, "from");
    const auto to = number_at(*gap, "to");
    if (!from || !to || *from < 0 || *from > *to || *to == last_number)
      return not_a_page("a gap that is none");
    page.gap = {*from, *to};
  }
  for (const json& row : *rows) {
    if (!row.is_object()) return not_a_page("a row that is no object");
    const auto keep_seq = number_at(row, "keep_seq");
    const auto job = number_at(row, "job");
    if (!keep_seq || !job) return not_a_page("a row without its number or its job");
    page.rows.push_back({*keep_seq, *job, text_at(row, "kind"), text_of(row)});
  }
  return page;
}

Result<WaterfallsStore> WaterfallsStore::open(const std::filesystem::path& file, Options options) {
  auto opened = store::Sqlite::open(file, store::Sqlite::Mode::create);
  if (!opened) return std::unexpected(std::move(opened).error());
  WaterfallsStore store(std::move(*opened), options);
  if (auto done = store.prepare(); !done) return std::unexpected(std::move(done).error());
  return store;
}

// NORMAL: a power cut may take the last transactions whole, which are then asked for again.
Status WaterfallsStore::prepare() {
  const auto version = file_.number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (*version > schema_version)
    return fail(Errc::version, "the waterfalls were stored by a newer version");
  auto made = file_.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
  if (made) made = file_.exec(schema);
  if (made) made = file_.exec(fmt::format("PRAGMA user_version={}", schema_version));
  if (!made) return made;
  return file_.prepare_all({
      {insert_,
       "INSERT OR IGNORE INTO waterfalls(ledger, keep_seq, job, kind, stored_unix_ns, json) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
      {set_cursor_, "INSERT OR REPLACE INTO reached(one, ledger, after) VALUES(1, ?1, ?2)"},
      {insert_gap_,
       "INSERT INTO gaps(ledger, first, last, noticed_unix_ns) VALUES(?1, ?2, ?3, ?4)"},
      {trim_count_, "DELETE FROM waterfalls WHERE id <= (SELECT max(id) FROM waterfalls) - ?1"},
      {trim_age_,
       "DELETE FROM waterfalls WHERE id IN (SELECT id FROM waterfalls ORDER BY id LIMIT ?1) "
       "AND stored_unix_ns < ?2"},
      {trim_gaps_, "DELETE FROM gaps WHERE id <= (SELECT max(id) FROM gaps) - ?1"},
      {read_, "SELECT id, ledger, json FROM waterfalls WHERE id > ?1 ORDER BY id LIMIT ?2"},
      {read_kind_,
       "SELECT id, ledger, json FROM waterfalls WHERE kind = ?3 AND id > ?1 ORDER BY id LIMIT ?2"},
      {read_job_,
       "SELECT id, ledger, json FROM waterfalls WHERE job = ?1 ORDER BY id DESC LIMIT 1"},
      {read_gaps_,
       "SELECT ledger, first, last, noticed_unix_ns FROM gaps ORDER BY id DESC LIMIT 100"},
  });
}

Status WaterfallsStore::run(store::Statement& statement, std::string_view doing) {
  if (statement.run()) return {};
  return std::unexpected(file_.error(doing));
}

Result<WaterfallsStore::Cursor> WaterfallsStore::cursor() {
  auto ledger = file_.word("SELECT ledger FROM reached");
  if (!ledger) return std::unexpected(std::move(ledger).error());
  const auto after = file_.number("SELECT after FROM reached");
  if (!after) return std::unexpected(after.error());
  return Cursor{std::move(*ledger), *after};
}

Result<WaterfallsStore::Stored> WaterfallsStore::add(const WaterfallPage& page,
                                                     std::int64_t now_unix_ns) {
  const auto before = cursor();
  if (!before) return std::unexpected(before.error());
  Stored stored;
  const bool moved = before->ledger != page.ledger || before->after != page.next;
  if (page.rows.empty() && !page.gap && !moved) return stored;
  Status done = file_.exec("BEGIN IMMEDIATE");
  if (!done) return std::unexpected(std::move(done).error());
  done = note_gap(page, *before, now_unix_ns, stored);
  if (done) done = add_rows(page, now_unix_ns, stored);
  if (done) {
    set_cursor_.bind_text(1, page.ledger);
    set_cursor_.bind(2, page.next);
    done = run(set_cursor_, "keep how far the waterfalls were read");
  }
  if (done) done = trim(now_unix_ns, stored);
  if (done) done = file_.exec("COMMIT");
  if (done) return stored;
  if (file_.in_transaction()) (void)file_.exec("ROLLBACK");
  return std::unexpected(std::move(done).error());
}

Status WaterfallsStore::add_rows(const WaterfallPage& page, std::int64_t now_unix_ns,
                                 Stored& stored) {
  for (const WaterfallPage::Row& row : page.rows) {
    insert_.bind_text(1, page.ledger);
    insert_.bind(2, row.keep_seq);
    insert_.bind(3, row.job);
    insert_.bind_text(4, row.kind);
    insert_.bind(5, now_unix_ns);
    insert_.bind_text(6, row.json);
    if (auto done = run(insert_, "store a waterfall"); !done) return done;
    stored.added += file_.changes();
  }
  return {};
}

// What another ledger never gave to this reader is not missed: only that its numbers ended.
Status WaterfallsStore::note_gap(const WaterfallPage& page, const Cursor& before,
                                 std::int64_t now_unix_ns, Stored& stored) {
  if (!page.gap) return {};
  const bool same = before.ledger.empty() || before.ledger == page.ledger;
  stored.gap = true;
  if (same) stored.missed = page.gap->to - page.gap->from + 1;
  insert_gap_.bind_text(1, same ? page.ledger : before.ledger);
  insert_gap_.bind(2, page.gap->from);
  insert_gap_.bind(3, page.gap->to);
  insert_gap_.bind(4, now_unix_ns);
  if (auto done = run(insert_gap_, "note a gap"); !done) return done;
  trim_gaps_.bind(1, options_.gaps);
  return run(trim_gaps_, "forget old gaps");
}

Status WaterfallsStore::trim(std::int64_t now_unix_ns, Stored& stored) {
  trim_count_.bind(1, options_.count);
  trim_age_.bind(1, trimmed_at_once);
  trim_age_.bind(2, now_unix_ns - options_.age.count());
  for (store::Statement* statement : {&trim_count_, &trim_age_}) {
    if (auto done = run(*statement, "forget old waterfalls"); !done) return done;
    stored.removed += file_.changes();
  }
  return {};
}

Result<std::string> WaterfallsStore::gaps() {
  std::string text = "[";
  while (read_gaps_.step()) {
    if (text.size() > 1) text += ',';
    text += "{\"ledger\":";
    append_json(text, read_gaps_.text(0));
    text += fmt::format(",\"from\":{},\"to\":{},\"noticed_unix_ns\":{}}}", read_gaps_.integer(1),
                        read_gaps_.integer(2), read_gaps_.integer(3));
  }
  if (!read_gaps_.ok()) return std::unexpected(file_.error("read gaps"));
  return text + "]";
}

Result<std::string> WaterfallsStore::page(const Asked& asked) {
  const auto head = file_.number("SELECT coalesce(max(id), 0) FROM waterfalls");
  if (!head) return std::unexpected(head.error());
  auto gap_list = gaps();
  if (!gap_list) return gap_list;
  store::Statement& rows = asked.kind.empty() ? read_ : read_kind_;
  rows.bind(1, asked.after);
  rows.bind(2, asked.limit + 1);  // one more tells whether there is more
  if (!asked.kind.empty()) rows.bind_text(3, asked.kind);
  std::string list = "[";
  std::int64_t next = asked.after;
  std::int64_t told = 0;
  bool more = false;
  while (rows.step()) {
    const auto most = static_cast<std::size_t>(limits::waterfalls_page_bytes.raw());
    more = told == asked.limit || (told > 0 && list.size() + rows.text(2).size() > most);
    if (more) break;
    if (told++ > 0) list += ',';
    list += element(rows);
    next = rows.integer(0);
  }
  const bool well = rows.ok();
  rows.reset();
  if (!well) return std::unexpected(file_.error("read waterfalls"));
  return fmt::format(
      "{{\"schema\":1,\"head\":{},\"next\":{},\"more\":{},\"gaps\":{},\"waterfalls\":{}]}}", *head,
      next, more, *gap_list, list);
}

Result<std::string> WaterfallsStore::of_job(std::int64_t job) {
  read_job_.bind(1, job);
  const bool has = read_job_.step();
  if (!has && !read_job_.ok()) return std::unexpected(file_.error("read a waterfall"));
  if (!has) return fail(Errc::not_found, "no waterfall of this job is kept here");
  std::string text = element(read_job_);
  read_job_.reset();
  return text;
}

Result<std::int64_t> WaterfallsStore::held() {
  return file_.number("SELECT count(*) FROM waterfalls");
}

}  // namespace tallymill::collector
