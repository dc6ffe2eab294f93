// HttpPost: one address that takes bodies, over the project's own client (docs/adr/0008).
//
// What is kept secret is the whole address, for with many services it is the key itself: errors
// name nothing of it. Redirects are not followed. An answer is judged by its status; of its body
// limits::sink_answer_bytes are read, so that the connection can be used again, and then it is cut.
//
// Threads: post() by one; stop() by any.
#pragma once

#include <chrono>
#include <string>

#include "alerting/limits.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/client.h"

namespace tallymill::alerting {

class HttpPost {
 public:
  struct Options {
    Secret url = {};
    Secret token = {};  // bearer
    std::string ca_file = {};
    std::chrono::milliseconds timeout = limits::sink_timeout;  // of all of it
  };
  explicit HttpPost(Options options);

  // bad_params: it is no URL, or the CA file cannot be read.
  [[nodiscard]] Status start();
  // bad_params: this body will never be taken (400, 405, 411, 413, 415, 422, 431). rate_limited and
  // busy, with how long to wait if the answer said so; deadline; away: all else that is no 2xx.
  [[nodiscard]] Status post(std::string body, http::Headers headers);
  void stop() { client_.stop(); }

 private:
  Options options_;
  http::Client client_;
};

}  // namespace tallymill::alerting
