// links: tm_collector
// A file of records from a disk that lies. Goal: no bytes make scan_records() or the parsers of its
// payloads read beyond them, and what is taken comes back the same. Input: a byte that says what
// the rest is: 0 points, 1 series, else a file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "collector/log_records.h"
#include "collector/records.h"

namespace tallymill::collector {
namespace {

void check_points(std::string_view input) {
  std::vector<Point> points;
  if (!unpack_points(input, points)) {
    TM_CHECK(points.empty());
    return;
  }
  std::string bytes;
  pack_points(points, bytes);
  std::vector<Point> again;
  TM_CHECK(unpack_points(bytes, again).has_value() && again.size() == points.size());
  for (std::size_t i = 0; i < points.size(); ++i)
    TM_CHECK(again[i].series == points[i].series && again[i].t_ms == points[i].t_ms &&
             std::memcmp(&again[i].value, &points[i].value, sizeof(double)) == 0);
}

void check_series(std::string_view input) {
  const auto list = unpack_series(input);
  if (!list) return;
  std::string bytes;
  if (list->series.empty())
    pack_dead(list->first, list->dead, bytes);
  else
    pack_series(list->first, list->series, bytes);
  const auto again = unpack_series(bytes);
  TM_CHECK(again.has_value() && again->first == list->first && again->series == list->series &&
           again->dead == list->dead);
}

void check_file(std::string_view input) {
  std::uint64_t bytes = 0;
  const Scanned found = scan_records(input, [&](std::string_view payload) {
    bytes += payload.size();
    check_points(payload);
    check_series(payload);
  });
  TM_CHECK(found.size + found.torn_bytes == input.size() && bytes <= input.size());
}

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0)
    check_points(input);
  else if (data[0] == 1)
    check_series(input);
  else
    check_file(input);
  return 0;
}
