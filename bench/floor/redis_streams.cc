#include "bench/floor/redis_streams.h"

#include <hiredis/hiredis.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <semaphore>
#include <thread>

#include "base/thread.h"

namespace tallymill::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Redis = unique_handle<redisContext, redisFree>;
using Reply = unique_handle<void, freeReplyObject>;

// Jobs and results that are written or read at a time.
constexpr int batch = 500;

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

// A worker of the group: a batch is read, its results are added, and the batch is acknowledged and
// removed by one command each.
void work(const std::string& socket) {
  const Redis redis = connect(socket);
  const std::string read_batch =
      "XREADGROUP GROUP g w COUNT " + std::to_string(batch) + " BLOCK 1000 STREAMS jobs >";
  std::vector<const char*> argv;
  std::vector<std::size_t> lengths;
  const auto append_ids = [&](std::initializer_list<const char*> head, const redisReply* found) {
    argv.assign(head);
    lengths.clear();
    for (const char* word : head) lengths.push_back(std::strlen(word));
    for (std::size_t i = 0; i < found->elements; ++i) {
      const redisReply* id = found->element[i]->element[0];
      argv.push_back(id->str);
      lengths.push_back(id->len);
    }
    redisAppendCommandArgv(redis.get(), static_cast<int>(argv.size()), argv.data(), lengths.data());
  };
  Reply hold;
  while (true) {
    redisAppendCommand(redis.get(), read_batch.c_str());
    Reply read;
    const redisReply* found = entries(next(redis.get(), read));
    if (found == nullptr) continue;
    for (std::size_t i = 0; i < found->elements; ++i) {
      const redisReply* id = found->element[i]->element[0];
      const std::string add = "*5\r\n$4\r\nXADD\r\n$7\r\nresults\r\n$1\r\n*\r\n$1\r\nr\r\n$" +
                              std::to_string(id->len) + "\r\n" + std::string(id->str, id->len) +
                              "\r\n";
      redisAppendFormattedCommand(redis.get(), add.data(), add.size());
    }
    append_ids({"XACK", "jobs", "g"}, found);
    append_ids({"XDEL", "jobs"}, found);
    for (std::size_t i = 0; i < found->elements + 2; ++i) next(redis.get(), hold);
  }
}

// The client's two connections: one adds jobs, one reads results.
class Driver {
 public:
  explicit Driver(const std::string& socket) : in_(connect(socket)), out_(connect(socket)) {
    Reply hold;
    redisAppendCommand(out_.get(), "XREVRANGE results + - COUNT 1");
    const redisReply* found = next(out_.get(), hold);
    if (found->elements == 1) last_ = found->element[0]->element[0]->str;
  }

  // Returns when all are acknowledged: on disk, if the server writes at all.
  void add(int jobs) {
    Reply hold;
    for (int i = 0; i < jobs; ++i)
      redisAppendFormattedCommand(in_.get(), add_one_.data(), add_one_.size());
    for (int i = 0; i < jobs; ++i) next(in_.get(), hold);
  }
  // Waits for results, and takes at most so many.
  int read(int most) {
    redisAppendCommand(out_.get(), "XREAD COUNT %d BLOCK 1000 STREAMS results %s", most,
                       last_.c_str());
    Reply read;
    const redisReply* found = entries(next(out_.get(), read));
    if (found == nullptr) return 0;
    last_ = found->element[found->elements - 1]->element[0]->str;
    return static_cast<int>(found->elements);
  }

 private:
  Redis in_;
  Redis out_;
  std::string last_ = "0";
  const std::string add_one_ = "*5\r\n$4\r\nXADD\r\n$4\r\njobs\r\n$1\r\n*\r\n$1\r\nb\r\n$" +
                               std::to_string(job_bytes) + "\r\n" + std::string(job_bytes, 'x') +
                               "\r\n";
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
  std::counting_semaphore<> room(window);
  std::atomic<bool> over = false;
  std::atomic<std::int64_t> sent = 0;
  const auto begin = Clock::now();
  // Adding and reading at a time, so that neither waits for the other's sync.
  std::thread adder([&] {
    while (!over) {
      int taken = 0;
      while (taken < batch && room.try_acquire()) ++taken;
      if (taken == 0) {
        room.acquire();
        taken = 1;
      }
      driver.add(taken);
      sent += taken;
    }
  });
  const auto until =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::int64_t done = 0;
  const auto read = [&] {
    const int got = driver.read(batch);
    done += got;
    room.release(got);
  };
  while (Clock::now() < until) read();
  const double rate =
      static_cast<double>(done) / std::chrono::duration<double>(Clock::now() - begin).count();
  over = true;
  room.release(1);
  adder.join();
  while (done < sent) read();
  return rate;
}

std::vector<double> RedisStreams::latencies(int jobs) {
  Driver driver(socket_);
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
