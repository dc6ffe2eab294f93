// Schema: the parameters of a kind of job, as a table that checks, fills in defaults and describes.
//
// Each kind has one. A stage announces it in its hello, so that the front refuses bad parameters at
// the door (E_PARAMS with a JSON pointer), `tallymill kinds` can print it and a page can build a
// form from it. The stage checks again before it runs a job: the same function, so both agree.
//
// Threads: plain values; check() is const.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace tallymill {

struct ParamSpec {
  enum class Type : std::uint8_t { number, integer, boolean, text, choice, list };
  std::string name;  // "width_mm": the unit is in the name and in `unit`
  Type type = Type::number;
  std::string help;              // one sentence
  std::string unit = {};         // "mm", "dpi"; empty for none
  nlohmann::json fallback = {};  // the default; null: the parameter is required
  double min = 0;                // number, integer: the value; text (bytes), list: the length
  double max = 0;                // min == max == 0: any
  std::vector<std::string> choices = {};
  double item_min = 0;  // list: its items, which are integers; both 0: any
  double item_max = 0;
};

// What the front must know to take, route and retry a kind of job.
struct KindSpec {
  std::string name;
  std::vector<std::string> route;  // stages in order: {"compute", "image"}
  std::string help;                // one sentence
  std::vector<ParamSpec> params;
  int inputs_min = 0;  // how many files the job brings
  int inputs_max = 0;
};

// `params` with every default filled in. bad_params with a JSON pointer for: not an object, an
// unknown name, a missing required one, a wrong type, not finite, out of range, not a choice, text
// that is not UTF-8. null stands for "not given". Numbers come back in one form: integers as
// integers, numbers as floating point, however the sender wrote them.
[[nodiscard]] Result<nlohmann::json> check_params(const KindSpec& kind,
                                                  const nlohmann::json& params);

// As a JSON object and back; from_json gives bad_frame for anything that is not a KindSpec.
[[nodiscard]] nlohmann::json to_json(const KindSpec& kind);
[[nodiscard]] Result<KindSpec> kind_from_json(const nlohmann::json& json);

}  // namespace tallymill
