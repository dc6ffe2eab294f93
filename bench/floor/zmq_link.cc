#include "bench/floor/zmq_link.h"

#include <cstring>

namespace tallymill::bench {
namespace {

using Clock = std::chrono::steady_clock;

zmq::socket_t made(zmq::context_t& context, zmq::socket_type type) {
  zmq::socket_t socket(context, type);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  return socket;
}

std::string ipc(const std::filesystem::path& at) { return "ipc://" + at.string(); }

void answer(const std::string& endpoint, std::size_t bytes) {
  zmq::context_t context;
  auto router = made(context, zmq::socket_type::router);
  router.bind(endpoint);
  const std::string reply(bytes, 'x');
  zmq::message_t who, body;
  while (true) {
    (void)router.recv(who);
    (void)router.recv(body);
    router.send(who, zmq::send_flags::sndmore);
    router.send(zmq::buffer(reply), zmq::send_flags::none);
  }
}

}  // namespace

std::uint64_t look_at(std::string_view bytes) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 64)
    sum += static_cast<unsigned char>(bytes[at]);
  return sum;
}

AckReader::AckReader(zmq::context_t& context, const std::filesystem::path& at)
    : socket_(made(context, zmq::socket_type::pull)) {
  socket_.bind(ipc(at));
}

int AckReader::wait() {
  zmq::message_t word;
  (void)socket_.recv(word);
  int jobs = 0;
  std::memcpy(&jobs, word.data(), std::min(sizeof jobs, word.size()));
  return jobs;
}

Acker::Acker(zmq::context_t& context, const std::filesystem::path& at)
    : socket_(made(context, zmq::socket_type::push)) {
  socket_.connect(ipc(at));
}

void Acker::got(std::size_t bytes) {
  if (++unsaid_ >= window_of(bytes) / 4) flush();
}

void Acker::flush() {
  if (unsaid_ == 0) return;
  socket_.send(zmq::buffer(&unsaid_, sizeof unsaid_));
  unsaid_ = 0;
}

ZmqLink::ZmqLink(const std::filesystem::path& folder)
    : folder_(folder),
      receiver_([this] { receive(); }),
      acks_(context_, folder / "acks"),
      push_(made(context_, zmq::socket_type::push)) {
  push_.connect(ipc(folder / "link"));
}

double ZmqLink::rate(double seconds, std::size_t bytes) {
  const std::string body(bytes, 'x');
  return windowed_rate(acks_, seconds, window_of(bytes), [&] {
    push_.send(zmq::buffer(body));
    return 1;
  });
}

void ZmqLink::receive() const {
  zmq::context_t context;
  auto pull = made(context, zmq::socket_type::pull);
  pull.bind(ipc(folder_ / "link"));
  Acker acker(context, folder_ / "acks");
  std::uint64_t sum = 0;
  zmq::message_t job;
  while (true) {
    if (!pull.recv(job, zmq::recv_flags::dontwait)) {
      acker.flush();
      (void)pull.recv(job);
    }
    sum += look_at(job.to_string_view());
    acker.got(job.size());
    TM_CHECK(sum != 1);
  }
}

ZmqPing::ZmqPing(const std::filesystem::path& folder, std::size_t ask_bytes,
                 std::size_t answer_bytes)
    : endpoint_(ipc(folder / "ping")),
      ask_bytes_(ask_bytes),
      answerer_([this, answer_bytes] { answer(endpoint_, answer_bytes); }),
      client_(made(context_, zmq::socket_type::dealer)) {
  client_.connect(endpoint_);
}

std::vector<double> ZmqPing::pings(int count) {
  const std::string body(ask_bytes_, 'x');
  std::vector<double> micros;
  zmq::message_t reply;
  for (int i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    client_.send(zmq::buffer(body));
    (void)client_.recv(reply);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  return micros;
}

}  // namespace tallymill::bench
