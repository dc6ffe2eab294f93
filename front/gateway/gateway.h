// Gateway: the front's face over HTTP and WebSocket, as one more client of it.
//
//   curl, a page ──HTTP──▶ http::Server ──▶ Gateway ──Line (the wire, inproc)──▶ Front
//
// It translates: a request into a question of docs/protocol.md, its answer into JSON. It keeps no
// job and decides nothing about one, so that the promises of the bus hold for HTTP without a second
// proof, and whatever kills it loses nothing. Only bytes go beside the wire: as a client on the
// front's host may, it maps blobs and writes them into the store itself.
//
//   routes.cc    the table: method, path, role, handler, what OpenAPI says of it
//   jobs.cc      submit, lists, cancel, retry          waits.h     answers at a job's end
//   uploads.cc   multipart and blobs
//   results.cc   files of a result, blobs               events.cc   SSE and WebSocket, of feed.h
//   views.cc     workers, topology, health, metrics     wire.h      the bus itself
//   page.cc      a page to try it all
//
// Threads: open(), start(), drain() and stop() by its maker; the rest on the server's thread, but
// for what writes blobs, which is a thread of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/limits.h"
#include "base/metrics.h"
#include "base/result.h"
#include "bus/errands.h"
#include "front/gateway/feed.h"
#include "front/gateway/line.h"
#include "front/gateway/probe.h"
#include "front/gateway/submission.h"
#include "front/gateway/waits.h"
#include "front/gateway/wire.h"
#include "http/server.h"
#include "store/blobs.h"

namespace tallymill::gateway {

struct GatewayOptions {
  http::ServerOptions http;
  std::string front = "inproc://jobs";  // its endpoint
  std::string blobs;                    // the store's folder
  Bytes disk_floor = limits::disk_floor;
};

class Gateway {
 public:
  // `context`: the front's, where its endpoint is inproc.
  Gateway(GatewayOptions options, zmq::context_t& context);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Errors as http::Server::open, Blobs::open, bus::open_socket.
  [[nodiscard]] Status open();
  void start();
  // What the front has said is told, then everybody is let go; `done` is called at the end, on the
  // server's thread.
  void drain(std::function<void()> done);
  void stop();
  [[nodiscard]] const metrics::Registry& registry() const { return registry_; }  // any thread
  [[nodiscard]] std::uint16_t port() const { return server_.port(); }

 private:
  using Request = http::Request;
  using Answer = http::Answer;

  [[nodiscard]] http::Router routes();
  using Whole = void (Gateway::*)(Request&&, Answer);
  using Opens = void (Gateway::*)(Request&&, const std::shared_ptr<http::Socket>&);
  using Pieces = std::unique_ptr<http::BodyReader> (Gateway::*)(Request&&, Answer);
  [[nodiscard]] http::Handler handler(Whole answers);
  [[nodiscard]] http::Handler handler(Pieces reads);
  [[nodiscard]] http::Handler handler(Opens opens);

  // jobs.cc
  void list_jobs(Request&& request, Answer answer);
  void list_waterfalls(Request&& request, Answer answer);
  void get_job(Request&& request, Answer answer);
  void get_timeline(Request&& request, Answer answer);
  void cancel_job(Request&& request, Answer answer);
  void retry_job(Request&& request, Answer answer);
  // uploads.cc
  std::unique_ptr<http::BodyReader> submit_job(Request&& request, Answer answer);
  std::unique_ptr<http::BodyReader> put_blob(Request&& request, Answer answer);
  // results.cc
  void get_result(Request&& request, Answer answer);
  void get_file(Request&& request, Answer answer);
  void get_blob(Request&& request, Answer answer);
  // events.cc
  void get_events(Request&& request, Answer answer);
  void open_socket(Request&& request, const std::shared_ptr<http::Socket>& socket);
  void keep_streams_alive();
  void open_wire(Request&& request, const std::shared_ptr<http::Socket>& socket);
  // views.cc
  void get_workers(Request&& request, Answer answer);
  void get_topology(Request&& request, Answer answer);
  void get_kinds(Request&& request, Answer answer);
  void get_snapshot(Request&& request, Answer answer);
  void get_health(Request&& request, Answer answer);
  void get_readiness(Request&& request, Answer answer);
  void get_metrics(Request&& request, Answer answer);
  void get_document(Request&& request, Answer answer);
  // page.cc
  void get_page(Request&& request, Answer answer);

  // A question whose answer's params are the response.
  void ask(bus::Verb verb, const bus::Ask& question, Answer answer);
  // The same about the job of the path.
  void ask_of_job(bus::Verb verb, const Request& request, Answer answer);
  void submit(Submission&& job, const std::string& client, const std::string& trace,
              std::chrono::seconds wait, Answer answer);
  void accepted(const bus::Item& item, std::chrono::seconds wait, Answer answer);
  // `of`: the file of a result that it is; nullptr: it was asked for by its digest.
  void send_blob(const std::string& digest, std::string type, const bus::FileRef* of,
                 Answer answer);
  void no_result(std::int64_t job, const Error& error, const std::shared_ptr<Answer>& held);
  void look_after();

  GatewayOptions options_;
  zmq::context_t& context_;
  metrics::Registry registry_;
  Probe probe_{registry_};
  std::string document_;  // openapi.json
  http::Server server_;
  std::unique_ptr<store::Blobs> blobs_;
  // The end of a line answers its questions: what asked them stands before it, and outlives it.
  std::unique_ptr<Waits> waits_;
  std::unique_ptr<Lines> lines_;     // of clients that submit
  std::unique_ptr<Line> questions_;  // of everybody who only asks
  std::unique_ptr<Line> events_;     // of everybody's jobs
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Wires> wires_;
  std::vector<std::weak_ptr<http::Outlet>> streams_;
  std::unique_ptr<bus::Errands> porters_;
};

// The answer as JSON; a problem when it is none.
[[nodiscard]] http::Response json_of(const bus::Item& reply);

}  // namespace tallymill::gateway
