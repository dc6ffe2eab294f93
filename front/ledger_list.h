// LedgerList: jobs a page at a time, as a JobsQuery asks for them.
//
// What is asked is held against the briefs of jobs first (ledger_fates.h), 240 of them a row; only
// what a brief cannot rule out is looked at in its own row. By id (newest, oldest) the briefs are
// gone through in order until the page is full. By when jobs ended or how long they took they are
// gone through whole, which costs some 10 ms a million, and the first of what is asked for are
// kept.
//
//   invariant: each page looks at jobs for limits::jobs_read_time, or for one row of briefs if that
//              takes longer, and its cursor is beyond all that it looked at
//   invariant: pages of one query list a job that fits all the while exactly once
//
// Threads: the reader's, with its connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "front/ledger.h"
#include "front/ledger_fates.h"
#include "store/sqlite.h"

namespace tallymill::front {

class LedgerList {
 public:
  // How a job's whole row is read, by its id and the number of its slot.
  using ReadRow = std::function<Result<JobRow>(JobId, std::int64_t)>;

  [[nodiscard]] static Result<LedgerList> prepare(store::Sqlite& db);

  // bad_params: a state that is none, or a cursor of another list.
  [[nodiscard]] Result<JobsPage> page(const JobsQuery& query, const ReadRow& read);

 private:
  // By what a list is sorted: of two jobs the one with the greater place is listed first, but for
  // `oldest`.
  struct Place {
    std::int64_t major = 0;  // its id; the seq of its end; took_key()
    std::int64_t job = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Candidate {
    Place place;
    Fates::Slot slot;
  };
  // The query as briefs are held against it.
  struct Wanted {
    bool live = false;
    bool ended = false;
    std::optional<EndState> state;
    std::optional<std::uint16_t> client;
    std::vector<std::uint16_t> kinds;  // none: any
    [[nodiscard]] bool fits(const Fates::Slot& slot) const;
  };
  enum class Added : std::uint8_t { no, yes, full };

  [[nodiscard]] Status begin(const JobsQuery& query);
  [[nodiscard]] Status read_cursor();
  [[nodiscard]] Result<std::int64_t> first_block(WallTime since);
  [[nodiscard]] Status by_id();
  [[nodiscard]] Result<bool> row_by_id(std::int64_t block, std::string_view slots);
  [[nodiscard]] Status by_place();
  [[nodiscard]] Status sweep(std::size_t most);
  void keep_first(std::size_t most);
  [[nodiscard]] Result<Added> add_asked();
  [[nodiscard]] Result<Added> add(JobId job, const Fates::Slot& slot);
  [[nodiscard]] Result<bool> fits(JobId job, const Fates::Slot& slot);
  [[nodiscard]] Place place_of(JobId job, const Fates::Slot& slot) const;
  [[nodiscard]] std::string cursor_at(const Place& place) const;
  [[nodiscard]] bool late() const;
  [[nodiscard]] std::unexpected<Error> failed() const;

  store::Sqlite* db_ = nullptr;
  store::Statement falling_, rising_, live_falling_, live_rising_, from_, slots_, look_, code_;

  // Of the page at work.
  const JobsQuery* query_ = nullptr;
  const ReadRow* read_ = nullptr;
  Wanted wanted_;
  Place at_;                      // looked at last
  std::optional<JobId> asked_;    // the job whose id the text is
  std::int64_t first_block_ = 0;  // what lies before is older than was asked for
  std::chrono::steady_clock::time_point until_;
  Bytes left_{};
  JobsPage page_;
  std::vector<Candidate> candidates_;
  bool dropped_ = false;  // candidates beyond those that are kept
  Place worst_;           // of those dropped, the best: what comes after it is no candidate
};

}  // namespace tallymill::front
