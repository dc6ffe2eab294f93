// Webhook: tells a message to an address over HTTP: as Alertmanager's webhook_config does, or as a
// text that Slack's incoming webhooks take.
//
// `Idempotency-Key` is the message's key, the same at every try.
//
// Threads: as Sink.
#pragma once

#include <string>
#include <utility>

#include "alerting/http_post.h"
#include "alerting/sink.h"

namespace tallymill::alerting {

class Webhook final : public Sink {
 public:
  enum class Form : std::uint8_t { alertmanager, slack };
  struct Options {
    std::string name;
    Form form = Form::alertmanager;
    std::string external_url = {};
    HttpPost::Options http = {};
  };
  explicit Webhook(Options options)
      : name_(std::move(options.name)),
        form_(options.form),
        external_url_(std::move(options.external_url)),
        http_(std::move(options.http)) {}

  // As HttpPost.
  [[nodiscard]] Status start() { return http_.start(); }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] Status send(const Message& message) override;
  void stop() override { http_.stop(); }

 private:
  const std::string name_;
  const Form form_;
  const std::string external_url_;
  HttpPost http_;
};

}  // namespace tallymill::alerting
