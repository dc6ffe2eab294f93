// The gateway and its end. Goal: it may end while everything is under way. Method: a real gateway,
// raw clients, and a ROUTER in the front's place.
#include "front/gateway/gateway.h"

#include <filesystem>

#include "tests/front/gateway/front_side.h"
#include "tests/http/raw_client.h"

namespace tallymill::gateway {
namespace {

class GatewayTest : public FrontAlone {
 protected:
  GatewayTest() {
    std::string folder = ::testing::TempDir() + "gateway-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    gateway_ = std::make_unique<Gateway>(
        GatewayOptions{
            .http = {.listen = "127.0.0.1:0"}, .front = front_address(), .blobs = folder},
        context_);
    EXPECT_TRUE(gateway_->open());
    gateway_->start();
  }
  ~GatewayTest() override {
    gateway_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Until the front hears the line of these clients: over ipc it is not connected at once, and who
  // asks before is told to come again.
  void SetUp() override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::thread asking([&] {
      int status = 503;
      while (status == 503 && std::chrono::steady_clock::now() < end) {
        auto first = client();
        post(first, "");
        status = first.reply().status;
      }
      EXPECT_EQ(status, 202);
    });
    answer(bus::Accepted{.request = next_of(bus::Verb::submit), .job = 1});
    asking.join();
  }

  http::RawClient client() {
    http::RawClient made(gateway_->port());
    EXPECT_TRUE(made.connect());
    return made;
  }
  // A job, and its answer at its end.
  void post(const http::RawClient& to, const std::string& prefer = "Prefer: wait=30\r\n") {
    const std::string body = R"({"kind": "box"})";
    to.send(to.request("POST /v1/jobs", "Content-Type: application/json\r\n" + prefer +
                                            "Content-Length: " + std::to_string(body.size()) +
                                            "\r\n") +
            body);
  }

  std::string folder_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, MayEndWhileAnEndIsAskedFor) {
  auto waiting = client();
  post(waiting);
  answer(bus::Accepted{.request = next_of(bus::Verb::submit), .job = 7});
  next_of(bus::Verb::status);
  gateway_.reset();
  EXPECT_TRUE(waiting.ended());
}

TEST_F(GatewayTest, AJobThatIsAcceptedWhileItDrainsIsAnsweredAtOnce) {
  auto late = client();
  post(late);
  const std::int64_t request = next_of(bus::Verb::submit);
  std::promise<void> done;
  gateway_->drain([&] { done.set_value(); });
  answer(bus::Accepted{.request = request, .job = 7});
  EXPECT_EQ(late.reply().status, 202);
  done.get_future().get();
}

}  // namespace
}  // namespace tallymill::gateway
