// How a raster becomes moves:
//   1. The pixel edges are rounded to micrometres once; every coordinate is one of them, so a row's
//      relative moves add up exactly.
//   2. Each row's bits become runs [begin, end) of columns, found a 64-bit word at a time.
//   3. A run-in at feed, then per run one burning move; white up to a limit is crossed at feed
//      with S0 (an even speed makes even dots), more white by run-out, rapid and run-in.
#include "stages/compute/gcode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::stages::compute {

namespace {

using Um = std::int64_t;  // micrometres

// White shorter than this is not worth leaving the feed for: a rapid must speed up and slow down.
constexpr Um min_rapid_um = 5'000;

constexpr auto max_chars = static_cast<std::size_t>(limits::max_gcode_bytes.raw());

// No move is longer in text: G91, G and M words, two coordinates, S and F.
constexpr std::size_t max_move_chars = 80;

Um to_um(double mm) { return std::llround(mm * 1000.0); }

struct Run {
  int begin;
  int end;
};

// A few characters, always copied as 16 bytes, which is one load and store; `size` of them count.
struct Word {
  char text[16];
  std::uint8_t size;
};

// ".001", ".01", ".1": what follows the whole millimetres for each thousandth, zeros at the end
// cut.
constexpr auto decimals = [] {
  std::array<Word, 1000> table{};
  for (std::uint32_t i = 1; i < table.size(); ++i) {
    const int digits = i % 10 != 0 ? 3 : i % 100 != 0 ? 2 : 1;
    table[i] = {{'.', static_cast<char>('0' + i / 100), static_cast<char>('0' + i / 10 % 10),
                 static_cast<char>('0' + i % 10)},
                static_cast<std::uint8_t>(1 + digits)};
  }
  return table;
}();

// Each writes at `at` and returns where it ended; a row has room for all of its moves (burn_line).
char* put(char* at, std::string_view s) {
  std::memcpy(at, s.data(), s.size());
  return at + s.size();
}
char* put(char* at, const Word& word) {
  std::memcpy(at, word.text, sizeof word.text);
  return at + word.size;
}
char* put_um(char* at, Um um) {
  if (um < 0) {
    *at++ = '-';
    um = -um;
  }
  const auto whole = static_cast<std::uint64_t>(um) / 1000;
  const auto rest = static_cast<std::uint64_t>(um) % 1000;
  if (whole < 10)
    *at++ = static_cast<char>('0' + whole);
  else
    at = std::to_chars(at, at + 20, whole).ptr;
  return put(at, decimals[rest]);
}

Word power_word(int power) {
  Word word{};
  word.text[0] = 'S';
  char* const end = std::to_chars(word.text + 1, word.text + sizeof word.text, power).ptr;
  word.size = static_cast<std::uint8_t>(end - word.text);
  return word;
}

// One row's bits as words, most significant bit leftmost, whatever the row's stride and tail.
class RowScanner {
 public:
  explicit RowScanner(int width)
      : width_(width), words_((static_cast<std::size_t>(width) + 63) / 64) {}

  // The runs of the row at `bytes`; valid until the next call.
  std::span<const Run> runs(const std::uint8_t* bytes) {
    load(bytes);
    runs_.clear();
    for (int at = 0; (at = next(at, 0)) < width_;) {
      const int end = next(at, ~std::uint64_t{0});
      runs_.push_back({at, end});
      at = end;
    }
    return runs_;
  }

 private:
  void load(const std::uint8_t* bytes) {
    const auto size = (static_cast<std::size_t>(width_) + 7) / 8;
    words_.back() = 0;
    std::memcpy(words_.data(), bytes, size);
    if constexpr (std::endian::native == std::endian::little)
      for (auto& word : words_) word = std::byteswap(word);
    if (const int tail = width_ % 64; tail != 0) words_.back() &= ~std::uint64_t{0} << (64 - tail);
  }

  // The first column from `at` on whose bit differs from those of `same` (all 0 or all 1).
  [[nodiscard]] int next(int at, std::uint64_t same) const {
    auto word = static_cast<std::size_t>(at) / 64;
    if (word >= words_.size()) return width_;
    std::uint64_t differs = (words_[word] ^ same) & (~std::uint64_t{0} >> (at % 64));
    while (differs == 0) {
      if (++word == words_.size()) return width_;
      differs = words_[word] ^ same;
    }
    return std::min(width_, static_cast<int>(word * 64) + std::countl_zero(differs));
  }

  int width_;
  std::vector<std::uint64_t> words_;
  std::vector<Run> runs_;
};

class RasterProgram {
 public:
  RasterProgram(const RasterView& raster, double pixel_mm, const LaserSettings& settings)
      : raster_(raster),
        pixel_mm_(pixel_mm),
        settings_(settings),
        overscan_(to_um(settings.overscan_mm)),
        feed_(to_um(settings.feed_mm_per_min)),
        travel_(to_um(settings.travel_mm_per_min)),
        lines_(std::max(1, static_cast<int>(std::lround(pixel_mm / settings.line_interval_mm)))),
        burning_(power_word(settings.power_s)),
        dark_(power_word(0)),
        scanner_(raster.width) {
    edges_.reserve(static_cast<std::size_t>(raster.width) + 1);
    for (int column = 0; column <= raster.width; ++column)
      edges_.push_back(to_um(column * pixel_mm));
  }

  Result<std::string> write() {
    header();
    program_.reserve(expected_chars());
    for (int pass = 0; pass < settings_.passes; ++pass) {
      for (int row = 0; row < raster_.height; ++row) {
        const auto runs =
            scanner_.runs(raster_.bits.data() + static_cast<std::size_t>(row) *
                                                    static_cast<std::size_t>(raster_.stride_bytes));
        if (runs.empty()) continue;
        for (int line = 0; line < lines_; ++line) {
          burn_line(runs, line_y(row, line));
          if (program_.size() + max_move_chars > max_chars)
            return fail(Errc::too_big,
                        fmt::format("the G-code grows over {} MiB: use a lower dpi or fewer passes",
                                    limits::max_gcode_bytes.raw() >> 20));
        }
      }
    }
    program_ += "M5S0\nG90G0X0Y0\n";
    return std::move(program_);
  }

 private:
  void header() {
    program_ = fmt::format(
        "; raster {} x {} pixels of {:.4f} mm: {:.3f} x {:.3f} mm, origin lower left\n"
        "; {} pass(es), {} line(s) a pixel; moves from X{:.3f} to X{:.3f}\n"
        "; needs laser mode ($32=1) and $30=1000\n"
        "G21\nG90\n{}S0\n",
        raster_.width, raster_.height, pixel_mm_, raster_.width * pixel_mm_,
        raster_.height * pixel_mm_, settings_.passes, lines_, -settings_.overscan_mm,
        raster_.width * pixel_mm_ + settings_.overscan_mm, settings_.mode);
  }

  // Nearer too much than too little: growing copies what is written, while memory that is reserved
  // and not touched costs nothing. Rows have at most two moves per pixel of the rarer colour.
  [[nodiscard]] std::size_t expected_chars() const {
    std::int64_t burnt = 0;
    for (const std::uint8_t byte : raster_.bits) burnt += std::popcount(byte);
    const std::int64_t area = std::int64_t{raster_.width} * raster_.height;
    const std::int64_t moves = 2 * std::min(burnt, std::max<std::int64_t>(area - burnt, 0));
    const std::int64_t once = 8 * moves + 64 * std::int64_t{raster_.height};
    return std::min(max_chars, static_cast<std::size_t>(once * lines_ * settings_.passes));
  }

  // The centre of a row's line; lines go down as rows do, so that no sweep jumps back.
  [[nodiscard]] Um line_y(int row, int line) const {
    const double from_bottom = raster_.height - row - (line + 0.5) / lines_;
    return to_um(from_bottom * pixel_mm_);
  }

  // One sweep over a row's runs at height y, in the direction the last sweep did not take.
  void burn_line(std::span<const Run> runs, Um y) {
    const std::size_t room = (runs.size() + 1) * 4 * max_move_chars;
    if (line_.size() < room) line_.resize(room);
    const bool left = leftward_;
    leftward_ = !leftward_;
    const auto count = runs.size();
    const auto run_from = [&](std::size_t i) {
      const Run& run = left ? runs[count - 1 - i] : runs[i];
      return edges_[static_cast<std::size_t>(left ? run.end : run.begin)];
    };
    const auto run_to = [&](std::size_t i) {
      const Run& run = left ? runs[count - 1 - i] : runs[i];
      return edges_[static_cast<std::size_t>(left ? run.begin : run.end)];
    };
    const Um overscan = left ? -overscan_ : overscan_;

    char* at = put_um(put(line_.data(), "G90G0X"), run_from(0) - overscan);
    at = put_um(put(at, "Y"), y);
    at = put(put_um(put(at, "S0F"), travel_), "\nG91");
    at_feed_ = false;
    at = travel_at_feed(at, overscan);
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) at = cross_white(at, run_from(i) - run_to(i - 1), overscan);
      at = feed_move(at, run_to(i) - run_from(i), burning_);
    }
    at = travel_at_feed(at, overscan);
    program_.append(line_.data(), at);
  }

  char* cross_white(char* at, Um distance, Um overscan) {
    if (std::abs(distance) < 2 * overscan_ + min_rapid_um) return feed_move(at, distance, dark_);
    at = travel_at_feed(at, overscan);
    at = put_um(put(at, "G0X"), distance - 2 * overscan);
    at = put(put_um(put(at, "S0F"), travel_), "\n");
    at_feed_ = false;
    return travel_at_feed(at, overscan);
  }

  char* travel_at_feed(char* at, Um distance) {
    return distance == 0 ? at : feed_move(at, distance, dark_);
  }

  // G1 and F are said again after a rapid only: they are modal.
  char* feed_move(char* at, Um distance, const Word& power) {
    if (!at_feed_) at = put(at, "G1");
    *at++ = 'X';
    at = put(put_um(at, distance), power);
    if (!at_feed_) at = put_um(put(at, "F"), feed_);
    at_feed_ = true;
    *at++ = '\n';
    return at;
  }

  const RasterView& raster_;
  const double pixel_mm_;
  const LaserSettings& settings_;
  const Um overscan_;
  const Um feed_;       // thousandths of mm a minute, so that put_um writes it
  const Um travel_;     // likewise
  const int lines_;     // a pixel row
  const Word burning_;  // the S word of a run, and of everything else
  const Word dark_;
  RowScanner scanner_;
  std::vector<Um> edges_;  // of pixel columns
  std::vector<char> line_;
  std::string program_;
  bool leftward_ = false;
  bool at_feed_ = false;  // the controller's modal state is G1 at feed_
};

[[nodiscard]] bool within(double value, double min, double max) {
  return std::isfinite(value) && value >= min && value <= max;
}

}  // namespace

Status check_raster_size(int width, int height, double pixel_mm) {
  if (width < 1 || height < 1)
    return fail(Errc::bad_params,
                fmt::format("a raster of {} x {} pixels is empty", width, height));
  if (width > limits::max_raster_side_pixels || height > limits::max_raster_side_pixels ||
      std::int64_t{width} * height > limits::max_raster_pixels)
    return fail(Errc::too_big,
                fmt::format("a raster of {} x {} pixels is over {} a side or {} in all", width,
                            height, limits::max_raster_side_pixels, limits::max_raster_pixels));
  if (!within(pixel_mm, limits::min_pixel_mm, limits::max_pixel_mm))
    return fail(Errc::bad_params,
                fmt::format("a pixel of {} mm is not within {} and {} mm", pixel_mm,
                            limits::min_pixel_mm, limits::max_pixel_mm));
  return {};
}

Status check_settings(const LaserSettings& settings) {
  const auto must = [](bool ok, std::string_view what, std::string_view field) -> Status {
    if (ok) return {};
    return fail(Errc::bad_params, std::string(what), "/" + std::string(field));
  };
  constexpr double fastest = limits::max_laser_mm_per_min;
  const Status checks[] = {
      must(within(settings.feed_mm_per_min, 1, fastest),
           "the feed must be within 1 and 100,000 mm/min", "feed_mm_per_min"),
      must(settings.power_s >= 0 && settings.power_s <= 1000,
           "the power must be within S0 and S1000", "power_s"),
      must(settings.passes >= 1 && settings.passes <= limits::max_laser_passes,
           "there must be 1 to 20 passes", "passes"),
      must(within(settings.travel_mm_per_min, 1, fastest),
           "the travel speed must be within 1 and 100,000 mm/min", "travel_mm_per_min"),
      must(settings.mode == "M3" || settings.mode == "M4", "the mode must be M3 or M4", "mode"),
      must(within(settings.line_interval_mm, limits::min_pixel_mm, limits::max_pixel_mm),
           "the line interval must be within 0.01 and 5 mm", "line_interval_mm"),
      must(within(settings.overscan_mm, 0, limits::max_overscan_mm),
           "the overscan must be within 0 and 50 mm", "overscan_mm"),
  };
  for (const auto& check : checks)
    if (!check) return check;
  return {};
}

Result<std::string> raster_gcode(const RasterView& raster, double pixel_mm,
                                 const LaserSettings& settings) {
  if (auto ok = check_settings(settings); !ok) return std::unexpected(std::move(ok).error());
  if (auto ok = check_raster_size(raster.width, raster.height, pixel_mm); !ok)
    return std::unexpected(std::move(ok).error());
  const int row_bytes = (raster.width + 7) / 8;
  const auto needed = static_cast<std::size_t>(raster.height - 1) *
                          static_cast<std::size_t>(std::max(raster.stride_bytes, 0)) +
                      static_cast<std::size_t>(row_bytes);
  if (raster.stride_bytes < row_bytes || raster.bits.size() < needed)
    return fail(Errc::bad_params,
                fmt::format("{} bytes in rows of {} are no raster of {} x {} pixels",
                            raster.bits.size(), raster.stride_bytes, raster.width, raster.height));
  return RasterProgram(raster, pixel_mm, settings).write();
}

}  // namespace tallymill::stages::compute
