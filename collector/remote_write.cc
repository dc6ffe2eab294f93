// 1. The block's own length is judged, then the block is taken out into a buffer.
// 2. Each TimeSeries is walked twice. The first time finds its labels, which nearly always stand
//    together at its front, and what else there is; then the sink says which series it is; the
//    second time reads samples and exemplars, which by then have an owner, straight to their place.
#include "collector/remote_write.h"

#include <fmt/format.h>
#include <snappy.h>

#include <utility>

#include "base/limits.h"
#include "base/utf8.h"
#include "collector/labels_check.h"
#include "collector/protobuf.h"
#include "collector/raw_labels.h"

namespace tallymill::collector {
namespace {

using Field = Protobuf::Field;
using Type = Protobuf::Type;

namespace request_field {
constexpr std::uint32_t time_series = 1;
constexpr std::uint32_t metadata = 3;
}  // namespace request_field
namespace series_field {
constexpr std::uint32_t label = 1;
constexpr std::uint32_t sample = 2;
constexpr std::uint32_t exemplar = 3;
constexpr std::uint32_t histogram = 4;
}  // namespace series_field
namespace sample_field {
constexpr std::uint32_t value = 1;
constexpr std::uint32_t t_ms = 2;
}  // namespace sample_field
namespace exemplar_field {
constexpr std::uint32_t label = 1;
constexpr std::uint32_t value = 2;
constexpr std::uint32_t t_ms = 3;
}  // namespace exemplar_field
namespace metadata_field {
constexpr std::uint32_t type = 1;
constexpr std::uint32_t name = 2;
constexpr std::uint32_t help = 4;
constexpr std::uint32_t unit = 5;
}  // namespace metadata_field

// A snappy block says 64 bytes in no less than three.
constexpr std::size_t snappy_ratio = 22;

constexpr std::string_view bad_type = "a field of another type than it has";

}  // namespace

struct RemoteWrite::Parts {
  std::string_view labels;
  std::string_view rest;  // where the others are, labels perhaps among them
  std::size_t samples = 0;
  std::size_t exemplars = 0;
};

Result<WriteCounts> RemoteWrite::read(std::string_view body, WriteSink& sink) {
  give_back_memory();
  const auto message = uncompressed(body);
  if (!message) return std::unexpected(message.error());
  return read_message(*message, sink);
}

Result<WriteCounts> RemoteWrite::read_message(std::string_view message, WriteSink& sink) {
  points_.clear();
  counts_ = {};
  message_ = message;
  Protobuf fields(message);
  for (Field field; fields.next(field);) {
    if (field.number != request_field::time_series && field.number != request_field::metadata)
      continue;
    if (field.type != Type::bytes) return wrong(field.begin, bad_type);
    const Status read = field.number == request_field::time_series ? time_series(field.bytes, sink)
                                                                   : metadata(field.bytes, sink);
    if (!read) return std::unexpected(read.error());
  }
  if (fields.fault() != nullptr) return wrong(fields.at(), fields.fault());
  counts_.samples = points_.size();
  return counts_;
}

Result<std::string_view> RemoteWrite::uncompressed(std::string_view body) {
  std::size_t bytes = 0;
  if (!snappy::GetUncompressedLength(body.data(), body.size(), &bytes))
    return fail(Errc::bad_params, "the request is no snappy block");
  if (bytes > static_cast<std::size_t>(limits::write_request_bytes.raw()))
    return fail(Errc::too_big, fmt::format("the request is of {} bytes, of which {} are taken",
                                           bytes, limits::write_request_bytes.raw()));
  if (bytes > body.size() * snappy_ratio)
    return fail(Errc::bad_params, "the snappy block says more than it can hold");
  if (bytes > buffer_bytes_) {
    buffer_ = std::make_unique_for_overwrite<char[]>(bytes);
    buffer_bytes_ = bytes;
  }
  if (!snappy::RawUncompress(body.data(), body.size(), buffer_.get()))
    return fail(Errc::bad_params, "the snappy block is damaged");
  return std::string_view(buffer_.get(), bytes);
}

void RemoteWrite::give_back_memory() {
  constexpr auto kept = static_cast<std::size_t>(limits::write_kept_bytes.raw());
  if (buffer_bytes_ > kept) {
    buffer_.reset();
    buffer_bytes_ = 0;
  }
  if (points_.capacity() * sizeof(Point) > kept) points_ = {};
  if (gathered_.capacity() > kept) gathered_ = {};
}

Status RemoteWrite::time_series(std::string_view message, WriteSink& sink) {
  const auto parts = parts_of(message);
  if (!parts) return std::unexpected(parts.error());
  if (parts->samples == 0 && parts->exemplars == 0) return {};
  if (points_.size() + parts->samples > limits::write_request_samples)
    return fail(Errc::too_big,
                fmt::format("the request has more than {} samples", limits::write_request_samples));
  const auto series = sink.series(parts->labels);
  if (series) return samples(*parts, *series, sink);
  switch (series.error()) {
    case WriteSink::Refused::malformed:
      return wrong(Protobuf(message).at(), "labels that are none");
    case WriteSink::Refused::bad_labels:
      ++counts_.bad_series;
      counts_.bad_samples += parts->samples;
      break;
    case WriteSink::Refused::no_room:
      ++counts_.no_room_series;
      counts_.no_room_samples += parts->samples;
      break;
  }
  return {};
}

Result<RemoteWrite::Parts> RemoteWrite::parts_of(std::string_view message) {
  Parts parts{.labels = message.substr(0, 0), .rest = {}};
  bool together = true;
  Protobuf fields(message);
  for (Field field; fields.next(field);) {
    if (field.number > series_field::histogram) continue;
    if (field.type != Type::bytes) return wrong(field.begin, bad_type);
    switch (field.number) {
      case series_field::label: {
        const std::string_view whole(field.begin,
                                     static_cast<std::size_t>(fields.at() - field.begin));
        if (together && field.begin == parts.labels.data() + parts.labels.size()) {
          parts.labels = {parts.labels.data(), parts.labels.size() + whole.size()};
          break;
        }
        if (together) gathered_ = parts.labels;
        together = false;
        gathered_ += whole;
        break;
      }
      case series_field::sample:
        ++parts.samples;
        break;
      case series_field::exemplar:
        ++parts.exemplars;
        break;
      default:
        ++counts_.histograms;
    }
  }
  if (fields.fault() != nullptr) return wrong(fields.at(), fields.fault());
  parts.rest = message.substr(parts.labels.size());
  if (!together) parts.labels = gathered_;
  return parts;
}

Status RemoteWrite::samples(const Parts& parts, SeriesId series, WriteSink& sink) {
  Protobuf fields(parts.rest);
  for (Field field; fields.next(field);) {
    if (field.number == series_field::sample) {
      if (auto read = sample(field.bytes, series); !read) return read;
    } else if (field.number == series_field::exemplar) {
      if (auto read = exemplar(field.bytes, series, sink); !read) return read;
    }
  }
  return {};
}

Status RemoteWrite::sample(std::string_view message, SeriesId series) {
  Point point{.series = series};
  Protobuf fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == sample_field::value) {
      if (field.type != Type::fixed64) return wrong(field.begin, bad_type);
      point.value = field.real();
    } else if (field.number == sample_field::t_ms) {
      if (field.type != Type::varint) return wrong(field.begin, bad_type);
      point.t_ms = static_cast<std::int64_t>(field.value);
    }
  }
  if (fields.fault() != nullptr) return wrong(fields.at(), fields.fault());
  points_.push_back(point);
  return {};
}

Status RemoteWrite::exemplar(std::string_view message, SeriesId series, WriteSink& sink) {
  Exemplar read_exemplar;
  labels_.clear();
  bool bad = false;
  Protobuf fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == exemplar_field::label) {
      if (field.type != Type::bytes) return wrong(field.begin, bad_type);
      // One field is what read_raw_labels() takes several of.
      const std::string_view whole(field.begin,
                                   static_cast<std::size_t>(fields.at() - field.begin));
      if (!read_raw_labels(whole, one_)) return wrong(field.begin, "labels that are none");
      bad = bad || labels_.size() > limits::series_labels;
      if (!bad) labels_.push_back(one_.front());
    } else if (field.number == exemplar_field::value) {
      if (field.type != Type::fixed64) return wrong(field.begin, bad_type);
      read_exemplar.value = field.real();
    } else if (field.number == exemplar_field::t_ms) {
      if (field.type != Type::varint) return wrong(field.begin, bad_type);
      read_exemplar.t_ms = static_cast<std::int64_t>(field.value);
    }
  }
  if (fields.fault() != nullptr) return wrong(fields.at(), fields.fault());
  if (bad || settle_exemplar(labels_) != ExemplarFault::none) {
    ++counts_.dropped_exemplars;
    return {};
  }
  ++counts_.exemplars;
  read_exemplar.labels = labels_;
  sink.exemplar(series, read_exemplar);
  return {};
}

Status RemoteWrite::metadata(std::string_view message, WriteSink& sink) {
  std::uint64_t type = 0;
  std::string_view help;
  std::string_view unit;
  Metadata said;
  Protobuf fields(message);
  for (Field field; fields.next(field);) {
    const bool is_text = field.number == metadata_field::name ||
                         field.number == metadata_field::help ||
                         field.number == metadata_field::unit;
    if ((field.number == metadata_field::type && field.type != Type::varint) ||
        (is_text && field.type != Type::bytes))
      return wrong(field.begin, bad_type);
    if (field.number == metadata_field::type) type = field.value;
    if (field.number == metadata_field::name) said.name = field.bytes;
    if (field.number == metadata_field::help) help = field.bytes;
    if (field.number == metadata_field::unit) unit = field.bytes;
  }
  if (fields.fault() != nullptr) return wrong(fields.at(), fields.fault());
  if (!is_metric_name(said.name) || said.name.size() > limits::label_name_bytes ||
      unit.size() > limits::label_name_bytes || !is_utf8(help) || !is_utf8(unit)) {
    ++counts_.bad_metadata;
    return {};
  }
  const bool known = type <= static_cast<std::uint64_t>(MetricType::state_set);
  said.type = known ? static_cast<MetricType>(type) : MetricType::unknown;
  said.help = cut_utf8(help, limits::metric_help_bytes);
  said.unit = unit;
  sink.metadata(said);
  return {};
}

std::unexpected<Error> RemoteWrite::wrong(const char* at, std::string_view what) const {
  return fail(Errc::bad_params,
              fmt::format("the request, at byte {}: {}", at - message_.data(), what));
}

}  // namespace tallymill::collector
