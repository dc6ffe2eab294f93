// bench bus: what the bus layer costs over bare ZeroMQ, and what a claim check is worth.
//
// 1. lane: jobs a second from one process into another through bus/lane and the envelope, single
// and
//    128 a message, beside bare PUSH to PULL of as many bytes, one job a message; the same window,
//    and both receivers read every cache line.
// 2. ping: submit and accepted over DEALER and ROUTER, one at a time, beside bare frames of the
// same
//    sizes.
// 3. claim: a payload that rests in the blob store already, named by its digest in a lane message,
//    mapped and read at the other end, beside a ZeroMQ copy of it. What its put had cost (SHA-256,
//    write, fdatasync, rename, fsync of the folder) is a line of its own, and is in neither ratio:
//    the front must write an input before it accepts the job, whichever way it then goes.
// 4. threshold: what one payload costs from client to handler, both ways: copied through two links
//    and written as a part of the ledger's log, which a group shares; or put and mapped.
//
// usage: figures.h. Bare and ours alternate within each round.
#include <fcntl.h>
#include <fmt/core.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/check.h"
#include "bench/figures.h"
#include "bench/floor/processes.h"
#include "bench/floor/zmq_link.h"
#include "bus/endpoints.h"
#include "bus/envelope.h"
#include "bus/frames.h"
#include "bus/lane.h"
#include "store/blobs.h"

namespace tallymill::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::string size_name(std::size_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < std::size_t{1} << 20) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} MiB", bytes >> 20);
}

bus::Work some_work(std::int64_t job) {
  bus::Work work;
  work.token = {.job = job, .epoch = 17, .attempt = 1};
  work.kind = "synthetic";
  work.route = {{.stage = "compute", .worker = "c-4bf92f3577b3"}};
  work.hops = {{.stage = "compute", .worker = "c-4bf92f3577b3", .sent_ns = 1'234'567'890'123}};
  work.from = "front";
  work.stall_ms = 60'000;
  return work;
}

// One lane between two processes, used as the front and a worker use it.
class LaneLink {
 public:
  explicit LaneLink(const std::filesystem::path& folder)
      : folder_(folder), receiver_([this] { receive(); }), acks_(context_, folder / "acks") {
    for (int tries = 0; tries < 1000 && !lane_; ++tries) {
      auto lane = bus::Lane::connect(context_, {"worker", 1, endpoint()});
      TM_CHECK(lane);
      for (int looks = 0; looks < 100; ++looks) {
        const auto state = (*lane)->update();
        if (state == bus::Lane::State::open) lane_ = std::move(*lane);
        if (state != bus::Lane::State::connecting) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      if (!lane_) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    TM_CHECK(lane_);
  }

  // Jobs a second that carry `bytes` each, `batch` in a message. `digest`: they name it instead.
  double rate(double seconds, std::size_t bytes, int batch, const std::string& digest = {}) {
    const int window = std::max(window_of(bytes), 2 * batch);
    const std::string payload(bytes, 'x');
    const bool in_params = bytes <= 1024 && digest.empty();
    bus::Packer packer;
    std::int64_t job = 0;
    const auto send = [&] {
      for (int i = 0; i < batch; ++i) {
        bus::Work work = some_work(++job);
        work.number = lane_->take_number();
        if (!digest.empty())
          work.inputs = {{"payload", "", digest, static_cast<std::int64_t>(bytes), -1}};
        else if (!in_params)
          work.inputs = {{"payload", "", "", static_cast<std::int64_t>(bytes), 0}};
        packer.add(work, in_params ? std::string_view(params_of(bytes)) : std::string_view{});
        if (digest.empty() && !in_params)
          packer.add_blob(zmq::message_t(payload.data(), payload.size()));
      }
      TM_CHECK(lane_->send(packer.take()));
      return batch;
    };
    return windowed_rate(acks_, seconds, window, send);
  }

 private:
  [[nodiscard]] std::string endpoint() const { return "ipc://" + (folder_ / "lane").string(); }

  // A msgpack text of that many bytes in all, made once a size.
  const std::string& params_of(std::size_t bytes) {
    std::string& text = params_[bytes];
    if (!text.empty()) return text;
    const std::size_t head = bytes < 258 ? 2 : 3;
    const std::size_t n = bytes - head;
    text = head == 2 ? std::string{'\xd9', static_cast<char>(n)}
                     : std::string{'\xda', static_cast<char>(n >> 8), static_cast<char>(n)};
    text.append(n, 'x');
    return text;
  }

  void receive() const {
    zmq::context_t context;
    auto lane = bus::open_socket(context, bus::Role::lane_in, endpoint());
    TM_CHECK(lane);
    Acker acker(context, folder_ / "acks");
    auto blobs = store::Blobs::open(folder_ / "blobs", false);
    TM_CHECK(blobs);
    bus::Work work;
    std::uint64_t sum = 0;
    while (true) {
      zmq::pollitem_t polled{lane->handle(), 0, ZMQ_POLLIN, 0};
      zmq::poll(&polled, 1, std::chrono::milliseconds(-1));
      bus::Frames frames;
      while (bus::receive(*lane, frames)) {
        auto envelope = bus::Envelope::decode(std::move(frames));
        TM_CHECK(envelope);
        for (const bus::Item& item : envelope->items()) {
          TM_CHECK(bus::read_into(item, work));
          sum += look_at(item.params);
          for (const zmq::message_t& blob : item.blobs)
            sum += look_at({static_cast<const char*>(blob.data()), blob.size()});
          for (const bus::FileRef& input : work.inputs)
            if (!input.digest.empty()) {
              const auto mapped = (*blobs)->map(input.digest);
              TM_CHECK(mapped);
              sum += look_at(mapped->bytes());
            }
          std::size_t bytes = item.params.size();
          for (const bus::FileRef& input : work.inputs)
            bytes += static_cast<std::size_t>(input.bytes);
          acker.got(bytes);
        }
        frames.clear();
      }
      acker.flush();
      TM_CHECK(sum != 1);
    }
  }

  std::filesystem::path folder_;
  Child receiver_;
  zmq::context_t context_;
  AckReader acks_;
  std::unique_ptr<bus::Lane> lane_;
  std::map<std::size_t, std::string> params_;
};

void lane(const Asked& asked) {
  const Folder folder;
  std::filesystem::create_directories(folder.path() / "bare");
  LaneLink ours(folder.path());
  ZmqLink bare(folder.path() / "bare");
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{200}, std::size_t{1} << 10,
                                  std::size_t{64} << 10, std::size_t{1} << 20}) {
    const int batch = bytes <= 1024 ? 128 : 1;
    std::vector<double> single, batched, floor;
    for (int round = 0; round < asked.rounds; ++round) {
      floor.push_back(bare.rate(asked.seconds, bytes));
      single.push_back(ours.rate(asked.seconds, bytes, 1));
      if (batch > 1) batched.push_back(ours.rate(asked.seconds, bytes, batch));
    }
    const std::string size = size_name(bytes);
    print("lane, " + size + ", bare PUSH to PULL", "jobs/s", floor);
    print("lane, " + size + ", one job a message", "jobs/s", single);
    print("lane, " + size + ", one job a message / bare", "x", ratios(single, floor));
    if (batched.empty()) continue;
    print("lane, " + size + ", 128 jobs a message", "jobs/s", batched);
    print("lane, " + size + ", 128 jobs a message / bare one a message", "x",
          ratios(batched, floor));
  }
}

// The client's and the front's sockets, with what they say for a submit.
class PingLink {
 public:
  explicit PingLink(const std::filesystem::path& folder)
      : endpoint_("ipc://" + (folder / "jobs").string()), front_([this] { answer(); }) {
    auto client = bus::open_socket(context_, bus::Role::client_jobs, endpoint_);
    TM_CHECK(client);
    client_ = std::move(*client);
  }
  // Microseconds.
  std::vector<double> pings(int count) {
    bus::Submit submit;
    submit.kind = "synthetic";
    submit.key = "0123456789abcdef";
    std::vector<double> micros;
    const std::string params = "\xd9\xc6" + std::string(198, 'x');
    for (int i = 0; i < count; ++i) {
      submit.request = i + 1;
      const auto begin = Clock::now();
      packer_.add(submit, params);
      bus::Frames frames = packer_.take();
      // Refused until it is connected.
      // NOLINTNEXTLINE(bugprone-use-after-move): send() moves only what it takes
      while (!bus::send(client_, std::move(frames)))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      zmq::pollitem_t polled{client_.handle(), 0, ZMQ_POLLIN, 0};
      bus::Frames reply;
      while (!bus::receive(client_, reply)) zmq::poll(&polled, 1, std::chrono::milliseconds(-1));
      const auto envelope = bus::Envelope::decode(std::move(reply));
      TM_CHECK(envelope && bus::read<bus::Accepted>(envelope->items().front()));
      micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    return micros;
  }

 private:
  void answer() const {
    zmq::context_t context;
    auto front = bus::open_socket(context, bus::Role::front_jobs, endpoint_);
    TM_CHECK(front);
    bus::Packer packer;
    bus::Submit submit;
    bus::Route from;
    while (true) {
      zmq::pollitem_t polled{front->handle(), 0, ZMQ_POLLIN, 0};
      zmq::poll(&polled, 1, std::chrono::milliseconds(-1));
      bus::Frames frames;
      while (bus::receive(*front, from, frames)) {
        const auto envelope = bus::Envelope::decode(std::move(frames));
        TM_CHECK(envelope && bus::read_into(envelope->items().front(), submit));
        packer.add(bus::Accepted{submit.request, 1'234'567, 1'234'567, false, {}});
        TM_CHECK(bus::send(*front, from, packer.take()));
        frames.clear();
      }
    }
  }

  std::string endpoint_;
  Child front_;
  zmq::context_t context_;
  zmq::socket_t client_;
  bus::Packer packer_;
};

void ping(const Asked& asked) {
  const Folder folder;
  PingLink ours(folder.path());
  // As many bytes as the envelopes have: header and 200 B of params, and the answer's header.
  ZmqPing bare(folder.path(), 270, 40);
  (void)ours.pings(200);
  (void)bare.pings(200);
  std::vector<double> mine, floor;
  for (int round = 0; round < asked.rounds; ++round) {
    mine.push_back(median(ours.pings(2000)));
    floor.push_back(median(bare.pings(2000)));
  }
  print("ping, submit and accepted, p50", "us", mine);
  print("ping, bare DEALER and ROUTER, p50", "us", floor);
  print("ping, submit and accepted / bare", "x", ratios(mine, floor));
}

// Bytes that no other blob has, so that each put is a new file.
std::string fresh(std::size_t bytes, std::uint64_t& count) {
  std::string content(bytes, 'x');
  ++count;
  std::memcpy(content.data(), &count, sizeof count);
  return content;
}

void claim(const Asked& asked) {
  const Folder folder;
  std::filesystem::create_directories(folder.path() / "bare");
  auto blobs = store::Blobs::open(folder.path() / "blobs", true);
  TM_CHECK(blobs);
  LaneLink ours(folder.path());
  ZmqLink bare(folder.path() / "bare");
  std::uint64_t count = 0;
  for (const std::size_t bytes : {std::size_t{1} << 20, std::size_t{8} << 20}) {
    // Eight in turn would fit in no cache; one does. It is the copy that gains from it.
    const auto digest = (*blobs)->put(fresh(bytes, count));
    TM_CHECK(digest);
    const double mib = static_cast<double>(bytes) / (1 << 20);
    std::vector<double> mapped, copied, put;
    for (int round = 0; round < asked.rounds; ++round) {
      copied.push_back(mib * bare.rate(asked.seconds, bytes));
      mapped.push_back(mib * ours.rate(asked.seconds, bytes, 1, *digest));
      const auto begin = Clock::now();
      for (int i = 0; i < 8; ++i) TM_CHECK((*blobs)->put(fresh(bytes, count)));
      put.push_back(8 * mib / std::chrono::duration<double>(Clock::now() - begin).count());
    }
    const std::string size = size_name(bytes);
    print("claim, " + size + ", ZeroMQ copy", "MiB/s", copied);
    print("claim, " + size + ", mapped by digest", "MiB/s", mapped);
    print("claim, " + size + ", mapped by digest / copy", "x", ratios(mapped, copied));
    print("claim, " + size + ", put once (digest, write, syncs)", "MiB/s", put);
  }
}

// Microseconds for a payload, `n` of them in a row.
template <class F>
double micros_each(int n, F&& once) {
  const auto begin = Clock::now();
  for (int i = 0; i < n; ++i) once();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / n;
}

void threshold(const Asked& asked) {
  const Folder folder;
  std::filesystem::create_directories(folder.path() / "bare");
  auto blobs = store::Blobs::open(folder.path() / "blobs", true);
  TM_CHECK(blobs);
  LaneLink ours(folder.path());
  ZmqLink bare(folder.path() / "bare");
  const int log = ::open((folder.path() / "log").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  TM_CHECK(log >= 0);
  std::uint64_t count = 0;
  for (std::size_t bytes = 4096; bytes <= std::size_t{1} << 20; bytes *= 2) {
    std::vector<double> in_frame, by_reference;
    const std::string payload(bytes, 'x');
    const auto digest = (*blobs)->put(fresh(bytes, count));
    TM_CHECK(digest);
    for (int round = 0; round < asked.rounds; ++round) {
      // Two links, and the log: each payload with a sync, as it is with one job at a time.
      const double link = 1e6 / bare.rate(asked.seconds / 10, bytes);
      const double written = micros_each(16, [&] {
        TM_CHECK(::write(log, payload.data(), payload.size()) ==
                 static_cast<ssize_t>(payload.size()));
        TM_CHECK(::fdatasync(log) == 0);
      });
      in_frame.push_back(2 * link + written);
      // One link into the front in the put's pieces, the put, and a map.
      const double map = 1e6 / ours.rate(asked.seconds / 10, bytes, 1, *digest);
      const double put = micros_each(8, [&] { TM_CHECK((*blobs)->put(fresh(bytes, count))); });
      by_reference.push_back(link + put + map);
    }
    const std::string size = size_name(bytes);
    print("threshold, " + size + ", in the frame", "us", in_frame);
    print("threshold, " + size + ", by reference", "us", by_reference);
    print("threshold, " + size + ", by reference / in the frame", "x",
          ratios(by_reference, in_frame));
  }
  ::close(log);
}

}  // namespace
}  // namespace tallymill::bench

int main(int argc, char** argv) {
  using namespace tallymill::bench;
  const Asked wanted = asked(
      {.name = "bus", .parts = {"lane", "ping", "claim", "threshold"}, .rounds = 5, .seconds = 1},
      argc, argv);
  if (wanted.wants("lane")) lane(wanted);
  if (wanted.wants("ping")) ping(wanted);
  if (wanted.wants("claim")) claim(wanted);
  if (wanted.wants("threshold")) threshold(wanted);
}
