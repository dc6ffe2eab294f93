#include "apps/cli/waterfall.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

const json& list_at(const json& object, const char* key) {
  static const json none = json::array();
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : none;
}

// Cuts the time from intake on into rows, each beginning where the last one ended.
class Cutter {
 public:
  Cutter(Waterfall& out, std::int64_t origin) : out_(out), origin_(origin), at_(origin) {}

  void heading(std::string name, int depth) {
    out_.rows.push_back({std::move(name), depth, Duration(at_ - origin_), {}, true, false});
  }
  void until(std::string name, int depth, std::int64_t stamp) {
    if (stamp == 0) return;
    out_.rows.push_back({std::move(name), depth, Duration(at_ - origin_), Duration(stamp - at_)});
    at_ = stamp;
  }
  void span(std::string name, int depth, std::int64_t begin, std::int64_t end) {
    if (begin == 0 || end < begin) return;
    out_.rows.push_back(
        {std::move(name), depth, Duration(begin - origin_), Duration(end - begin), false, false});
  }
  [[nodiscard]] std::int64_t at() const { return at_; }

 private:
  Waterfall& out_;
  std::int64_t origin_;
  std::int64_t at_;
};

void cut_hop(Cutter& cut, const json& hop, int depth) {
  cut.heading(printable(text_at(hop, "stage")) + "  " + printable(text_at(hop, "worker")), depth);
  cut.until("wire", depth + 1, number_at(hop, "received"));
  // What never started waited until it was given back.
  const bool ran = number_at(hop, "started") != 0 || number_at(hop, "finished") != 0;
  cut.until("wait", depth + 1, number_at(hop, ran ? "started" : "handed"));
  cut.until("service", depth + 1, number_at(hop, "finished"));
  for (const json& span : list_at(hop, "spans"))
    cut.span(printable(text_at(span, "name")),
             depth + 2 + static_cast<int>(std::clamp<std::int64_t>(number_at(span, "depth"), 0, 8)),
             number_at(span, "begin_ns"), number_at(span, "end_ns"));
  if (ran) cut.until("handover", depth + 1, number_at(hop, "handed"));
}

void cut_attempt(Cutter& cut, const json& attempt, std::size_t number, bool only) {
  const std::string outcome = text_at(attempt, "outcome");
  const json& hops = list_at(attempt, "hops");
  if (!only || outcome != "ok")
    cut.heading(fmt::format("attempt {}{}", number, outcome.empty() ? "" : "  " + outcome), 0);
  std::int64_t sent = number_at(attempt, "dispatched");
  if (!hops.empty() && number_at(hops.front(), "sent") != 0) sent = number_at(hops.front(), "sent");
  cut.until("queue", 0, sent);
  for (const json& hop : hops) cut_hop(cut, hop, 0);
  cut.until(hops.empty() ? "lost attempt" : "wire back", 0, number_at(attempt, "returned"));
}

std::string percent(Duration part, Duration whole) {
  if (whole <= Duration(0)) return "";
  const double share =
      100.0 * static_cast<double>(part.count()) / static_cast<double>(whole.count());
  return share > 0 && share < 0.1 ? "<0.1 %" : fmt::format("{:.1f} %", share);
}

Colour colour_of(const WaterfallRow& row) {
  if (!row.part) return Colour::dim;
  if (row.name == "service") return Colour::green;
  if (row.name == "queue" || row.name == "wait" || row.name == "backoff") return Colour::yellow;
  if (row.name == "lost attempt") return Colour::red;
  return Colour::blue;
}

}  // namespace

Waterfall waterfall_of(const json& timeline) {
  Waterfall out;
  out.job = number_at(timeline, "job");
  out.kind = text_at(timeline, "kind");
  out.state = text_at(timeline, "state");
  out.whole = Duration(number_at(timeline, "whole_ns"));
  const json parts = timeline.value("parts", json::object());
  for (const auto& [name, ns] : parts.items())
    if (ns.is_number_integer()) out.parts += Duration(ns.get<std::int64_t>());

  const json& attempts = list_at(timeline, "attempts");
  for (const json& attempt : attempts)
    for (const json& hop : list_at(attempt, "hops"))
      out.clock_error = std::max(out.clock_error, Duration(number_at(hop, "clock_error_ns")));

  const std::int64_t origin = number_at(timeline, "intake_ns");
  Cutter cut(out, origin);
  if (parts.contains("intake")) cut.until("intake", 0, cut.at() + number_at(parts, "intake"));
  if (parts.contains("commit")) cut.until("commit", 0, cut.at() + number_at(parts, "commit"));
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (i > 0)
      cut.until("backoff", 0, number_at(attempts[i], "ready"));
    else if (parts.contains("earlier"))
      cut.until("earlier", 0, number_at(attempts[i], "ready"));
    cut_attempt(cut, attempts[i], i + 1, attempts.size() == 1);
  }
  // A job may end while it waits, for its first attempt or for the next one.
  const std::string last = attempts.empty() ? "lost" : text_at(attempts.back(), "outcome");
  const std::int64_t decided = origin + out.whole.count() - number_at(parts, "settle");
  if (out.whole > Duration(0) && decided > cut.at() && (last == "lost" || last == "failed"))
    cut.until(attempts.empty() ? "queue" : "backoff", 0, decided);
  if (out.whole > Duration(0)) cut.until("settle", 0, origin + out.whole.count());
  return out;
}

std::string text_of(const Waterfall& waterfall, int width) {
  const bool known = waterfall.whole > Duration(0);
  Duration span = waterfall.whole;
  std::size_t names = 0;
  for (const WaterfallRow& row : waterfall.rows) {
    span = std::max(span, row.begin + row.length);
    names = std::max(names, columns_of(row.name) + 2 * static_cast<std::size_t>(row.depth));
  }
  names = std::clamp<std::size_t>(names, 12, 44);
  const int bar_width = std::max(10, width - static_cast<int>(names) - 22);
  std::string out = fmt::format(
      "job {}  {}  {}  {}\n\n", waterfall.job, coloured(printable(waterfall.kind), Colour::bold),
      coloured(waterfall.state, colour_of_state(waterfall.state)),
      known                       ? "whole " + human(waterfall.whole)
      : waterfall.state == "done" ? std::string("its whole is not on disk yet: ask again")
                                  : std::string("not ended, or it ended without its whole"));
  for (const WaterfallRow& row : waterfall.rows) {
    std::string name(2 * static_cast<std::size_t>(row.depth), ' ');
    name += row.name;
    if (row.heading) {
      out += coloured(name, Colour::bold) + "\n";
      continue;
    }
    const std::size_t pad = names > columns_of(name) ? names - columns_of(name) : 0;
    const std::string length = human(row.length);
    const std::string share = percent(row.length, span);
    const auto fill = [](const std::string& text, std::size_t n) {
      return std::string(n > columns_of(text) ? n - columns_of(text) : 0, ' ') + text;
    };
    const double whole = static_cast<double>(std::max<std::int64_t>(1, span.count()));
    out += fmt::format("{}{} {} {}  {}\n", row.part ? name : coloured(name, Colour::dim),
                       std::string(pad, ' '), fill(length, 9), fill(share, 7),
                       coloured(bar(bar_width, static_cast<double>(row.begin.count()) / whole,
                                    static_cast<double>((row.begin + row.length).count()) / whole),
                                colour_of(row)));
  }
  if (known) {
    const Duration difference = waterfall.whole - waterfall.parts;
    const Duration allowed =
        std::max<Duration>(std::chrono::microseconds(20), waterfall.whole / 100);
    const bool adds_up = difference <= allowed && -difference <= allowed;
    out += fmt::format(
        "\nparts {}  whole {}  difference {}  {}\n", human(waterfall.parts), human(waterfall.whole),
        human(difference),
        adds_up ? coloured("adds up", Colour::green) : coloured("DOES NOT ADD UP", Colour::red));
  }
  if (waterfall.clock_error > Duration(0))
    out += coloured(
        fmt::format("stamps of other hosts are right within {}\n", human(waterfall.clock_error)),
        Colour::dim);
  return out;
}

}  // namespace tallymill::cli
