#include "bus/envelope.h"

#include <gtest/gtest.h>

namespace tallymill::bus {
namespace {

TEST(Envelope, CarriesManyMessagesWithTheirParamsAndBlobs) {
  Packer packer;
  Submit submit;
  submit.request = 7;
  submit.kind = "box";
  submit.key = "k";
  submit.inputs = {
      {.name = "a.png", .media_type = "image/png", .digest = {}, .bytes = 3, .blob = 0}};
  packer.add(submit, "\x81\xa1x\x01");
  EXPECT_EQ(packer.add_blob(zmq::message_t("abc", 3)), 0);
  Work work;
  work.token = {.job = 1, .epoch = 2, .attempt = 3};
  work.hops = {{.stage = "compute", .worker = "w", .sent_ns = 5}};
  packer.add(work);
  Ask ask;
  ask.request = 9;
  packer.add(Verb::status, ask);
  auto envelope = Envelope::decode(packer.take());
  ASSERT_TRUE(envelope) << envelope.error().message;
  ASSERT_EQ(envelope->items().size(), 3u);
  const auto s = read<Submit>(envelope->items()[0]);
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->kind, "box");
  EXPECT_EQ(s->priority, 4);
  ASSERT_EQ(s->inputs.size(), 1u);
  EXPECT_EQ(s->inputs[0].blob, 0);
  EXPECT_EQ(envelope->items()[0].params, "\x81\xa1x\x01");
  ASSERT_EQ(envelope->items()[0].blobs.size(), 1u);
  EXPECT_EQ(envelope->items()[0].blobs[0].to_string_view(), "abc");
  const auto w = read<Work>(envelope->items()[1]);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->token, (Token{1, 2, 3}));
  ASSERT_EQ(w->hops.size(), 1u);
  EXPECT_EQ(w->hops[0].sent_ns, 5);
  EXPECT_EQ(envelope->items()[2].verb, Verb::status);
  EXPECT_EQ(read<Ask>(envelope->items()[2])->request, 9);
}

}  // namespace
}  // namespace tallymill::bus
