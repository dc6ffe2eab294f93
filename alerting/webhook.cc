#include "alerting/webhook.h"

#include "alerting/alert_json.h"

namespace tallymill::alerting {

Status Webhook::send(const Message& message) {
  http::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("User-Agent", "tallymill");
  headers.add("Idempotency-Key", message.key);
  std::string body =
      form_ == Form::slack ? slack_json(message) : webhook_json(message, name_, external_url_);
  return http_.post(std::move(body), std::move(headers));
}

}  // namespace tallymill::alerting
