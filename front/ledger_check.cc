#include "front/ledger_check.h"

#include <sqlite3.h>

#include <array>
#include <optional>
#include <utility>

#include "front/ledger.h"
#include "front/ledger_fates.h"
#include "front/ledger_kept.h"
#include "front/ledger_records.h"
#include "front/ledger_rows.h"
#include "front/ledger_schema.h"
#include "front/timeline.h"
#include "store/blobs.h"
#include "store/sqlite.h"

namespace tallymill::front {
namespace {

using store::Sqlite;
using store::Statement;

constexpr std::size_t violations_listed = 100;

std::string text(std::int64_t number) { return std::to_string(number); }

// The laws, one function each. A query that fails ends the check: see failed_.
class Check {
 public:
  Check(Sqlite& db, const CheckOptions& options) : db_(db), options_(options) {}

  [[nodiscard]] Result<CheckReport> run();

 private:
  void pages_are_whole();
  void read_totals();
  void every_job_has_its_slot();
  void every_slot_has_its_job_and_end();
  void slot_tells(std::int64_t job, const Fates::Slot& slot, std::int64_t latest,
                  Statement& job_row, Statement& end_row);
  void every_end_is_its_jobs_only_one();
  void totals_are_what_is_there();
  void commits_list_their_ends();
  void numbers_are_below_the_head();
  void a_front_can_start();
  void what_hangs_on_a_job_has_one();
  void keys_stand_for_one_job();
  void references_are_registered();
  void bodies_can_be_sent();
  void ends_are_as_recorded();
  void notes_count_one_by_one();
  void retired_numbers_are_gone();
  void wholes_are_of_ends();
  void kept_waterfalls_are_whole();
  void blobs_are_there();

  void broken(std::string law, std::int64_t job, std::string what);
  void broken(const Wrong& wrong, std::int64_t job) { broken(wrong.law, job, wrong.what); }
  void equal(const char* law, const char* what, std::int64_t stored, std::int64_t counted);
  // Calls use(row) for each row.
  template <class Use>
  void each(const std::string& sql, Use use);
  [[nodiscard]] std::int64_t count(const std::string& sql);
  [[nodiscard]] std::int64_t slot_of(std::int64_t job);

  Sqlite& db_;
  const CheckOptions& options_;
  CheckReport report_;
  std::optional<Error> failed_;

  // The last commit's row, and the row of `retired`.
  std::int64_t ended_[end_states] = {};
  std::int64_t retired_[end_states] = {};
  std::int64_t keys_ = 0, keys_retired_ = 0, result_bytes_ = 0, result_bytes_retired_ = 0;
  std::int64_t retired_through_ = 0, results_retired_through_ = 0, kept_through_ = 0;
  std::int64_t block_ = -1;  // the row of slots that slot_of() read last
  std::string slots_;
};

Result<CheckReport> Check::run() {
  pages_are_whole();
  read_totals();
  every_job_has_its_slot();
  every_slot_has_its_job_and_end();
  every_end_is_its_jobs_only_one();
  totals_are_what_is_there();
  commits_list_their_ends();
  numbers_are_below_the_head();
  a_front_can_start();
  what_hangs_on_a_job_has_one();
  keys_stand_for_one_job();
  references_are_registered();
  bodies_can_be_sent();
  ends_are_as_recorded();
  notes_count_one_by_one();
  retired_numbers_are_gone();
  wholes_are_of_ends();
  kept_waterfalls_are_whole();
  blobs_are_there();
  if (failed_ && report_.clean()) return std::unexpected(std::move(*failed_));
  if (failed_) broken("the file can be read", 0, failed_->message);
  return std::move(report_);
}

void Check::pages_are_whole() {
  each("PRAGMA integrity_check(20)", [&](const Statement& row) {
    if (row.text(0) != "ok") broken("the file's pages are whole", 0, std::string(row.text(0)));
  });
}

void Check::read_totals() {
  each(
      "SELECT head, accepted, done, failed, cancelled, expired, keys, result_bytes FROM commits"
      " ORDER BY head DESC LIMIT 1",
      [&](const Statement& row) {
        report_.head = row.integer(0);
        report_.accepted = row.integer(1);
        for (int i = 0; i < end_states; ++i) ended_[i] = row.integer(2 + i);
        keys_ = row.integer(6);
        result_bytes_ = row.integer(7);
      });
  each(
      "SELECT done, failed, cancelled, expired, keys, result_bytes, through_seq,"
      " results_through_seq, kept_through FROM retired",
      [&](const Statement& row) {
        for (int i = 0; i < end_states; ++i) report_.retired += retired_[i] = row.integer(i);
        keys_retired_ = row.integer(4);
        result_bytes_retired_ = row.integer(5);
        retired_through_ = row.integer(6);
        results_retired_through_ = row.integer(7);
        kept_through_ = row.integer(8);
      });
  if (const auto rows = count("SELECT count(*) FROM retired"); rows != 1)
    broken("what was retired is counted", 0, "the table `retired` has " + text(rows) + " rows");
}

void Check::every_job_has_its_slot() {
  each("SELECT id, client, body IS NULL FROM jobs ORDER BY id", [&](const Statement& row) {
    const std::int64_t job = row.integer(0);
    const std::int64_t slot = slot_of(job);
    if (slot < 0 && row.integer(2) != 0)
      broken("a live job has what its worker needs", job, "its body is gone");
    if (slot == 0) broken("a stored job is live or ended", job, "it has a row and no slot");
    if (slot < 0 && -1 - slot != client_tag(row.text(1)))
      broken("a slot knows its job's client", job, "its tag is another client's");
  });
}

void Check::every_slot_has_its_job_and_end() {
  auto job_row = db_.prepare("SELECT client, kind, submitted_ns FROM jobs WHERE id = ?1");
  auto end_row = db_.prepare("SELECT job, state, took_ns FROM ends WHERE seq = ?1");
  if (!job_row || !end_row) return;  // each() below says why
  std::int64_t latest = 0;
  each("SELECT block, live, slots, latest_ns FROM fates ORDER BY block", [&](const Statement& row) {
    const std::int64_t base = row.integer(0) * Fates::per_row;
    const std::string_view slots = row.blob(2);
    if (slots.size() != Fates::row_bytes)
      return broken("a row of slots is whole", base,
                    "it has " + text(std::ssize(slots)) + " bytes");
    if (row.integer(3) < latest)
      broken("the latest submit never falls", base, "the row before has a later one");
    latest = row.integer(3);
    std::int64_t live = 0;
    for (int i = 0; i < Fates::per_row; ++i) {
      const Fates::Slot slot = Fates::whole_slot_in(slots, i);
      live += slot.fate < 0 ? 1 : 0;
      if (slot.fate != 0) slot_tells(base + i, slot, latest, *job_row, *end_row);
    }
    report_.live += live;
    if ((live > 0 ? 1 : 0) != row.integer(1))
      broken("live jobs are found", base,
             "a row of slots says " + text(row.integer(1)) + ", it has " + text(live) + " live");
  });
}

void Check::slot_tells(std::int64_t job, const Fates::Slot& slot, std::int64_t latest,
                       Statement& job_row, Statement& end_row) {
  Brief brief{slot.brief.took, 0, static_cast<std::uint16_t>(slot.brief.kind_state & 3)};
  job_row.bind(1, job);
  if (!job_row.step()) {
    broken("a job that was accepted is there", job, "its row is gone");
  } else {
    brief.client = brief_client(client_tag(job_row.text(0)));
    brief.kind_state |= static_cast<std::uint16_t>(brief_kind(job_row.text(1)) << 2);
    if (job_row.integer(2) > latest)
      broken("the latest submit never falls", job, "it was submitted after that of its row");
  }
  job_row.reset();
  if (slot.fate < 0) {
    if (brief.took != 0 || brief.state() != EndState::done)
      broken("a slot tells of its job in brief", job, "it is live and has an end");
  } else {
    end_row.bind(1, slot.fate);
    if (!end_row.step() || end_row.integer(0) != job) {
      broken("an ended job has its end", job, "entry " + text(slot.fate) + " is not its end");
    } else {
      brief.kind_state =
          static_cast<std::uint16_t>((brief.kind_state & ~3) | (end_row.integer(1) & 3));
      if (!end_row.is_null(2)) brief.took = took_key(Duration(end_row.integer(2)));
    }
    end_row.reset();
  }
  if (brief != slot.brief)
    broken("a slot tells of its job in brief", job,
           "its client, kind, state or time are another's");
}

void Check::every_end_is_its_jobs_only_one() {
  each("SELECT seq, job, state FROM ends ORDER BY seq", [&](const Statement& row) {
    ++report_.ended;
    const std::int64_t slot = slot_of(row.integer(1));
    if (slot == row.integer(0)) return;
    const std::string entry = "entry " + text(row.integer(0)) + " ends it, ";
    broken("a job has one end", row.integer(1),
           entry + (slot > 0   ? "and so does entry " + text(slot)
                    : slot < 0 ? std::string("and it is live")
                               : std::string("and there is no such job")));
  });
}

void Check::totals_are_what_is_there() {
  std::int64_t ended = 0;
  for (int i = 0; i < end_states; ++i) {
    const std::string name(name_of(static_cast<EndState>(i)));
    const std::int64_t there = count("SELECT count(*) FROM ends WHERE state = " + text(i));
    equal("ends = kept + retired, in each state", name.c_str(), ended_[i], there + retired_[i]);
    ended += ended_[i];
  }
  equal("accepted = ended + live", "accepted", report_.accepted, ended + report_.live);
  equal("bytes of results = kept + retired", "result_bytes", result_bytes_,
        result_bytes_retired_ +
            count("SELECT coalesce(sum(coalesce(length(result), 0) + coalesce(file_bytes, 0)), 0)"
                  " FROM ends"));
}

// Between one row and the next, as many ends as its list names; and what it names is there.
void Check::commits_list_their_ends() {
  auto end_row = db_.prepare(
      "SELECT e.job, j.client FROM ends e JOIN jobs j ON j.id = e.job"
      " WHERE e.seq = ?1");
  if (!end_row) return;
  std::optional<std::int64_t> accepted_before, ended_before;
  each(
      "SELECT head, accepted, done + failed + cancelled + expired, ends FROM commits ORDER BY head",
      [&](const Statement& row) {
        const std::int64_t head = row.integer(0);
        std::int64_t listed = 0;
        each_packed_end(row.blob(3), head, [&](std::int64_t seq, std::uint32_t tag) {
          ++listed;
          if (seq <= retired_through_) return;
          end_row->bind(1, seq);
          const bool found = end_row->step();
          if (!found)
            broken("a commit's ends are there", 0,
                   "commit " + text(head) + " lists entry " + text(seq) + ", which is no end");
          else if (client_tag(end_row->text(1)) != tag)
            broken("a commit knows its ends' clients", end_row->integer(0), "another tag");
          end_row->reset();
        });
        if (ended_before && row.integer(2) - *ended_before != listed)
          broken("totals grow by what a commit holds", 0,
                 "commit " + text(head) + " adds " + text(row.integer(2) - *ended_before) +
                     " ends and lists " + text(listed));
        if (accepted_before && row.integer(1) < *accepted_before)
          broken("totals never shrink", 0, "accepted falls at commit " + text(head));
        accepted_before = row.integer(1);
        ended_before = row.integer(2);
      });
}

void Check::numbers_are_below_the_head() {
  for (const auto& [table, column] : {std::pair{"jobs", "id"},
                                      {"ends", "seq"},
                                      {"notes", "seq"},
                                      {"retired_keys", "job"},
                                      {"kept", "seq"}}) {
    const std::int64_t highest =
        count(std::string("SELECT coalesce(max(") + column + "), 0) FROM " + table);
    if (highest > report_.head)
      broken("no number is above the head", highest,
             std::string("in ") + table + "; the head is " + text(report_.head));
  }
}

// Without these a front cannot start, or would hand out tokens that it has handed out before.
void Check::a_front_can_start() {
  if (report_.head > 0 && count("SELECT count(*) FROM epochs") == 0)
    broken("every start raised the epoch", 0, "the table `epochs` is empty");
  if (count("SELECT count(*) FROM meta WHERE key = 'ledger_id' AND length(value) > 0") != 1)
    broken("the ledger has an id", 0, "the table `meta` has none");
  each("SELECT id, priority FROM jobs WHERE priority NOT BETWEEN 0 AND 9",
       [&](const Statement& row) {
         broken("a priority is 0 to 9", row.integer(0), "it is " + text(row.integer(1)));
       });
}

void Check::what_hangs_on_a_job_has_one() {
  for (const char* table : {"notes", "refs"}) {
    each(std::string("SELECT DISTINCT job FROM ") + table +
             " WHERE job NOT IN (SELECT id FROM jobs)",
         [&](const Statement& row) {
           broken("notes and references have their job", row.integer(0),
                  std::string("it is gone, its ") + table + " are not");
         });
  }
}

void Check::keys_stand_for_one_job() {
  each(
      "SELECT k.job, k.client, j.id = k.job FROM retired_keys k"
      " JOIN jobs j ON j.id = k.job OR (j.client = k.client AND j.key = k.key)",
      [&](const Statement& row) {
        broken("a key stands for one job", row.integer(0),
               "a retired key of " + std::string(row.text(1)) +
                   (row.integer(2) == 1 ? " has its job still" : " is another job's too"));
      });
  equal("keys are counted", "keys", keys_,
        count("SELECT count(*) FROM jobs WHERE key IS NOT NULL") +
            count("SELECT count(*) FROM retired_keys") + keys_retired_);
}

void Check::references_are_registered() {
  auto reference = db_.prepare("SELECT 1 FROM refs WHERE digest = ?1 AND job = ?2");
  if (!reference) return;
  for (const char* sql : {"SELECT id, digests FROM jobs WHERE digests IS NOT NULL",
                          "SELECT job, digests FROM ends WHERE digests IS NOT NULL"}) {
    each(sql, [&](const Statement& row) {
      for (const std::string& digest : split_digests(row.text(1))) {
        reference->bind_text(1, digest);
        reference->bind(2, row.integer(0));
        if (!reference->step())
          broken("a used blob is referenced", row.integer(0), digest + " may be collected");
        reference->reset();
      }
    });
  }
}

void Check::bodies_can_be_sent() {
  NewJob job;
  each("SELECT id, digests, body FROM jobs WHERE body IS NOT NULL ORDER BY id",
       [&](const Statement& row) {
         job.digests = split_digests(row.text(1));
         job.body = row.blob(2);
         if (const auto wrong = wrong_with_body(job)) broken(*wrong, row.integer(0));
       });
}

void Check::ends_are_as_recorded() {
  JobEnd end;
  each("SELECT job, seq, state, code, digests, timeline, result FROM ends ORDER BY seq",
       [&](const Statement& row) {
         end.job = JobId(row.integer(0));
         end.state = static_cast<EndState>(row.integer(2));
         end.code = row.text(3);
         end.digests = split_digests(row.text(4));
         end.timeline = row.blob(5);
         end.result = row.blob(6);
         const bool retired = row.integer(1) <= results_retired_through_;
         if (const auto wrong = wrong_with_end(end, retired)) broken(*wrong, row.integer(0));
       });
}

// A note holds the counts after it: they rise by one, where it says why. Attempts that were handed
// back leave no note, so a job's attempts are not held against them.
void Check::notes_count_one_by_one() {
  std::int64_t job = 0, charges = 0, failures = 0;
  each("SELECT job, what, charges, failures, data FROM notes ORDER BY job, seq",
       [&](const Statement& row) {
         if (row.integer(0) != job) charges = failures = 0;
         job = row.integer(0);
         const auto what = static_cast<Note::What>(row.integer(1));
         const bool lost = what == Note::What::charged;
         const bool failed = what == Note::What::retry_at || what == Note::What::attempt_failed;
         const auto rises = [&](std::int64_t from, std::int64_t to, bool may) {
           return to == from || (may && to == from + 1);
         };
         if (!rises(charges, row.integer(2), lost))
           broken("charges are attempts that were lost", job,
                  "they go from " + text(charges) + " to " + text(row.integer(2)));
         if (!rises(failures, row.integer(3), failed))
           broken("failures are attempts that failed", job,
                  "they go from " + text(failures) + " to " + text(row.integer(3)));
         charges = row.integer(2);
         failures = row.integer(3);
         if (const auto wrong = wrong_with_attempt(row.blob(4), JobId(job))) broken(*wrong, job);
       });
}

// Whether results are gone as far as they should be: ends_are_as_recorded().
void Check::retired_numbers_are_gone() {
  each("SELECT seq, job FROM ends ORDER BY seq LIMIT 1", [&](const Statement& row) {
    if (row.integer(0) <= retired_through_)
      broken(
          "what was retired is gone", row.integer(1),
          "entry " + text(row.integer(0)) + " is kept, through_seq is " + text(retired_through_));
  });
  for (const auto& [column, through] : {std::pair("through_seq", retired_through_),
                                        {"results_through_seq", results_retired_through_}})
    if (through > report_.head)
      broken("no number is above the head", through,
             std::string(column) + " of retired; the head is " + text(report_.head));
}

// No whole is shorter than what the record of its end tells of it.
void Check::wholes_are_of_ends() {
  auto end_row = db_.prepare("SELECT job, timeline FROM ends WHERE seq = ?1");
  if (!end_row) return;
  constexpr const char* law = "a whole is the time of an end";
  each("SELECT head, wholes, ends FROM commits ORDER BY head", [&](const Statement& row) {
    const std::int64_t head = row.integer(0);
    if (row.blob(1).size() % packed_whole_bytes != 0 || row.blob(2).size() % sizeof(PackedEnd) != 0)
      broken("a commit's lists are whole", 0, "one of commit " + text(head) + " is cut short");
    each_packed_whole(row.blob(1), head, [&](std::int64_t seq, std::int64_t ns) {
      if (seq > 0 && seq <= retired_through_) return;
      end_row->bind(1, seq);
      if (!end_row->step()) {
        broken(law, 0, "commit " + text(head) + " has one of entry " + text(seq));
      } else if (const auto end = read_attempt(end_row->blob(1), JobId(end_row->integer(0)));
                 end && Duration(ns) < end->stamps.returned - end->stamps.intake) {
        broken(law, end_row->integer(0), text(ns) + " ns are less than its parts");
      }
      end_row->reset();
    });
  });
}

// They outlive their ends; of those that are still there they tell the same.
void Check::kept_waterfalls_are_whole() {
  auto end_row = db_.prepare("SELECT job, state, timeline FROM ends WHERE seq = ?1");
  if (!end_row) return;
  constexpr const char* law = "a kept waterfall is of an end";
  std::int64_t before = kept_through_;
  each(std::string(kept_rows) + " ORDER BY keep_seq", [&](const Statement& row) {
    const auto kept = read_kept(row);
    const std::int64_t job = row.integer(3);
    if (row.integer(0) != before + 1)
      broken("kept waterfalls have no hole", job,
             "number " + text(row.integer(0)) + " follows on " + text(before));
    before = row.integer(0);
    if (!kept) return broken("what is stored of a job can be read", job, kept.error().message);
    const JobEnd& end = *kept->of.job.end;
    const bool failure = end.state == EndState::failed || end.state == EndState::expired;
    if (failure ? kept->weight != 1 : !(kept->weight >= 1))
      broken("a kept waterfall stands for itself at least", job, "its weight is another");
    for (const std::string& attempt : kept->of.failed_attempts)
      if (const auto wrong = wrong_with_attempt(attempt, JobId(job))) broken(*wrong, job);
    if (const auto wrong = wrong_with_attempt(kept->of.timeline, JobId(job))) broken(*wrong, job);
    if (end.seq <= retired_through_) return;
    end_row->bind(1, end.seq);
    if (!end_row->step())
      broken(law, job, "there is no entry " + text(end.seq));
    else if (end_row->integer(0) != job ||
             end_row->integer(1) != static_cast<std::int64_t>(end.state) ||
             end_row->blob(2) != kept->of.timeline)
      broken(law, job, "entry " + text(end.seq) + " tells another story");
    end_row->reset();
  });
}

void Check::blobs_are_there() {
  if (!options_.blobs) return;
  each("SELECT digest, min(job) FROM refs GROUP BY digest", [&](const Statement& row) {
    const std::string digest(row.text(0));
    if (options_.read_blobs) {
      const auto read = options_.blobs->verify(digest);
      if (!read) broken("a referenced blob is there", row.integer(1), read.error().message);
    } else if (!options_.blobs->has(digest)) {
      broken("a referenced blob is there", row.integer(1), "no blob " + digest);
    }
  });
}

// --- helpers ---

void Check::broken(std::string law, std::int64_t job, std::string what) {
  ++report_.violations_in_all;
  if (report_.violations.size() < violations_listed)
    report_.violations.push_back({std::move(law), JobId(job), std::move(what)});
}

void Check::equal(const char* law, const char* what, std::int64_t stored, std::int64_t counted) {
  if (stored != counted)
    broken(
        law, 0,
        std::string(what) + ": the ledger says " + text(stored) + ", there are " + text(counted));
}

template <class Use>
void Check::each(const std::string& sql, Use use) {
  auto query = db_.prepare(sql);
  if (!query) {
    failed_ = std::move(query).error();
    return;
  }
  while (query->step()) use(*query);
  if (!query->ok()) failed_ = db_.error(sql);
}

std::int64_t Check::count(const std::string& sql) {
  std::int64_t counted = 0;
  each(sql, [&](const Statement& row) { counted = row.integer(0); });
  return counted;
}

std::int64_t Check::slot_of(std::int64_t job) {
  const std::int64_t block = job / Fates::per_row;
  if (block != block_) {
    block_ = block;
    slots_.clear();
    each("SELECT slots FROM fates WHERE block = " + text(block),
         [&](const Statement& row) { slots_ = row.blob(0); });
  }
  if (slots_.size() != Fates::row_bytes || job < 0) return 0;
  return Fates::slot_in(slots_, static_cast<int>(job % Fates::per_row));
}

}  // namespace

Result<CheckReport> check_ledger(const CheckOptions& options) {
  const std::filesystem::path file = options.folder / "ledger.db";
  if (!std::filesystem::exists(file))
    return fail(Errc::not_found, "no ledger in " + options.folder.string());
  auto db = Sqlite::open(file, Sqlite::Mode::write);
  if (!db) return std::unexpected(std::move(db).error());
  int persist = 1;
  sqlite3_file_control(db->raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  sqlite3_db_config(db->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (auto set = db->exec("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000"); !set)
    return std::unexpected(std::move(set).error());
  auto version = db->number("PRAGMA user_version");
  if (!version) return std::unexpected(std::move(version).error());
  if (*version != ledger_schema_version)
    return fail(*version > ledger_schema_version ? Errc::version : Errc::wrong_state,
                "the ledger has schema version " + std::to_string(*version) +
                    ", this program checks " + std::to_string(ledger_schema_version) +
                    (*version < ledger_schema_version ? ": start the front once" : ""));
  // One state for all laws.
  if (auto begun = db->exec("BEGIN"); !begun) return std::unexpected(std::move(begun).error());
  return Check(*db, options).run();
}

}  // namespace tallymill::front
