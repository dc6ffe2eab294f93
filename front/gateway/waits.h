// Waits: answers that are given when a job has ended (Prefer: wait).
//
// The feed hears of all ends, and says of which job. What became of it is then asked for; it is
// asked for at the begin too, so that an end cannot fall between the question and the wait.
//
//   invariant: each answer is given once: at the end, when its time is up, when its client leaves,
//              or by give_up()
//
// It outlives `questions`, whose end answers what was asked.
//
// Threads: the server's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "front/gateway/line.h"
#include "http/exchange.h"
#include "http/server.h"

namespace tallymill::gateway {

class Waits {
 public:
  Waits(Line& questions, http::Server& server) : questions_(questions), server_(server) {}

  // `otherwise`: what is answered when the job has not ended in time; its fields stand in the
  // answer at its end, too.
  void add(std::int64_t job, std::chrono::seconds time, http::Response otherwise,
           http::Answer answer);
  // The feed heard of an end; 0: it may have missed some.
  void on_end(std::int64_t job);
  // Nobody waits any longer: who does is answered now, who would is answered at once.
  void give_up();
  [[nodiscard]] std::size_t size() const { return waits_.size(); }

 private:
  struct Wait {
    http::Answer answer;
    http::Response otherwise;
    std::string preference;  // that was applied, if it comes to that
    http::Server::TimerId timer = 0;
  };
  void end(std::int64_t job, const std::shared_ptr<Wait>& wait, http::Response response);
  void look_at(std::int64_t job);
  void told(std::int64_t job, const Result<const bus::Item*>& said);
  void drop(std::int64_t job, const std::shared_ptr<Wait>& wait);

  Line& questions_;
  http::Server& server_;
  std::multimap<std::int64_t, std::shared_ptr<Wait>> waits_;  // by job
  bool given_up_ = false;
};

}  // namespace tallymill::gateway
