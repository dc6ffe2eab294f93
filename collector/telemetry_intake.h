// TelemetryIntake: frames of processes (bus/telemetry_frame.h) as series of the store.
//
// What counts and was not there a frame ago was 0 then, and is stored so: the first job of a kind
// is an increase.
//
// A sender is a job and an instance: `compute`, `compute-1`. A process that takes the place of
// another has the same series, so that a counter that begins anew is a reset, and no other counter.
// A histogram becomes the classic series that /metrics has: _bucket by `le`, _sum, _count; all of
// them whenever it changed, so that a quantile never mixes buckets of two times.
//
// `up{job, instance}` is 1 with each frame. A sender that says nothing for
// limits::telemetry_missing periods is gone: its series end, and `up` is 0 until it comes back or
// is forgotten; who says that a frame is its last is forgotten at once.
//
//   invariant: a frame is stored by one append(): it is seen whole or not at all
//   invariant: at most limits::telemetry_senders senders, telemetry_series numbers of each
//   invariant: what all numbers stand for takes limits::telemetry_numbers_bytes at most (twice that
//              while its vectors grow). What finds no room is left out until a later whole frame
//              tells it again; numbers of who is gone make room
//   invariant: frames of a sender are taken in the order of their sequence, of an older incarnation
//              only while the newer one is gone
//   invariant: series that it knows have samples younger than any retention, so that the store does
//              not forget one of them: a sender says all of its own each
//              limits::telemetry_whole_every periods, and is forgotten within telemetry_forget
//
// Threads: one.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "bus/telemetry_frame.h"
#include "collector/incoming.h"
#include "collector/store.h"

namespace tallymill::collector {

// Its metrics, names and labels only here.
class TelemetryProbe {
 public:
  explicit TelemetryProbe(metrics::Registry& registry);
  metrics::Counter& frames;
  metrics::Counter& samples;
  metrics::Counter& missing;
  metrics::Counter& malformed;
  metrics::Counter& outdated;
  metrics::Counter& no_place;
  metrics::Counter& unstored;
  metrics::Counter& unknown;
  metrics::Counter& bad_labels;
  metrics::Counter& no_room;
  metrics::Counter& no_numbers;
  metrics::Gauge& senders;
  metrics::Gauge& numbers_bytes;
};

// To whom it hands what is no sample. Empty: nobody wants it.
struct TelemetryListeners {
  std::function<void(const Metadata&)> metadata = {};
  std::function<void(SeriesId bucket, const Exemplar&, std::int64_t t_ms)> exemplar = {};
};

class TelemetryIntake {
 public:
  // `numbers_bytes`: a bound that tests lower.
  TelemetryIntake(
      Store& store, metrics::Registry& registry, TelemetryListeners listeners = {},
      std::size_t numbers_bytes = static_cast<std::size_t>(limits::telemetry_numbers_bytes.raw()));

  // One frame as it came. What is wrong with it is counted.
  void take(std::string_view untrusted, Instant now);
  // Finds out who is gone: each period.
  void look(Instant now);
  [[nodiscard]] std::size_t senders() const { return senders_.size(); }

 private:
  static constexpr std::size_t classic_series = le_bound_count + 3;  // +Inf, _sum, _count
  using Classic = std::array<SeriesId, classic_series>;
  // What a number stands for.
  struct Slot {
    enum class What : std::uint8_t { unknown, value, distribution };
    What what = What::unknown;
    SeriesId value;
    std::uint32_t distribution = 0;  // its place in Sender::distributions
  };
  struct Sender {
    std::int64_t incarnation = 0;
    std::int64_t sequence = 0;
    std::int64_t t_ms = 0;  // of its last frame
    Instant seen;
    bool gone = false;
    SeriesId up;
    std::vector<Slot> slots;  // by number
    std::vector<Classic> distributions;
    std::vector<SeriesId> before;  // series of the process before it, until all of this one's are
                                   // known
  };
  using Key = std::pair<std::string, std::string>;  // job, instance
  using Senders = std::map<Key, Sender, std::less<>>;

  [[nodiscard]] Senders::iterator sender_of(Instant now);
  [[nodiscard]] bool make_place(Instant now);
  [[nodiscard]] static std::int64_t its_time(const Sender& sender, Instant now);
  [[nodiscard]] bool accept(Sender& sender);
  void forget_numbers(Sender& sender);
  Senders::iterator forget(Senders::iterator sender);
  [[nodiscard]] bool reserve(std::size_t bytes);
  [[nodiscard]] bool has_slot(Sender& sender, std::uint32_t id);
  void define(Sender& sender, std::optional<std::int64_t> absent_ms);
  void begin_at_zero(const Sender& sender, const Slot& slot, std::int64_t t_ms);
  [[nodiscard]] Slot slot_for(Sender& sender, const bus::TelemetryFrame::Family& family,
                              const bus::TelemetryFrame::Label* labels, std::size_t count);
  [[nodiscard]] Result<SeriesId> series(std::string_view suffix, std::string_view le);
  void tell_metadata(const bus::TelemetryFrame::Family& family);
  [[nodiscard]] const Slot* slot(const Sender& sender, std::uint32_t id, Slot::What what);
  void add_values(const Sender& sender);
  void add_distributions(const Sender& sender);
  void tell_exemplars(const Classic& classic, std::size_t first, std::size_t count);
  void add_ends(const std::vector<SeriesId>& series, std::int64_t t_ms);
  void end_before(Sender& sender);
  void store(std::size_t frames);
  void tell_fullness();
  [[nodiscard]] static std::vector<SeriesId> all_of(const Sender& sender);

  Store& store_;
  TelemetryProbe probe_;
  TelemetryListeners listeners_;
  const std::size_t most_numbers_bytes_;
  Senders senders_;
  std::size_t numbers_bytes_ = 0;  // of all slots and distributions of theirs
  bool room_wanted_ = false;       // one found none since the last look
  Instant looked_;
  int looks_ = 0;
  // Of the frame in hand:
  bus::TelemetryFrame frame_;
  std::vector<Point> points_;
  std::vector<Label> labels_;  // of the series that is being named
  std::vector<Label> settled_;
  std::string name_;
};

}  // namespace tallymill::collector
