// Api: Prometheus' HTTP API over a Source.
//
// A query is evaluated on a thread of its own kind, never on the server's; who hangs up has it
// cancelled.
//
//   invariant: at most limits::queries are under way or wait; one more is told to come later (503)
//   invariant: answers that are made and not read hold at most limits::unread_answers_bytes
//
// Threads: the server's; queries on the Api's own.
// Source: the HTTP API of Prometheus 2.42.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "bus/errands.h"
#include "collector/exemplars.h"
#include "collector/parameters.h"
#include "collector/query.h"
#include "http/server.h"

namespace tallymill::collector {

class Api {
 public:
  // `exemplars`: nullptr: there are none.
  explicit Api(const Source& source, const ExemplarStore* exemplars = nullptr)
      : source_(source), exemplars_(exemplars) {}
  // REQUIRES: before start().
  void add_routes(http::Router& router);
  void start(http::Server& server);
  void stop() { workers_ = {}; }

  // What makes the response; on a worker's thread.
  using Work = std::function<http::Response(const std::atomic<bool>& cancelled)>;
  // For others whose answers take long: as a query's. REQUIRES: the server's thread.
  void run(http::Answer answer, Work work);
  // Of answers that are made and not read. Threads: any.
  [[nodiscard]] std::size_t unread_bytes() const { return *unread_; }

 private:
  // Counts its bytes until it is gone; busy instead of it when there would be too many.
  [[nodiscard]] http::Response counted(http::Response&& response);
  using Handle = void (Api::*)(const Parameters&, const http::Request&, http::Answer);
  void row(http::Router& router, const std::string& path, Handle handle, bool form);

  void query(const Parameters& said, const http::Request& request, http::Answer answer);
  void query_range(const Parameters& said, const http::Request& request, http::Answer answer);
  void series(const Parameters& said, const http::Request& request, http::Answer answer);
  void labels(const Parameters& said, const http::Request& request, http::Answer answer);
  void label_values(const Parameters& said, const http::Request& request, http::Answer answer);
  void query_exemplars(const Parameters& said, const http::Request& request, http::Answer answer);
  void federate(const Parameters& said, const http::Request& request, http::Answer answer);
  void format_query(const Parameters& said, const http::Request& request, http::Answer answer);

  const Source& source_;
  const ExemplarStore* exemplars_;
  const std::shared_ptr<std::atomic<std::size_t>> unread_ =
      std::make_shared<std::atomic<std::size_t>>(0);  // outlived by what still is sent
  std::array<std::unique_ptr<bus::Errands>, 2> workers_;
  std::array<std::size_t, 2> held_{};  // what each runs and what waits for it
};

}  // namespace tallymill::collector
