#include "bench/floor/zmq_chain.h"

#include <chrono>
#include <thread>
#include <zmq.hpp>

#include "bench/floor/zmq_link.h"

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

void relay(const std::string& folder) {
  zmq::context_t context;
  auto clients = made(context, zmq::socket_type::router);
  auto lane = made(context, zmq::socket_type::push);
  auto results = made(context, zmq::socket_type::pull);
  clients.bind("ipc://" + folder + "/clients");
  lane.bind("ipc://" + folder + "/lane");
  results.bind("ipc://" + folder + "/results");
  zmq::message_t who, body;
  std::vector<zmq::pollitem_t> polled{{clients.handle(), 0, ZMQ_POLLIN, 0},
                                      {results.handle(), 0, ZMQ_POLLIN, 0}};
  while (true) {
    zmq::poll(polled);
    while (clients.recv(who, zmq::recv_flags::dontwait)) {
      (void)clients.recv(body);
      lane.send(who, zmq::send_flags::sndmore);
      lane.send(body, zmq::send_flags::none);
    }
    while (results.recv(who, zmq::recv_flags::dontwait)) {
      (void)results.recv(body);
      clients.send(who, zmq::send_flags::sndmore);
      clients.send(body, zmq::send_flags::none);
    }
  }
}

void work(const std::string& folder) {
  zmq::context_t context;
  auto lane = made(context, zmq::socket_type::pull);
  auto results = made(context, zmq::socket_type::push);
  lane.connect("ipc://" + folder + "/lane");
  results.connect("ipc://" + folder + "/results");
  zmq::message_t who, body;
  std::uint64_t sum = 0;
  while (true) {
    (void)lane.recv(who);
    (void)lane.recv(body);
    sum += look_at(body.to_string_view());
    results.send(who, zmq::send_flags::sndmore);
    results.send(zmq::buffer(&sum, sizeof sum), zmq::send_flags::none);
  }
}

}  // namespace

ZmqChain::ZmqChain(const std::filesystem::path& folder, std::size_t job_bytes)
    : folder_(folder.string()),
      bytes_(job_bytes),
      front_([this] { relay(folder_); }),
      worker_([this] { work(folder_); }) {}

double ZmqChain::throughput(double seconds, int window) {
  zmq::context_t context;
  auto client = made(context, zmq::socket_type::dealer);
  client.connect("ipc://" + folder_ + "/clients");
  const std::string body(bytes_, 'x');
  const auto begin = Clock::now();
  const auto until =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::int64_t done = 0;
  int outstanding = 0;
  zmq::message_t reply;
  while (Clock::now() < until) {
    for (; outstanding < window; ++outstanding) client.send(zmq::buffer(body));
    (void)client.recv(reply);
    do {
      ++done;
      --outstanding;
    } while (client.recv(reply, zmq::recv_flags::dontwait));
  }
  return static_cast<double>(done) / std::chrono::duration<double>(Clock::now() - begin).count();
}

std::vector<double> ZmqChain::latencies(int jobs) {
  zmq::context_t context;
  auto client = made(context, zmq::socket_type::dealer);
  client.connect("ipc://" + folder_ + "/clients");
  const std::string body(bytes_, 'x');
  std::vector<double> micros;
  zmq::message_t reply;
  for (int i = 0; i < jobs; ++i) {
    const auto begin = Clock::now();
    client.send(zmq::buffer(body));
    (void)client.recv(reply);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  return micros;
}

double push_to_two(const std::filesystem::path& folder, int jobs, double fast_ms, double slow_ms) {
  const std::string at = "ipc://" + folder.string();
  zmq::context_t context;
  auto push = made(context, zmq::socket_type::push);
  auto done = made(context, zmq::socket_type::pull);
  push.bind(at + "/jobs");
  done.bind(at + "/done");
  const auto worker = [&](double ms) {
    return Child([at, ms] {
      sleep_exactly();
      zmq::context_t own;
      auto in = made(own, zmq::socket_type::pull);
      auto out = made(own, zmq::socket_type::push);
      in.connect(at + "/jobs");
      out.connect(at + "/done");
      out.send(zmq::str_buffer("ready"));
      zmq::message_t job;
      while (true) {
        (void)in.recv(job);
        std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
        out.send(zmq::str_buffer("done"));
      }
    });
  };
  const Child fast = worker(fast_ms);
  const Child slow = worker(slow_ms);
  zmq::message_t word;
  for (int i = 0; i < 2; ++i) (void)done.recv(word);
  const auto begin = Clock::now();
  for (int i = 0; i < jobs; ++i) push.send(zmq::str_buffer("job"));
  for (int i = 0; i < jobs; ++i) (void)done.recv(word);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace tallymill::bench
