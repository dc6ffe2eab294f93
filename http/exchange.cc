#include "http/exchange.h"

#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace tallymill::http {

Answer::~Answer() {
  if (!pending_ || pending_->is_over()) return;
  log::error("a request was dropped unanswered");
  send(problem({Errc::corrupt, "this request was dropped: a bug, tell an operator"}, 500));
}

Answer& Answer::operator=(Answer&& other) noexcept {
  const Answer dropped(std::exchange(pending_, std::move(other.pending_)));
  return *this;
}

void Answer::send(Response response) {
  TM_CHECK(pending_ != nullptr);
  std::exchange(pending_, nullptr)->respond(std::move(response));
}

std::shared_ptr<Outlet> Answer::stream(Response head) {
  TM_CHECK(pending_ != nullptr);
  return std::exchange(pending_, nullptr)->stream(std::move(head));
}

void Answer::open(std::function<void(std::shared_ptr<Socket>)> opened) {
  TM_CHECK(pending_ != nullptr);
  std::exchange(pending_, nullptr)->open(std::move(opened));
}

void Answer::on_leaving(std::function<void()> leaving) {
  TM_CHECK(pending_ != nullptr);
  pending_->on_leaving(std::move(leaving));
}

}  // namespace tallymill::http
