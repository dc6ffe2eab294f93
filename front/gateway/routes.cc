// The table of what the gateway answers, and what its OpenAPI document says of each row.
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "front/gateway/gateway.h"
#include "front/gateway/schemas.h"

namespace tallymill::gateway {
namespace {

using http::Content;
using http::Method;
using http::Parameter;
using http::Reply;
using http::Role;

constexpr const char* description =
    "Jobs over HTTP. `202` means that the job is on disk: from then on it ends exactly once, as "
    "done, failed, cancelled or expired. Send a submit again with the same Idempotency-Key when "
    "you do not know whether it arrived. Errors are problem+json with the protocol's code; "
    "retry_after_ms says how long to wait.";

// Of a socket that only tells: a message is answered by a goodbye.
constexpr Bytes nothing_to_say{1024};

Reply json_reply(std::string schema, std::string help, int status = 200) {
  return {status, std::move(help), {{"application/json", std::move(schema)}}};
}
std::vector<Reply> bytes_replies(std::string help) {
  const std::vector<Content> bytes{{"application/octet-stream", ""}};
  return {{200, std::move(help), bytes},
          {206, "the part that was asked for", bytes},
          {304, "the client has it"}};
}

Parameter header(std::string name, std::string help) {
  return {std::move(name), "header", std::move(help)};
}
Parameter query(std::string name, std::string help) {
  return {std::move(name), "query", std::move(help)};
}

}  // namespace

http::Handler Gateway::handler(Whole answers) {
  return {.whole = [this, answers](Request&& request, Answer answer) {
    (this->*answers)(std::move(request), std::move(answer));
  }};
}

http::Handler Gateway::handler(Pieces reads) {
  return {.pieces = [this, reads](Request&& request, Answer answer) {
    return (this->*reads)(std::move(request), std::move(answer));
  }};
}

http::Handler Gateway::handler(Opens opens) {
  return {.socket = [this, opens](Request&& request, const std::shared_ptr<http::Socket>& socket) {
    (this->*opens)(std::move(request), socket);
  }};
}

http::Router Gateway::routes() {
  using G = Gateway;
  http::Router router;
  const auto row = [&](Method method, const char* path, Role role, auto what,
                       http::Operation operation, Bytes body_bytes = {}) {
    router.add({method, path, role, handler(what), std::move(operation), body_bytes});
  };
  row(Method::post, "/v1/jobs", Role::submit, &G::submit_job,
      {.id = "submitJob",
       .summary = "Give a job; it is on disk when this answers.",
       .parameters = {header("Idempotency-Key", "the same key and job: the same answer"),
                      header("Tallymill-Client", "whose jobs these are; keys are per client"),
                      header("Prefer", "wait=N: answer with the end, if it comes in N seconds")},
       .body = {{"application/json", "Submission"}, {"multipart/form-data", "Form"}},
       .replies = {json_reply("Accepted", "it is on disk", 202),
                   json_reply("Job", "it has ended within the wait")}},
      limits::max_job_bytes);
  row(Method::put, "/v1/blobs", Role::submit, &G::put_blob,
      {.id = "putBlob",
       .summary = "Store a file, to be named by its digest in a job's inputs.",
       .body = {{"application/octet-stream", ""}, {"image/*", ""}},
       .replies = {json_reply("Stored", "it is on disk", 201)}},
      limits::max_job_bytes);
  row(Method::get, "/v1/jobs", Role::read, &G::list_jobs,
      {.id = "listJobs",
       .summary = "Jobs by what is known of them; a page at a time.",
       .parameters = {query("state", "live, done, failed, cancelled or expired"),
                      query("kind", "only of this kind"),
                      query("stage", "only of kinds whose route has this stage"),
                      query("client", "only of this client"),
                      query("since", "submitted then or later, in ns since 1970"),
                      query("q", "an id, or how client, kind, key or error code begin"),
                      query("sort", "newest, oldest, ended or slowest"),
                      query("cursor", "from the page before"), query("limit", "at most so many")},
       .replies = {json_reply("Jobs", "a page of them")}});
  row(Method::get, "/v1/jobs/{id}", Role::read, &G::get_job,
      {.id = "getJob",
       .summary = "One job as it is now.",
       .replies = {json_reply("Job", "the job")}});
  row(Method::del, "/v1/jobs/{id}", Role::submit, &G::cancel_job,
      {.id = "cancelJob",
       .summary = "Cancel it: 409 when it has ended already.",
       .replies = {json_reply("Cancelled", "it is cancelled, or told to stop")}});
  row(Method::post, "/v1/jobs/{id}/retry", Role::operate, &G::retry_job,
      {.id = "retryJob",
       .summary = "Run a failed, expired or cancelled job again, as a new one.",
       .parameters = {header("Tallymill-Client", "whose the new job is"),
                      header("Prefer", "wait=N, as for a job that is given")},
       .replies = {json_reply("Accepted", "the new job is on disk", 202),
                   json_reply("Job", "it has ended within the wait")}});
  row(Method::get, "/v1/jobs/{id}/result", Role::read, &G::get_result,
      {.id = "getResult",
       .summary = "What a job that is done made: its values, and where its files are.",
       .replies = {json_reply("Result", "values and files")}});
  row(Method::get, "/v1/jobs/{id}/result/{file}", Role::read, &G::get_file,
      {.id = "getResultFile",
       .summary = "One file of a result, by its name or number.",
       .replies = bytes_replies("its bytes, of its own type")});
  row(Method::get, "/v1/jobs/{id}/timeline", Role::read, &G::get_timeline,
      {.id = "getTimeline",
       .summary = "Where a job's time went, hop by hop.",
       .replies = {json_reply("Timeline", "attempts, hops and parts")}});
  row(Method::get, "/v1/blobs/{digest}", Role::read, &G::get_blob,
      {.id = "getBlob",
       .summary = "A blob by its SHA-256.",
       .replies = bytes_replies("its bytes")});
  const std::vector<Parameter> chosen{
      query("job", "only of this job"), query("kind", "only of this kind"),
      query("client", "only of this client"),
      query("since", "LEDGER:SEQ, an event's id: the ends after it come first"),
      header("Last-Event-ID", "the same, as a browser says it; it goes before since")};
  row(Method::get, "/v1/events", Role::read, &G::get_events,
      {.id = "followEvents",
       .summary = "What happens to jobs, as Server-Sent Events; Last-Event-ID goes on.",
       .parameters = chosen,
       .replies = {{200, "a stream without an end", {{"text/event-stream", ""}}}}});
  row(Method::get, "/v1/ws", Role::read, &G::open_socket,
      {.id = "followEventsBySocket",
       .summary = "The same as text messages of a WebSocket, tallymill.v1.",
       .parameters = chosen,
       .replies = {{101, "the socket is open"}}},
      nothing_to_say);
  row(Method::get, "/v1/wire", Role::read, &G::open_wire,
      {.id = "openWire",
       .summary = "The protocol of the bus in binary messages of a WebSocket, tallymill.v1; each "
                  "verb needs the role that it needs here.",
       .replies = {{101, "the socket is open"}}},
      limits::wire_message_bytes);
  row(Method::get, "/v1/waterfalls", Role::read, &G::list_waterfalls,
      {.id = "listWaterfalls",
       .summary = "Waterfalls that outlive their jobs, by their numbers; a page at a time.",
       .parameters = {query("after", "those with a greater number: next of the page before"),
                      query("ledger", "whose number that is; empty: this one's"),
                      query("limit", "at most so many")},
       .replies = {json_reply("Waterfalls", "a page of them, and what is not told")}});
  row(Method::get, "/v1/workers", Role::read, &G::get_workers,
      {.id = "listWorkers",
       .summary = "The workers of all stages.",
       .replies = {json_reply("Workers", "the workers")}});
  row(Method::get, "/v1/topology", Role::read, &G::get_topology,
      {.id = "getTopology",
       .summary = "Kinds, routes, stages, workers and lanes.",
       .replies = {json_reply("Topology", "as it is now")}});
  row(Method::get, "/v1/kinds", Role::read, &G::get_kinds,
      {.id = "listKinds",
       .summary = "The kinds of jobs and their parameters, with units, ranges and defaults.",
       .replies = {json_reply("Kinds", "the kinds")}});
  row(Method::get, "/v1/snapshot", Role::read, &G::get_snapshot,
      {.id = "getSnapshot",
       .summary = "The law of conservation, each term counted where it happens.",
       .replies = {json_reply("Snapshot", "one moment of the front")}});
  row(Method::get, "/healthz", Role::none, &G::get_health,
      {.id = "getHealth",
       .summary = "Whether the process answers.",
       .replies = {json_reply("Health", "it does")}});
  row(Method::get, "/readyz", Role::none, &G::get_readiness,
      {.id = "getReadiness",
       .summary = "Whether what it needs is there; degraded: jobs are taken, and some wait.",
       .replies = {json_reply("Readiness", "ready, or degraded"),
                   json_reply("Readiness", "down", 503)}});
  row(Method::get, "/metrics", Role::read, &G::get_metrics,
      {.id = "getMetrics",
       .summary = "The metrics of the front and its HTTP server: Prometheus text, or OpenMetrics.",
       .replies = {
           {200, "the metrics", {{"text/plain", ""}, {"application/openmetrics-text", ""}}}}});
  row(Method::get, "/openapi.json", Role::none, &G::get_document, {});
  for (const char* file : {"/", "/try.css", "/try.js"})
    row(Method::get, file, Role::none, &G::get_page, {});
  document_ = http::openapi(router, {.title = "Tallymill",
                                     .version = TALLYMILL_VERSION,
                                     .description = description,
                                     .schemas = schemas()})
                  .dump(1);
  return router;
}

}  // namespace tallymill::gateway
