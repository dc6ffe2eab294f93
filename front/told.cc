#include "front/told.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "bus/codec_json.h"
#include "front/timeline.h"

namespace tallymill::front {

using nlohmann::json;

namespace {

// Bytes of workers that cannot be read, or are too many for a message, keep nobody from what stands
// behind them.
json waterfall_json(const Waterfall& kept) {
  const JobRow& job = kept.of.job;
  json told = end_json({*job.end, job.client, job.kind});
  told["keep_seq"] = kept.keep_seq;
  told["weight"] = kept.weight;
  told["submitted_unix_ns"] = to_ns(job.submitted);
  auto timeline = timeline_json(kept.of);
  if (timeline) {
    told["timeline"] = std::move(*timeline);
    const auto packed = bus::msgpack_of_json(told);
    if (packed && Bytes(std::ssize(*packed)) <= limits::waterfalls_page_bytes) return told;
    told.erase("timeline");
  }
  told["cut"] = true;
  return told;
}

}  // namespace

json end_json(const EndsPage::Of& of) {
  const JobEnd& end = of.end;
  json told{{"seq", end.seq},
            {"job", end.job.raw()},
            {"kind", of.kind},
            {"client", of.client},
            {"state", std::string(name_of(end.state))},
            {"attempts", end.attempts},
            {"end_unix_ns", to_ns(end.at)}};
  if (end.took >= Duration{}) told["took_ns"] = end.took.count();
  if (end.code.empty()) return told;
  told["code"] = end.code;
  told["message"] = end.message;
  told["field"] = end.field;
  clean_text(told["message"].get_ref<std::string&>(), limits::list_text_bytes);
  clean_text(told["field"].get_ref<std::string&>(), limits::list_text_bytes);
  return told;
}

json waterfalls_json(const WaterfallsPage& page, std::int64_t after) {
  json answer{
      {"schema", 1}, {"head", page.head}, {"more", page.more}, {"waterfalls", json::array()}};
  if (after > page.head) {
    answer["gap"] = {{"from", page.head + 1}, {"to", after}};
    answer["next"] = page.head;
    return answer;
  }
  if (page.oldest > after) answer["gap"] = {{"from", after + 1}, {"to", page.oldest}};
  std::int64_t next = std::max(after, page.oldest);
  Bytes room = limits::waterfalls_page_bytes;
  for (const Waterfall& kept : page.waterfalls) {
    json told = waterfall_json(kept);
    const auto packed = bus::msgpack_of_json(told);
    room -= Bytes(packed ? std::ssize(*packed) : 0);
    if (room < Bytes(0)) {
      answer["more"] = true;
      break;
    }
    answer["waterfalls"].push_back(std::move(told));
    next = kept.keep_seq;
  }
  answer["next"] = next;
  return answer;
}

}  // namespace tallymill::front
