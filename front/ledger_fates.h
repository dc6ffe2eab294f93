// Fates: for every job one number that says whether it is live or which entry ended it.
//
// An index of ends by job would cost a tree operation per job. Instead 240 neighbouring ids share a
// row of 16-byte slots, read once and written once per commit however many of them changed. Jobs
// end about in the order they came, so a commit of 2,000 touches a dozen rows. replay() reads only
// the rows with a live job in them (a partial index), so that millions of ended jobs cost it
// nothing.
//
// A slot's number holds 0: no such job, or retired · negative: live, -1 - tag of its client ·
// positive: the seq of its end. The tag comes back at settlement without a look at the job's row.
// Beside it stands the job in brief, so that a list is looked through a page of 240 jobs at a time
// (ledger_list.h): a million in a few milliseconds, where an index by client, kind or time taken
// would cost each commit.
//
//   invariant: a slot goes 0 -> live -> ended -> 0, never another way
//   invariant: a row's `latest` is no less than that of the row before, and than the time at which
//   each of its jobs was submitted: what lies before the first row that reaches a time is older
//   invariant: a row's `live` is 1 while one of its slots is negative, else 0: a number would
//   change, and with it the index, in every commit
//
// Threads: the committer's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/units.h"
#include "front/ledger.h"
#include "store/sqlite.h"

namespace tallymill::front {

// 31 bits of a client's name: enough to skip most ends of others without reading their jobs.
[[nodiscard]] std::uint32_t client_tag(std::string_view client);

// A job in 8 bytes. Client and kind are hashes: another one's may be the same.
struct Brief {
  std::uint32_t took = 0;  // of an ended one: JobEnd::took, see took_key()
  std::uint16_t client = 0;
  std::uint16_t kind_state = 0;  // the state of its end in the low two bits

  [[nodiscard]] EndState state() const { return static_cast<EndState>(kind_state & 3); }
  [[nodiscard]] std::uint16_t kind() const { return kind_state >> 2; }
  friend bool operator==(const Brief&, const Brief&) = default;
};
[[nodiscard]] std::uint16_t brief_client(std::uint32_t tag);
[[nodiscard]] std::uint16_t brief_kind(std::string_view kind);
// Rises with the time: the bits of a float of seconds, which compare as it does.
[[nodiscard]] std::uint32_t took_key(Duration took);

class Fates {
 public:
  static constexpr int per_row = 240;  // one row of 3,840 bytes fills a page
  struct Slot {
    std::int64_t fate = 0;
    Brief brief;
  };
  static_assert(sizeof(Slot) == 16);

  enum class Change : std::uint8_t { made, refused, failed };  // failed: see Sqlite::error()

  [[nodiscard]] static Result<Fates> prepare(store::Sqlite& db);

  // refused: the id is in use.
  [[nodiscard]] Change append(JobId job, std::uint32_t tag, std::string_view kind,
                              WallTime submitted);
  // refused: not live. `tag` is set to the client's.
  [[nodiscard]] Change settle(JobId job, std::int64_t end_seq, EndState state, Duration took,
                              std::uint32_t& tag);
  // refused: not ended.
  [[nodiscard]] Change retire(JobId job);
  // The slot's number as stored; nothing when reading failed.
  [[nodiscard]] std::optional<std::int64_t> slot(JobId job);

  // Writes the rows that changed, within the open transaction. False: see Sqlite::error().
  [[nodiscard]] bool flush();
  // After a rollback: what is in memory was never stored.
  void forget();

  // Slots of a stored row.
  static constexpr std::size_t row_bytes = per_row * sizeof(Slot);
  using Slots = std::array<Slot, per_row>;
  [[nodiscard]] static Slots slots_of(std::string_view row);
  [[nodiscard]] static Slot whole_slot_in(std::string_view row, int index);
  [[nodiscard]] static std::int64_t slot_in(std::string_view row, int index) {
    return whole_slot_in(row, index).fate;
  }

 private:
  struct Row {
    Slots slots{};
    std::int64_t latest_ns = 0;
    int live = 0;              // its negative slots
    bool stored_live = false;  // as the stored row says
    bool stored = false;
    bool dirty = false;
  };
  [[nodiscard]] Row* row_of(JobId job);
  [[nodiscard]] bool write(std::int64_t block, Row& row);
  void changed(JobId job, Row& row);

  store::Statement select_, insert_, update_, update_live_, remove_;
  std::unordered_map<std::int64_t, Row> rows_;
  std::vector<std::pair<std::int64_t, Row*>> dirty_;
  std::int64_t latest_ns_ = 0;
  std::int64_t last_block_ = -1;
  Row* last_row_ = nullptr;
};

}  // namespace tallymill::front
