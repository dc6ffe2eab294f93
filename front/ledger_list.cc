#include "front/ledger_list.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "base/limits.h"

namespace tallymill::front {
namespace {

using std::chrono::steady_clock;
using store::Statement;

constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();

// Of a page as JSON, but for its rows.
constexpr Bytes page_frame(200);

// The letter that a cursor of this list begins with.
char letter_of(JobsSort sort) { return name_of(sort).front(); }

std::optional<std::int64_t> number_of(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (wrong != std::errc() || end != digits.data() + digits.size() || value < 0)
    return std::nullopt;
  return value;
}

std::int64_t escaped(std::string_view text, std::size_t most) {
  std::int64_t bytes = 0;
  for (const char c : text.substr(0, most))
    bytes += static_cast<unsigned char>(c) < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
  return bytes;
}

// All of them begin so.
bool may_be_code(std::string_view text) {
  return text.substr(0, 2) == std::string_view("E_").substr(0, text.size());
}

// Of one row of the list as JSON, at most.
Bytes json_bytes(const JobRow& row) {
  constexpr std::int64_t keys_and_numbers = 232;
  constexpr std::int64_t deadline_and_parent = 75;
  constexpr std::int64_t error_keys = 40;
  std::int64_t bytes = keys_and_numbers + escaped(row.client, highest) + escaped(row.kind, highest);
  if (row.deadline || row.parent != JobId()) bytes += deadline_and_parent;
  if (row.end && !row.end->code.empty())
    bytes += error_keys + escaped(row.end->code, highest) +
             escaped(row.end->message, limits::list_text_bytes) +
             escaped(row.end->field, limits::list_text_bytes);
  return Bytes(bytes);
}

}  // namespace

Result<LedgerList> LedgerList::prepare(store::Sqlite& db) {
  LedgerList list;
  list.db_ = &db;
  auto prepared = db.prepare_all({
      {list.falling_,
       "SELECT block, slots FROM fates WHERE block BETWEEN ?1 AND ?2 ORDER BY block DESC"},
      {list.rising_, "SELECT block, slots FROM fates WHERE block BETWEEN ?1 AND ?2 ORDER BY block"},
      {list.live_falling_,
       "SELECT block, slots FROM fates WHERE live > 0 AND block BETWEEN ?1 AND ?2"
       " ORDER BY block DESC"},
      {list.live_rising_,
       "SELECT block, slots FROM fates WHERE live > 0 AND block BETWEEN ?1 AND ?2 ORDER BY block"},
      {list.from_, "SELECT block, latest_ns FROM fates WHERE block >= ?1 ORDER BY block LIMIT 1"},
      {list.slots_, "SELECT slots FROM fates WHERE block = ?1"},
      {list.look_, "SELECT client, kind, submitted_ns, key FROM jobs WHERE id = ?1"},
      {list.code_, "SELECT code FROM ends WHERE seq = ?1"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  return list;
}

Result<JobsPage> LedgerList::page(const JobsQuery& query, const ReadRow& read) {
  read_ = &read;
  if (auto begun = begin(query); !begun) return std::unexpected(std::move(begun).error());
  if (query.limit <= 0 || (query.kinds && query.kinds->empty())) return JobsPage{};
  if (asked_ && query.cursor.empty()) {
    if (auto added = add_asked(); !added) return std::unexpected(std::move(added).error());
  }
  const bool ordered = query.sort == JobsSort::newest || query.sort == JobsSort::oldest;
  const Status read_all = ordered ? by_id() : by_place();
  if (!read_all) return std::unexpected(read_all.error());
  return std::move(page_);
}

Status LedgerList::begin(const JobsQuery& query) {
  query_ = &query;
  until_ = steady_clock::now() + limits::jobs_read_time;
  left_ = limits::jobs_page_bytes - page_frame;
  page_ = {};
  candidates_.clear();
  worst_ = {};
  dropped_ = false;
  wanted_ = {};
  wanted_.ended = query.sort == JobsSort::ended || query.sort == JobsSort::slowest;
  wanted_.live = query.state == "live";
  for (int i = 0; i < end_states; ++i)
    if (query.state == name_of(static_cast<EndState>(i))) wanted_.state = static_cast<EndState>(i);
  if (!query.state.empty() && !wanted_.live && !wanted_.state)
    return fail(Errc::bad_params, "no such state: live, done, failed, cancelled or expired",
                "/state");
  if (!query.client.empty()) wanted_.client = brief_client(client_tag(query.client));
  if (query.kinds)
    for (const std::string& kind : *query.kinds) wanted_.kinds.push_back(brief_kind(kind));
  asked_.reset();
  if (const auto id = number_of(query.text)) asked_ = JobId(*id);
  if (auto read = read_cursor(); !read) return read;
  first_block_ = 0;
  if (query.since) {
    const auto first = first_block(*query.since);
    if (!first) return std::unexpected(first.error());
    first_block_ = *first;
  }
  return {};
}

// A letter for the sort, and the place of the last job that was looked at.
Status LedgerList::read_cursor() {
  at_ = query_->sort == JobsSort::oldest ? Place{} : Place{highest, highest};
  const std::string_view cursor = query_->cursor;
  if (cursor.empty()) return {};
  const std::size_t dot = cursor.find('.');
  const auto major = number_of(cursor.substr(1, dot == std::string_view::npos ? dot : dot - 1));
  const auto job = dot == std::string_view::npos ? std::nullopt : number_of(cursor.substr(dot + 1));
  if (cursor.front() != letter_of(query_->sort) || !major || !job)
    return fail(Errc::bad_params, "not a cursor of this list: take it from the page before",
                "/cursor");
  at_ = {*major, *job};
  return {};
}

std::string LedgerList::cursor_at(const Place& place) const {
  return letter_of(query_->sort) + std::to_string(place.major) + "." + std::to_string(place.job);
}

// `latest` never falls from row to row: a search by halves finds the first one that reaches a time.
Result<std::int64_t> LedgerList::first_block(WallTime since) {
  std::int64_t low = 0;
  std::int64_t high = highest / Fates::per_row + 1;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    from_.bind(1, middle);
    const bool there = from_.step();
    if (!there && !from_.ok()) return failed();
    const bool reached = there && from_.integer(1) >= to_ns(since);
    const std::int64_t block = there ? from_.integer(0) : middle;
    from_.reset();
    if (reached || !there)
      high = middle;
    else
      low = block + 1;
  }
  return low;
}

// --- by id ---

Status LedgerList::by_id() {
  const bool newest = query_->sort == JobsSort::newest;
  Statement& rows =
      wanted_.live ? (newest ? live_falling_ : live_rising_) : (newest ? falling_ : rising_);
  const std::int64_t at = at_.job / Fates::per_row;
  rows.bind(1, newest ? first_block_ : std::max(first_block_, at));
  rows.bind(2, newest ? at : highest);
  while (rows.step()) {
    const auto more = row_by_id(rows.integer(0), rows.blob(1));
    if (!more || !*more) {
      rows.reset();
      if (!more) return std::unexpected(more.error());
      return {};
    }
  }
  if (!rows.ok()) return failed();
  return {};
}

// False: the page ends here, and its cursor says so.
Result<bool> LedgerList::row_by_id(std::int64_t block, std::string_view slots) {
  const bool newest = query_->sort == JobsSort::newest;
  const Fates::Slots all = Fates::slots_of(slots);
  for (int n = 0; n < Fates::per_row; ++n) {
    const int i = newest ? Fates::per_row - 1 - n : n;
    const std::int64_t id = block * Fates::per_row + i;
    const Place place{id, id};
    if (newest ? place >= at_ : place <= at_) continue;
    const Fates::Slot slot = all[static_cast<std::size_t>(i)];
    if (!wanted_.fits(slot) || JobId(id) == asked_) continue;
    const auto added = add(JobId(id), slot);
    if (!added) return std::unexpected(added.error());
    if (*added != Added::full) at_ = place;
    if (*added != Added::full && !late()) continue;
    page_.next = cursor_at(at_);
    return false;
  }
  if (!late()) return true;
  const std::int64_t last = block * Fates::per_row + (newest ? 0 : Fates::per_row - 1);
  page_.next = cursor_at({last, last});
  return false;
}

// --- by place ---

Status LedgerList::by_place() {
  // What a brief cannot tell makes many candidates fall.
  const bool brief_tells = query_->text.empty() && !query_->since;
  const auto page = static_cast<std::size_t>(query_->limit);
  if (auto swept = sweep(brief_tells ? 2 * page : std::max(2 * page, limits::jobs_candidates));
      !swept)
    return swept;
  std::size_t looked = 0;
  for (const Candidate& each : candidates_) {
    const auto added = add(JobId(each.place.job), each.slot);
    if (!added) return std::unexpected(added.error());
    if (*added != Added::full) at_ = each.place;
    if (*added != Added::full && (!late() || ++looked < page)) continue;
    page_.next = cursor_at(at_);
    return {};
  }
  if (dropped_) page_.next = cursor_at(at_);
  return {};
}

// The newest first: of those that ended last, most are found at once, and the others fall by a
// look.
Status LedgerList::sweep(std::size_t most) {
  falling_.bind(1, first_block_);
  falling_.bind(2, highest);
  while (falling_.step()) {
    const std::int64_t base = falling_.integer(0) * Fates::per_row;
    const Fates::Slots slots = Fates::slots_of(falling_.blob(1));
    for (int i = 0; i < Fates::per_row; ++i) {
      const Fates::Slot& slot = slots[static_cast<std::size_t>(i)];
      if (!wanted_.fits(slot) || JobId(base + i) == asked_) continue;
      const Place place = place_of(JobId(base + i), slot);
      if (place >= at_ || place < worst_) continue;
      candidates_.push_back({place, slot});
    }
    if (candidates_.size() >= 2 * most + Fates::per_row) keep_first(most);
  }
  if (!falling_.ok()) return failed();
  keep_first(most);
  std::ranges::sort(candidates_, std::greater{}, &Candidate::place);
  return {};
}

void LedgerList::keep_first(std::size_t most) {
  if (candidates_.size() <= most) return;
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(most);
  std::ranges::nth_element(candidates_, end, std::greater{}, &Candidate::place);
  worst_ = end->place;
  candidates_.erase(end, candidates_.end());
  dropped_ = true;
}

LedgerList::Place LedgerList::place_of(JobId job, const Fates::Slot& slot) const {
  return {query_->sort == JobsSort::ended ? slot.fate : slot.brief.took, job.raw()};
}

// --- one job ---

bool LedgerList::Wanted::fits(const Fates::Slot& slot) const {
  if (slot.fate == 0) return false;
  if (live && slot.fate > 0) return false;
  if ((ended || state) && slot.fate < 0) return false;
  if (state && slot.brief.state() != *state) return false;
  if (client && slot.brief.client != *client) return false;
  return kinds.empty() || std::ranges::find(kinds, slot.brief.kind()) != kinds.end();
}

// The job that the text names by its id comes before all others, wherever its place would be.
Result<LedgerList::Added> LedgerList::add_asked() {
  slots_.bind(1, asked_->raw() / Fates::per_row);
  if (!slots_.step()) {
    if (!slots_.ok()) return failed();
    return Added::no;
  }
  const Fates::Slot slot =
      Fates::whole_slot_in(slots_.blob(0), static_cast<int>(asked_->raw() % Fates::per_row));
  slots_.reset();
  if (!wanted_.fits(slot)) return Added::no;
  return add(*asked_, slot);
}

// full: it fits, and the page has no room for it.
Result<LedgerList::Added> LedgerList::add(JobId job, const Fates::Slot& slot) {
  const auto wanted = fits(job, slot);
  if (!wanted) return std::unexpected(wanted.error());
  if (!*wanted) return Added::no;
  if (std::ssize(page_.rows) >= query_->limit) return Added::full;
  auto row = (*read_)(job, slot.fate);
  if (!row) return std::unexpected(std::move(row).error());
  const Bytes size = json_bytes(*row);
  if (size > left_) return Added::full;
  left_ -= size;
  page_.rows.push_back(std::move(*row));
  return Added::yes;
}

// What its brief could not tell.
Result<bool> LedgerList::fits(JobId job, const Fates::Slot& slot) {
  const JobsQuery& q = *query_;
  if (q.client.empty() && !q.kinds && !q.since && q.text.empty()) return true;
  look_.bind(1, job.raw());
  if (!look_.step()) {
    if (!look_.ok()) return failed();
    return false;
  }
  const std::string_view client = look_.text(0);
  const std::string_view kind = look_.text(1);
  const bool told = (q.client.empty() || client == q.client) &&
                    (!q.kinds || std::ranges::find(*q.kinds, kind) != q.kinds->end()) &&
                    (!q.since || look_.integer(2) >= to_ns(*q.since));
  const bool text = q.text.empty() || job == asked_ || client.starts_with(q.text) ||
                    kind.starts_with(q.text) || look_.text(3).starts_with(q.text);
  look_.reset();
  if (!told || text) return told;
  if (!may_be_code(q.text) || slot.fate < 0 || slot.brief.state() == EndState::done) return false;
  code_.bind(1, slot.fate);
  const bool code = code_.step() && code_.text(0).starts_with(q.text);
  code_.reset();
  return code;
}

bool LedgerList::late() const { return steady_clock::now() > until_; }

std::unexpected<Error> LedgerList::failed() const {
  return std::unexpected(db_->error("ledger: list"));
}

}  // namespace tallymill::front
