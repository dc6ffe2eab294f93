// Meaning: a message as JSON, made from its list of fields without the codec, so that the codec can
// be held against it. Also random messages of every kind.
//
// Threads: plain values.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "bus/envelope.h"

namespace tallymill::bus {

// Collects the fields that are not at their default under their short names.
class MeaningOf {
 public:
  template <class T>
  void operator()(const char* name, const T& value, const std::type_identity_t<T>& fallback = {}) {
    if (json_of(value) != json_of(fallback)) json_[name] = json_of(value);
  }
  nlohmann::json take() { return std::move(json_); }

 private:
  template <class T>
  static nlohmann::json json_of(const T& value) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      return std::string(value);
    } else if constexpr (requires { value.begin(); }) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& element : value) list.push_back(json_of(element));
      return list;
    } else if constexpr (std::is_class_v<T>) {
      T copy = value;
      MeaningOf inner;
      copy.fields(inner);
      return inner.take();
    } else {
      return value;
    }
  }
  nlohmann::json json_ = nlohmann::json::object();
};

template <class M>
nlohmann::json meaning(Verb verb, M message) {
  MeaningOf fields;
  message.fields(fields);
  nlohmann::json json = fields.take();
  json["t"] = name_of(verb);
  return json;
}

// The verb that a message goes by in tests; an Ask has eleven.
template <class M>
constexpr Verb verb_of() {
  if constexpr (requires { M::verb; })
    return M::verb;
  else
    return Verb::status;
}

// That M goes by this verb and no other.
template <class M>
constexpr bool is_verb_of(Verb verb) {
  if constexpr (requires { M::verb; })
    return verb == M::verb;
  else
    return false;
}

// The meaning of a received message, by its verb; null when its fields cannot be read.
inline nlohmann::json meaning_of(const Item& item) {
  const auto as = [&]<class M>(std::type_identity<M>) -> nlohmann::json {
    const auto message = read<M>(item);
    return message ? meaning(item.verb, *message) : nlohmann::json();
  };
#define TM_MEANING(M) \
  if (is_verb_of<M>(item.verb)) return as(std::type_identity<M>{});
  TM_MESSAGE_TABLE(TM_MEANING)
#undef TM_MEANING
  return as(std::type_identity<Ask>{});
}

// Fills a message at random, half of the fields left at their default. Owns the texts that the
// message refers to.
class Randomizer {
 public:
  explicit Randomizer(std::uint64_t seed) : rng_(seed) {}

  template <class M>
  M message() {
    M made;
    made.fields(*this);
    return made;
  }
  // Texts handed out so far are gone.
  void forget() { texts_.clear(); }
  std::uint64_t operator()() { return rng_(); }
  std::uint64_t below(std::uint64_t n) { return rng_() % n; }

  template <class T>
  void operator()(const char*, T& value, const std::type_identity_t<T>& fallback = {}) {
    value = fallback;
    if (below(2) == 0) set(value);
  }

 private:
  void set(std::int64_t& value) {
    value = static_cast<std::int64_t>(rng_() >> below(64));
    if (below(4) == 0) value = -value;
  }
  void set(std::int32_t& value) { value = static_cast<std::int32_t>(rng_() >> below(64)); }
  void set(double& value) { value = static_cast<double>(rng_()) / 1e9; }
  void set(bool& value) { value = true; }
  void set(std::string_view& value) {
    constexpr std::size_t lengths[] = {1, 5, 31, 32, 255, 256, 700};
    std::string text(lengths[below(std::size(lengths))], ' ');
    for (char& c : text) c = static_cast<char>(' ' + below(95));
    if (below(3) == 0) text += "\u00fc\u20ac\U0001f9ea";
    value = texts_.emplace_back(std::move(text));
  }
  template <class T>
  void set(std::vector<T>& list) {
    list.clear();
    for (std::uint64_t i = below(20); i > 0; --i) {
      if constexpr (std::is_class_v<T>) {
        list.push_back(message<T>());
      } else {
        set(list.emplace_back());
      }
    }
  }
  template <class S>
    requires std::is_class_v<S>
  void set(S& inner) {
    inner.fields(*this);
  }

  std::mt19937_64 rng_;
  std::deque<std::string> texts_;
};

}  // namespace tallymill::bus
