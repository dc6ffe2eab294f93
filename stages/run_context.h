// RunContext: what a handler may say and ask while it runs one job.
//
// Progress is only written down here; the loop looks at it now and then and tells the front, so
// that a handler may call it per strip at the cost of two stores.
//
// Threads: the handler's.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/text.h"
#include "stages/desk.h"
#include "stages/handler.h"
#include "stages/shared.h"

namespace tallymill::stages {

struct SpanRecord {
  std::string name;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int32_t depth = 0;
};

class RunContext final : public Context {
 public:
  RunContext(Shared& shared, Slot& slot, HandlerProbe& probe, HeldJob& job,
             std::optional<Instant> deadline, std::vector<SpanRecord>& spans)
      : shared_(shared),
        slot_(slot),
        probe_(probe),
        job_(job),
        deadline_(deadline),
        spans_(spans) {}

  void progress(double fraction) override {
    sign();
    const float now = static_cast<float>(std::clamp(fraction, 0.0, 1.0));
    if (!std::isnan(now) && now > job_.fraction.load(std::memory_order_relaxed))
      job_.fraction.store(now, std::memory_order_relaxed);
  }

  void preview(File file) override {
    sign();
    if (file.bytes.size() > static_cast<std::size_t>(limits::preview_bytes.raw())) return;
    shared_.tell({Notice::What::preview, job_.token, {}, 0, std::move(file)}, probe_);
  }

  [[nodiscard]] bool cancelled() const override {
    return job_.stop.load(std::memory_order_relaxed) != Stop::no ||
           (deadline_ && shared_.clock.now() >= *deadline_);
  }

  // The runtime waits for something on the job's behalf: a sign of life, and whether to go on.
  [[nodiscard]] bool go_on() {
    sign();
    return !cancelled();
  }

  void span_begin(std::string_view name) override {
    const std::int64_t now = sign();
    ++depth_;
    if (spans_.size() >= limits::spans_per_hop || depth_ > limits::span_depth) {
      ++skipped_;
      return;
    }
    open_[depth_ - 1] = spans_.size();
    spans_.push_back({std::string(name), now, 0, static_cast<std::int32_t>(depth_ - 1)});
    clean_text(spans_.back().name, limits::span_name_bytes);
  }

  void span_end() override {
    const std::int64_t now = sign();
    if (depth_ == 0) return;
    --depth_;
    // The spans that were not recorded are the innermost of those open, or came after the last.
    if (skipped_ > 0) {
      --skipped_;
      return;
    }
    spans_[open_[depth_]].end_ns = now;
  }

  // A handler that threw has left spans open.
  void close_spans(std::int64_t now_ns) {
    for (SpanRecord& span : spans_)
      if (span.end_ns == 0) span.end_ns = now_ns;
  }

 private:
  std::int64_t sign() {
    const std::int64_t now = to_ns(shared_.clock.now());
    slot_.sign_ns.store(now, std::memory_order_relaxed);
    return now;
  }

  Shared& shared_;
  Slot& slot_;
  HandlerProbe& probe_;
  HeldJob& job_;
  const std::optional<Instant> deadline_;
  std::vector<SpanRecord>& spans_;
  std::size_t depth_ = 0;
  std::size_t skipped_ = 0;
  std::size_t open_[limits::span_depth] = {};
};

}  // namespace tallymill::stages
