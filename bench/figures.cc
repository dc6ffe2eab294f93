#include "bench/figures.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <thread>

#include "base/check.h"

namespace tallymill::bench {
namespace {

// Above it somebody else's work is in the figures.
constexpr double quiet_load = 1.0;

std::string bench_name;

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : -1;
}

// The end of every line: where and on what, read once, before anything was timed.
std::string machine() {
  utsname system{};
  ::uname(&system);
  const double load = load_average();
  const char* const commit = std::getenv("TALLYMILL_COMMIT");  // NOLINT(concurrency-mt-unsafe)
  return fmt::format(
      R"("cores": {}, "cpu": "{}", "kernel": "{}", "load": {:.2f}, "commit": "{}"{})",
      std::thread::hardware_concurrency(), cpu_model(), system.release, load,
      commit == nullptr ? "unknown" : commit,
      load > quiet_load ? R"(, "void": "busy machine")" : "");
}

const std::string& machine_at_start() {
  static const std::string text = machine();
  return text;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value > 0)) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(const About& about, const std::string& why) {
  fmt::print(stderr, "bench {}: {}\n", about.name, why);
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): no other thread yet
}

}  // namespace

bool Asked::wants(std::string_view part) const {
  return parts.empty() || std::ranges::find(parts, part) != parts.end();
}

Asked asked(const About& about, int argc, char** argv) {
  bench_name = about.name;
  (void)machine_at_start();
  Asked out{about.rounds, about.seconds, {}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--help" || word == "-h") {
      fmt::print("usage: bench_{} [--rounds N] [--seconds S] [PART ...]\nparts: {}\n", about.name,
                 fmt::join(about.parts, " "));
      std::exit(0);  // NOLINT(concurrency-mt-unsafe): no other thread yet
    }
    if (word == "--rounds") {
      const auto rounds = number<int>(value);
      if (!rounds || *rounds > 1000)
        refuse(about, "--rounds takes a whole number from 1 to 1000, not '" + value + "'");
      out.rounds = *rounds;
      ++i;
    } else if (word == "--seconds") {
      const auto seconds = number<double>(value);
      if (!seconds || !std::isfinite(*seconds) || *seconds > 600)
        refuse(about, "--seconds takes a number above 0, at most 600, not '" + value + "'");
      out.seconds = *seconds;
      ++i;
    } else if (std::ranges::find(about.parts, word) != about.parts.end()) {
      out.parts.push_back(word);
    } else {
      refuse(about,
             fmt::format("unknown argument '{}'; it takes --rounds N, --seconds S{}{}", word,
                         about.parts.empty() ? "" : " and parts: ", fmt::join(about.parts, " ")));
    }
  }
  return out;
}

void print(std::string_view what, std::string_view unit, const std::vector<double>& values) {
  fmt::print(
      R"({{"bench": "{}", "what": "{}", "unit": "{}", "n": {}, "median": {:.6g}, "p90": {:.6g}, )"
      R"("min": {:.6g}, "max": {:.6g}, {}}})"
      "\n",
      bench_name, what, unit, values.size(), median(values), quantile(values, 0.9),
      quantile(values, 0), quantile(values, 1), machine_at_start());
  std::fflush(stdout);
}

double quantile(std::vector<double> values, double q) {
  TM_CHECK(!values.empty());
  std::ranges::sort(values);
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

double median(const std::vector<double>& values) { return quantile(values, 0.5); }

std::vector<double> ratios(std::span<const double> a, std::span<const double> b) {
  TM_CHECK(a.size() == b.size());
  std::vector<double> out;
  out.reserve(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

}  // namespace tallymill::bench
