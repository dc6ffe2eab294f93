#include "front/ledger_fates.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace tallymill::front {
namespace {

static_assert(std::endian::native == std::endian::little, "slots are stored as they are in memory");

// Rows kept between commits: those near the head are needed again at once. 8 MiB.
constexpr std::size_t rows_kept = 2048;

std::size_t index_of(JobId job) { return static_cast<std::size_t>(job.raw() % Fates::per_row); }

}  // namespace

std::uint32_t client_tag(std::string_view client) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : client) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return static_cast<std::uint32_t>((hash ^ (hash >> 32)) & 0x7fffffff);
}

std::uint16_t brief_client(std::uint32_t tag) { return static_cast<std::uint16_t>(tag); }

std::uint16_t brief_kind(std::string_view kind) {
  return static_cast<std::uint16_t>(client_tag(kind) & 0x3fff);
}

std::uint32_t took_key(Duration took) {
  const float seconds = std::chrono::duration<float>(std::max(took, Duration{})).count();
  return std::bit_cast<std::uint32_t>(seconds);
}

Result<Fates> Fates::prepare(store::Sqlite& db) {
  Fates fates;
  auto prepared = db.prepare_all({
      {fates.select_, "SELECT live, latest_ns, slots FROM fates WHERE block = ?1"},
      {fates.insert_, "INSERT INTO fates(block, latest_ns, slots, live) VALUES(?1, ?2, ?3, ?4)"},
      {fates.update_, "UPDATE fates SET latest_ns = ?2, slots = ?3 WHERE block = ?1"},
      {fates.update_live_,
       "UPDATE fates SET latest_ns = ?2, slots = ?3, live = ?4 WHERE block = ?1"},
      {fates.remove_, "DELETE FROM fates WHERE block = ?1"},
  });
  if (!prepared) return std::unexpected(std::move(prepared).error());
  auto latest = db.number("SELECT latest_ns FROM fates ORDER BY block DESC LIMIT 1");
  if (!latest) return std::unexpected(std::move(latest).error());
  fates.latest_ns_ = *latest;
  return fates;
}

Fates::Change Fates::append(JobId job, std::uint32_t tag, std::string_view kind,
                            WallTime submitted) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  Slot& slot = row->slots[index_of(job)];
  if (slot.fate != 0) return Change::refused;
  slot.fate = -1 - std::int64_t{tag};
  slot.brief.client = brief_client(tag);
  slot.brief.kind_state = static_cast<std::uint16_t>(brief_kind(kind) << 2);
  latest_ns_ = std::max(latest_ns_, to_ns(submitted));
  row->latest_ns = latest_ns_;
  ++row->live;
  changed(job, *row);
  return Change::made;
}

Fates::Change Fates::settle(JobId job, std::int64_t end_seq, EndState state, Duration took,
                            std::uint32_t& tag) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  Slot& slot = row->slots[index_of(job)];
  if (slot.fate >= 0) return Change::refused;
  tag = static_cast<std::uint32_t>(-1 - slot.fate);
  slot.fate = end_seq;
  slot.brief.took = took_key(took);
  slot.brief.kind_state |= static_cast<std::uint16_t>(state);
  --row->live;
  changed(job, *row);
  return Change::made;
}

Fates::Change Fates::retire(JobId job) {
  Row* row = row_of(job);
  if (!row) return Change::failed;
  Slot& slot = row->slots[index_of(job)];
  if (slot.fate <= 0) return Change::refused;
  slot = {};
  changed(job, *row);
  return Change::made;
}

std::optional<std::int64_t> Fates::slot(JobId job) {
  Row* row = row_of(job);
  if (!row) return std::nullopt;
  return row->slots[index_of(job)].fate;
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

Fates::Slots Fates::slots_of(std::string_view row) {
  TM_CHECK(row.size() == row_bytes);
  Slots slots;
  std::memcpy(slots.data(), row.data(), row_bytes);
  return slots;
}

Fates::Slot Fates::whole_slot_in(std::string_view row, int index) {
  TM_CHECK(row.size() == row_bytes && index >= 0 && index < per_row);
  Slot slot;
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
      const std::string_view slots = select_.blob(2);
      Row& row = at->second;
      row.stored = true;
      row.stored_live = select_.integer(0) > 0;
      row.latest_ns = select_.integer(1);
      std::memcpy(row.slots.data(), slots.data(), std::min(slots.size(), row_bytes));
      row.live = static_cast<int>(
          std::ranges::count_if(row.slots, [](const Slot& s) { return s.fate < 0; }));
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
  const bool empty = std::ranges::all_of(row.slots, [](const Slot& s) { return s.fate == 0; });
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
  statement.bind(2, row.latest_ns);
  statement.bind_blob(3, {reinterpret_cast<const char*>(row.slots.data()), row_bytes});
  if (!same) statement.bind(4, live ? 1 : 0);
  return statement.run();
}

}  // namespace tallymill::front
