// Exec: runs a program for each message, which reads it as JSON (the webhook's) from its stdin.
//
// It runs in a process group of its own, which is killed when the program has ended, when its time
// is over or when the sink is stopped: what it started does not outlive it. Its stdout goes
// nowhere, its stderr to ours. In its environment: TALLYMILL_ALERT_KEY (the message's key),
// TALLYMILL_ALERT_STATUS (firing or resolved), beside our own.
//
// A program that ended with 0 took the message; with anything else it is asked again.
//
// Threads: as Sink.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "alerting/limits.h"
#include "alerting/sink.h"

namespace tallymill::alerting {

class Exec final : public Sink {
 public:
  struct Options {
    std::string name;
    std::vector<std::string> command;  // its path, and its arguments
    std::string external_url = {};
    std::chrono::milliseconds timeout = limits::sink_timeout;
  };
  // REQUIRES: the command is not empty.
  explicit Exec(Options options);
  ~Exec() override;
  Exec(const Exec&) = delete;
  Exec& operator=(const Exec&) = delete;

  [[nodiscard]] const std::string& name() const override { return options_.name; }
  [[nodiscard]] Status send(const Message& message) override;
  void stop() override;

 private:
  [[nodiscard]] Status wait(int child) const;

  const Options options_;
  const int stopped_;  // an eventfd
};

}  // namespace tallymill::alerting
