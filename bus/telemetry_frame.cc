#include "bus/telemetry_frame.h"

#include <cmath>

#include "base/limits.h"
#include "bus/msgpack_reader.h"

namespace tallymill::bus {
namespace {

constexpr std::uint64_t format_version = 1;
constexpr std::uint32_t frame_elements = 10;
constexpr std::uint64_t flag_whole = 1;
constexpr std::uint64_t flag_last = 2;
// Far in the future, and still a number that something can be added to.
constexpr std::int64_t latest_ms = std::int64_t{1} << 50;
constexpr std::size_t most_les = le_bound_count + 1;
constexpr auto most_types = static_cast<std::uint64_t>(metrics::Type::histogram);
constexpr auto most_units = static_cast<std::uint64_t>(metrics::Unit::ratio);

// A count takes a byte or some, where a double takes nine.
void put_number(MsgpackWriter& out, double value) {
  constexpr double exact = 9'007'199'254'740'992;  // 2^53
  const bool whole = value > -exact && value < exact && value == std::trunc(value);
  if (!whole || (value == 0 && std::signbit(value))) return out.real(value);
  out.integer(static_cast<std::int64_t>(value));
}

void put_families(const TelemetryFrame& frame, MsgpackWriter& out) {
  auto series = frame.series.begin();
  auto label = frame.labels.begin();
  out.list(frame.families.size());
  for (const TelemetryFrame::Family& family : frame.families) {
    out.list(5);
    out.text(family.name);
    out.integer(static_cast<std::uint64_t>(family.type));
    out.integer(static_cast<std::uint64_t>(family.unit));
    out.text(family.help);
    out.list(family.series * std::size_t{2});
    for (std::uint32_t i = 0; i < family.series; ++i, ++series) {
      out.integer(std::uint64_t{series->id});
      out.list(series->labels * std::size_t{2});
      for (std::uint32_t k = 0; k < series->labels; ++k, ++label) {
        out.text(label->name);
        out.text(label->value);
      }
    }
  }
}

void put_distributions(const TelemetryFrame& frame, MsgpackWriter& out) {
  auto bucket = frame.buckets.begin();
  auto exemplar = frame.exemplars.begin();
  out.list(frame.distributions.size());
  for (const TelemetryFrame::Distribution& one : frame.distributions) {
    out.list(4);
    out.integer(std::uint64_t{one.id});
    out.integer(one.sum_ns);
    out.list(one.buckets * std::size_t{2});
    for (std::uint32_t i = 0; i < one.buckets; ++i, ++bucket) {
      out.integer(std::uint64_t{bucket->index});
      out.integer(bucket->count);
    }
    out.list(one.exemplars * std::size_t{4});
    for (std::uint32_t i = 0; i < one.exemplars; ++i, ++exemplar) {
      out.integer(std::uint64_t{exemplar->le});
      out.real(exemplar->seconds);
      out.integer(exemplar->job.raw());
      out.integer(exemplar->t_ms);
    }
  }
}

// Reads a frame's lists one after the other; false is a frame that is none.
class Reading {
 public:
  Reading(MsgpackReader& from, TelemetryFrame& into) : from_(from), into_(into) {}

  [[nodiscard]] bool head() {
    std::uint64_t flags = 0;
    if (!name(into_.job) || !name(into_.instance) || !from_.read(into_.incarnation) ||
        !from_.read(into_.sequence) || into_.sequence < 1 || !from_.read(into_.t_ms) ||
        into_.t_ms < 0 || into_.t_ms > latest_ms || !from_.read(flags))
      return false;
    into_.whole = (flags & flag_whole) != 0;
    into_.last = (flags & flag_last) != 0;
    return true;
  }

  [[nodiscard]] bool families() {
    std::uint32_t count = 0;
    if (!from_.list(count) || count > limits::telemetry_series) return false;
    for (; count > 0; --count)
      if (!family()) return false;
    return true;
  }

  [[nodiscard]] bool values() {
    std::uint32_t count = 0;
    if (!pairs(count, 2) || count > limits::telemetry_series) return false;
    for (; count > 0; --count) {
      auto& value = into_.values.emplace_back();
      if (!id(value.id) || !from_.read(value.value)) return false;
    }
    return true;
  }

  [[nodiscard]] bool distributions() {
    std::uint32_t count = 0;
    if (!from_.list(count) || count > limits::telemetry_series) return false;
    for (; count > 0; --count)
      if (!distribution()) return false;
    return true;
  }

 private:
  [[nodiscard]] bool name(std::string_view& text) {
    return from_.read(text) && !text.empty() && text.size() <= limits::telemetry_name_bytes;
  }
  [[nodiscard]] bool id(std::uint32_t& id) { return small(id, limits::telemetry_series); }
  // A number below `end`.
  [[nodiscard]] bool small(std::uint32_t& number, std::uint64_t end) {
    std::uint64_t read = 0;
    if (!from_.read(read) || read >= end) return false;
    number = static_cast<std::uint32_t>(read);
    return true;
  }
  // A list of `each` elements each: how many.
  [[nodiscard]] bool pairs(std::uint32_t& count, std::uint32_t each) {
    if (!from_.list(count) || count % each != 0) return false;
    count /= each;
    return true;
  }
  [[nodiscard]] bool family();
  [[nodiscard]] bool series();
  [[nodiscard]] bool distribution();
  [[nodiscard]] bool buckets(std::uint32_t count);
  [[nodiscard]] bool exemplars(std::uint32_t count);

  MsgpackReader& from_;
  TelemetryFrame& into_;
};

bool Reading::family() {
  std::uint32_t parts = 0;
  std::uint32_t type = 0;
  std::uint32_t unit = 0;
  TelemetryFrame::Family one;
  if (!from_.list(parts) || parts != 5 || !from_.read(one.name) ||
      one.name.size() > limits::label_name_bytes || !small(type, most_types + 1) ||
      !small(unit, most_units + 1) || !from_.read(one.help) ||
      one.help.size() > limits::metric_help_bytes || !pairs(one.series, 2) ||
      into_.series.size() + one.series > limits::telemetry_series)
    return false;
  one.type = static_cast<metrics::Type>(type);
  one.unit = static_cast<metrics::Unit>(unit);
  into_.families.push_back(one);
  for (std::uint32_t i = 0; i < one.series; ++i)
    if (!series()) return false;
  return true;
}

bool Reading::series() {
  TelemetryFrame::Series one;
  if (!id(one.id) || !pairs(one.labels, 2) || one.labels > limits::series_labels) return false;
  into_.series.push_back(one);
  for (std::uint32_t i = 0; i < one.labels; ++i) {
    auto& label = into_.labels.emplace_back();
    if (!from_.read(label.name) || label.name.size() > limits::label_name_bytes ||
        !from_.read(label.value) || label.value.size() > limits::label_value_bytes)
      return false;
  }
  return true;
}

bool Reading::distribution() {
  std::uint32_t parts = 0;
  TelemetryFrame::Distribution one;
  if (!from_.list(parts) || parts != 4 || !id(one.id) || !from_.read(one.sum_ns) ||
      !pairs(one.buckets, 2) || !buckets(one.buckets) || !pairs(one.exemplars, 4) ||
      !exemplars(one.exemplars))
    return false;
  into_.distributions.push_back(one);
  return true;
}

bool Reading::buckets(std::uint32_t count) {
  if (count > ProbeHistogram::Layout::buckets ||
      into_.buckets.size() + count > limits::telemetry_buckets)
    return false;
  std::uint64_t least = 0;
  for (; count > 0; --count) {
    auto& bucket = into_.buckets.emplace_back();
    if (!small(bucket.index, ProbeHistogram::Layout::buckets) || bucket.index < least ||
        !from_.read(bucket.count))
      return false;
    least = bucket.index + std::uint64_t{1};
  }
  return true;
}

bool Reading::exemplars(std::uint32_t count) {
  if (count > most_les) return false;
  std::size_t least = 0;
  for (; count > 0; --count) {
    auto& one = into_.exemplars.emplace_back();
    std::uint32_t le = 0;
    std::int64_t job = 0;
    if (!small(le, most_les) || le < least || !from_.read(one.seconds) || !from_.read(job) ||
        !from_.read(one.t_ms))
      return false;
    one.le = le;
    one.job = JobId(job);
    least = one.le + 1;
  }
  return true;
}

}  // namespace

void TelemetryFrame::clear() {
  families.clear();
  series.clear();
  labels.clear();
  values.clear();
  distributions.clear();
  buckets.clear();
  exemplars.clear();
}

void encode(const TelemetryFrame& frame, Buffer& out) {
  MsgpackWriter writer(out);
  writer.list(frame_elements);
  writer.integer(format_version);
  writer.text(frame.job);
  writer.text(frame.instance);
  writer.integer(frame.incarnation);
  writer.integer(frame.sequence);
  writer.integer(frame.t_ms);
  writer.integer((frame.whole ? flag_whole : 0) | (frame.last ? flag_last : 0));
  put_families(frame, writer);
  writer.list(frame.values.size() * 2);
  for (const TelemetryFrame::Value& value : frame.values) {
    writer.integer(std::uint64_t{value.id});
    put_number(writer, value.value);
  }
  put_distributions(frame, writer);
}

Status decode(std::string_view untrusted, TelemetryFrame& into) {
  into.clear();
  if (untrusted.size() > static_cast<std::size_t>(limits::telemetry_frame_bytes.raw()))
    return fail(Errc::too_big, "a telemetry frame is larger than it may be");
  MsgpackReader from(untrusted);
  std::uint32_t elements = 0;
  std::uint64_t version = 0;
  if (!from.list(elements) || elements == 0 || !from.read(version))
    return fail(Errc::bad_frame, "no telemetry frame");
  if (version != format_version) return fail(Errc::version, "a telemetry frame of another version");
  Reading reading(from, into);
  if (elements < frame_elements || !reading.head() || !reading.families() || !reading.values() ||
      !reading.distributions())
    return fail(Errc::bad_frame, "a telemetry frame that cannot be read");
  // A later sender may say more behind what is known.
  for (std::uint32_t i = frame_elements; i < elements; ++i)
    if (!from.skip()) return fail(Errc::bad_frame, "a telemetry frame that is cut off");
  if (!from.at_end()) return fail(Errc::bad_frame, "bytes behind a telemetry frame");
  return {};
}

}  // namespace tallymill::bus
