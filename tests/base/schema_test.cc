// A kind's schema stands at the door: what passes it is safe to read without further checks. Goal:
// every way to be wrong gives bad_params and the pointer of the wrong value, defaults come out
// filled in, and a schema survives the wire. Method: one kind with a parameter of each type.
#include "base/schema.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/limits.h"

namespace tallymill {
namespace {

using nlohmann::json;
using Type = ParamSpec::Type;

KindSpec every_type() {
  return {
      .name = "demo",
      .route = {"compute", "image"},
      .help = "One parameter of each type.",
      .params =
          {{.name = "width_mm", .help = "w", .unit = "mm", .min = 1, .max = 300},
           {.name = "count", .type = Type::integer, .help = "c", .fallback = 2, .min = 1, .max = 9},
           {.name = "free", .help = "f", .fallback = 0.5},
           {.name = "invert", .type = Type::boolean, .help = "i", .fallback = false},
           {.name = "label",
            .type = Type::text,
            .help = "l",
            .fallback = "none",
            .min = 1,
            .max = 8},
           {.name = "mode",
            .type = Type::choice,
            .help = "m",
            .fallback = "M4",
            .choices = {"M3", "M4"}},
           {.name = "sizes",
            .type = Type::list,
            .help = "s",
            .fallback = {200},
            .min = 1,
            .max = 3,
            .item_min = 1,
            .item_max = 1000}},
      .inputs_min = 0,
      .inputs_max = 1};
}

// The pointer that a refusal names; "accepted" when there is none.
std::string refused_at(const json& params) {
  const auto checked = check_params(every_type(), params);
  if (checked) return "accepted";
  EXPECT_EQ(checked.error().code, Errc::bad_params);
  EXPECT_FALSE(checked.error().message.empty());
  return checked.error().field;
}

json with(const std::string& name, json value) {
  json params = {{"width_mm", 100}};
  params[name] = std::move(value);
  return params;
}

TEST(Schema, DefaultsAreFilledInAndWhatWasGivenIsKept) {
  const auto checked = check_params(every_type(), {{"width_mm", 12.5}, {"mode", "M3"}});
  ASSERT_TRUE(checked);
  EXPECT_EQ(*checked, (json{{"width_mm", 12.5},
                            {"count", 2},
                            {"free", 0.5},
                            {"invert", false},
                            {"label", "none"},
                            {"mode", "M3"},
                            {"sizes", {200}}}));
}

TEST(Schema, ParamsThatAreNotAnObjectAreRefused) {
  for (const json& params : {json(), json(3), json("x"), json::array({1})})
    EXPECT_EQ(refused_at(params), "");
}

TEST(Schema, AnUnknownNameIsNamedWithItsSlashesEscaped) {
  EXPECT_EQ(refused_at(with("widht_mm", 3)), "/widht_mm");
  EXPECT_EQ(refused_at(with("a/b~c", 3)), "/a~1b~0c");
}

TEST(Schema, ANameThatIsNotPrintableOrVeryLongIsShortenedAndCleaned) {
  EXPECT_EQ(refused_at(with("bad\xff\n", 3)), "/bad??");
  EXPECT_EQ(refused_at(with(std::string(5000, 'x'), 3)), "/" + std::string(64, 'x'));
}

TEST(Schema, ARequiredParameterIsMissedAlsoWhenItIsNull) {
  EXPECT_EQ(refused_at(json::object()), "/width_mm");
  EXPECT_EQ(refused_at({{"width_mm", nullptr}}), "/width_mm");
}

TEST(Schema, NullStandsForTheDefault) {
  const auto checked = check_params(every_type(), with("count", nullptr));
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->at("count"), 2);
}

TEST(Schema, EveryTypeRefusesEveryOtherType) {
  const json values[] = {1.5, "text", true, json::array(), json::object()};
  const std::pair<const char*, std::size_t> own[] = {
      {"width_mm", 0}, {"free", 0}, {"label", 1}, {"invert", 2}};
  for (const auto& [name, mine] : own)
    for (std::size_t i = 0; i < std::size(values); ++i)
      EXPECT_EQ(refused_at(with(name, values[i])) == "accepted", i == mine)
          << name << " given " << values[i];
  for (const json& value : values) {
    EXPECT_EQ(refused_at(with("count", value)), "/count") << value;
    EXPECT_EQ(refused_at(with("mode", value)), "/mode") << value;
    EXPECT_EQ(refused_at(with("sizes", value)), "/sizes") << value;
  }
}

TEST(Schema, RangesHoldAtTheLimitAndNotOneStepBeyond) {
  EXPECT_EQ(refused_at(with("width_mm", 1)), "accepted");
  EXPECT_EQ(refused_at(with("width_mm", 300)), "accepted");
  EXPECT_EQ(refused_at(with("width_mm", std::nextafter(1, 0))), "/width_mm");
  EXPECT_EQ(refused_at(with("width_mm", 0)), "/width_mm");
  EXPECT_EQ(refused_at(with("width_mm", 300.001)), "/width_mm");
  EXPECT_EQ(refused_at(with("count", 9)), "accepted");
  EXPECT_EQ(refused_at(with("count", 10)), "/count");
  EXPECT_EQ(refused_at(with("label", "12345678")), "accepted");
  EXPECT_EQ(refused_at(with("label", "123456789")), "/label");
  EXPECT_EQ(refused_at(with("label", "")), "/label");
  EXPECT_EQ(refused_at(with("sizes", {1, 1000, 3})), "accepted");
  EXPECT_EQ(refused_at(with("sizes", {1, 2, 3, 4})), "/sizes");
  EXPECT_EQ(refused_at(with("sizes", json::array())), "/sizes");
  EXPECT_EQ(refused_at(with("free", -1e300)), "accepted") << "no range was given";
}

TEST(Schema, AWrongItemOfAListIsNamedByItsPlace) {
  EXPECT_EQ(refused_at(with("sizes", {10, 0})), "/sizes/1");
  EXPECT_EQ(refused_at(with("sizes", {1001})), "/sizes/0");
  EXPECT_EQ(refused_at(with("sizes", {10, 20, "x"})), "/sizes/2");
  EXPECT_EQ(refused_at(with("sizes", {1.5})), "/sizes/0");
}

TEST(Schema, NumbersThatAreNotFiniteAreRefused) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(refused_at(with("free", std::nan(""))), "/free");
  EXPECT_EQ(refused_at(with("free", infinity)), "/free");
  EXPECT_EQ(refused_at(with("count", -infinity)), "/count");
}

TEST(Schema, OneValueHasOneFormHoweverItWasWritten) {
  const auto as_integers = check_params(every_type(), {{"width_mm", 100}, {"count", 3}});
  const auto as_floats = check_params(every_type(), {{"width_mm", 100.0}, {"count", 3.0}});
  ASSERT_TRUE(as_integers);
  ASSERT_TRUE(as_floats);
  EXPECT_EQ(as_integers->dump(), as_floats->dump());
  EXPECT_TRUE(as_floats->at("count").is_number_integer());
  EXPECT_EQ(refused_at(with("count", std::numeric_limits<std::uint64_t>::max())), "/count");
}

TEST(Schema, TextThatIsNotUtf8IsRefusedBecauseItCouldNotBeWrittenAgain) {
  EXPECT_EQ(refused_at(with("label", "a\xff")), "/label");
  EXPECT_EQ(refused_at(with("mode", "\xc3(")), "/mode");
  EXPECT_EQ(refused_at(with("label", "\xc3\xa4")), "accepted");
}

TEST(Schema, AKindSurvivesTheWire) {
  const json there = to_json(every_type());
  const auto back = kind_from_json(there);
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), there);
  EXPECT_EQ(back->route, (std::vector<std::string>{"compute", "image"}));
  EXPECT_EQ(back->params.size(), 7U);
}

TEST(Schema, AKindWithAnyPartMissingOrOfAnotherTypeIsABadFrame) {
  const json good = to_json(every_type());
  std::vector<json> broken = {json(), json(3), json::array()};
  for (const auto& [key, value] : good.items()) {
    broken.push_back(good);
    broken.back().erase(key);
    broken.push_back(good);
    broken.back()[key] = json::array({json::object()});
  }
  for (const char* key : {"name", "type", "help", "unit", "min", "max", "item_max", "choices"}) {
    broken.push_back(good);
    broken.back()["params"][0].erase(key);
    broken.push_back(good);
    broken.back()["params"][0][key] = json::object();
  }
  for (const json& one : broken) {
    const auto read = kind_from_json(one);
    ASSERT_FALSE(read) << one.dump(1);
    EXPECT_EQ(read.error().code, Errc::bad_frame);
  }
}

TEST(Schema, AKindThatContradictsItselfIsABadFrame) {
  const auto refused = [](const std::function<void(json&)>& change) {
    json kind = to_json(every_type());
    change(kind);
    const auto read = kind_from_json(kind);
    return !read && read.error().code == Errc::bad_frame;
  };
  EXPECT_TRUE(refused([](json& k) { k["params"][1]["default"] = 77; }));
  EXPECT_TRUE(refused([](json& k) { k["params"][1]["name"] = "width_mm"; }));
  EXPECT_TRUE(refused([](json& k) { k["params"][1]["type"] = "colour"; }));
  EXPECT_TRUE(refused([](json& k) { k["params"][1]["name"] = ""; }));
  EXPECT_TRUE(refused([](json& k) { k["inputs_min"] = 2; }));
  EXPECT_TRUE(refused([](json& k) { k["inputs_max"] = -1; }));
  EXPECT_TRUE(refused([](json& k) { k["name"] = ""; }));
  EXPECT_TRUE(refused([](json& k) { k["route"] = json::array(); }));
  EXPECT_TRUE(refused([](json& k) { k["help"] = std::string(limits::max_kind_text + 1, 'x'); }));
  EXPECT_TRUE(refused([](json& k) { k["params"][0]["max"] = std::nan(""); }));
  EXPECT_TRUE(refused([](json& k) {
    for (int i = 0; i <= limits::max_kind_params; ++i) {
      json param = k["params"][2];
      param["name"] = "p" + std::to_string(i);
      k["params"].push_back(param);
    }
  }));
  EXPECT_FALSE(refused([](json&) {}));
}

}  // namespace
}  // namespace tallymill
