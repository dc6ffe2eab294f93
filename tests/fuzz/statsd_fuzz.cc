// links: tm_collector
// Datagrams of StatsD from anybody. Goal: no bytes make Statsd crash or read past their end; each
// line counts once, as taken or by its fault; every series that comes of it may be one, and is
// there once. Input: datagrams with NUL between them.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "collector/labels_check.h"
#include "collector/statsd.h"

namespace tallymill::collector {
namespace {

class Checks : public StatsdSink {
 public:
  explicit Checks(const Statsd& statsd) : statsd_(statsd) {}
  void value(std::uint32_t slot, double) override {
    TM_CHECK(slot == next_++);
    const Labels labels = statsd_.labels(slot);
    std::vector<Label> settled;
    for (const Label& label : labels) settled.push_back(label);
    TM_CHECK(settle(settled) == LabelFault::none);
    TM_CHECK(seen_.emplace(labels.packed()).second);
  }

 private:
  const Statsd& statsd_;
  std::uint32_t next_ = 0;
  std::set<std::string> seen_;
};

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  Statsd statsd;
  std::size_t lines = 0;
  while (!rest.empty()) {
    const std::string_view datagram = take_until(rest, '\0');
    statsd.take(datagram);
    for (std::string_view left = datagram; !left.empty();) {
      const std::string_view line = take_until(left, '\n');
      lines += line.empty() || line == "\r" ? 0 : 1;
    }
  }
  std::size_t counted = statsd.lines();
  for (std::size_t i = 0; i < statsd_faults; ++i)
    counted += statsd.faults(static_cast<StatsdFault>(i));
  TM_CHECK(counted == lines);
  TM_CHECK(statsd.series() <= tallymill::limits::statsd_series);
  Checks sink(statsd);
  statsd.flush(sink);
  return 0;
}
