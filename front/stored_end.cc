#include "front/stored_end.h"

#include <utility>

#include "bus/envelope.h"

namespace tallymill::front {

Status read_end(const JobEnd& end, StoredEnd& into) {
  auto timeline = read_body(end.timeline);
  auto result = read_body(end.result);
  if (!timeline) return std::unexpected(std::move(timeline).error());
  if (!result) return std::unexpected(std::move(result).error());
  into.result = std::move(*result);
  into.told = !timeline->params.empty();
  if (!into.told) {
    into.done = {};
    return {};
  }
  auto read = bus::read_into({bus::Verb::done, timeline->params, {}, {}}, into.done);
  // A result that came after a cancel was dropped, and nothing refers to its files.
  if (end.result.empty()) into.done.files.clear();
  return read;
}

}  // namespace tallymill::front
