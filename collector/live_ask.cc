#include "collector/live_ask.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace tallymill::collector {
namespace {

using nlohmann::json;

std::unexpected<Error> none(std::string why) {
  return fail(Errc::bad_frame, "the live feed does not understand this: " + std::move(why));
}

const json* array_at(const json& said, const char* name, bool& wrong) {
  const auto found = said.find(name);
  if (found == said.end()) return nullptr;
  wrong = wrong || !found->is_array();
  return &*found;
}

}  // namespace

Result<LiveAsk> parse_live_ask(std::string_view untrusted) {
  const json said = json::parse(untrusted, nullptr, false);
  if (!said.is_object()) return none("no JSON object");
  bool wrong = false;
  const json* subscribe = array_at(said, "subscribe", wrong);
  const json* unsubscribe = array_at(said, "unsubscribe", wrong);
  const auto alerts = said.find("alerts");
  if (wrong || (subscribe == nullptr && unsubscribe == nullptr && alerts == said.end()))
    return none("it has no list \"subscribe\" or \"unsubscribe\", and no \"alerts\"");
  LiveAsk ask;
  if (alerts != said.end()) {
    if (!alerts->is_boolean()) return none("\"alerts\" is true or false");
    ask.alerts = alerts->get<bool>();
  }
  if (unsubscribe != nullptr)
    for (const json& topic : *unsubscribe) {
      if (!topic.is_string()) return none("what is unsubscribed is a topic's name");
      ask.unsubscribe.push_back(topic.get<std::string>());
    }
  if (subscribe != nullptr)
    for (const json& one : *subscribe) {
      if (!one.is_object()) return none("what is subscribed is {\"topic\", \"query\"}");
      const auto topic = one.find("topic");
      const auto query = one.find("query");
      if (topic == one.end() || !topic->is_string() || query == one.end() || !query->is_string())
        return none("what is subscribed has the texts \"topic\" and \"query\"");
      ask.subscribe.push_back({topic->get<std::string>(), query->get<std::string>()});
    }
  return ask;
}

}  // namespace tallymill::collector
