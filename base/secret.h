// Secret: text that no log, answer or message may hold, as a token is: printed by fmt or into a
// stream it is `***`, and its memory is wiped when it goes.
//
//   invariant: only reveal() gives the text away, so that who does is found by that word
//
// Threads: a plain value.
#pragma once

#include <fmt/format.h>
#include <strings.h>

#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace tallymill {

class Secret {
 public:
  Secret() = default;
  // Takes the text; nothing of it stays where it was.
  explicit Secret(std::string&& text) noexcept : text_(std::move(text)) { wipe(text); }
  // Wiped after the move too: a short string leaves its bytes behind.
  Secret(Secret&& other) noexcept : Secret(std::move(other.text_)) {}
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe(text_);
    text_ = std::move(other.text_);
    wipe(other.text_);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(text_); }

  [[nodiscard]] bool empty() const { return text_.empty(); }
  // For as long as this lives.
  [[nodiscard]] std::string_view reveal() const { return text_; }

  // Zeroes all that the string may write to, and leaves it empty. Allocates nothing.
  static void wipe(std::string& text) noexcept {
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
  }

  friend std::ostream& operator<<(std::ostream& out, const Secret&) { return out << shown; }
  static constexpr std::string_view shown = "***";

 private:
  std::string text_;
};

}  // namespace tallymill

template <>
struct fmt::formatter<tallymill::Secret> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const tallymill::Secret&, Context& context) const {
    return fmt::formatter<std::string_view>::format(tallymill::Secret::shown, context);
  }
};
