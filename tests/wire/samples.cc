#include "tests/wire/samples.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "bus/codec_json.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

constexpr std::string_view digest =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr std::string_view compute = "c-4bf92f3577b3";
constexpr std::string_view image = "i-00f067aa0ba9";
constexpr Token token{.job = 4711, .epoch = 17, .attempt = 2};

std::string packed(const json& params) {
  auto bytes = msgpack_of_json(params);
  TM_CHECK(bytes.has_value());
  return std::move(*bytes);
}

json schema(const std::string& folder, const char* name) {
  std::ifstream in(folder + "/" + name + ".json");
  TM_CHECK(in.good());
  return json::parse(in);
}

zmq::message_t bytes(std::string_view text) { return {text.data(), text.size()}; }

Hop first_hop() {
  return {.stage = "compute",
          .worker = compute,
          .sent_ns = 5'000'001'100'000,
          .received_ns = 5'000'001'200'000,
          .started_ns = 5'000'001'250'000,
          .finished_ns = 5'000'003'250'000,
          .handed_ns = 5'000'003'300'000,
          .clock_error_ns = 12'000,
          .spans = {{.name = "settings",
                     .begin_ns = 5'000'001'300'000,
                     .end_ns = 5'000'001'900'000,
                     .depth = 1}}};
}

Submit some_submit() {
  return {
      .request = 7,
      .kind = "engrave",
      .priority = 6,
      .key = "order-2024-0815",
      .deadline_unix_ns = 1'767'225'660'000'000'000,
      .not_before_unix_ns = 1'767'225'600'000'000'000,
      .trace = trace,
      .parent = 4700,
      .inputs = {{.name = "photo.jpg", .media_type = "image/jpeg", .digest = digest, .bytes = 3},
                 {.name = "note.txt", .media_type = "text/plain", .bytes = 3, .blob = 0}}};
}

Work some_work() {
  return {
      .token = token,
      .kind = "engrave",
      .hop = 1,
      .route = {{.stage = "compute", .worker = compute},
                {.stage = "image", .worker = image, .endpoint = "ipc:///run/tallymill/lane-i-1"}},
      .hops = {first_hop(), {.stage = "image", .worker = image, .sent_ns = 5'000'003'300'000}},
      .from = compute,
      .number = 12,
      .deadline_ns = 5'060'000'000'000,
      .stall_ms = 60'000,
      .trace = trace,
      .inputs = {{.name = "photo.jpg", .media_type = "image/jpeg", .digest = digest, .bytes = 3}},
      .carried = {{.name = "plan.json", .media_type = "application/json", .bytes = 2, .blob = 0}}};
}

void add_client_messages(std::vector<Sample>& all) {
  all.push_back({"hello", "The first message of a client.",
                 [](Packer& p) { p.add(Hello{.request = 1, .client = "shop-eu", .version = 1}); }});
  all.push_back({"submit", "A job with every field: one input by digest, one in a blob frame.",
                 [](Packer& p) {
                   p.add(some_submit(), packed({{"width_mm", 80}, {"material", "birch"}}));
                   p.add_blob(bytes("abc"));
                 }});
  all.push_back({"submit_least", "A job with nothing but its kind: all else is at its default.",
                 [](Packer& p) { p.add(Submit{.request = 8, .kind = "box"}); }});
  all.push_back({"submit_batch",
                 "Three jobs in one message: N in the first header, blobs in the "
                 "order of their owners.",
                 [](Packer& p) {
                   for (std::int64_t i = 0; i < 3; ++i) {
                     Submit submit{.request = 20 + i, .kind = "thumbs"};
                     if (i != 1) submit.inputs = {{.name = "in.png", .bytes = 2, .blob = 0}};
                     p.add(submit, i == 1 ? std::string() : packed({{"sizes", {100 + i}}}));
                     if (i != 1) p.add_blob(bytes("p" + std::to_string(i)));
                   }
                 }});
  for (const Verb verb : {Verb::status, Verb::result, Verb::cancel, Verb::retry, Verb::timeline})
    all.push_back({std::string(name_of(verb)), "A question about one job.",
                   [verb](Packer& p) { p.add(verb, Ask{.request = 9, .job = 4711}); }});
  for (const Verb verb : {Verb::workers, Verb::topology, Verb::kinds, Verb::snapshot, Verb::ping})
    all.push_back({std::string(name_of(verb)), "A question about the front.",
                   [verb](Packer& p) { p.add(verb, Ask{.request = 10}); }});
  all.push_back({"jobs", "A page of jobs that took longest, the second one.", [](Packer& p) {
                   p.add(Verb::jobs, Ask{.request = 11,
                                         .state = "failed",
                                         .kind = "engrave",
                                         .stage = "image",
                                         .client = "shop-eu",
                                         .since_unix_ns = 1'760'000'000'000'000'000,
                                         .text = "order-47",
                                         .sort = "slowest",
                                         .cursor = "s1056964608.4711",
                                         .limit = 50});
                 }});
  all.push_back(
      {"ends", "What ended after a number.", [](Packer& p) {
         p.add(Verb::ends,
               Ask{.request = 11, .limit = 100, .after = 90'000, .ledger = "5d41402abc4b2a76"});
       }});
  all.push_back({"waterfalls", "Kept waterfalls after a number.", [](Packer& p) {
                   p.add(
                       Verb::waterfalls,
                       Ask{.request = 11, .limit = 50, .after = 640, .ledger = "5d41402abc4b2a76"});
                 }});
  all.push_back(
      {"watch", "Events of two jobs, and what was missed.", [](Packer& p) {
         p.add(Watch{
             .request = 12, .ids = {4711, 4712}, .since = 90'000, .ledger = "5d41402abc4b2a76"});
       }});
  all.push_back({"watch_all", "What happens to everybody's jobs from now on.",
                 [](Packer& p) { p.add(Watch{.request = 12, .all = true}); }});
  all.push_back(
      {"put", "A piece of a blob; its bytes are blob 0.", [](Packer& p) {
         p.add(Put{.request = 13, .digest = digest, .bytes = 2'097'152, .offset = 1'048'576});
         p.add_blob(bytes("abc"));
       }});
  all.push_back({"get", "A piece of a blob is asked for.", [](Packer& p) {
                   p.add(Get{.request = 14, .digest = digest, .offset = 1'048'576, .length = 1024});
                 }});
}

void add_front_messages(std::vector<Sample>& all, const std::string& schemas) {
  all.push_back({"welcome", "The answer to hello.", [](Packer& p) {
                   p.add(Welcome{.request = 1,
                                 .epoch = 17,
                                 .ledger = "5d41402abc4b2a76",
                                 .head = 90'210,
                                 .window_jobs = 10'000,
                                 .window_bytes = 67'108'864,
                                 .blobs = "/var/lib/tallymill/blobs",
                                 .version = "0.1.0"});
                 }});
  all.push_back({"accepted", "The job is on disk.",
                 [](Packer& p) { p.add(Accepted{.request = 7, .job = 4711, .seq = 90'211}); }});
  all.push_back(
      {"accepted_known", "The same key and content again: the same job.", [](Packer& p) {
         p.add(Accepted{.request = 7, .job = 4711, .seq = 90'211, .known = true, .state = "done"});
       }});
  all.push_back({"error", "A question that could not be answered.", [](Packer& p) {
                   p.add(Failure{.request = 7,
                                 .job = 4711,
                                 .code = info(Errc::busy).name,
                                 .message = "10,000 jobs are waiting; the bound is 10,000",
                                 .field = "/width_mm",
                                 .retry_after_ms = 250});
                 }});
  all.push_back({"reply", "An answer with a file.", [](Packer& p) {
                   p.add(Reply{.request = 9,
                               .files = {{.name = "box.svg",
                                          .media_type = "image/svg+xml",
                                          .bytes = 6,
                                          .blob = 0}}},
                         packed({{"panels", 6}, {"state", "done"}}));
                   p.add_blob(bytes("<svg/>"));
                 }});
  for (const char* name : {"snapshot", "timeline", "topology", "waterfalls"})
    all.push_back({std::string("reply_") + name, "The answer to its question; its params' schema.",
                   [name, schemas](Packer& p) {
                     p.add(Reply{.request = 10}, packed(schema(schemas, name)));
                   }});
  all.push_back({"reply_workers", "The answer to workers: a list of the worker schema.",
                 [schemas](Packer& p) {
                   p.add(Reply{.request = 10},
                         packed({{"schema", 1}, {"workers", {schema(schemas, "worker")}}}));
                 }});
  all.push_back({"event_progress", "A running job is half done.", [](Packer& p) {
                   p.add(Event{.job = 4711, .seq = 90'211, .what = "progress", .fraction = 0.5});
                 }});
  all.push_back(
      {"event_accepted", "To who watches everybody's jobs: there is a new one.", [](Packer& p) {
         p.add(Event{.job = 4712,
                     .seq = 90'211,
                     .what = "accepted",
                     .kind = "box",
                     .client = "shop-eu",
                     .at_unix_ns = 1'760'000'000'000'000'000});
       }});
  all.push_back({"event_done", "The end of a job, on disk.", [](Packer& p) {
                   p.add(Event{.job = 4711,
                               .seq = 90'240,
                               .what = "done",
                               .attempts = 2,
                               .whole_ns = 187'000'000,
                               .took_ns = 186'500'000,
                               .files = {{.name = "engraving.png",
                                          .media_type = "image/png",
                                          .digest = digest,
                                          .bytes = 3}}},
                         packed({{"width_px", 800}}));
                 }});
  all.push_back({"event_failed", "The end of a job that could not be done.", [](Packer& p) {
                   p.add(Event{.job = 4712,
                               .seq = 90'241,
                               .what = "failed",
                               .code = info(Errc::bad_params).name,
                               .message = "width_mm is 0; at least 1",
                               .field = "/width_mm",
                               .attempts = 1,
                               .whole_ns = 2'000'000,
                               .took_ns = 1'500'000});
                 }});
  all.push_back({"gap", "Events that cannot be replayed.",
                 [](Packer& p) { p.add(Gap{.request = 12, .from = 90'001, .to = 90'100}); }});
}

void add_worker_messages(std::vector<Sample>& all) {
  const json held = {{4711, 17, 2, 1}, {4712, 17, 1, 2}};
  all.push_back({"worker_hello", "A worker says what it is and holds.", [held](Packer& p) {
                   p.add(WorkerHello{.incarnation = compute,
                                     .stage = "compute",
                                     .host = "bench-1",
                                     .boot = "0f7e1c2a",
                                     .pid = 4242,
                                     .pids = "pid:[4026531836]",
                                     .version = 1,
                                     .endpoint = "ipc:///run/tallymill/lane-c-2",
                                     .lane = 2,
                                     .limit_jobs = 64,
                                     .limit_bytes = 67'108'864,
                                     .limit_unsettled = 128,
                                     .concurrency = 4},
                         packed({{"held", held},
                                 {"kinds",
                                  {{{"name", "box"},
                                    {"route", {"compute"}},
                                    {"help", "Makes boxes."},
                                    {"inputs_min", 0},
                                    {"inputs_max", 0},
                                    {"params", json::array()}}}}}));
                 }});
  all.push_back({"worker_welcome", "The answer to worker_hello.", [](Packer& p) {
                   p.add(WorkerWelcome{.epoch = 17,
                                       .heartbeat_ms = 400,
                                       .blobs = "/var/lib/tallymill/blobs",
                                       .store = "9b74c9897bac770ffc029102a200c5de-1311",
                                       .jobs = "tcp://127.0.0.1:7750"});
                 }});
  all.push_back({"beat", "A heartbeat lists every token held.", [held](Packer& p) {
                   p.add(Beat{.incarnation = compute,
                              .sent_ns = 5'000'400'000'000,
                              .busy_ratio = 0.75,
                              .missing = 1,
                              .draining = true},
                         packed({{"held", held}}));
                 }});
  all.push_back({"lanes", "The lanes that a worker may be told to hand jobs to.", [](Packer& p) {
                   p.add(Lanes{.lanes = {{.stage = "image",
                                          .worker = image,
                                          .endpoint = "ipc:///run/tallymill/lane-i-1"}}});
                 }});
  all.push_back({"tell", "What the front knows of tokens, and the clock's echo.", [](Packer& p) {
                   p.add(Tell{.verdicts = {{.token = token, .what = "keep"},
                                           {.token = {4712, 17, 1}, .what = "settled"}},
                              .echo_ns = 5'000'400'000'000,
                              .front_ns = 5'000'400'080'000,
                              .drain = true,
                              .rebind = true});
                 }});
  all.push_back({"hop_event", "A job went back to the front.", [](Packer& p) {
                   p.add(HopEvent{.token = token,
                                  .worker = compute,
                                  .what = "back",
                                  .reason = "lane_gone",
                                  .at_ns = 5'000'003'300'000});
                 }});
  all.push_back(
      {"live", "A running job is half done and shows a preview.", [](Packer& p) {
         p.add(
             Live{.token = token,
                  .fraction = 0.5,
                  .preview = {
                      {.name = "preview.png", .media_type = "image/png", .bytes = 3, .blob = 0}}});
         p.add_blob(bytes("png"));
       }});
  all.push_back(
      {"work", "A job on its way to its second hop, with what the first one made.", [](Packer& p) {
         p.add(some_work(),
               packed({{"params", {{"width_mm", 80}}}, {"carried", {{"power", 0.35}}}}));
         p.add_blob(bytes("{}"));
       }});
  all.push_back({"work_least", "A job on a lane as most are: one hop, no inputs.", [](Packer& p) {
                   p.add(Work{.token = {1, 17, 1},
                              .kind = "box",
                              .route = {{.stage = "compute", .worker = compute}},
                              .hops = {{.stage = "compute", .sent_ns = 5'000'001'100'000}},
                              .from = "front",
                              .number = 1},
                         packed({{"width_mm", 80}}));
                 }});
  all.push_back({"done", "A job was done.", [](Packer& p) {
                   p.add(Done{.token = token,
                              .worker = compute,
                              .outcome = "ok",
                              .hops = {first_hop()},
                              .files = {{.name = "box.svg",
                                         .media_type = "image/svg+xml",
                                         .bytes = 6,
                                         .blob = 0}}},
                         packed({{"panels", 6}}));
                   p.add_blob(bytes("<svg/>"));
                 }});
  all.push_back({"done_error", "A job failed, and may be tried again.", [](Packer& p) {
                   p.add(Done{.token = token,
                              .worker = compute,
                              .outcome = "error",
                              .code = info(Errc::away).name,
                              .message = "the profile store does not answer",
                              .field = "/profile",
                              .retry = true,
                              .hops = {first_hop()}});
                 }});
}

}  // namespace

std::vector<Sample> samples(const std::string& schemas) {
  std::vector<Sample> all;
  add_client_messages(all);
  add_front_messages(all, schemas);
  add_worker_messages(all);
  return all;
}

}  // namespace tallymill::bus
