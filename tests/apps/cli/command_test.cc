// What commands share. Goal: parameters are typed as the kind says, results never overwrite or
// leave their folder, tables align. Method: the functions themselves; files in a temporary folder.
#include "apps/cli/command.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/cli/conservation.h"
#include "apps/cli/terminal.h"
#include "bus/loop.h"

namespace tallymill::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const KindSpec kind{.name = "k",
                    .route = {"compute"},
                    .help = "",
                    .params = {{.name = "width_mm", .type = ParamSpec::Type::number},
                               {.name = "count", .type = ParamSpec::Type::integer},
                               {.name = "lid", .type = ParamSpec::Type::boolean},
                               {.name = "label", .type = ParamSpec::Type::text},
                               {.name = "sizes", .type = ParamSpec::Type::list}}};

TEST(Params, AreTypedByTheKindsSchema) {
  const auto params =
      params_of({"width_mm=80", "count=3", "lid=no", "label=12", "sizes=200,800"}, "", &kind);
  ASSERT_TRUE(params.has_value());
  EXPECT_EQ(*params, (json{{"width_mm", 80.0},
                           {"count", 3},
                           {"lid", false},
                           {"label", "12"},
                           {"sizes", {200, 800}}}));
  EXPECT_TRUE((*params)["width_mm"].is_number_float());
}

TEST(Params, WithoutASchemaAreJsonLiteralsOrText) {
  const auto params = params_of({"a=1", "b=[1,2]", "c=text", "d=x=y", "e="}, "", nullptr);
  ASSERT_TRUE(params.has_value());
  EXPECT_EQ(*params, (json{{"a", 1}, {"b", {1, 2}}, {"c", "text"}, {"d", "x=y"}, {"e", ""}}));
}

TEST(Params, GoOverTheWholeObject) {
  const auto params = params_of({"count=2"}, R"({"count": 1, "label": "x"})", &kind);
  EXPECT_EQ(params.value(), (json{{"count", 2}, {"label", "x"}}));
}

TEST(Params, OfAWrongTypeSayWhichAndWhere) {
  const auto wrong = params_of({"count=1.5"}, "", &kind);
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, Errc::bad_params);
  EXPECT_EQ(wrong.error().field, "/count");
  for (const char* pair : {"width_mm=wide", "width_mm=", "lid=maybe", "sizes=a", "=3", "noequals"})
    EXPECT_FALSE(params_of({pair}, "", &kind).has_value()) << pair;
  EXPECT_FALSE(params_of({}, "[1]", &kind).has_value());
}

class Results : public ::testing::Test {
 protected:
  Results() {
    std::string name = (fs::temp_directory_path() / "tallymill-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~Results() override { fs::remove_all(folder); }
  [[nodiscard]] Result<std::vector<std::string>> write(const std::string& name,
                                                       bool force = false) {
    bus::JobResult result{.job = JobId(1), .state = "done"};
    result.files.push_back({.name = name, .bytes = "new"});
    return write_files(client, result, folder, force);
  }
  std::string folder;
  bus::Client client;
};

TEST_F(Results, AreWrittenWholeAndNeverOverAnotherFileUnasked) {
  EXPECT_EQ(write("a.txt").value(), std::vector<std::string>{folder + "/a.txt"});
  std::ofstream(folder + "/a.txt") << "old";
  const auto again = write("a.txt");
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Errc::wrong_state);
  EXPECT_NE(again.error().message.find("--force"), std::string::npos);
  EXPECT_TRUE(write("a.txt", true).has_value());
  EXPECT_EQ(fs::file_size(folder + "/a.txt"), 3u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
}

TEST_F(Results, StayInTheirFolder) {
  for (const std::string name : {"../a", "/etc/x", "a/b", "", ".", "..", ".bashrc"})
    EXPECT_EQ(write(name).error().code, Errc::bad_frame) << name;
}

TEST_F(Results, AFolderThatCannotBeWrittenIsSaidBeforeTheWork) {
  std::ofstream(folder + "/file") << "x";
  fs::create_symlink(folder + "/gone", folder + "/link");
  for (const std::string& wrong : {folder + "/file", folder + "/file/below", folder + "/link",
                                   std::string("/proc/nowhere"), std::string()}) {
    EXPECT_EQ(check_folder(wrong).error().code, Errc::disk) << wrong;
  }
}

TEST_F(Results, AFolderIsMadeWhenSomethingIsToBeWrittenIntoIt) {
  for (const char* inside : {"/new", "/new/deep", "/new/deep/", "/./new", "/new/../new", ""})
    EXPECT_TRUE(check_folder(folder + inside).has_value()) << inside;
  EXPECT_TRUE(fs::is_empty(folder));
  EXPECT_TRUE(check_folder(".").has_value());
  EXPECT_TRUE(check_folder("new/deep").has_value());
  const std::string top = std::exchange(folder, folder + "/new/deep");
  EXPECT_EQ(write("../a").error().code, Errc::bad_frame);
  EXPECT_TRUE(write_files(client, {.job = JobId(1), .state = "done"}, folder, false)->empty());
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_TRUE(write("a.txt").has_value());
  folder = top;
}

TEST(Terminal, NumbersReadWell) {
  ::setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_EQ(human(Duration(950)), "950 ns");
  EXPECT_EQ(human(Duration(18'340)), "18.3 µs");
  EXPECT_EQ(human(Duration(3'420'000)), "3.42 ms");
  EXPECT_EQ(human(std::chrono::seconds(90)), "1 min 30 s");
  EXPECT_EQ(human(Bytes(1'500'000)), "1.4 MiB");
  EXPECT_EQ(human_count(-1'234'567), "-1,234,567");
  EXPECT_EQ(human_count(999), "999");
  ::setenv("LC_ALL", "C", 1);
  EXPECT_EQ(human(Duration(18'340)), "18.3 us");
  ::unsetenv("LC_ALL");
}

TEST(Terminal, WhatIsPrintedNeitherDrivesItNorTurnsItsLine) {
  EXPECT_EQ(printable("a\x1b[31mb\x7f\xc2\x9b"), "a\\x1b[31mb\\x7f\\x9b");
  EXPECT_EQ(printable("x\xe2\x80\xae y\xe2\x81\xa6z\xe2\x80\xa8"), "x\\u202e y\\u2066z\\u2028");
  EXPECT_EQ(printable("ä µ – … € 日本"), "ä µ – … € 日本");
  EXPECT_EQ(printable("cut \xe2\x80"), "cut \xe2\x80");
  EXPECT_EQ(printable_lines("a\nb\n", 4), "a\n    b\n    ");
}

TEST(Terminal, TablesAlignWhateverStandsInThem) {
  Table table({{"NAME"}, {"N", true}, {"LAST"}});
  table.row({"ä", "1", "x"});
  table.row({"\x1b[32mlong\x1b[0m", "1,000", ""});
  EXPECT_EQ(table.text(),
            "NAME      N  LAST\n"
            "ä         1  x\n"
            "\x1b[32mlong\x1b[0m  1,000\n");
}

TEST(Terminal, ABarIsNeverEmptyAndNeverWiderThanItsSpace) {
  ::setenv("LC_ALL", "C.UTF-8", 1);
  for (int begin = 0; begin <= 100; ++begin)
    for (int end = begin; end <= 100; ++end) {
      const std::string text = bar(20, begin / 100.0, end / 100.0);
      EXPECT_LE(columns_of(text), 20u) << begin << ".." << end;
      EXPECT_NE(text.find_first_not_of(' '), std::string::npos) << begin << ".." << end;
    }
  ::unsetenv("LC_ALL");
}

TEST(Conservation, HoldsOnlyWhenTheTermsAddUp) {
  json snapshot{{"jobs",
                 {{"accepted", 10},
                  {"done", 4},
                  {"failed", 1},
                  {"cancelled", 1},
                  {"expired", 1},
                  {"waiting", {{"ready", 1}, {"backoff", 0}, {"scheduled", 1}}},
                  {"in_flight", 1},
                  {"settling", 0}}},
                {"balanced", true}};
  EXPECT_TRUE(conservation_of(snapshot).holds);
  EXPECT_EQ(conservation_of(snapshot).line,
            "accepted 10 = done 4 + failed 1 + cancelled 1 + expired 1 + waiting 2 + in flight 1 + "
            "settling 0");
  snapshot["jobs"]["done"] = 3;
  EXPECT_FALSE(conservation_of(snapshot).holds);
  snapshot["jobs"]["done"] = 4;
  snapshot["balanced"] = false;
  EXPECT_FALSE(conservation_of(snapshot).holds);
  EXPECT_FALSE(conservation_of(json::object()).holds);
}

}  // namespace
}  // namespace tallymill::cli
