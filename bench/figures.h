// Figures: how a benchmark is asked and how it answers, the same for all of them.
//
// usage of each: bench_NAME [--rounds N] [--seconds S] [PART ...]; without parts all of them run.
// The answer is one JSON line a figure, on stdout:
//
//   {"bench", "what", "unit", "n", "median", "p90", "min", "max", "cores", "cpu", "kernel", "load",
//    "commit"} and "void": "busy machine" when others were at work as the program started.
//
// A ratio is made pair by pair, of two readings that followed one another, before the median is
// taken: what disturbs one round disturbs both sides of it.
//
// Threads: the benchmark's one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tallymill::bench {

struct Asked {
  int rounds = 0;
  double seconds = 0;  // of one timed stretch
  std::vector<std::string> parts;
  [[nodiscard]] bool wants(std::string_view part) const;
};

// What a benchmark is: its name, its parts, and what stands for what was not said.
struct About {
  std::string name;
  std::vector<std::string> parts;
  int rounds = 5;
  double seconds = 2;
};

// Ends the process: 0 after --help, 2 for what it does not know.
[[nodiscard]] Asked asked(const About& about, int argc, char** argv);

// One line. REQUIRES: values is not empty.
void print(std::string_view what, std::string_view unit, const std::vector<double>& values);

// Between the neighbours, so that two values have a middle.
[[nodiscard]] double quantile(std::vector<double> values, double q);
[[nodiscard]] double median(const std::vector<double>& values);

[[nodiscard]] std::vector<double> ratios(std::span<const double> a, std::span<const double> b);

}  // namespace tallymill::bench
