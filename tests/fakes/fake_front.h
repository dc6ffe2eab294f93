// FakeFront: the front as a worker sees it, on real sockets, driven by a test.
//
// A ROUTER for control and a PULL for results on ipc sockets in a folder of its own, and a PUSH for
// the lane of the newest hello. It answers hellos unless told not to, and writes down all it gets;
// the test pumps it until what it waits for is there.
//
// Threads: the test's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "bus/envelope.h"
#include "bus/messages.h"

namespace tallymill::fakes {

struct SeenSpan {
  std::string name;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int32_t depth = 0;
};
struct SeenHop {
  std::string stage, worker;
  std::int64_t sent_ns = 0, received_ns = 0, started_ns = 0, finished_ns = 0, handed_ns = 0;
  std::vector<SeenSpan> spans;
};
struct SeenFile {
  std::string name, media_type, digest, bytes;
  std::int64_t size = 0;
};
struct SeenDone {
  bus::Token token;
  std::string worker, outcome, code, message, field;
  bool retry = false;
  std::vector<SeenHop> hops;
  std::vector<SeenFile> files;
  nlohmann::json values;
  bool on_control = false;
};
struct SeenHello {
  std::string peer, incarnation, stage, endpoint;
  std::int32_t lane = 0, limit_jobs = 0, concurrency = 0;
  nlohmann::json held, kinds;
};
struct SeenBeat {
  std::string peer;
  nlohmann::json held;
  std::int64_t missing = 0;
  double busy_ratio = 0;
  bool draining = false;
};
struct SeenEvent {
  bus::Token token;
  std::string what, reason;
  std::int64_t at_ns = 0;
};
struct SeenLive {
  bus::Token token;
  double fraction = 0;
  std::string preview;
};

// A folder for one test, removed with it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class FakeFront {
 public:
  FakeFront() { open(); }

  [[nodiscard]] std::string control() const { return "ipc://" + (folder() / "control").string(); }
  [[nodiscard]] std::string results() const { return "ipc://" + (folder() / "results").string(); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

  // Pumps until `done()`, for at most ten seconds; false when it never was.
  bool wait(const std::function<bool()>& done);

  // ---- what it says ----

  // Jobs in one message on the lane of the newest hello. Token and kind at least; the rest is
  // filled in: hops, number, sender, route.
  void send(std::vector<bus::Work> works, const std::vector<nlohmann::json>& params = {},
            const std::vector<std::string>& inline_inputs = {});
  void tell(const bus::Token& token, std::string_view what);
  void tell(const bus::Tell& tell);
  void lanes(const std::vector<bus::LaneRef>& lanes);
  void welcome();
  // Closes all doors and opens them again as another front.
  void restart();
  // Skips numbers on the lane, as if messages were lost.
  void skip_numbers(std::int64_t n) { number_ += n; }

  // ---- what it heard ----

  [[nodiscard]] const SeenDone* done(const bus::Token& token) const;
  [[nodiscard]] int dones(const bus::Token& token) const;
  [[nodiscard]] const SeenEvent* event(const bus::Token& token, std::string_view what) const;
  // Whether the newest beat lists the token in that phase.
  [[nodiscard]] bool listed(const bus::Token& token, int phase) const;
  [[nodiscard]] const SeenHello& hello() const { return hellos.back(); }

  std::vector<SeenHello> hellos;
  std::vector<SeenBeat> beats;
  std::vector<SeenDone> all_done;
  std::vector<SeenEvent> events;
  std::vector<SeenLive> lives;
  int result_messages = 0;
  bool answers_hello = true;
  std::int64_t heartbeat_ms = 20;
  std::int64_t epoch = 1;
  std::string blobs;  // as in the welcome
  std::string store;
  std::string jobs;

 private:
  void open();
  void pump();
  void on_control(const std::string& peer, const bus::Item& item);
  void on_done(const bus::Item& item, bool on_control);
  void post(bus::Packer& packer);

  TempFolder folder_;
  zmq::context_t context_;
  zmq::socket_t control_;
  zmq::socket_t results_;
  zmq::socket_t lane_;
  std::string lane_endpoint_;
  std::int64_t number_ = 0;
};

[[nodiscard]] std::int64_t monotonic_ns();

}  // namespace tallymill::fakes
