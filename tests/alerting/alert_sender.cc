// Sends alerts to an Alertmanager as the collector does, told by lines of stdin; for
// alertmanager_test.py.
//
//   fire NAME STAGE | resolve NAME STAGE | update
//
// After each line it says "ok" when all was taken, or "waiting N" after 10 s.
#include <fmt/format.h>
#include <poll.h>

#include <chrono>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "alerting/alert_json.h"
#include "alerting/alertmanager.h"

namespace {

using namespace tallymill;
using namespace tallymill::alerting;
using std::chrono::milliseconds;

std::int64_t now_ms(const Clock& clock) { return to_ns(clock.wall()) / 1'000'000; }

Alert alert_of(const std::string& name, const std::string& stage, std::int64_t at_ms) {
  Alert alert;
  alert.state = AlertState::firing;
  alert.labels = collector::Labels::of({{"alertname", name}, {"stage", stage}});
  alert.annotations = collector::Labels::of({{"summary", stage + " waits"}});
  alert.active_ms = alert.fired_ms = at_ms;
  return alert;
}

std::string wait_until_taken(const Alertmanager& alertmanager) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (alertmanager.waiting() > 0) {
    if (std::chrono::steady_clock::now() > until)
      return fmt::format("waiting {}", alertmanager.waiting());
    (void)::poll(nullptr, 0, 5);
  }
  return "ok";
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "usage: alert_sender URL RESEND_DELAY_MS\n";
    return 2;
  }
  metrics::Registry registry;
  const SystemClock clock;
  Alertmanager::Options options{.name = "am"};
  options.http.url = Secret(std::string(words[1]));
  options.resend_delay = milliseconds(std::stoll(words[2]));
  Alertmanager alertmanager(std::move(options), registry, clock);
  if (auto started = alertmanager.start(); !started) {
    std::cerr << started.error().message << "\n";
    return 1;
  }
  std::map<collector::Labels, Alert> alerts;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream said(line);
    std::string verb, name, stage;
    said >> verb >> name >> stage;
    const std::int64_t at = now_ms(clock);
    const Alert alert = alert_of(name, stage, at);
    if (verb == "fire") alerts[alert.labels] = alert;
    if (verb == "resolve") alerts[alert.labels].resolved_ms = at;
    std::vector<Alertmanager::Current> all;
    for (const auto& [labels, one] : alerts) all.push_back({one, "http://mill/graph"});
    alertmanager.update("file;group", milliseconds(1000), std::move(all), at);
    std::cout << wait_until_taken(alertmanager);
    for (const auto& [labels, one] : alerts) std::cout << " " << fingerprint_of(labels);
    std::cout << std::endl;
  }
}
