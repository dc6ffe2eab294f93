// Arrivals: who is told of samples at once, as they come.
//
// One listener of a store (alerting), on the thread that writes: what it does there holds up
// whoever ingests, so it looks, and leaves the work to a thread of its own.
//
// Threads: the store calls one of these at a time; the listener calls nothing of the store there.
#pragma once

#include <span>

#include "collector/series.h"

namespace tallymill::collector {

class ArrivalListener {
 public:
  virtual ~ArrivalListener() = default;
  // A series came into being; it has no sample yet.
  virtual void made(SeriesId series, const Labels& labels) = 0;
  // They are acknowledged, and visible to a read.
  virtual void arrived(std::span<const Point> points) = 0;
  // These are no more, and their ids are not given again.
  virtual void forgotten(std::span<const SeriesId> series) = 0;
};

}  // namespace tallymill::collector
