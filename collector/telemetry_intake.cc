#include "collector/telemetry_intake.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/limits.h"
#include "base/utf8.h"
#include "collector/labels_check.h"

namespace tallymill::collector {
namespace {

constexpr auto period = limits::telemetry_period;
constexpr std::size_t sum_at = le_bound_count + 1;
constexpr std::size_t count_at = le_bound_count + 2;

double in_seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// As /metrics writes them.
const std::array<std::string, le_bound_count + 1>& le_texts() {
  static const auto texts = [] {
    std::array<std::string, le_bound_count + 1> made;
    for (std::size_t i = 0; i < le_bound_count; ++i)
      made[i] = fmt::format("{}", in_seconds(le_bounds_ns[i]));
    made.back() = "+Inf";
    return made;
  }();
  return texts;
}

MetricType type_of(metrics::Type type) {
  switch (type) {
    case metrics::Type::counter:
      return MetricType::counter;
    case metrics::Type::gauge:
      return MetricType::gauge;
    case metrics::Type::histogram:
      return MetricType::histogram;
  }
  std::unreachable();
}

std::string_view name_of(metrics::Unit unit) {
  switch (unit) {
    case metrics::Unit::none:
      return "";
    case metrics::Unit::seconds:
      return "seconds";
    case metrics::Unit::bytes:
      return "bytes";
    case metrics::Unit::ratio:
      return "ratio";
  }
  std::unreachable();
}

metrics::Counter& refused_frames(metrics::Registry& registry, const char* why) {
  return registry.counter("tallymill_collector_telemetry_frames_refused_total",
                          "Telemetry frames that were not taken, by reason.", {{"why", why}});
}

metrics::Counter& refused_series(metrics::Registry& registry, const char* why) {
  return registry.counter("tallymill_collector_telemetry_series_refused_total",
                          "Times that a series of a frame found no place, by reason.",
                          {{"why", why}});
}

}  // namespace

TelemetryProbe::TelemetryProbe(metrics::Registry& registry)
    : frames(registry.counter("tallymill_collector_telemetry_frames_total",
                              "Telemetry frames that were stored.")),
      samples(registry.counter("tallymill_collector_telemetry_samples_total",
                               "Samples of telemetry frames that were stored.")),
      missing(registry.counter("tallymill_collector_telemetry_frames_missing_total",
                               "Telemetry frames that a sender counted and that never came.")),
      malformed(refused_frames(registry, "malformed")),
      outdated(refused_frames(registry, "outdated")),
      no_place(refused_frames(registry, "senders")),
      unstored(refused_frames(registry, "disk")),
      unknown(registry.counter("tallymill_collector_telemetry_unknown_total",
                               "Values of series that no frame had named yet.")),
      bad_labels(refused_series(registry, "labels")),
      no_room(refused_series(registry, "series")),
      no_numbers(refused_series(registry, "numbers")),
      senders(registry.gauge("tallymill_collector_telemetry_senders",
                             "Processes that telemetry comes from, also those that are gone.")),
      numbers_bytes(registry.gauge("tallymill_collector_telemetry_numbers_bytes",
                                   "Bytes of what all their numbers stand for.")) {}

TelemetryIntake::TelemetryIntake(Store& store, metrics::Registry& registry,
                                 TelemetryListeners listeners, std::size_t numbers_bytes)
    : store_(store),
      probe_(registry),
      listeners_(std::move(listeners)),
      most_numbers_bytes_(numbers_bytes) {}

void TelemetryIntake::take(std::string_view untrusted, Instant now) {
  if (!bus::decode(untrusted, frame_) || !is_utf8(frame_.job) || !is_utf8(frame_.instance))
    return probe_.malformed.add();
  const auto found = sender_of(now);
  if (found == senders_.end()) return;
  Sender& sender = found->second;
  const bool follows = frame_.incarnation == sender.incarnation && sender.sequence != 0 &&
                       frame_.sequence == sender.sequence + 1;
  const std::int64_t before_ms = sender.t_ms;
  if (!accept(sender)) return probe_.outdated.add();
  sender.t_ms = frame_.t_ms;
  sender.seen = now;
  sender.gone = false;

  // A whole frame also names what found no place before.
  define(sender, follows && !frame_.whole ? std::optional(before_ms) : std::nullopt);
  if (frame_.whole || frame_.last) end_before(sender);
  points_.push_back({sender.up, frame_.t_ms, 1});
  add_values(sender);
  add_distributions(sender);
  if (frame_.last) {
    auto series = all_of(sender);
    series.push_back(sender.up);
    // Behind their last values.
    add_ends(series, frame_.t_ms + 1);
    forget(found);
  }
  store(1);
  tell_fullness();
}

void TelemetryIntake::tell_fullness() {
  probe_.senders.set(static_cast<double>(senders_.size()));
  probe_.numbers_bytes.set(static_cast<double>(numbers_bytes_));
}

// end(): there is no place for one more, or `up` of it finds none in the store.
TelemetryIntake::Senders::iterator TelemetryIntake::sender_of(Instant now) {
  Key key{frame_.job, frame_.instance};
  if (const auto known = senders_.find(key); known != senders_.end()) return known;
  if (senders_.size() >= limits::telemetry_senders && !make_place(now)) {
    probe_.no_place.add();
    return senders_.end();
  }
  labels_.clear();
  name_ = "up";
  const auto up = series("", "");
  if (!up) {
    probe_.no_place.add();
    return senders_.end();
  }
  Sender made;
  made.incarnation = frame_.incarnation;
  made.seen = now;
  made.up = *up;
  return senders_.emplace(std::move(key), std::move(made)).first;
}

bool TelemetryIntake::make_place(Instant now) {
  auto oldest = senders_.end();
  for (auto at = senders_.begin(); at != senders_.end(); ++at)
    if (at->second.gone && (oldest == senders_.end() || at->second.seen < oldest->second.seen))
      oldest = at;
  if (oldest == senders_.end()) return false;
  add_ends({oldest->second.up}, its_time(oldest->second, now));
  forget(oldest);
  return true;
}

TelemetryIntake::Senders::iterator TelemetryIntake::forget(Senders::iterator sender) {
  forget_numbers(sender->second);
  return senders_.erase(sender);
}

void TelemetryIntake::forget_numbers(Sender& sender) {
  numbers_bytes_ -=
      sender.slots.size() * sizeof(Slot) + sender.distributions.size() * sizeof(Classic);
  // What clear() keeps would be held, and not counted.
  std::vector<Slot>().swap(sender.slots);
  std::vector<Classic>().swap(sender.distributions);
}

// False: there is no room for so many more bytes of what numbers stand for.
bool TelemetryIntake::reserve(std::size_t bytes) {
  if (numbers_bytes_ + bytes > most_numbers_bytes_) {
    probe_.no_numbers.add();
    room_wanted_ = true;
    return false;
  }
  numbers_bytes_ += bytes;
  return true;
}

bool TelemetryIntake::has_slot(Sender& sender, std::uint32_t id) {
  const std::size_t wanted = id + std::size_t{1};
  if (wanted <= sender.slots.size()) return true;
  if (!reserve((wanted - sender.slots.size()) * sizeof(Slot))) return false;
  sender.slots.resize(wanted);
  return true;
}

// By its own clock, which need not be ours.
std::int64_t TelemetryIntake::its_time(const Sender& sender, Instant now) {
  return sender.t_ms +
         std::chrono::duration_cast<std::chrono::milliseconds>(now - sender.seen).count();
}

// False: this frame, or a later one, was taken already.
bool TelemetryIntake::accept(Sender& sender) {
  if (frame_.incarnation != sender.incarnation) {
    if (frame_.incarnation < sender.incarnation && !sender.gone) return false;
    auto before = all_of(sender);
    sender.before.insert(sender.before.end(), before.begin(), before.end());
    std::ranges::sort(sender.before);
    const auto twice = std::ranges::unique(sender.before);
    sender.before.erase(twice.begin(), twice.end());
    sender.before.shrink_to_fit();  // a frame may name one series again and again
    forget_numbers(sender);
    sender.incarnation = frame_.incarnation;
    sender.sequence = frame_.sequence;
    return true;
  }
  if (frame_.sequence <= sender.sequence) return false;
  // The first that is heard of a sender may be any.
  if (sender.sequence != 0)
    probe_.missing.add(static_cast<std::uint64_t>(frame_.sequence - sender.sequence - 1));
  sender.sequence = frame_.sequence;
  return true;
}

// What its numbers stand for. Those that are known are left: a number means one series as long as
// the process lives. `absent_ms`: when those that are not were not there yet.
void TelemetryIntake::define(Sender& sender, std::optional<std::int64_t> absent_ms) {
  auto series = frame_.series.begin();
  const bus::TelemetryFrame::Label* label = frame_.labels.data();
  for (const bus::TelemetryFrame::Family& family : frame_.families) {
    bool news = false;
    for (std::uint32_t i = 0; i < family.series; ++i, ++series) {
      if (has_slot(sender, series->id) && sender.slots[series->id].what == Slot::What::unknown) {
        const Slot slot = slot_for(sender, family, label, series->labels);
        sender.slots[series->id] = slot;
        if (absent_ms && family.type != metrics::Type::gauge)
          begin_at_zero(sender, slot, *absent_ms);
        news = news || slot.what != Slot::What::unknown;
      }
      label += series->labels;
    }
    if (news) tell_metadata(family);
  }
}

TelemetryIntake::Slot TelemetryIntake::slot_for(Sender& sender,
                                                const bus::TelemetryFrame::Family& family,
                                                const bus::TelemetryFrame::Label* labels,
                                                std::size_t count) {
  labels_.clear();
  // What the collector says of others has these names too.
  const auto renamed = [](std::string_view name) {
    return name == "job" ? "exported_job" : name == "instance" ? "exported_instance" : name;
  };
  for (std::size_t i = 0; i < count; ++i)
    labels_.push_back({renamed(labels[i].name), labels[i].value});
  name_ = family.name;
  Slot slot;
  if (family.type != metrics::Type::histogram) {
    if (const auto id = series("", "")) slot = {Slot::What::value, *id, 0};
    return slot;
  }
  if (!reserve(sizeof(Classic))) return slot;
  Classic classic;
  for (std::size_t i = 0; i < classic_series; ++i) {
    const auto id = i <= le_bound_count ? series("_bucket", le_texts()[i])
                                        : series(i == sum_at ? "_sum" : "_count", "");
    if (!id) {
      numbers_bytes_ -= sizeof(Classic);
      return slot;
    }
    classic[i] = *id;
  }
  slot = {Slot::What::distribution, {}, static_cast<std::uint32_t>(sender.distributions.size())};
  sender.distributions.push_back(classic);
  return slot;
}

void TelemetryIntake::begin_at_zero(const Sender& sender, const Slot& slot, std::int64_t t_ms) {
  if (slot.what == Slot::What::value) points_.push_back({slot.value, t_ms, 0});
  if (slot.what != Slot::What::distribution) return;
  for (const SeriesId id : sender.distributions[slot.distribution])
    points_.push_back({id, t_ms, 0});
}

// The series of name_ and labels_, of the sender of the frame in hand.
Result<SeriesId> TelemetryIntake::series(std::string_view suffix, std::string_view le) {
  const std::string name = name_ + std::string(suffix);
  settled_ = labels_;
  settled_.push_back({metric_name, name});
  settled_.push_back({"job", frame_.job});
  settled_.push_back({"instance", frame_.instance});
  if (!le.empty()) settled_.push_back({"le", le});
  if (settle(settled_) != LabelFault::none) {
    probe_.bad_labels.add();
    return fail(Errc::bad_params, "labels that are none");
  }
  auto id = store_.series(labels_of(settled_), Origin::own_bus);
  if (!id) probe_.no_room.add();
  return id;
}

void TelemetryIntake::tell_metadata(const bus::TelemetryFrame::Family& family) {
  if (!listeners_.metadata || !is_utf8(family.help)) return;
  listeners_.metadata({.name = family.name,
                       .type = type_of(family.type),
                       .help = family.help,
                       .unit = name_of(family.unit)});
}

// Null: no frame that came said what it is, or it found no place.
const TelemetryIntake::Slot* TelemetryIntake::slot(const Sender& sender, std::uint32_t id,
                                                   Slot::What what) {
  if (id < sender.slots.size() && sender.slots[id].what == what) return &sender.slots[id];
  probe_.unknown.add();
  return nullptr;
}

void TelemetryIntake::add_values(const Sender& sender) {
  for (const bus::TelemetryFrame::Value& one : frame_.values)
    if (const Slot* const known = slot(sender, one.id, Slot::What::value))
      points_.push_back({known->value, frame_.t_ms, one.value});
}

void TelemetryIntake::add_distributions(const Sender& sender) {
  std::size_t bucket = 0;
  std::size_t exemplar = 0;
  for (const bus::TelemetryFrame::Distribution& one : frame_.distributions) {
    const std::size_t from = bucket;
    const std::size_t first = exemplar;
    bucket += one.buckets;
    exemplar += one.exemplars;
    const Slot* const known = slot(sender, one.id, Slot::What::distribution);
    if (known == nullptr) continue;
    const Classic& classic = sender.distributions[known->distribution];
    std::uint64_t count = 0;
    std::size_t at = from;
    for (std::size_t le = 0; le <= le_bound_count; ++le) {
      for (; at < bucket && le_of_bucket<4>[frame_.buckets[at].index] <= le; ++at)
        count += frame_.buckets[at].count;
      points_.push_back({classic[le], frame_.t_ms, static_cast<double>(count)});
    }
    points_.push_back({classic[sum_at], frame_.t_ms, in_seconds(one.sum_ns)});
    points_.push_back({classic[count_at], frame_.t_ms, static_cast<double>(count)});
    tell_exemplars(classic, first, one.exemplars);
  }
}

void TelemetryIntake::tell_exemplars(const Classic& classic, std::size_t first, std::size_t count) {
  if (!listeners_.exemplar) return;
  for (std::size_t i = first; i < first + count; ++i) {
    const bus::TelemetryFrame::Exemplar& one = frame_.exemplars[i];
    const std::string job = std::to_string(one.job.raw());
    const std::array<Label, 1> labels{Label{"job_id", job}};
    listeners_.exemplar(classic[one.le], {.labels = labels, .value = one.seconds, .t_ms = one.t_ms},
                        frame_.t_ms);
  }
}

void TelemetryIntake::add_ends(const std::vector<SeriesId>& series, std::int64_t t_ms) {
  for (const SeriesId id : series) points_.push_back({id, t_ms, stale_marker});
}

// A process took another's place, and all that it has is known now, or it ends: what it has not,
// has ended.
void TelemetryIntake::end_before(Sender& sender) {
  if (sender.before.empty()) return;
  std::vector<SeriesId> now = all_of(sender);
  std::ranges::sort(now);
  std::vector<SeriesId> ended;
  std::ranges::set_difference(sender.before, now, std::back_inserter(ended));
  add_ends(ended, frame_.t_ms);
  sender.before.clear();
  sender.before.shrink_to_fit();
}

std::vector<SeriesId> TelemetryIntake::all_of(const Sender& sender) {
  std::vector<SeriesId> all;
  for (const Slot& slot : sender.slots) {
    if (slot.what == Slot::What::value) all.push_back(slot.value);
    if (slot.what != Slot::What::distribution) continue;
    const Classic& classic = sender.distributions[slot.distribution];
    all.insert(all.end(), classic.begin(), classic.end());
  }
  return all;
}

void TelemetryIntake::look(Instant now) {
  // A collector that was stopped itself has not listened.
  const Duration since = looks_ == 0 ? Duration(0) : now - looked_;
  const Duration deaf = since > 2 * period ? since : Duration(0);
  looked_ = now;
  const bool say_down = looks_++ % limits::telemetry_whole_every == 0;
  const bool room_wanted = std::exchange(room_wanted_, false);
  for (auto at = senders_.begin(); at != senders_.end();) {
    Sender& sender = at->second;
    if (!sender.gone) sender.seen += deaf;
    const Duration silent = now - sender.seen;
    if (silent < limits::telemetry_missing * period) {
      ++at;
      continue;
    }
    const std::int64_t t_ms = its_time(sender, now);
    const bool long_gone = silent >= limits::telemetry_forget;
    if (long_gone)
      add_ends({sender.up}, t_ms);
    else if (say_down || !sender.gone)
      points_.push_back({sender.up, t_ms, 0});
    if (!std::exchange(sender.gone, true)) {
      add_ends(all_of(sender), t_ms);
      add_ends(sender.before, t_ms);
      std::vector<SeriesId>().swap(sender.before);
    }
    // Should it come back, its next whole frame tells them again.
    if (room_wanted) forget_numbers(sender);
    at = long_gone ? forget(at) : std::next(at);
  }
  store(0);
  tell_fullness();
}

// Of a frame that cannot be stored nothing is lost that counts: its values come again.
void TelemetryIntake::store(std::size_t frames) {
  if (points_.empty()) return;
  if (store_.append(points_)) {
    probe_.frames.add(frames);
    probe_.samples.add(points_.size());
  } else {
    probe_.unstored.add(frames);
  }
  points_.clear();
}

}  // namespace tallymill::collector
