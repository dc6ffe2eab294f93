// links: tm_bus
// Telemetry frames from anybody. Goal: no bytes make decode() crash or read past their end; what it
// takes is within its bounds, and is written and read again as it was. Input: a frame.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "bus/telemetry_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  bus::TelemetryFrame frame;
  if (!bus::decode({reinterpret_cast<const char*>(data), size}, frame)) return 0;
  std::size_t series = 0;
  for (const auto& one : frame.families) series += one.series;
  TM_CHECK(series == frame.series.size());
  std::size_t labels = 0;
  for (const auto& one : frame.series) {
    TM_CHECK(one.id < limits::telemetry_series);
    labels += one.labels;
  }
  TM_CHECK(labels == frame.labels.size());
  std::size_t buckets = 0;
  std::size_t exemplars = 0;
  for (const auto& one : frame.distributions) {
    TM_CHECK(one.id < limits::telemetry_series);
    buckets += one.buckets;
    exemplars += one.exemplars;
  }
  TM_CHECK(buckets == frame.buckets.size() && exemplars == frame.exemplars.size());
  for (const auto& one : frame.buckets) TM_CHECK(one.index < ProbeHistogram::Layout::buckets);
  for (const auto& one : frame.exemplars) TM_CHECK(one.le <= le_bound_count);

  bus::Buffer once;
  bus::encode(frame, once);
  bus::TelemetryFrame again;
  TM_CHECK(bus::decode(once.view(), again).has_value());
  bus::Buffer twice;
  bus::encode(again, twice);
  TM_CHECK(once.view() == twice.view());
  return 0;
}
