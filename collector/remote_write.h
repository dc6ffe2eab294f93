// RemoteWrite: a request of Prometheus remote write 1.0, from a snappy block to points.
//
// A series that is known costs no string: the sink is asked with the bytes that its labels are in
// the request (raw_labels.h) and answers with its id. What the request says of metrics and
// exemplars goes to the sink as well. Series that the sink refuses are left out and counted, and
// the others are read, so that one bad series costs its sender no other. Fields that are not known
// are skipped. Native histograms are counted and left.
//
// Stricter than Prometheus 2.42, which was asked: it takes any bytes as a name or a value, skips
// groups, and stops at the first series with a label twice. Labels that are not sorted, a series
// without a metric's name and an empty request are taken, as there.
//
//   invariant: how large a request is once it is taken out of its block is compared with the limit,
//              and with what such a block can hold, before memory is asked for
//   invariant: points() are complete when read() succeeded, and nobody's when it did not; metadata,
//              exemplars and new series were told to the sink on the way
//
// Threads: one; its buffers are used again for the next request.
// Source: the Prometheus remote write specification 1.0; prompb, messages WriteRequest, TimeSeries,
//         Sample, Exemplar, MetricMetadata; the snappy block format.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/incoming.h"
#include "collector/series.h"

namespace tallymill::collector {

class WriteSink {
 public:
  // malformed, which the whole request is then: read_raw_labels() said so.
  enum class Refused : std::uint8_t { malformed, bad_labels, no_room };

  virtual ~WriteSink() = default;
  // Once for each time series that has samples or exemplars.
  [[nodiscard]] virtual std::expected<SeriesId, Refused> series(std::string_view raw_labels) = 0;
  virtual void exemplar(SeriesId series, const Exemplar& exemplar) = 0;
  virtual void metadata(const Metadata& metadata) = 0;
};

struct WriteCounts {
  std::size_t samples = 0;
  std::size_t bad_series = 0;   // refused for their labels
  std::size_t bad_samples = 0;  // theirs
  std::size_t no_room_series = 0;
  std::size_t no_room_samples = 0;
  std::size_t exemplars = 0;
  std::size_t dropped_exemplars = 0;  // with labels that are none, or are too long
  std::size_t bad_metadata = 0;       // of no metric, or not in UTF-8
  std::size_t histograms = 0;
};

class RemoteWrite {
 public:
  // bad_params: no snappy block, or not of this message; too_big: over limits::write_request_*.
  [[nodiscard]] Result<WriteCounts> read(std::string_view body, WriteSink& sink);
  // The same of what is in the block.
  [[nodiscard]] Result<WriteCounts> read_message(std::string_view message, WriteSink& sink);

  // In the order of the request. Until the next read().
  [[nodiscard]] std::span<const Point> points() const { return points_; }

 private:
  struct Parts;  // of a time series
  [[nodiscard]] Result<std::string_view> uncompressed(std::string_view body);
  [[nodiscard]] Status time_series(std::string_view message, WriteSink& sink);
  [[nodiscard]] Result<Parts> parts_of(std::string_view message);
  [[nodiscard]] Status samples(const Parts& parts, SeriesId series, WriteSink& sink);
  [[nodiscard]] Status sample(std::string_view message, SeriesId series);
  [[nodiscard]] Status exemplar(std::string_view message, SeriesId series, WriteSink& sink);
  [[nodiscard]] Status metadata(std::string_view message, WriteSink& sink);
  void give_back_memory();
  // At a byte of the request.
  [[nodiscard]] std::unexpected<Error> wrong(const char* at, std::string_view what) const;

  std::unique_ptr<char[]> buffer_;
  std::size_t buffer_bytes_ = 0;
  std::string_view message_;
  std::vector<Point> points_;
  std::string gathered_;       // labels that do not stand together
  std::vector<Label> labels_;  // of an exemplar
  std::vector<Label> one_;
  WriteCounts counts_;
};

}  // namespace tallymill::collector
