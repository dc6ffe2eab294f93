#include "alerting/silences.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "alerting/limits.h"
#include "base/check.h"
#include "collector/stable_sort.h"

namespace tallymill::alerting {
namespace {

using nlohmann::json;

// RFC 9562, version 4.
std::string new_id() {
  std::array<unsigned char, 16> bytes{};
  TM_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string id;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    id += fmt::format("{:02x}", bytes[i]);
  }
  return id;
}

bool same_matchers(const Silence& a, const Silence& b) {
  return std::ranges::equal(a.matchers, b.matchers, [](const auto& one, const auto& other) {
    return one.kind() == other.kind() && one.name() == other.name() && one.value() == other.value();
  });
}

// Whether what was silenced up to now stays as it was.
bool may_become(const Silence& old, const Silence& changed, std::int64_t now_ms) {
  if (!same_matchers(old, changed)) return false;
  switch (old.state(now_ms)) {
    case SilenceState::active:
      return old.starts_ms / 1000 == changed.starts_ms / 1000;
    case SilenceState::pending:
      return changed.starts_ms >= now_ms;
    case SilenceState::expired:
      break;
  }
  return false;
}

void end_now(Silence& silence, std::int64_t now_ms) {
  silence.starts_ms = std::min(silence.starts_ms, now_ms);
  silence.ends_ms = now_ms;
  silence.updated_ms = now_ms;
}

metrics::Gauge& gauge(metrics::Registry& registry, SilenceState state) {
  return registry.gauge("tallymill_alerting_silences",
                        "Silences that are kept, by what they are now; 2,000 at most together.",
                        {{"state", std::string(name_of(state))}});
}

}  // namespace

Silences::Silences(store::Sqlite&& file, metrics::Registry& registry, const Clock& clock)
    : clock_(clock),
      file_(std::move(file)),
      active_(gauge(registry, SilenceState::active)),
      pending_(gauge(registry, SilenceState::pending)),
      expired_(gauge(registry, SilenceState::expired)) {}

Result<std::unique_ptr<Silences>> Silences::open(const std::filesystem::path& file,
                                                 metrics::Registry& registry, const Clock& clock) {
  auto opened = store::Sqlite::open(file, store::Sqlite::Mode::write);
  if (!opened) return std::unexpected(std::move(opened).error());
  std::unique_ptr<Silences> made(new Silences(std::move(*opened), registry, clock));
  if (auto loaded = made->load(); !loaded) return std::unexpected(std::move(loaded).error());
  made->tell();
  return made;
}

Status Silences::load() {
  if (auto done = file_.exec("PRAGMA busy_timeout=5000; PRAGMA synchronous=FULL;"); !done)
    return done;
  auto done = file_.prepare_all(
      {{put_,
        "INSERT OR REPLACE INTO silences(id, starts_ms, ends_ms, updated_ms, created_by, comment, "
        "matchers) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
       {remove_, "DELETE FROM silences WHERE id = ?1"}});
  if (!done) return done;
  auto rows = file_.prepare(
      "SELECT id, starts_ms, ends_ms, updated_ms, created_by, comment, matchers FROM silences "
      "ORDER BY ends_ms DESC, id");
  if (!rows) return std::unexpected(std::move(rows).error());
  All all;
  while (rows->step()) {
    auto matchers = parse_matchers(json::parse(rows->text(6), nullptr, false));
    if (!matchers)
      return fail(Errc::corrupt, "a silence in the outbox: " + matchers.error().message);
    all.push_back({.id = std::string(rows->text(0)),
                   .matchers = std::move(*matchers),
                   .starts_ms = rows->integer(1),
                   .ends_ms = rows->integer(2),
                   .updated_ms = rows->integer(3),
                   .created_by = std::string(rows->text(4)),
                   .comment = std::string(rows->text(5))});
  }
  if (!rows->ok()) return std::unexpected(file_.error("outbox: read silences"));
  all_ = std::make_shared<const All>(std::move(all));
  return {};
}

Result<std::string> Silences::set(Silence silence) {
  const std::lock_guard lock(write_mutex_);
  const std::int64_t now = now_ms();
  if (silence.ends_ms <= now)
    return fail(Errc::bad_params, "it would be over already: give an endsAt that is yet to come",
                "/endsAt");
  All changed;
  if (!silence.id.empty()) {
    auto old = find(silence.id);
    if (!old) return fail(Errc::not_found, "no silence has this id: leave it out for a new one");
    if (may_become(*old, silence, now)) {
      if (old->starts_ms <= now) silence.starts_ms = old->starts_ms;
    } else {
      silence.id.clear();
      if (old->state(now) != SilenceState::expired) {
        end_now(*old, now);
        changed.push_back(std::move(*old));
      }
    }
  }
  if (silence.id.empty()) {
    silence.id = new_id();
    silence.starts_ms = std::max(silence.starts_ms, now);
  }
  silence.updated_ms = now;
  std::string id = silence.id;
  changed.push_back(std::move(silence));
  const auto forgotten = to_forget(find(id) ? 0 : 1);
  if (!forgotten) return std::unexpected(forgotten.error());
  if (auto done = replace(std::move(changed), *forgotten); !done)
    return std::unexpected(std::move(done).error());
  return id;
}

Status Silences::expire(const std::string& id) {
  const std::lock_guard lock(write_mutex_);
  auto found = find(id);
  if (!found) return fail(Errc::not_found, "no silence has this id");
  const std::int64_t now = now_ms();
  if (found->state(now) == SilenceState::expired)
    return fail(Errc::wrong_state, "this silence is over already");
  end_now(*found, now);
  const auto forgotten = to_forget(0);
  if (!forgotten) return std::unexpected(forgotten.error());
  All changed;
  changed.push_back(std::move(*found));
  return replace(std::move(changed), *forgotten);
}

// What is too old, and of what is over so many that there is room for so many more.
Result<std::vector<std::string>> Silences::to_forget(std::size_t more) const {
  const auto known = all();
  const std::int64_t now = now_ms();
  const std::int64_t oldest = now - std::chrono::milliseconds(limits::silence_kept).count();
  std::vector<std::string> ids;
  std::size_t left = known->size() + more;
  for (auto one = known->rbegin(); one != known->rend() && one->ends_ms <= now; ++one) {
    if (one->ends_ms > oldest && left <= limits::silences) break;
    ids.push_back(one->id);
    --left;
  }
  if (left > limits::silences)
    return fail(Errc::busy, fmt::format("{} silences are active or to come, which is the most: "
                                        "expire some",
                                        limits::silences));
  return ids;
}

Status Silences::replace(All changed, const std::vector<std::string>& forgotten) {
  if (auto done = write(changed, forgotten); !done) return done;
  All next;
  const auto known = all();
  for (const Silence& one : *known) {
    const bool is_old = std::ranges::find(changed, one.id, &Silence::id) != changed.end() ||
                        std::ranges::find(forgotten, one.id) != forgotten.end();
    if (!is_old) next.push_back(one);
  }
  for (Silence& one : changed) next.push_back(std::move(one));
  collector::stable_sort(next,
                         [](const Silence& a, const Silence& b) { return a.ends_ms > b.ends_ms; });
  const std::lock_guard lock(mutex_);
  all_ = std::make_shared<const All>(std::move(next));
  return {};
}

Status Silences::write(const All& changed, const std::vector<std::string>& forgotten) {
  Status done = file_.exec("BEGIN IMMEDIATE");
  if (!done) return done;
  for (const Silence& one : changed) {
    if (!done) break;
    const std::string matchers = json_of(one.matchers).dump();
    put_.bind_text(1, one.id);
    put_.bind(2, one.starts_ms);
    put_.bind(3, one.ends_ms);
    put_.bind(4, one.updated_ms);
    put_.bind_text(5, one.created_by);
    put_.bind_text(6, one.comment);
    put_.bind_text(7, matchers);
    if (!put_.run()) done = std::unexpected(file_.error("outbox: store a silence"));
  }
  for (const std::string& id : forgotten) {
    if (!done) break;
    remove_.bind_text(1, id);
    if (!remove_.run()) done = std::unexpected(file_.error("outbox: forget a silence"));
  }
  if (done) done = file_.exec("COMMIT");
  if (!done && file_.in_transaction()) (void)file_.exec("ROLLBACK");
  return done;
}

std::shared_ptr<const Silences::All> Silences::all() const {
  const std::lock_guard lock(mutex_);
  return all_;
}

std::optional<Silence> Silences::find(const std::string& id) const {
  const auto known = all();
  const auto found = std::ranges::find(*known, id, &Silence::id);
  if (found == known->end()) return std::nullopt;
  return *found;
}

std::vector<std::string> Silences::silencing(const collector::Labels& alert) const {
  const auto known = all();
  const std::int64_t now = now_ms();
  std::vector<std::string> ids;
  for (const Silence& one : *known) {
    if (one.ends_ms <= now) break;  // as are all that follow
    if (one.starts_ms <= now && one.fits(alert)) ids.push_back(one.id);
  }
  std::ranges::sort(ids);
  return ids;
}

bool Silences::silences(const collector::Labels& alert) const { return !silencing(alert).empty(); }

void Silences::tell() {
  const std::lock_guard lock(tell_mutex_);
  const auto known = all();
  const std::int64_t now = now_ms();
  const auto count = [&](SilenceState state) {
    return static_cast<double>(
        std::ranges::count_if(*known, [&](const Silence& one) { return one.state(now) == state; }));
  };
  active_.set(count(SilenceState::active));
  pending_.set(count(SilenceState::pending));
  expired_.set(count(SilenceState::expired));
}

}  // namespace tallymill::alerting
