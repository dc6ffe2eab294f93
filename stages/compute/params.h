// Reading checked parameters without exceptions: a handler's params have passed check_params, but a
// hop that runs on another kind's parameters must not die of one that is not there.
//
// Threads: pure functions.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace tallymill::stages::compute {

[[nodiscard]] inline Result<double> number_at(const nlohmann::json& params, const char* name) {
  if (params.is_object())
    if (const auto found = params.find(name); found != params.end() && found->is_number())
      if (const double value = found->get<double>(); std::isfinite(value)) return value;
  return fail(Errc::bad_params, std::string(name) + " must be a number", "/" + std::string(name));
}

[[nodiscard]] inline Result<std::string> text_at(const nlohmann::json& params, const char* name) {
  if (params.is_object())
    if (const auto found = params.find(name); found != params.end() && found->is_string())
      return found->get<std::string>();
  return fail(Errc::bad_params, std::string(name) + " must be a text", "/" + std::string(name));
}

}  // namespace tallymill::stages::compute
