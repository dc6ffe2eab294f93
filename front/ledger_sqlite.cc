#include "front/ledger_sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/boot.h"
#include "base/check.h"
#include "base/thread.h"
#include "front/ledger_fates.h"
#include "front/ledger_files.h"
#include "front/ledger_kept.h"
#include "front/ledger_replay.h"
#include "front/ledger_retire.h"
#include "front/ledger_rows.h"
#include "front/ledger_schema.h"
#include "front/mutant.h"
#include "store/blobs.h"

namespace tallymill::front {
namespace {

using store::Sqlite;
using store::Statement;

Status status_of(const Result<bool>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

// What the row of the last commit says.
struct Head {
  std::int64_t seq = 0;
  Totals totals;
  std::int64_t keys = 0;          // ever taken; those retired are counted apart
  std::int64_t result_bytes = 0;  // ever stored; likewise
  std::int64_t keep_seq = 0;      // the highest given
};

// The statements of a commit.
struct Writes {
  Statement begin, commit, rollback;
  Statement job, end, note, ref, row, late_wholes;
  Statement find_key, find_retired_key, end_state;

  [[nodiscard]] static Result<Writes> prepare(Sqlite& db);
};

class SqliteLedger final : public Ledger {
 public:
  SqliteLedger(LedgerOptions options, LedgerFiles files)
      : options_(std::move(options)), files_(std::move(files)) {}
  ~SqliteLedger() override;

  [[nodiscard]] Result<Opened> open();

  Result<std::vector<Outcome>> commit(std::span<const Entry> entries,
                                      std::span<const Whole> wholes) override;
  Status replay(std::function<void(std::vector<LiveJob>&&)> found) override;
  Result<bool> retire(const RetainPolicy& policy, WallTime now) override;
  Result<std::vector<std::string>> unreferenced(std::span<const std::string> digests) override;
  void release_memory() override {
    fates_->forget();  // nothing but rows as they are stored: no transaction is open
    db_.release_memory();
  }
  std::int64_t keys() const override { return head_.keys - retirement_->keys_removed(); }
  std::int64_t waterfalls() const override { return head_.keep_seq - retirement_->kept_through(); }
  Result<std::unique_ptr<LedgerReader>> reader() override;

 private:
  [[nodiscard]] Status connect();
  [[nodiscard]] Status read_head();
  [[nodiscard]] Result<Opened> raise_epoch();

  [[nodiscard]] Result<std::vector<Outcome>> store_all(std::span<const Entry> entries,
                                                       std::span<const Whole> wholes);
  [[nodiscard]] Status store_job(const NewJob& job, Outcome& outcome);
  [[nodiscard]] Status store_end(const JobEnd& end, Outcome& outcome);
  [[nodiscard]] Status store_note(const Note& note, Outcome& outcome);
  [[nodiscard]] Status store_refs(const std::vector<std::string>& digests, JobId job);
  [[nodiscard]] Status store_row(std::span<const Whole> wholes, std::int64_t head);
  [[nodiscard]] Result<bool> key_is_taken(Statement& find, const NewJob& job, Outcome& outcome);
  [[nodiscard]] const std::string* missing_blob(const NewJob& job) const;
  [[nodiscard]] Result<std::optional<EndState>> end_of(JobId job);
  [[nodiscard]] Result<std::vector<Outcome>> store_late_wholes(std::span<const Whole> wholes);

  void pack_wholes(std::span<const Whole> wholes, std::int64_t head);
  [[nodiscard]] bool make_room();
  void take_back(const Head& before);
  [[nodiscard]] std::unexpected<Error> stop(Error error);
  [[nodiscard]] std::unexpected<Error> stop_io(Error error);

  LedgerOptions options_;
  LedgerFiles files_;
  Sqlite db_;
  std::unique_ptr<WalKeeper> keeper_;
  std::optional<Writes> writes_;
  std::optional<Fates> fates_;
  std::optional<Kept> kept_;
  std::optional<Retirement> retirement_;

  Head head_;
  std::string ends_;  // of the commit at work, packed
  std::vector<std::pair<std::int64_t, std::uint32_t>> ended_;
  std::string wholes_;
  std::int64_t wal_frames_ = 0;  // after the last commit
  bool io_failed_ = false;
  std::optional<Error> stopped_;
  ThreadChecker thread_;
};

Result<Writes> Writes::prepare(Sqlite& db) {
  Writes w;
  auto prepared = db.prepare_all({
      {w.begin, "BEGIN IMMEDIATE"},
      {w.commit, "COMMIT"},
      {w.rollback, "ROLLBACK"},
      {w.job,
       "INSERT INTO jobs(id, client, kind, priority, submitted_ns, deadline_ns, not_before_ns,"
       " intake_ns, queued_ns, parent, key, content_hash, trace, digests, body)"
       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
       " ON CONFLICT(client, key) WHERE key IS NOT NULL DO NOTHING"},
      {w.end,
       "INSERT INTO ends(seq, job, state, attempts, at_ns, code, message, field, digests,"
       " timeline, result, file_bytes, took_ns)"
       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"},
      {w.note,
       "INSERT INTO notes(job, seq, what, charges, failures, due_ns, data)"
       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {w.ref, "INSERT OR IGNORE INTO refs(digest, job) VALUES(?1, ?2)"},
      {w.row,
       "INSERT INTO commits(head, accepted, done, failed, cancelled, expired, keys,"
       " result_bytes, ends, wholes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
      {w.late_wholes,
       "UPDATE commits SET wholes = CAST(coalesce(wholes, x'') || ?2 AS BLOB) WHERE head = ?1"},
      {w.find_key, "SELECT id, content_hash, NULL FROM jobs WHERE client = ?1 AND key = ?2"},
      {w.find_retired_key,
       "SELECT job, content_hash, end FROM retired_keys WHERE client = ?1 AND key = ?2"},
      {w.end_state, "SELECT state FROM ends WHERE seq = ?1"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  return w;
}

// --- opening ---

Result<Opened> SqliteLedger::open() {
  if (auto done = files_.finish_copy(); !done) return std::unexpected(std::move(done).error());
  const bool copy =
      (options_.force_copy || files_.marked_failed()) && std::filesystem::exists(files_.database());
  if (copy) {
    if (auto copied = files_.copy(options_.vfs); !copied)
      return std::unexpected(std::move(copied).error());
  }
  if (auto connected = connect(); !connected) return std::unexpected(std::move(connected).error());
  files_.keep_reserve();
  if (auto read = read_head(); !read) return std::unexpected(std::move(read).error());
  auto opened = raise_epoch();
  if (opened) opened->copied = copy;
  thread_.detach();
  return opened;
}

Status SqliteLedger::connect() {
  auto db = Sqlite::open(files_.database(), Sqlite::Mode::create, options_.vfs);
  if (!db) return std::unexpected(std::move(db).error());
  db_ = std::move(*db);
  int persist = 1;
  sqlite3_file_control(db_.raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  // secure_delete is on in Debian's build: overwriting what was retired would double its cost.
  auto mode = db_.word("PRAGMA journal_mode = WAL");
  if (!mode) return std::unexpected(std::move(mode).error());
  if (*mode != "wal")
    return fail(Errc::disk, "the ledger's file system has no shared memory for a WAL: " + *mode);
  const std::string sync = plants(Mutant::commit_not_synced) ? "NORMAL" : "FULL";
  auto set =
      db_.exec("PRAGMA synchronous = " + sync +
               "; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = -1;"
               "PRAGMA secure_delete = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
               "PRAGMA busy_timeout = 5000");
  if (!set) return set;
  if (auto schema = prepare_schema(db_); !schema) return schema;
  files_.grow_wal(options_.wal.grown);
  sqlite3_wal_hook(
      db_.raw(),
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<SqliteLedger*>(self)->wal_frames_ = frames;
        return SQLITE_OK;
      },
      this);
  auto writes = Writes::prepare(db_);
  auto fates = Fates::prepare(db_);
  auto kept = Kept::prepare(db_);
  auto retirement = Retirement::prepare(db_);
  auto keeper = WalKeeper::start(files_.database(), options_.vfs, options_.wal);
  if (!writes) return std::unexpected(std::move(writes).error());
  if (!fates) return std::unexpected(std::move(fates).error());
  if (!kept) return std::unexpected(std::move(kept).error());
  if (!retirement) return std::unexpected(std::move(retirement).error());
  if (!keeper) return std::unexpected(std::move(keeper).error());
  writes_ = std::move(*writes);
  fates_ = std::move(*fates);
  kept_ = std::move(*kept);
  retirement_ = std::move(*retirement);
  keeper_ = std::move(*keeper);
  return {};
}

Status SqliteLedger::read_head() {
  auto row = db_.prepare(
      "SELECT head, accepted, done, failed, cancelled, expired, keys, result_bytes FROM commits"
      " ORDER BY head DESC LIMIT 1");
  if (!row) return std::unexpected(std::move(row).error());
  if (row->step()) {
    head_.seq = row->integer(0);
    head_.totals.accepted = row->integer(1);
    for (int i = 0; i < end_states; ++i) head_.totals.ended[i] = row->integer(2 + i);
    head_.keys = row->integer(6);
    head_.result_bytes = row->integer(7);
  }
  if (!row->ok()) return std::unexpected(db_.error("read the head"));
  auto kept = db_.number("SELECT max(keep_seq) FROM kept");
  if (!kept) return std::unexpected(std::move(kept).error());
  head_.keep_seq = std::max(*kept, retirement_->kept_through());
  return {};
}

Result<Opened> SqliteLedger::raise_epoch() {
  auto id = db_.word("SELECT value FROM meta WHERE key = 'ledger_id'");
  auto epoch = db_.number("SELECT coalesce(max(epoch), 0) + 1 FROM epochs");
  auto row =
      db_.prepare("INSERT INTO epochs(epoch, after_seq, boot, opened_ns) VALUES(?1, ?2, ?3, ?4)");
  if (!id) return std::unexpected(std::move(id).error());
  if (!epoch) return std::unexpected(std::move(epoch).error());
  if (!row) return std::unexpected(std::move(row).error());
  if (options_.boot.empty()) options_.boot = boot_id();
  if (plants(Mutant::epoch_not_raised) && *epoch > 1)
    return Opened{*id, *epoch - 1, head_.seq, head_.totals, false};
  row->bind(1, *epoch);
  row->bind(2, head_.seq);
  row->bind_text(3, options_.boot);
  row->bind(4, to_ns(SystemClock().wall()));
  if (!row->run()) return std::unexpected(db_.error("raise the epoch"));
  return Opened{*id, *epoch, head_.seq, head_.totals, false};
}

SqliteLedger::~SqliteLedger() {
  if (keeper_ && db_.raw() && !stopped_) (void)keeper_->finish(db_);
  keeper_.reset();
}

// --- commit ---

Result<std::vector<Outcome>> SqliteLedger::commit(std::span<const Entry> entries,
                                                  std::span<const Whole> wholes) {
  thread_.check();
  if (stopped_) return std::unexpected(*stopped_);
  if (entries.empty()) return store_late_wholes(wholes);
  const bool appends = std::any_of(entries.begin(), entries.end(), [](const Entry& entry) {
    return std::holds_alternative<NewJob>(entry);
  });
  // What the WAL still takes is kept for running jobs while the database cannot grow.
  if (keeper_->disk_full() && appends && !make_room())
    return fail(Errc::disk, "ledger: no room for the database to grow");
  auto stored = store_all(entries, wholes);
  if (!stored && stored.error().code == Errc::disk && !appends && files_.release_reserve()) {
    if (auto copied = keeper_->finish(db_); !copied) return stop_io(std::move(copied).error());
    stored = store_all(entries, wholes);
  }
  if (!stored) {
    if (stored.error().code == Errc::disk) return stored;
    return stop(std::move(stored).error());
  }
  if (auto kept = keeper_->after_commit(db_, wal_frames_); !kept)
    return stop_io(std::move(kept).error());
  if (!files_.has_reserve() && appends) files_.keep_reserve();
  return stored;
}

Result<std::vector<Outcome>> SqliteLedger::store_all(std::span<const Entry> entries,
                                                     std::span<const Whole> wholes) {
  const Head before = head_;
  std::vector<Outcome> outcomes(entries.size());
  ended_.clear();
  if (!writes_->begin.run()) return std::unexpected(db_.error("ledger: begin"));
  Status stored;
  for (std::size_t i = 0; i < entries.size() && stored; ++i) {
    const std::int64_t seq = seq_of(entries[i]);
    TM_CHECK(seq > head_.seq);
    head_.seq = seq;
    Outcome& outcome = outcomes[i];
    if (const auto* job = std::get_if<NewJob>(&entries[i])) stored = store_job(*job, outcome);
    if (const auto* end = std::get_if<JobEnd>(&entries[i])) stored = store_end(*end, outcome);
    if (const auto* note = std::get_if<Note>(&entries[i])) stored = store_note(*note, outcome);
  }
  if (stored && !fates_->flush()) stored = std::unexpected(db_.error("ledger: fates"));
  if (stored) stored = store_row(wholes, head_.seq);
  if (stored && !writes_->commit.run()) stored = std::unexpected(db_.error("ledger: commit"));
  if (stored) return outcomes;
  take_back(before);
  return std::unexpected(std::move(stored).error());
}

Status SqliteLedger::store_job(const NewJob& job, Outcome& outcome) {
  outcome.job = job.id;
  const bool keyed = !job.key.empty() && !plants(Mutant::no_idempotency);
  const auto taken_in = [&](Statement& keys) { return key_is_taken(keys, job, outcome); };
  if (keyed && retirement_->keeps_keys()) {
    if (auto taken = taken_in(writes_->find_retired_key); !taken || *taken) return status_of(taken);
  }
  const std::string* const missing = missing_blob(job);
  const bool full = keyed && keys() >= options_.keys;
  if (missing != nullptr || full) {
    if (keyed)
      if (auto taken = taken_in(writes_->find_key); !taken || *taken) return status_of(taken);
    outcome.what = full ? Outcome::What::keys_full : Outcome::What::blob_missing;
    if (!full) outcome.missing = *missing;
    return {};
  }
  const auto slot = fates_->slot(job.id);
  if (!slot) return std::unexpected(db_.error("ledger: read fates"));
  if (*slot != 0)
    return fail(Errc::corrupt, "job " + std::to_string(job.id.raw()) + " is stored already");
  Statement& row = writes_->job;
  row.bind(1, job.id.raw());
  row.bind_text(2, job.client);
  row.bind_text(3, job.kind);
  row.bind(4, job.priority);
  row.bind(5, to_ns(job.submitted));
  bind_time(row, 6, job.deadline);
  bind_time(row, 7, job.not_before);
  row.bind(8, to_ns(job.intake));
  row.bind(9, to_ns(job.queued));
  job.parent == JobId() ? row.bind_null(10) : row.bind(10, job.parent.raw());
  row.bind_text_or_null(11, keyed ? job.key : std::string_view());
  row.bind_text_or_null(12, job.content_hash);
  row.bind_text_or_null(13, job.trace);
  const std::string digests = join_digests(job.digests);
  row.bind_text_or_null(14, digests);
  row.bind_blob_or_null(15, job.body);
  if (!row.run()) return std::unexpected(db_.error("ledger: append"));
  if (keyed && db_.changes() == 0) {
    auto taken = taken_in(writes_->find_key);
    TM_CHECK(!taken || *taken);  // its index refused the row
    return status_of(taken);
  }
  TM_CHECK(fates_->append(job.id, client_tag(job.client), job.kind, job.submitted) ==
           Fates::Change::made);
  ++head_.totals.accepted;
  if (keyed) ++head_.keys;
  return store_refs(job.digests, job.id);
}

const std::string* SqliteLedger::missing_blob(const NewJob& job) const {
  if (!options_.blobs) return nullptr;
  for (const std::string& digest : job.digests)
    if (!options_.blobs->has(digest)) return &digest;
  return nullptr;
}

Result<bool> SqliteLedger::key_is_taken(Statement& find, const NewJob& job, Outcome& outcome) {
  find.bind_text(1, job.client);
  find.bind_text(2, job.key);
  if (!find.step()) {
    if (!find.ok()) return std::unexpected(db_.error("ledger: find key"));
    return false;
  }
  outcome.job = JobId(find.integer(0));
  const bool same = find.text(1) == job.content_hash;
  outcome.what = same ? Outcome::What::known : Outcome::What::conflict;
  if (!find.is_null(2)) outcome.end = static_cast<EndState>(find.integer(2));
  find.reset();
  if (outcome.end || !same) return true;
  auto end = end_of(outcome.job);
  if (!end) return std::unexpected(std::move(end).error());
  outcome.end = *end;
  return true;
}

Result<std::optional<EndState>> SqliteLedger::end_of(JobId job) {
  const auto slot = fates_->slot(job);
  if (!slot) return std::unexpected(db_.error("ledger: read fates"));
  if (*slot <= 0) return std::nullopt;
  // An end of this very commit is stored already: entries are stored in order.
  Statement& state = writes_->end_state;
  state.bind(1, *slot);
  if (!state.step()) return std::unexpected(db_.error("ledger: read end"));
  const auto end = static_cast<EndState>(state.integer(0));
  state.reset();
  return end;
}

Status SqliteLedger::store_end(const JobEnd& end, Outcome& outcome) {
  outcome.job = end.job;
  std::uint32_t tag = 0;
  const Fates::Change change = fates_->settle(end.job, end.seq, end.state, end.took, tag);
  if (change == Fates::Change::failed) return std::unexpected(db_.error("ledger: read fates"));
  if (change == Fates::Change::refused)
    return fail(Errc::corrupt, "an end for job " + std::to_string(end.job.raw()) +
                                   ", which is not live: it ended before, or never was");
  ended_.emplace_back(end.seq, tag);
  Statement& row = writes_->end;
  row.bind(1, end.seq);
  row.bind(2, end.job.raw());
  row.bind(3, static_cast<int>(end.state));
  row.bind(4, end.attempts);
  row.bind(5, to_ns(end.at));
  row.bind_text_or_null(6, end.code);
  row.bind_text_or_null(7, end.message);
  row.bind_text_or_null(8, end.field);
  const std::string digests = join_digests(end.digests);
  row.bind_text_or_null(9, digests);
  row.bind_blob_or_null(10, end.timeline);
  row.bind_blob_or_null(11, end.result);
  end.file_bytes != 0 ? row.bind(12, end.file_bytes) : row.bind_null(12);
  row.bind(13, end.took.count());
  if (!row.run()) return std::unexpected(db_.error("ledger: settle"));
  ++head_.totals.ended[static_cast<int>(end.state)];
  head_.result_bytes += static_cast<std::int64_t>(end.result.size()) + end.file_bytes;
  if (end.keep_weight > 0) {
    outcome.keep_seq = ++head_.keep_seq;
    if (!kept_->store(end, outcome.keep_seq)) return std::unexpected(db_.error("ledger: keep"));
  }
  return store_refs(end.digests, end.job);
}

Status SqliteLedger::store_note(const Note& note, Outcome& outcome) {
  outcome.job = note.job;
  const auto slot = fates_->slot(note.job);
  if (!slot) return std::unexpected(db_.error("ledger: read fates"));
  if (*slot >= 0)
    return fail(Errc::corrupt,
                "a note for job " + std::to_string(note.job.raw()) + ", which is not live");
  Statement& row = writes_->note;
  row.bind(1, note.job.raw());
  row.bind(2, note.seq);
  row.bind(3, static_cast<int>(note.what));
  row.bind(4, note.charges);
  row.bind(5, note.failures);
  bind_time(row, 6, note.due);
  row.bind_blob_or_null(7, note.data);
  if (!row.run()) return std::unexpected(db_.error("ledger: note"));
  return {};
}

Status SqliteLedger::store_refs(const std::vector<std::string>& digests, JobId job) {
  for (const std::string& digest : digests) {
    writes_->ref.bind_text(1, digest);
    writes_->ref.bind(2, job.raw());
    if (!writes_->ref.run()) return std::unexpected(db_.error("ledger: reference"));
  }
  return {};
}

Status SqliteLedger::store_row(std::span<const Whole> wholes, std::int64_t head) {
  ends_.clear();
  for (const auto& [seq, tag] : ended_) {
    const PackedEnd packed{static_cast<std::uint32_t>(head - seq), tag};
    ends_.append(reinterpret_cast<const char*>(&packed), sizeof packed);
  }
  pack_wholes(wholes, head);
  Statement& row = writes_->row;
  row.bind(1, head);
  row.bind(2, head_.totals.accepted);
  for (int i = 0; i < end_states; ++i) row.bind(3 + i, head_.totals.ended[i]);
  row.bind(7, head_.keys);
  row.bind(8, head_.result_bytes);
  row.bind_blob_or_null(9, ends_);
  row.bind_blob_or_null(10, wholes_);
  if (!row.run() || !kept_->add(wholes)) return std::unexpected(db_.error("ledger: commit row"));
  return {};
}

// No commit came for them to ride on: they join the row of the last one.
Result<std::vector<Outcome>> SqliteLedger::store_late_wholes(std::span<const Whole> wholes) {
  if (wholes.empty() || head_.seq == 0) return std::vector<Outcome>();
  pack_wholes(wholes, head_.seq);
  writes_->late_wholes.bind(1, head_.seq);
  writes_->late_wholes.bind_blob(2, wholes_);
  if (writes_->begin.run() && writes_->late_wholes.run() && kept_->add(wholes) &&
      writes_->commit.run())
    return std::vector<Outcome>();
  Error error = db_.error("ledger: wholes");
  take_back(Head(head_));
  if (error.code == Errc::disk) return std::unexpected(std::move(error));
  return stop(std::move(error));
}

void SqliteLedger::pack_wholes(std::span<const Whole> wholes, std::int64_t head) {
  wholes_.clear();
  for (const Whole& whole : wholes)
    pack_whole(wholes_, static_cast<std::uint32_t>(head - whole.seq), whole.whole.count());
}

// The database could not grow; perhaps it can now.
bool SqliteLedger::make_room() {
  if (free_bytes(files_.folder()) < options_.reserve) return false;
  return keeper_->finish(db_).has_value() && !keeper_->disk_full();
}

void SqliteLedger::take_back(const Head& before) {
  io_failed_ = (db_.code() & 0xff) == SQLITE_IOERR;
  if (db_.in_transaction()) (void)writes_->rollback.run();
  fates_->forget();
  head_ = before;
}

// A failed sync, a failed write, a broken invariant: nothing is acknowledged after it. After the
// first two the mark makes the next start copy what the page cache shows before it believes it.
std::unexpected<Error> SqliteLedger::stop(Error error) {
  error.code = Errc::corrupt;
  if (io_failed_) files_.mark_failed(error.message);
  stopped_ = error;
  return std::unexpected(std::move(error));
}

std::unexpected<Error> SqliteLedger::stop_io(Error error) {
  io_failed_ = true;
  return stop(std::move(error));
}

// --- the rest ---

Status SqliteLedger::replay(std::function<void(std::vector<LiveJob>&&)> found) {
  return replay_live(db_, options_.boot, found);
}

Result<bool> SqliteLedger::retire(const RetainPolicy& policy, WallTime now) {
  thread_.check();
  if (stopped_) return std::unexpected(*stopped_);
  const Retirement::Held held{head_.totals, head_.keys, head_.result_bytes, head_.seq,
                              head_.keep_seq};
  auto more = retirement_->piece(policy, now, held, *fates_);
  if (!more) {
    take_back(Head(head_));
    if (more.error().code == Errc::disk) return more;
    return stop(std::move(more).error());
  }
  if (auto kept = keeper_->after_commit(db_, wal_frames_); !kept)
    return stop_io(std::move(kept).error());
  return more;
}

Result<std::vector<std::string>> SqliteLedger::unreferenced(std::span<const std::string> digests) {
  thread_.check();
  auto query = db_.prepare("SELECT 1 FROM refs WHERE digest = ?1 LIMIT 1");
  if (!query) return std::unexpected(std::move(query).error());
  std::vector<std::string> garbage;
  for (const std::string& digest : digests) {
    query->bind_text(1, digest);
    if (query->step()) {
      query->reset();
    } else if (query->ok()) {
      garbage.push_back(digest);
    } else {
      return std::unexpected(db_.error("ledger: references"));
    }
  }
  return garbage;
}

Result<std::unique_ptr<LedgerReader>> SqliteLedger::reader() {
  return open_sqlite_reader(files_.folder(), options_.vfs);
}

}  // namespace

Result<OpenLedger> open_sqlite_ledger(LedgerOptions options) {
  auto files = LedgerFiles::lock(options.folder, options.reserve);
  if (!files) return std::unexpected(std::move(files).error());
  auto ledger = std::make_unique<SqliteLedger>(std::move(options), std::move(*files));
  auto found = ledger->open();
  if (!found) return std::unexpected(std::move(found).error());
  return OpenLedger{std::move(ledger), std::move(*found)};
}

}  // namespace tallymill::front
