// The line of a request: what a client says cannot forge it.
#include "http/access_log.h"

#include <gtest/gtest.h>

namespace tallymill::http {
namespace {

TEST(PathForLog, ForgesNoLineAndTellsNoToken) {
  EXPECT_EQ(path_for_log("/v1/jobs?token=x"), "/v1/jobs");
  EXPECT_EQ(path_for_log("/x%20200%201"), "/x%20200%201");
  EXPECT_EQ(path_for_log("/a\x1b[31m\xe2\x80\xae b"), "/a?[31m????b");
  EXPECT_EQ(path_for_log("/tm_" + std::string(43, 'A')), "***");
}

}  // namespace
}  // namespace tallymill::http
