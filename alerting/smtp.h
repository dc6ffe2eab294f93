// Smtp: tells a message as a mail, through libcurl.
//
// A mail has the same bytes at every try: its Message-ID is made of the message's key, its date is
// when the first of its notices was judged.
//
// Threads: as Sink.
// Source: RFC 5321, 5322, 2047; libcurl keeps to SMTP.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "alerting/limits.h"
#include "alerting/sink.h"
#include "base/secret.h"

namespace tallymill::alerting {

class Smtp final : public Sink {
 public:
  struct Options {
    std::string name;
    std::string url;  // smtp://host:587 or smtps://host:465
    std::string from;
    std::vector<std::string> to;
    std::string username = {};
    Secret password = {};
    bool starttls = true;      // with smtp://: no mail, and no password, without TLS
    std::string ca_file = {};  // empty: those of the system
    std::chrono::milliseconds timeout = limits::sink_timeout;
  };
  explicit Smtp(Options options);
  ~Smtp() override;
  Smtp(const Smtp&) = delete;
  Smtp& operator=(const Smtp&) = delete;

  // bad_params: an address that is none, or the URL is not of SMTP.
  [[nodiscard]] Status start();
  [[nodiscard]] const std::string& name() const override { return options_.name; }
  // bad_params: the server will never take this mail (552, 554). All else: again.
  [[nodiscard]] Status send(const Message& message) override;
  void stop() override;

  // What is sent, for tests.
  [[nodiscard]] std::string mail_of(const Message& message) const;

 private:
  struct Handles;
  const Options options_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace tallymill::alerting
