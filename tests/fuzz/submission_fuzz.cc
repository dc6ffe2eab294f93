// links: tm_gateway
// A job as JSON from anybody. Goal: no body makes parse_submission crash or hang; what it takes is
// within the bounds that the wire would hold it to, and what it refuses is an error of the body
// with a pointer that is one.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "bus/codec_json.h"
#include "front/gateway/submission.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const WallTime now{std::chrono::seconds(1'000'000'000)};
  const auto job = gateway::parse_submission(body, now);
  if (!job) {
    TM_CHECK(job.error().code == Errc::bad_params || job.error().code == Errc::bad_frame ||
             job.error().code == Errc::too_big);
    // Throws for a pointer that is none.
    if (!job.error().field.empty()) (void)nlohmann::json::json_pointer(job.error().field);
    return 0;
  }
  TM_CHECK(job->priority >= 0 && job->priority <= 9);
  TM_CHECK(job->inputs.size() <= limits::item_blobs);
  for (const gateway::Input& input : job->inputs) TM_CHECK(is_sha256_hex(input.digest));
  TM_CHECK(!job->deadline || *job->deadline >= now);
  TM_CHECK(!job->not_before || *job->not_before >= now);
  TM_CHECK(job->params.empty() || bus::json_of_msgpack(job->params));
  return 0;
}
