#include "stages/compute/svg.h"

#include <fmt/format.h>

#include <iterator>

#include "base/check.h"

namespace tallymill::stages::compute {

namespace {

Outline moved(const Outline& outline, Ticks du, Ticks dv) {
  Outline out;
  out.reserve(outline.size());
  for (const Point& p : outline) out.push_back({p.u + du, p.v + dv});
  return out;
}

// Millimetres, exactly: every tick is a decimal.
void append_mm(std::string& text, Ticks ticks) {
  const auto magnitude = static_cast<std::uint64_t>(std::abs(ticks));
  fmt::format_to(std::back_inserter(text), "{}{}", ticks < 0 ? "-" : "", magnitude / 10'000);
  auto rest = magnitude % 10'000;
  if (rest == 0) return;
  int digits = 4;
  for (; rest % 10 == 0; rest /= 10) --digits;
  fmt::format_to(std::back_inserter(text), ".{:0{}}", rest, digits);
}

// Segments run along the axes, so each needs one coordinate. The last is what Z draws.
void append_path(std::string& text, const Outline& outline, Ticks sheet_height) {
  text += 'M';
  append_mm(text, outline.front().u);
  text += ' ';
  append_mm(text, sheet_height - outline.front().v);
  for (std::size_t i = 1; i < outline.size(); ++i) {
    const bool across = outline[i].v == outline[i - 1].v;
    TM_CHECK(across || outline[i].u == outline[i - 1].u);
    text += across ? 'H' : 'V';
    append_mm(text, across ? outline[i].u : sheet_height - outline[i].v);
  }
  text += 'Z';
}

}  // namespace

Sheet lay_out(const std::vector<std::vector<SheetPart>>& rows, Ticks gap) {
  Sheet sheet;
  Ticks top = gap;
  for (const auto& row : rows) {
    Ticks right = gap;
    Ticks tallest = 0;
    for (const SheetPart& part : row) {
      const Bounds bounds = bounds_of(part.outline);
      sheet.parts.push_back(
          {part.id, moved(part.outline, right - bounds.min.u, top - bounds.min.v)});
      right += bounds.max.u - bounds.min.u + gap;
      tallest = std::max(tallest, bounds.max.v - bounds.min.v);
    }
    sheet.width = std::max(sheet.width, right);
    top += tallest + gap;
  }
  sheet.height = top;
  return sheet;
}

std::string svg_text(const Sheet& sheet) {
  std::string width;
  std::string height;
  append_mm(width, sheet.width);
  append_mm(height, sheet.height);
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}mm\" height=\"{1}mm\" "
      "viewBox=\"0 0 {0} {1}\">\n"
      "<g id=\"cut\" fill=\"none\" stroke=\"#ff0000\" stroke-width=\"0.1\">\n",
      width, height);
  for (const SheetPart& part : sheet.parts) {
    fmt::format_to(std::back_inserter(text), "<path id=\"{}\" d=\"", part.id);
    append_path(text, part.outline, sheet.height);
    text += "\"/>\n";
  }
  text += "</g>\n</svg>\n";
  return text;
}

}  // namespace tallymill::stages::compute
