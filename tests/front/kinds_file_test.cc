// The kinds that were announced are found again after a restart, and a write that fails part way
// leaves the last good file: real files, and a real limit on their size in place of a full disk.
#include "front/kinds_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

std::map<std::string, KindSpec> kinds_named(std::initializer_list<std::string> names) {
  std::map<std::string, KindSpec> kinds;
  for (const std::string& name : names) {
    KindSpec kind;
    kind.name = name;
    kind.route = {"compute", "image"};
    kind.help = std::string(200, 'h');
    kind.inputs_max = 2;
    kinds.emplace(name, kind);
  }
  return kinds;
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  const auto kinds = read_kinds_file(folder);
  std::vector<std::string> names;
  EXPECT_TRUE(kinds);
  if (kinds)
    for (const KindSpec& kind : *kinds) names.push_back(kind.name);
  return names;
}

// As a disk that takes so many bytes more and then none.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit small{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  ~SmallFiles() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(KindsFile, IsReadAsItWasWritten) {
  const TempFolder folder;
  EXPECT_TRUE(names_in(folder.path()).empty());
  ASSERT_TRUE(write_kinds_file(folder.path(), kinds_named({"box"})));
  ASSERT_TRUE(write_kinds_file(folder.path(), kinds_named({"box", "thumbs"})));
  const auto kinds = read_kinds_file(folder.path());
  ASSERT_TRUE(kinds);
  ASSERT_EQ(kinds->size(), 2U);
  EXPECT_EQ((*kinds)[1].name, "thumbs");
  EXPECT_EQ((*kinds)[1].route, (std::vector<std::string>{"compute", "image"}));
  EXPECT_EQ((*kinds)[1].inputs_max, 2);
}

TEST(KindsFile, AWriteThatDoesNotFitLeavesTheLastOne) {
  const TempFolder folder;
  ASSERT_TRUE(write_kinds_file(folder.path(), kinds_named({"box"})));
  {
    const SmallFiles disk(400);
    const auto written = write_kinds_file(folder.path(), kinds_named({"box", "thumbs"}));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::disk);
  }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"box"});
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "kinds.json.new"));
}

TEST(KindsFile, OneThatIsNoListIsSaidToBeNone) {
  const TempFolder folder;
  for (const char* text : {"", "{}", "[{\"name\": \"bo"}) {
    std::ofstream(folder.path() / "kinds.json") << text;
    EXPECT_FALSE(read_kinds_file(folder.path())) << text;
  }
}

}  // namespace
}  // namespace tallymill::front
