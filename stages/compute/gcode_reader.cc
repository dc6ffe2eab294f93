// rasterize_gcode: a paper machine. One line at a time: read its words into a Block, let the block
// change the modal state, then make its move. The text is untrusted: numbers are bounded while they
// are read, positions after each move, the output by the raster's size, the time by
// limits::max_gcode_burnt_pixels.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/limits.h"
#include "stages/compute/gcode.h"

namespace tallymill::stages::compute {

namespace {

using Milli = std::int64_t;  // thousandths: micrometres for X and Y, 1000 for the 1 of G1

constexpr Milli max_word = 1'000'000'000;      // a kilometre, or G1000000: nothing is that large
constexpr Milli max_position = 1'000'000'000;  // micrometres; sums of two stay far from overflow

// The words of one line.
struct Block {
  std::optional<Milli> motion;   // 0 or 1
  std::optional<bool> relative;  // G91
  std::optional<bool> beam;      // M3, M4: true; M5: false
  std::optional<Milli> x, y, s, f;
  bool end = false;  // M2, M30
};

class LineReader {
 public:
  explicit LineReader(std::string_view line) : line_(line) {}

  Result<Block> read() {
    Block block;
    for (;;) {
      skip_blanks_and_comments();
      if (at_ == line_.size()) return block;
      const char letter = upper(line_[at_++]);
      const auto column = at_;
      const auto value = number();
      if (!value)
        return fail(Errc::bad_params, fmt::format("'{}' at column {} has no number after it",
                                                  printable(letter), column));
      if (!take(letter, *value, block))
        return fail(Errc::bad_params, fmt::format("{}{} is not understood", printable(letter),
                                                  static_cast<double>(*value) / 1000.0));
    }
  }

 private:
  static char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
  static char printable(char c) { return c >= ' ' && c <= '~' ? c : '?'; }
  static bool digit(char c) { return c >= '0' && c <= '9'; }
  [[nodiscard]] char peek() const { return at_ < line_.size() ? line_[at_] : '\0'; }

  void skip_blanks_and_comments() {
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (c == ';') {
        at_ = line_.size();
      } else if (c == '(') {
        const auto close = line_.find(')', at_);
        at_ = close == std::string_view::npos ? line_.size() : close + 1;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }

  // A decimal number in thousandths, further digits cut off; nothing when there is none or it is
  // over max_word.
  std::optional<Milli> number() {
    const bool negative = peek() == '-';
    if (negative || peek() == '+') ++at_;
    Milli value = 0;
    bool any = false;
    for (; digit(peek()); ++at_, any = true) {
      value = value * 10 + (line_[at_] - '0');
      if (value > max_word / 1000) return std::nullopt;
    }
    value *= 1000;
    if (peek() == '.') {
      ++at_;
      for (Milli unit = 100; digit(peek()); ++at_, any = true, unit /= 10)
        value += (line_[at_] - '0') * unit;
    }
    if (!any) return std::nullopt;
    return negative ? -value : value;
  }

  // False for a word that this machine does not have.
  static bool take(char letter, Milli value, Block& block) {
    switch (letter) {
      case 'G':
        return take_g(value, block);
      case 'M':
        return take_m(value, block);
      case 'X':
        block.x = value;
        return true;
      case 'Y':
        block.y = value;
        return true;
      case 'S':
        block.s = value;
        return value >= 0;
      case 'F':
        block.f = value;
        return value > 0;
      case 'N':
        return true;
      default:
        return false;
    }
  }

  static bool take_g(Milli value, Block& block) {
    switch (value) {
      case 0:
      case 1000:
        block.motion = value / 1000;
        return true;
      case 90'000:
      case 91'000:
        block.relative = value == 91'000;
        return true;
      case 17'000:  // XY plane, millimetres, feed a minute: the only ways this machine has
      case 21'000:
      case 94'000:
        return true;
      default:
        return false;
    }
  }

  static bool take_m(Milli value, Block& block) {
    switch (value) {
      case 3000:
      case 4000:
      case 5000:
        block.beam = value != 5000;
        return true;
      case 2000:
      case 30'000:
        block.end = true;
        return true;
      case 7000:  // air
      case 8000:
      case 9000:
        return true;
      default:
        return false;
    }
  }

  std::string_view line_;
  std::size_t at_ = 0;
};

class PaperMachine {
 public:
  PaperMachine(int width, int height, double pixel_mm)
      : width_(width),
        height_(height),
        pixel_um_(pixel_mm * 1000.0),
        stride_((static_cast<std::size_t>(width) + 7) / 8),
        bits_(stride_ * static_cast<std::size_t>(height)) {}

  Status run(const Block& block) {
    if (block.motion) rapid_ = *block.motion == 0;
    if (block.relative) relative_ = *block.relative;
    if (block.beam) beam_ = *block.beam;
    if (block.s) power_ = *block.s;
    if (block.f) feed_known_ = true;
    if (!block.x && !block.y) return {};
    const Milli x = target(block.x, x_);
    const Milli y = target(block.y, y_);
    if (std::abs(x) > max_position || std::abs(y) > max_position)
      return fail(Errc::bad_params, "the move leaves any machine");
    if (!rapid_ && !feed_known_) return fail(Errc::bad_params, "G1 before any feed was set");
    if (beam_ && power_ > 0)
      if (auto ok = burn(x, y); !ok) return ok;
    x_ = x;
    y_ = y;
    return {};
  }

  [[nodiscard]] std::vector<std::uint8_t> take() && { return std::move(bits_); }

 private:
  [[nodiscard]] Milli target(std::optional<Milli> word, Milli now) const {
    if (!word) return now;
    return relative_ ? now + *word : *word;
  }

  // The column whose left edge is at x, when there is one; edges are written to the micrometre.
  [[nodiscard]] std::optional<int> edge_at(Milli x) const {
    const auto column = std::llround(static_cast<double>(x) / pixel_um_);
    if (column < 0 || column > width_) return std::nullopt;
    if (std::fabs(static_cast<double>(x) - static_cast<double>(column) * pixel_um_) > 0.75)
      return std::nullopt;
    return static_cast<int>(column);
  }

  Status burn(Milli to_x, Milli to_y) {
    if (rapid_) return fail(Errc::bad_params, "a rapid with the beam on");
    if (to_y != y_) return fail(Errc::bad_params, "a burn that is not along a row");
    const auto from_bottom = std::floor(static_cast<double>(y_) / pixel_um_);
    if (from_bottom < 0 || from_bottom >= height_)
      return fail(Errc::bad_params, "a burn above or below the image");
    const auto a = edge_at(x_);
    const auto b = edge_at(to_x);
    if (!a || !b)
      return fail(Errc::bad_params, "a burn that does not go from pixel edge to pixel edge");
    const int begin = std::min(*a, *b);
    const int end = std::max(*a, *b);
    burnt_ += end - begin;
    if (burnt_ > limits::max_gcode_burnt_pixels)
      return fail(Errc::too_big, "the program burns more than will be checked");
    set(height_ - 1 - static_cast<int>(from_bottom), begin, end);
    return {};
  }

  void set(int row, int begin, int end) {
    if (begin == end) return;
    std::uint8_t* const bytes = bits_.data() + static_cast<std::size_t>(row) * stride_;
    const int first = begin / 8;
    const int last = (end - 1) / 8;
    const auto head = static_cast<std::uint8_t>(0xff >> (begin % 8));
    const auto tail = static_cast<std::uint8_t>(0xff << (7 - (end - 1) % 8));
    if (first == last) {
      bytes[first] = static_cast<std::uint8_t>(bytes[first] | (head & tail));
      return;
    }
    bytes[first] |= head;
    std::memset(bytes + first + 1, 0xff, static_cast<std::size_t>(last - first - 1));
    bytes[last] |= tail;
  }

  int width_;
  int height_;
  double pixel_um_;
  std::size_t stride_;
  std::vector<std::uint8_t> bits_;
  Milli x_ = 0;
  Milli y_ = 0;
  Milli power_ = 0;
  std::int64_t burnt_ = 0;
  bool rapid_ = true;
  bool relative_ = false;
  bool beam_ = false;
  bool feed_known_ = false;
};

}  // namespace

Result<std::vector<std::uint8_t>> rasterize_gcode(std::string_view gcode, int width, int height,
                                                  double pixel_mm) {
  if (auto ok = check_raster_size(width, height, pixel_mm); !ok)
    return std::unexpected(std::move(ok).error());
  if (gcode.size() > static_cast<std::size_t>(limits::max_gcode_bytes.raw()))
    return fail(Errc::too_big, "the program is over the limit of G-code");
  PaperMachine machine(width, height, pixel_mm);
  std::size_t number = 1;
  for (std::size_t at = 0; at < gcode.size(); ++number) {
    const auto end = std::min(gcode.find('\n', at), gcode.size());
    const auto block = LineReader(gcode.substr(at, end - at)).read();
    auto ok = block ? machine.run(*block) : Status(std::unexpected(block.error()));
    if (!ok)
      return std::unexpected(std::move(ok).error().in(fmt::format("G-code line {}", number)));
    if (block->end) break;
    at = end + 1;
  }
  return std::move(machine).take();
}

}  // namespace tallymill::stages::compute
