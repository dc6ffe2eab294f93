// A Context and a Job for calling a handler directly.
#pragma once

#include "stages/handler.h"

namespace tallymill::stages {

class QuietContext final : public Context {
 public:
  void progress(double fraction) override { progress_ = fraction; }
  void preview(File) override {}
  [[nodiscard]] bool cancelled() const override { return false; }
  void span_begin(std::string_view) override {}
  void span_end() override {}

  double progress_ = 0;
};

inline Result<Output> run_with(const Handler& handler, const nlohmann::json& params) {
  QuietContext context;
  const Carried nothing;
  return handler(Job{.id = JobId(1),
                     .attempt = Attempt(1),
                     .kind = "test",
                     .params = params,
                     .inputs = {},
                     .carried = nothing,
                     .deadline = std::nullopt},
                 context);
}

}  // namespace tallymill::stages
