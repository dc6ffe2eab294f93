// links: tm_collector
// A page of metrics from anybody. Goal: no text makes read_exposition() crash or read past its end,
// and what a sink is given is what labels_check.h allows. Input: a byte that says which format, the
// text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "collector/exposition.h"
#include "collector/labels_check.h"

namespace tallymill::collector {
namespace {

class Checks : public ExpositionSink {
 public:
  Status metadata(const Metadata& metadata) override {
    TM_CHECK(is_metric_name(metadata.name));
    TM_CHECK(metadata.type || metadata.help || metadata.unit);
    const std::string_view help = metadata.help.value_or("");
    TM_CHECK(is_utf8(help) && help.size() <= limits::metric_help_bytes);
    return {};
  }
  Status sample(const ExpositionSample& sample) override {
    std::vector<Label> labels(sample.labels.begin(), sample.labels.end());
    TM_CHECK(settle(labels) == LabelFault::none);
    TM_CHECK(std::ranges::equal(labels, sample.labels));
    TM_CHECK(is_metric_name(labels_of(labels).metric()));
    if (sample.exemplar) {
      labels.assign(sample.exemplar->labels.begin(), sample.exemplar->labels.end());
      TM_CHECK(settle_exemplar(labels) == ExemplarFault::none);
    }
    TM_CHECK(!is_stale(sample.value));
    ++samples;
    return {};
  }
  std::size_t samples = 0;
};

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Checks sink;
  const auto counts = read_exposition(
      text, data[0] % 2 == 0 ? ExpositionFormat::text : ExpositionFormat::open_metrics, sink);
  TM_CHECK(!counts || counts->samples == sink.samples);
  return 0;
}
