#include "alerting/alerts_api.h"

#include <utility>

#include "collector/answers.h"

namespace tallymill::alerting {

void AlertsApi::add_routes(http::Router& router, collector::Api& api) {
  for (const http::Method method : {http::Method::post, http::Method::put})
    router.add({method,
                "/-/reload",
                http::Role::operate,
                {.whole = [this, &api](http::Request&&,
                                       http::Answer answer) { reload(api, std::move(answer)); }},
                {}});
}

void AlertsApi::reload(collector::Api& api, http::Answer answer) {
  api.run(std::move(answer), [this](const std::atomic<bool>&) {
    if (auto reloaded = alerting_.reload(); !reloaded)
      return collector::failure(reloaded.error(), collector::Fault::execution);
    return http::Response{.status = 200};
  });
}

}  // namespace tallymill::alerting
