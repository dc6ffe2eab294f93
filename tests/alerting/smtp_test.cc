// Smtp. Goal: a mail comes as it was written, the same at every try, and no label of an alert can
// add a header or a recipient to it; whatever the server does, send() ends in time. Method: a small
// server on a real socket.
#include "alerting/smtp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "tests/alerting/sink_fixture.h"
#include "tests/http/raw_server.h"

namespace tallymill::alerting {
namespace {

using http::RawPeer;
using http::RawServer;
using std::chrono::milliseconds;

// "." too when the client ended instead.
std::string line_of(RawPeer& peer) {
  std::string line;
  while (!line.ends_with("\r\n")) {
    const std::string one = peer.take(1);
    if (one.empty()) return ".";
    line += one;
  }
  return line.substr(0, line.size() - 2);
}

// One conversation: what the client said, and the mail.
struct Talk {
  std::vector<std::string> said;
  std::string mail;
};

Talk converse(RawPeer& peer, const std::string& end_of_data = "250 ok\r\n") {
  Talk talk;
  (void)peer.send("220 test\r\n");
  for (std::string line; (line = line_of(peer)) != ".";) {
    talk.said.push_back(line);
    if (line.starts_with("EHLO"))
      (void)peer.send("250-test\r\n250 8BITMIME\r\n");
    else if (line == "DATA") {
      (void)peer.send("354 go\r\n");
      for (std::string text; (text = line_of(peer)) != ".";) talk.mail += text + "\r\n";
      (void)peer.send(end_of_data);
    } else {
      (void)peer.send(line == "QUIT" ? "221 bye\r\n" : "250 ok\r\n");
    }
    if (line == "QUIT") break;
  }
  return talk;
}

Smtp::Options options_for(const std::string& url, milliseconds timeout = milliseconds(5000)) {
  Smtp::Options options{.name = "mail",
                        .url = url,
                        .from = "mill@example.org",
                        .to = {"a@example.org", "b@example.org"}};
  options.starttls = false;
  options.timeout = timeout;
  return options;
}

TEST(Smtp, MailComesAsItWasWritten) {
  std::promise<Talk> got;
  RawServer server([&](RawPeer& peer, int nth) {
    Talk talk = converse(peer);
    if (nth == 0) got.set_value(std::move(talk));
  });
  Smtp smtp(options_for(server.url("", "smtp")));
  ASSERT_TRUE(smtp.start());
  const Message message =
      message_of({notice_of(alert_of("Wait", "image", 1000), 1'700'000'000'000)});
  const Status sent = smtp.send(message);
  ASSERT_TRUE(sent) << sent.error().message;
  const Talk talk = got.get_future().get();
  EXPECT_EQ(talk.mail, smtp.mail_of(message));
  EXPECT_EQ(std::ranges::count(talk.said, "MAIL FROM:<mill@example.org>"), 1);
  EXPECT_EQ(std::ranges::count(talk.said, "RCPT TO:<a@example.org>"), 1);
  EXPECT_EQ(std::ranges::count(talk.said, "RCPT TO:<b@example.org>"), 1);
  EXPECT_NE(talk.mail.find("Message-ID: <" + message.key + "@tallymill>\r\n"), std::string::npos);
  EXPECT_NE(talk.mail.find("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), std::string::npos);
}

TEST(Smtp, LabelAddsNoHeaderAndEveryLineIsShort) {
  Smtp smtp(options_for("smtp://127.0.0.1:1"));
  Alert alert = alert_of("Wäit", "x\r\nBcc: all@example.org\r\n\r\n.\r\n", 1000);
  alert.annotations = collector::Labels::of({{"summary", ".\r\nQUIT" + std::string(5000, 'x')}});
  const std::string mail = smtp.mail_of(message_of({notice_of(alert, 1000)}));
  EXPECT_EQ(mail.find("Bcc"), std::string::npos) << mail;
  EXPECT_EQ(mail.find("QUIT"), std::string::npos);
  std::size_t begin = 0;
  for (std::size_t end; (end = mail.find("\r\n", begin)) != std::string::npos; begin = end + 2)
    EXPECT_LE(end - begin, 78U);
  EXPECT_EQ(begin, mail.size());
}

TEST(Smtp, ReplySaysWhetherToTryAgain) {
  const auto code_after = [](const std::string& reply) {
    RawServer server([&](RawPeer& peer, int) { (void)converse(peer, reply); });
    Smtp smtp(options_for(server.url("", "smtp")));
    const Status sent = smtp.send(message_of({notice_of(alert_of("Wait", "image", 1000), 1000)}));
    return sent ? Errc::duplicate : sent.error().code;
  };
  EXPECT_EQ(code_after("451 later\r\n"), Errc::away);
  EXPECT_EQ(code_after("554 never\r\n"), Errc::bad_params);
  EXPECT_EQ(code_after("552 too big\r\n"), Errc::bad_params);
}

TEST(Smtp, WithoutTlsThereIsNoMailAndNoPassword) {
  std::promise<Talk> got;
  RawServer server([&](RawPeer& peer, int nth) {
    Talk talk = converse(peer);
    if (nth == 0) got.set_value(std::move(talk));
  });
  Smtp::Options options = options_for(server.url("", "smtp"));
  options.starttls = true;
  options.username = "mill";
  options.password = Secret(std::string("s3cr3t"));
  Smtp smtp(std::move(options));
  const Status sent = smtp.send(message_of({notice_of(alert_of("Wait", "image", 1000), 1000)}));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::away);
  EXPECT_EQ(sent.error().message.find("s3cr3t"), std::string::npos);
  const Talk talk = got.get_future().get();
  for (const std::string& line : talk.said) {
    EXPECT_FALSE(line.starts_with("AUTH")) << line;
    EXPECT_FALSE(line.starts_with("MAIL")) << line;
  }
}

TEST(Smtp, ServerThatHangsIsLeftInTimeAndAtAStop) {
  std::promise<void> there;
  RawServer server([&](RawPeer& peer, int nth) {
    if (nth == 1) there.set_value();
    peer.wait_for_end();
  });
  const Message message = message_of({notice_of(alert_of("Wait", "image", 1000), 1000)});
  Smtp hasty(options_for(server.url("", "smtp"), milliseconds(200)));
  EXPECT_EQ(hasty.send(message).error().code, Errc::deadline);
  Smtp patient(options_for(server.url("", "smtp"), milliseconds(60'000)));
  auto sent = std::async(std::launch::async, [&] { return patient.send(message); });
  there.get_future().wait();
  patient.stop();
  EXPECT_EQ(sent.get().error().code, Errc::cancelled);
}

TEST(Smtp, AddressesThatAreNoneAreRefused) {
  for (const char* to : {"none", "a@b>\r\nRCPT TO:<c@d", "a@b,c@d", "a b@c"}) {
    Smtp::Options options = options_for("smtp://127.0.0.1:1");
    options.to = {to};
    EXPECT_FALSE(Smtp(std::move(options)).start()) << to;
  }
  EXPECT_FALSE(Smtp(options_for("http://127.0.0.1:1")).start());
}

}  // namespace
}  // namespace tallymill::alerting
