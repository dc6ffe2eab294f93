// links: tm_collector
// A remote write request from anybody. Goal: no bytes make RemoteWrite crash, read past their end
// or give more points than the bound; labels that are the same as raw bytes are the same taken
// apart. Input: a byte, odd for a snappy block and even for what is in one; the request.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "collector/labels_check.h"
#include "collector/raw_labels.h"
#include "collector/remote_write.h"

namespace tallymill::collector {
namespace {

class Checks : public WriteSink {
 public:
  std::expected<SeriesId, Refused> series(std::string_view raw) override {
    std::vector<Label> labels;
    if (!read_raw_labels(raw, labels)) return std::unexpected(Refused::malformed);
    const std::vector<Label> as_written = labels;
    if (settle(labels) != LabelFault::none) return std::unexpected(Refused::bad_labels);
    const Labels made = labels_of(labels);
    TM_CHECK(made.size() == labels.size());
    if (same_labels(raw, made)) TM_CHECK(as_written == labels);
    for (const auto& [other, id] : ids_)
      if (other != made) TM_CHECK(!same_labels(raw, other));
    return ids_.try_emplace(made, SeriesId(static_cast<std::uint32_t>(ids_.size()))).first->second;
  }
  void exemplar(SeriesId series, const Exemplar& exemplar) override {
    TM_CHECK(series.raw() < ids_.size());
    std::vector<Label> labels(exemplar.labels.begin(), exemplar.labels.end());
    TM_CHECK(settle_exemplar(labels) == ExemplarFault::none);
  }
  void metadata(const Metadata& metadata) override {
    TM_CHECK(is_metric_name(metadata.name) && is_utf8(*metadata.help) && is_utf8(*metadata.unit));
    TM_CHECK(*metadata.type <= MetricType::state_set);
  }
  [[nodiscard]] std::size_t size() const { return ids_.size(); }

 private:
  std::map<Labels, SeriesId> ids_;
};

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  Checks sink;
  RemoteWrite request;
  const auto counts =
      data[0] % 2 == 0 ? request.read_message(body, sink) : request.read(body, sink);
  if (!counts) return 0;
  TM_CHECK(counts->samples == request.points().size());
  TM_CHECK(counts->samples <= tallymill::limits::write_request_samples);
  for (const Point& point : request.points()) TM_CHECK(point.series.raw() < sink.size());
  return 0;
}
