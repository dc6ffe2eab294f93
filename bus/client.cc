#include "bus/client.h"

#include "bus/client_state.h"

namespace tallymill::bus {

namespace {
const SystemClock system_clock;
}  // namespace

Client::Client(ClientOptions options)
    : state_(std::make_unique<State>(std::make_unique<Loop>(system_clock), nullptr,
                                     std::move(options))) {}

Client::Client(Loop& loop, ClientOptions options)
    : state_(std::make_unique<State>(nullptr, &loop, std::move(options))) {}

Client::~Client() = default;

bool Client::poll(Duration longest) {
  state_->on_turn_end();
  return state_->loop->turn(longest);
}

void Client::flush() { state_->on_turn_end(); }

const std::string& Client::name() const { return state_->options.name; }
const std::string& Client::endpoint() const { return state_->endpoint; }
std::int64_t Client::epoch() const { return state_->epoch; }
const std::string& Client::ledger() const { return state_->ledger; }
std::int64_t Client::last_seq() const { return state_->last_seq; }
std::int64_t Client::reconnects() const { return state_->welcomes > 1 ? state_->welcomes - 1 : 0; }
const std::string& Client::front_version() const { return state_->front_version; }

}  // namespace tallymill::bus
