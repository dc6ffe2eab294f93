#include "collector/host_text.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <span>
#include <utility>

#include "base/proc.h"

namespace tallymill::collector {
namespace {

constexpr std::uint64_t sector_bytes = 512;  // in diskstats, whatever the disk's own are

// The words at these places as numbers; nothing if one is missing or is none.
std::optional<std::vector<std::uint64_t>> numbers_at(std::span<const std::string_view> words,
                                                     std::initializer_list<std::size_t> places) {
  std::vector<std::uint64_t> numbers;
  for (const std::size_t place : places) {
    const auto number = place < words.size() ? whole_number(words[place]) : std::nullopt;
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace

std::optional<CpuTimes> cpu_times(std::string_view stat) {
  CpuTimes times;
  bool found = false;
  for (const std::string_view line : whole_lines(stat)) {
    if (!line.starts_with("cpu")) continue;
    const auto words = words_of(line);
    if (words.front() != "cpu") {
      ++times.cpus;
      continue;
    }
    const auto numbers = numbers_at(words, {1, 2, 3, 4, 5, 6, 7, 8});
    if (!numbers) return std::nullopt;
    std::ranges::copy(*numbers, times.ticks.begin());
    found = true;
  }
  return found ? std::optional(times) : std::nullopt;
}

std::optional<LoadAverages> load_averages(std::string_view loadavg) {
  const auto words = words_of(loadavg);
  if (words.size() < 4) return std::nullopt;
  const auto a = decimal_number(words[0]);
  const auto b = decimal_number(words[1]);
  const auto c = decimal_number(words[2]);
  if (!a || !b || !c) return std::nullopt;
  return LoadAverages{*a, *b, *c};
}

std::vector<Device> disks(std::string_view diskstats) {
  std::vector<Device> found;
  for (const std::string_view line : whole_lines(diskstats)) {
    const auto words = words_of(line);
    auto numbers = numbers_at(words, {5, 9, 3, 7, 12});
    constexpr auto most = std::numeric_limits<std::uint64_t>::max() / sector_bytes;
    if (!numbers || (*numbers)[0] > most || (*numbers)[1] > most) continue;
    (*numbers)[0] *= sector_bytes;
    (*numbers)[1] *= sector_bytes;
    found.push_back({std::string(words[2]), std::move(*numbers)});
  }
  return found;
}

std::vector<Device> network_devices(std::string_view net_dev) {
  std::vector<Device> found;
  for (const std::string_view line : whole_lines(net_dev)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;  // the two lines of the head
    const auto name = words_of(line.substr(0, colon));
    auto numbers = numbers_at(words_of(line.substr(colon + 1)), {0, 8, 1, 9, 2, 10, 3, 11});
    if (name.size() == 1 && numbers) found.push_back({std::string(name[0]), std::move(*numbers)});
  }
  return found;
}

std::optional<Pressure> pressure(std::string_view text) {
  std::optional<Pressure> found;
  for (const std::string_view line : whole_lines(text)) {
    const auto words = words_of(line);
    if (words.empty() || !words.back().starts_with("total=")) continue;
    const auto total = whole_number(words.back().substr(std::string_view("total=").size()));
    if (!total) continue;
    if (words.front() == "some") found = Pressure{*total, std::nullopt};
    if (words.front() == "full" && found) found->full_us = total;
  }
  return found;
}

std::optional<std::string> unified_group(std::string_view self_cgroup) {
  for (const std::string_view line : whole_lines(self_cgroup))
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  return std::nullopt;
}

}  // namespace tallymill::collector
