// FrontDesk: a front as its clients see it, for tests of clients: a real ROUTER on the test's own
// loop, jobs in memory, and switches for all that can go wrong.
//
// It promises what docs/protocol.md promises to a client: one answer per question, one end per job,
// replay by sequence number, idempotency keys. It takes no time and runs nothing: a job ends when
// the test says so, or at once.
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "bus/envelope.h"
#include "bus/frames.h"
#include "bus/loop.h"

namespace tallymill::fakes {

class FrontDesk {
 public:
  struct Job {
    std::int64_t id = 0;
    std::string client;
    std::string kind;
    std::string key;
    std::string params;
    std::vector<std::pair<std::string, std::string>> inputs;  // name, bytes
    std::int32_t priority = 0;
    std::string state = "waiting";
    std::int64_t end_seq = 0;
    int submits = 0;  // how often it came, by its key
  };
  struct File {
    std::string name;
    std::string bytes;
    bool inline_bytes = true;  // false: by digest
  };

  explicit FrontDesk(bus::Loop& loop, std::string endpoint = "tcp://127.0.0.1:*");
  ~FrontDesk();
  FrontDesk(const FrontDesk&) = delete;
  FrontDesk& operator=(const FrontDesk&) = delete;

  void stop();   // every connection breaks; what is on its way is lost
  void start();  // on the same endpoint as before, with the next epoch
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

  // Ends a job, and tells those who watch it.
  void end(std::int64_t id, const std::string& state = "done");
  void progress(std::int64_t id, double fraction);

  // ---- what a test may set ----
  bool silent = false;        // reads, and says nothing
  bool lose_answers = false;  // submits and retries are taken, their answers are dropped
  bool end_at_once = false;   // a job is done as soon as it is accepted
  bool answer_later = false;  // submits are answered by answer_submits()
  std::string ledger = "ledger-1";
  std::int64_t epoch = 0;
  std::int64_t oldest = 0;  // ends up to this number cannot be replayed
  std::int32_t window_jobs = 0;
  int busy_blobs = 0;     // so many of the next puts and gets but for a blob's first are told busy
  int forget_at_put = 0;  // the pieces that came before this one are collected
  std::string blobs_folder;
  std::function<std::optional<Error>(const Job&)> refuse = {};  // a submit
  std::vector<File> result_files;
  nlohmann::json result_values = nlohmann::json::object();
  std::map<bus::Verb, nlohmann::json> replies;  // to verbs that this fake knows nothing about

  void answer_submits();

  // ---- what a test may look at ----
  std::map<std::int64_t, Job> jobs;
  std::map<std::string, std::string> blobs;
  std::map<bus::Verb, int> asked;
  std::set<std::string> names;  // of clients
  std::int64_t seq = 0;
  std::size_t most_unanswered = 0;
  int envelopes = 0;

 private:
  struct Peer {
    bus::Route route;
    std::string client;
    bool all = false;
    std::set<std::int64_t> ids;
    bus::Packer out;
    [[nodiscard]] bool watches(const Job& job) const {
      return (all && job.client == client) || ids.contains(job.id);
    }
  };
  struct Unanswered {
    std::string peer;
    std::int64_t request = 0;
    std::int64_t job = 0;
    bool known = false;
  };

  void on_readable();
  void flush();
  void take(Peer& peer, const bus::Item& item);
  void take_submit(Peer& peer, const bus::Item& item);
  void take_watch(Peer& peer, const bus::Item& item);
  [[nodiscard]] bool is_busy(std::int64_t offset);
  void take_put(Peer& peer, const bus::Item& item);
  void take_get(Peer& peer, const bus::Item& item);
  void take_ask(Peer& peer, const bus::Item& item);
  void reply(Peer& peer, std::int64_t request, const nlohmann::json& answer);
  void refuse_with(Peer& peer, std::int64_t request, const Error& error);
  void tell_end(Peer& peer, const Job& job);
  // Adds the result's files to `refs`; the blobs are added by the second.
  void add_refs(std::vector<bus::FileRef>& refs);
  void add_blobs(Peer& peer);

  bus::Loop& loop_;
  std::string endpoint_;
  zmq::context_t context_{1};
  std::optional<zmq::socket_t> router_;
  std::map<std::string, Peer> peers_;
  std::vector<Unanswered> unanswered_;
  std::map<std::pair<std::string, std::string>, std::int64_t> keys_;  // (client, key) -> job
  std::map<std::string, std::string> partial_;                        // blobs under way, by digest
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace tallymill::fakes
