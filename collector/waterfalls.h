// Waterfalls: where the time of chosen jobs went, pulled from the front and kept, so that they can
// be read when the front has forgotten them.
//
// The front numbers what it keeps without a hole; this asks for what comes after the last number it
// has on disk, page by page, so that a collector that was away gets all of it, and each once
// (waterfalls_store.h). What the front cannot tell any more it calls a gap: counted and shown.
//
//   invariant: one question is under way, and its page is on disk before the next is asked
//   invariant: a front that is away costs one question in limits::front_again_slowest, and one line
//              of the log in limits::front_told
//
// Threads: the server's; SQLite on a thread of its own; open() and stop() by its maker.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "base/metrics.h"
#include "base/secret.h"
#include "bus/errands.h"
#include "collector/waterfalls_store.h"
#include "http/client.h"
#include "http/router.h"
#include "http/server.h"

namespace tallymill::collector {

// Its metrics, names and labels only here. Threads: the server's.
class WaterfallsProbe {
 public:
  explicit WaterfallsProbe(metrics::Registry& registry);
  metrics::Counter& stored;
  metrics::Counter& missed;
  metrics::Counter& gaps;
  metrics::Counter& failed_pulls;
  metrics::Gauge& held;
  metrics::Gauge& front_up;
};

class Waterfalls {
 public:
  struct Options {
    std::string front;           // see front_url()
    Secret token = {};           // of role read, where the front asks for one
    std::filesystem::path file;  // of the store
    Duration pull = limits::waterfalls_pull;
    WaterfallsStore::Options store = {};
  };

  Waterfalls(http::Server& server, metrics::Registry& registry, Options options);
  // As WaterfallsStore::open().
  [[nodiscard]] Status open();
  void add_routes(http::Router& router);
  void start();
  void stop();
  // What the last question came to; empty: the front answers.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  using Answer = http::Answer;
  void pull();
  void pull_in(Duration delay);
  void hear(Result<http::ClientResponse> got);
  void stored(const Result<WaterfallsStore::Stored>& outcome, bool more);
  void failed(const Error& error);
  void recovered();
  void list(const http::Request& request, Answer answer);
  void get(const http::Request& request, Answer answer);
  using Read = std::function<Result<std::string>(WaterfallsStore&)>;
  void read(Answer answer, Read read);

  http::Server& server_;
  const Options options_;
  WaterfallsProbe probe_;
  http::Client client_;
  std::unique_ptr<bus::Errands> disk_;
  std::optional<WaterfallsStore> store_;  // used on disk_'s thread once that is there
  WaterfallsStore::Cursor cursor_;        // as it is on disk
  std::int64_t held_ = 0;
  std::string trouble_ = "it was not asked yet";
  int failures_ = 0;  // in a row
  std::optional<std::chrono::steady_clock::time_point> told_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace tallymill::collector
