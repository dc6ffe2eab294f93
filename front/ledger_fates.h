// Fates: for every job one number that says whether it is live or which entry ended it.
//
// An index of ends by job would cost a tree operation per job. Instead 240 neighbouring ids share a
// row of 8-byte slots, read once and written once per commit however many of them changed. Jobs end
// about in the order they came, so a commit of 2,000 touches a dozen rows. replay() reads only the
// rows with a live job in them (a partial index), so that millions of ended jobs cost it nothing.
//
// A slot holds 0: no such job, or retired · negative: live, -1 - tag of its client · positive: the
// seq of its end. The tag comes back at settlement without a look at the job's row.
//
//   invariant: a slot goes 0 -> live -> ended -> 0, never another way
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

#include "base/units.h"
#include "store/sqlite.h"

namespace tallymill::front {

// 31 bits of a client's name: enough to skip most ends of others without reading their jobs.
[[nodiscard]] std::uint32_t client_tag(std::string_view client);

class Fates {
 public:
  static constexpr int per_row = 240;  // two rows of 1,920 bytes fill a page

  enum class Change : std::uint8_t { made, refused, failed };  // failed: see Sqlite::error()

  [[nodiscard]] static Result<Fates> prepare(store::Sqlite& db);

  // refused: the id is in use.
  [[nodiscard]] Change append(JobId job, std::uint32_t tag);
  // refused: not live. `tag` is set to the client's.
  [[nodiscard]] Change settle(JobId job, std::int64_t end_seq, std::uint32_t& tag);
  // refused: not ended.
  [[nodiscard]] Change retire(JobId job);
  // The slot as stored; nothing when reading failed.
  [[nodiscard]] std::optional<std::int64_t> slot(JobId job);

  // Writes the rows that changed, within the open transaction. False: see Sqlite::error().
  [[nodiscard]] bool flush();
  // After a rollback: what is in memory was never stored.
  void forget();

  // Slots of a stored row.
  static constexpr std::size_t row_bytes = per_row * sizeof(std::int64_t);
  [[nodiscard]] static std::int64_t slot_in(std::string_view row, int index);

 private:
  struct Row {
    std::array<std::int64_t, per_row> slots{};
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
  std::int64_t last_block_ = -1;
  Row* last_row_ = nullptr;
};

}  // namespace tallymill::front
