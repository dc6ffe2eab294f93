#include "bench/floor/redis_streams.h"

#include <hiredis/hiredis.h>

#include <chrono>
#include <memory>
#include <thread>

#include "base/thread.h"

namespace tallymill::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Redis = unique_handle<redisContext, redisFree>;
using Reply = unique_handle<void, freeReplyObject>;

const std::string body(200, 'x');

Redis connect(const std::string& socket) {
  for (int tries = 0; tries < 500; ++tries) {
    Redis redis(redisConnectUnix(socket.c_str()));
    if (redis && redis->err == 0) return redis;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  TM_CHECK(false && "redis-server did not start: apt-get install redis-server");
  return {};
}

redisReply* next(redisContext* redis, Reply& hold) {
  void* reply = nullptr;
  TM_CHECK(redisGetReply(redis, &reply) == REDIS_OK);
  hold.reset(reply);
  return static_cast<redisReply*>(reply);
}

// The entries of the one stream that XREAD(GROUP) asked for; null when it timed out.
redisReply* entries(redisReply* reply) {
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) return nullptr;
  return reply->element[0]->element[1];
}

void work(const std::string& socket) {
  const Redis redis = connect(socket);
  Reply hold;
  while (true) {
    redisAppendCommand(redis.get(), "XREADGROUP GROUP g w COUNT 100 BLOCK 1000 STREAMS jobs >");
    Reply read;
    const redisReply* found = entries(next(redis.get(), read));
    if (found == nullptr) continue;
    for (std::size_t i = 0; i < found->elements; ++i) {
      const char* id = found->element[i]->element[0]->str;
      redisAppendCommand(redis.get(), "XADD results * r %s", id);
      redisAppendCommand(redis.get(), "XACK jobs g %s", id);
      redisAppendCommand(redis.get(), "XDEL jobs %s", id);
    }
    for (std::size_t i = 0; i < 3 * found->elements; ++i) next(redis.get(), hold);
  }
}

// Adds `jobs` jobs and waits for their acknowledgements, then for results up to `outstanding` left.
class Driver {
 public:
  explicit Driver(const std::string& socket) : in_(connect(socket)), out_(connect(socket)) {}

  void add(int jobs) {
    Reply hold;
    for (int i = 0; i < jobs; ++i)
      redisAppendCommand(in_.get(), "XADD jobs * b %b", body.data(), body.size());
    for (int i = 0; i < jobs; ++i) next(in_.get(), hold);
  }
  int read(int most) {
    redisAppendCommand(out_.get(), "XREAD COUNT %d BLOCK 1000 STREAMS results %s", most,
                       last_.c_str());
    Reply read;
    const redisReply* found = entries(next(out_.get(), read));
    if (found == nullptr) return 0;
    last_ = found->element[found->elements - 1]->element[0]->str;
    return static_cast<int>(found->elements);
  }
  void seek_end() {
    Reply hold;
    redisAppendCommand(out_.get(), "XREVRANGE results + - COUNT 1");
    const redisReply* found = next(out_.get(), hold);
    if (found->elements == 1) last_ = found->element[0]->element[0]->str;
  }

 private:
  Redis in_;
  Redis out_;
  std::string last_ = "0";
};

}  // namespace

RedisStreams::RedisStreams(const std::filesystem::path& folder, Append append)
    : socket_((folder / "redis.sock").string()) {
  const bool always = append == Append::always;
  server_ = Child({"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket_, "--dir",
                   folder.string(), "--save", "", "--appendonly", always ? "yes" : "no",
                   "--appendfsync", "always", "--loglevel", "warning", "--logfile", "/dev/null",
                   "--auto-aof-rewrite-percentage", "0"});
  const Redis redis = connect(socket_);
  Reply made(redisCommand(redis.get(), "XGROUP CREATE jobs g 0 MKSTREAM"));
  worker_ = Child([this] { work(socket_); });
}

double RedisStreams::throughput(double seconds, int window) {
  Driver driver(socket_);
  driver.seek_end();
  const auto begin = Clock::now();
  const auto until =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::int64_t done = 0;
  int outstanding = 0;
  while (Clock::now() < until) {
    while (outstanding + 100 <= window) {
      driver.add(100);
      outstanding += 100;
    }
    const int got = driver.read(100);
    outstanding -= got;
    done += got;
  }
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  while (outstanding > 0) outstanding -= driver.read(1000);
  return static_cast<double>(done) / took;
}

std::vector<double> RedisStreams::latencies(int jobs) {
  Driver driver(socket_);
  driver.seek_end();
  std::vector<double> micros;
  for (int i = 0; i < jobs; ++i) {
    const auto begin = Clock::now();
    driver.add(1);
    while (driver.read(1) == 0) {
    }
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  return micros;
}

}  // namespace tallymill::bench
