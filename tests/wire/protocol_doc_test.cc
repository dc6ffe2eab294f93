// docs/protocol.md against the source. Goal: who builds on the page builds on what runs. Method:
// the page's tables are read and compared with the field lists, the limits and the error table.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "tests/wire/meaning.h"

namespace tallymill::bus {
namespace {

using Row = std::vector<std::string>;  // the cells of a table's row, as written

std::string trimmed(std::string text) {
  text.erase(0, text.find_first_not_of(' '));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

// Rows of the first table below each heading; head and rule left out.
std::map<std::string, std::vector<Row>> tables() {
  std::ifstream in(std::string(TALLYMILL_SOURCE_DIR) + "/docs/protocol.md");
  std::map<std::string, std::vector<Row>> found;
  std::string heading;
  int table = 0;  // since the heading
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#")) {
      heading = line.substr(line.find(' ') + 1);
      table = 0;
    }
    const bool is_row = line.starts_with("|");
    if (is_row && !inside) ++table;
    inside = is_row;
    if (!is_row || table != 1 || line.starts_with("|---")) continue;
    Row cells;
    for (std::size_t at = 1; at < line.size();) {
      const std::size_t end = std::min(line.find('|', at), line.size());
      cells.push_back(trimmed(line.substr(at, end - at)));
      at = end + 1;
    }
    found[heading].push_back(std::move(cells));
  }
  for (auto& [name, rows] : found) rows.erase(rows.begin());
  return found;
}

std::string type_of(const std::int64_t&) { return "int"; }
std::string type_of(const std::int32_t&) { return "int32"; }
std::string type_of(const double&) { return "float"; }
std::string type_of(const bool&) { return "bool"; }
std::string type_of(const std::string_view&) { return "text"; }
std::string type_of(const Token&) { return "token"; }
std::string type_of(const FileRef&) { return "file"; }
std::string type_of(const Hop&) { return "hop"; }
std::string type_of(const SpanStamp&) { return "span"; }
std::string type_of(const LaneRef&) { return "lane"; }
std::string type_of(const Verdict&) { return "verdict"; }
template <class T>
std::string type_of(const std::vector<T>&) {
  return "list of " + type_of(T{});
}

// The first three cells of each field's row.
struct RowsOf {
  std::vector<Row> rows;
  template <class T>
  void operator()(const char* name, const T& value, const std::type_identity_t<T>& fallback = {}) {
    std::string text;
    if constexpr (std::is_integral_v<T>)
      if (fallback != 0) text = std::to_string(fallback);
    rows.push_back({"`" + std::string(name) + "`", type_of(value), text});
  }
};

template <class S>
void expect_section(const std::map<std::string, std::vector<Row>>& page,
                    const std::string& heading) {
  ASSERT_TRUE(page.contains(heading)) << heading;
  S fields_of{};
  RowsOf source;
  fields_of.fields(source);
  std::vector<Row> written = page.at(heading);
  for (Row& row : written) row.resize(3);
  EXPECT_EQ(written, source.rows) << heading;
}

TEST(ProtocolPage, EachMessagesTableIsItsFieldList) {
  const auto page = tables();
#define TM_SECTION(M) expect_section<M>(page, std::string(name_of(verb_of<M>())));
  TM_MESSAGE_TABLE(TM_SECTION)
#undef TM_SECTION
  expect_section<Token>(page, "token");
  expect_section<FileRef>(page, "file");
  expect_section<Hop>(page, "hop");
  expect_section<SpanStamp>(page, "span");
  expect_section<LaneRef>(page, "lane");
  expect_section<Verdict>(page, "verdict");
}

TEST(ProtocolPage, EveryQuestionHasItsAnswer) {
  const auto page = tables();
  const auto& answers = page.at("A client's conversation");
  ASSERT_EQ(answers.size(), static_cast<std::size_t>(Verb::ping) + 1);
  for (std::size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i][0], "`" + std::string(name_of(static_cast<Verb>(i))) + "`");
}

TEST(ProtocolPage, TheErrorsAreTheTable) {
  std::vector<Row> source;
#define TM_ROW(code, name, http, exit, retry, meaning) \
  source.push_back(                                    \
      {std::string("`") + (name) + "`", #http, (retry) ? "yes" : "no", #exit, meaning});
  TM_ERROR_TABLE(TM_ROW)
#undef TM_ROW
  EXPECT_EQ(tables().at("Errors"), source);
}

TEST(ProtocolPage, TheBoundsAreTheLimits) {
  const auto bytes = [](Bytes b) { return std::to_string(b.raw()) + " bytes"; };
  std::map<std::string, std::string> source = {
      {"header_bytes", bytes(limits::header_bytes)},
      {"params_bytes", bytes(limits::params_bytes)},
      {"frame_bytes", bytes(limits::frame_bytes)},
      {"header_frame_bytes", bytes(limits::header_frame_bytes)},
      {"envelope_bytes", bytes(limits::envelope_bytes)},
      {"max_zmq_frame_bytes", bytes(limits::max_zmq_frame_bytes)},
      {"item_blobs", std::to_string(limits::item_blobs)},
      {"batch_jobs", std::to_string(limits::batch_jobs)},
      {"batch_blobs", std::to_string(limits::batch_blobs)},
      {"msgpack_depth", std::to_string(limits::msgpack_depth)},
      {"header_keys", std::to_string(limits::header_keys)},
      {"header_list", std::to_string(limits::header_list)}};
  std::map<std::string, std::string> written;
  const auto page = tables();
  for (const Row& row : page.at("Bounds")) written[row[2].substr(1, row[2].size() - 2)] = row[1];
  EXPECT_EQ(written, source);
}

}  // namespace
}  // namespace tallymill::bus
