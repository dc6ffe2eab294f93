#include "front/ledger_fates.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace tallymill::front {
namespace {

static_assert(std::endian::native == std::endian::little, "slots are stored as they are in memory");

// Rows kept between commits: those near the head are needed again at once. 8 MiB.
constexpr std::size_t rows_kept = 4096;

std::size_t index_of(JobId job) { return static_cast<std::size_t>(job.raw() % Fates::per_row); }

}  // namespace

std::uint32_t client_tag(std::string_view client) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : client) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return static_cast<std::uint32_t>((hash ^ (hash >> 32)) & 0x7fffffff);
}

Result<Fates> Fates::prepare(store::Sqlite& db) {
  Fates fates;
  struct {
    store::Statement& statement;
    const char* sql;
  } const all[] = {
      {fates.select_, "SELECT live, slots FROM fates WHERE block = ?1"},
      {fates.insert_, "INSERT INTO fates(block, slots, live) VALUES(?1, ?2, ?3)"},
      {fates.update_, "UPDATE fates SET slots = ?2 WHERE block = ?1"},
      {fates.update_live_, "UPDATE fates SET slots = ?2, live = ?3 WHERE block = ?1"},
      {fates.remove_, "DELETE FROM fates WHERE block = ?1"},
  };
  for (const auto& each : all) {
    auto prepared = db.prepare(each.sql);
    if (!prepared) return std::unexpected(std::move(prepared).error());
    each.statement = std::move(*prepared);
  }
  return fates;
}

Fates::Change Fates::append(JobId job, std::uint32_t tag) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  std::int64_t& slot = row->slots[index_of(job)];
  if (slot != 0) return Change::refused;
  slot = -1 - std::int64_t{tag};
  ++row->live;
  changed(job, *row);
  return Change::made;
}

Fates::Change Fates::settle(JobId job, std::int64_t end_seq, std::uint32_t& tag) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  std::int64_t& slot = row->slots[index_of(job)];
  if (slot >= 0) return Change::refused;
  tag = static_cast<std::uint32_t>(-1 - slot);
  slot = end_seq;
  --row->live;
  changed(job, *row);
  return Change::made;
}

Fates::Change Fates::retire(JobId job) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  std::int64_t& slot = row->slots[index_of(job)];
  if (slot <= 0) return Change::refused;
  slot = 0;
  changed(job, *row);
  return Change::made;
}

std::optional<std::int64_t> Fates::slot(JobId job) {
  Row* row = row_of(job);
  if (!row) return std::nullopt;
  return row->slots[index_of(job)];
}

bool Fates::flush() {
  for (auto& [block, row] : dirty_) {
    if (!write(block, *row)) return false;
  }
  dirty_.clear();
  if (rows_.size() > rows_kept) forget();
  return true;
}

void Fates::forget() {
  rows_.clear();
  dirty_.clear();
  last_block_ = -1;
  last_row_ = nullptr;
}

std::int64_t Fates::slot_in(std::string_view row, int index) {
  TM_CHECK(row.size() == row_bytes && index >= 0 && index < per_row);
  std::int64_t slot = 0;
  std::memcpy(&slot, row.data() + static_cast<std::size_t>(index) * sizeof slot, sizeof slot);
  return slot;
}

Fates::Row* Fates::row_of(JobId job) {
  const std::int64_t block = job.raw() / per_row;
  if (block == last_block_) return last_row_;
  const auto [at, fresh] = rows_.try_emplace(block);
  if (fresh) {
    select_.bind(1, block);
    if (select_.step()) {
      const std::string_view slots = select_.blob(1);
      Row& row = at->second;
      row.stored = true;
      row.stored_live = select_.integer(0) > 0;
      std::memcpy(row.slots.data(), slots.data(), std::min(slots.size(), row_bytes));
      row.live = static_cast<int>(std::ranges::count_if(row.slots, [](auto s) { return s < 0; }));
      select_.reset();
    } else if (!select_.ok()) {
      rows_.erase(at);
      return nullptr;
    }
  }
  last_block_ = block;
  last_row_ = &at->second;
  return last_row_;
}

void Fates::changed(JobId job, Row& row) {
  if (!row.dirty) dirty_.emplace_back(job.raw() / per_row, &row);
  row.dirty = true;
}

bool Fates::write(std::int64_t block, Row& row) {
  row.dirty = false;
  const bool empty = std::all_of(row.slots.begin(), row.slots.end(), [](auto s) { return s == 0; });
  if (empty) {
    row.stored = false;
    remove_.bind(1, block);
    return remove_.run();
  }
  const bool live = row.live > 0;
  const bool same = row.stored && row.stored_live == live;
  store::Statement& statement = same ? update_ : row.stored ? update_live_ : insert_;
  row.stored = true;
  row.stored_live = live;
  statement.bind(1, block);
  statement.bind_blob(2, {reinterpret_cast<const char*>(row.slots.data()), row_bytes});
  if (!same) statement.bind(3, live ? 1 : 0);
  return statement.run();
}

}  // namespace tallymill::front
