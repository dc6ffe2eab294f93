// Forms with files, in pieces. Goal: a body means the same however it was cut, what two readers
// could read in two ways is refused, and no name is a path. Method: tables of hostile bodies, each
// fed whole and byte by byte; random bodies, of which half are broken, over random cuts.
#include "http/multipart.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/limits.h"

namespace tallymill::http {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t head_bytes = static_cast<std::size_t>(limits::multipart_header_bytes.raw());

struct Part {
  PartHead head;
  std::string data;
  bool ended = false;
};

struct Read {
  std::vector<Part> parts;
  std::string error;  // its code and message; empty: none
  Errc code{};

  [[nodiscard]] std::string told() const {
    std::string text;
    for (const Part& part : parts)
      text += fmt::format("[{}|{}|{}|{}|{}]", part.head.name, part.head.file_name,
                          part.head.media_type, part.data, part.ended);
    return text + error;
  }
};

// `next`: the length of the piece to feed, at least 1.
template <class Next>
Read read_cut(std::string_view body, std::string_view boundary, Next next) {
  Read read;
  Multipart reader(std::string(boundary), {.begin = [&](const PartHead& head) -> Status {
                                             read.parts.push_back({head, "", false});
                                             return {};
                                           },
                                           .data = [&](std::string_view data) -> Status {
                                             EXPECT_FALSE(data.empty());
                                             read.parts.back().data += data;
                                             return {};
                                           },
                                           .end = [&]() -> Status {
                                             read.parts.back().ended = true;
                                             return {};
                                           }});
  Status status;
  while (status && !body.empty()) {
    const std::string_view piece = body.substr(0, next());
    status = reader.feed(piece);
    body.remove_prefix(piece.size());
  }
  if (status) status = reader.finish();
  if (!status) {
    read.code = status.error().code;
    read.error = fmt::format("{}: {}", info(read.code).name, status.error().message);
  }
  return read;
}

Read read_whole(std::string_view body, std::string_view boundary = "b") {
  const Read whole = read_cut(body, boundary, [] { return std::string_view::npos; });
  const Read bytes = read_cut(body, boundary, [] { return std::size_t{1}; });
  EXPECT_EQ(whole.told(), bytes.told()) << body;
  return whole;
}

// A body of one part, with these lines in its head.
std::string body_of(std::string_view head, std::string_view data = "x") {
  return fmt::format("--b\r\n{}\r\n\r\n{}\r\n--b--\r\n", head, data);
}
std::string named(std::string_view rest) {
  return body_of(fmt::format("Content-Disposition: form-data; name=\"f\"{}", rest));
}

TEST(Multipart, RefusesABodyThatIsNotWhole) {
  for (const std::string_view body :
       {""sv, "x"sv, "--"sv, "--b"sv, "--b-"sv, "--b\r\n"sv, "--B--"sv, "-- b--"sv, "\n--b--"sv,
        "x--b--"sv, "\r--b--"sv,
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx"sv,             // no end at all
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r\n--b"sv,      // half of it
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r\n--b-"sv,     //
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r\n--b\r\n"sv,  // another begins
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx\n--b--"sv,      // LF alone
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r--b--"sv,      // CR alone
        "--b\r\nContent-Disposition: form-data; name=f\r\n\r\n--b--"sv}) {      // no CRLF before
    const Read read = read_whole(body);
    EXPECT_EQ(read.code, Errc::bad_frame) << body;
  }
}

TEST(Multipart, RefusesAHeadThatCouldBeReadInTwoWays) {
  const std::string form = "Content-Disposition: form-data; name=f";
  for (const std::string& body :
       {body_of(""), body_of("Content-Type: text/plain"), body_of("Content-Disposition: form-data"),
        body_of("Content-Disposition: attachment; name=f"),
        body_of("Content-Disposition: form-data; name="), named("; name=g"), named("; NAME=g"),
        named("; filename=a; filename=b"), named("; filename=\"a"), named("; filename=\"a\\\""),
        named("; filename=\"a\"b"), named("; filename"), named("; =a"), named(" filename=a"),
        named("; filename =a"), body_of(fmt::format("{0}\r\n{0}", form)),
        body_of(form + "\r\nno field"), body_of(form + "\r\n folded: x"),
        body_of(form + "\r\n\tfolded"), body_of(form + "\r\nbad name: x"),
        body_of(form + "\r\n: x"), body_of("Content-Disposition : form-data; name=f"),
        body_of(form + "\r\nContent-Type: a/b\r\ncontent-type: c/d"),
        body_of(form + "\r\nContent-Transfer-Encoding: base64"), body_of(form + "\rX: y"),
        body_of(form + "\nX: y"),  // lone CR and LF
        body_of(form + std::string("\0", 1)), body_of(form + "\x1b[2J"),
        // a line that begins as a boundary does
        "--bx\r\n" + form + "\r\n\r\nx\r\n--b--", "--b\n" + form + "\r\n\r\nx\r\n--b--",
        "--b\r\n" + form + "\r\n\r\nx\r\n--bc--\r\n\r\n\r\n--b--"}) {
    const Read read = read_whole(body);
    EXPECT_EQ(read.code, Errc::bad_frame) << body << "\n" << read.told();
  }
}

TEST(Multipart, RefusesANameThatIsNoFiles) {
  for (const std::string& rest :
       {std::string("; filename=\"..\""), std::string("; filename=\".\""),
        std::string("; filename=\"a/\""), std::string("; filename=\"a\\\\\""),
        std::string("; filename=\"../..\""), std::string("; filename=\"a\0b\"", 16),
        std::string("; filename=\"\xff\""), std::string("; filename=\"\xc0\xaf\""),
        std::string("; filename*=UTF-8''a%00b"), std::string("; filename*=UTF-8''a%0d%0aX"),
        std::string("; filename*=UTF-8''%ff"), std::string("; filename*=UTF-8''%2e%2e"),
        std::string("; filename*=UTF-8''%"), std::string("; filename*=ISO-8859-1''%e9"),
        std::string("; filename*=UTF-8"), std::string("; filename*=UTF-8'en"),
        std::string("; filename*=a; filename=b")}) {
    const Read read = read_whole(named(rest));
    EXPECT_EQ(read.code, Errc::bad_frame) << rest << read.told();
    EXPECT_TRUE(read.parts.empty()) << rest;
  }
}

TEST(Multipart, AFilesNameIsTheLastStepOfWhatWasSaid) {
  const std::initializer_list<std::pair<std::string_view, std::string_view>> table = {
      {"", ""},
      {"; filename=\"\"", ""},
      {"; filename=a.jpg", "a.jpg"},
      {";filename=a.jpg;", "a.jpg"},
      {" ; FileName=\"a b.jpg\"", "a b.jpg"},
      {"; filename=\"../../etc/passwd\"", "passwd"},
      {"; filename=\"/etc/passwd\"", "passwd"},
      {"; filename=\"C:\\photos\\me.jpg\"", "me.jpg"},
      {"; filename=\"C:\\\\photos\\\\me.jpg\"", "me.jpg"},
      {"; filename=\"say \\\"hi\\\".jpg\"", "say \"hi\".jpg"},
      {"; filename=\"a; name=g\"", "a; name=g"},
      {"; filename=\"Gr\xc3\xb6\xc3\x9f"
       "e.png\"",
       "Gr\xc3\xb6\xc3\x9f"
       "e.png"},
      {"; filename=\"a%2Fb\"", "a%2Fb"},
      {"; filename*=UTF-8''Gr%C3%B6.png", "Gr\xc3\xb6.png"},
      {"; filename*=utf-8'de'a%20b", "a b"},
      {"; filename=\"plain\"; filename*=UTF-8''better", "better"},
      {"; filename*=UTF-8''..%2f..%2fetc%2Fpasswd", "passwd"},
      {"; filename*=UTF-8''c:%5Ca", "a"}};
  for (const auto& [rest, name] : table) {
    const Read read = read_whole(named(rest));
    ASSERT_EQ(read.error, "") << rest;
    EXPECT_EQ(read.parts.at(0).head.file_name, name) << rest;
    EXPECT_EQ(read.parts.at(0).head.name, "f");
  }
}

TEST(Multipart, ABoundaryInsideDataIsData) {
  for (const std::string_view data :
       {""sv, "--b"sv, "--b--"sv, "x--b\r\n"sv, "\n--b\n"sv, "\r--b\r"sv, "\r\n-b"sv, "\r\n--"sv,
        "\r\n--a"sv, "\r\r\n--"sv, "\r\n\r\n"sv, "\r\n--\r\n--B"sv, "\0\0\xff"sv,
        "\r\n\r\n--\r\n--\r\n-"sv}) {
    const Read read =
        read_whole(body_of("Content-Disposition: form-data; name=f", data) + "--b\r\nepilogue");
    ASSERT_EQ(read.error, "") << data;
    ASSERT_EQ(read.parts.size(), 1) << data;
    EXPECT_EQ(read.parts[0].data, data);
    EXPECT_TRUE(read.parts[0].ended);
  }
}

TEST(Multipart, PreambleEpilogueAndBlanksBehindABoundaryAreNobodys) {
  const Read read = read_whole(
      "Content-Disposition: form-data; name=not\r\n\r\nme\r\n--b \t\r\n"
      "content-disposition:form-data;name=f\r\nX-Other: y\r\nContent-Type: Text/Plain; "
      "charset=x\r\n"
      "\r\nx\r\n--b--trailing\r\n--b\r\nContent-Disposition: form-data; name=late\r\n\r\ny");
  EXPECT_EQ(read.told(), "[f||text/plain|x|true]");
  EXPECT_EQ(read_whole("--b--").told(), "");
}

TEST(Multipart, SeveralPartsMayHaveOneName) {
  std::string body;
  for (int i = 0; i < 3; ++i)
    body += fmt::format(
        "--b\r\nContent-Disposition: form-data; name=f; filename=same\r\n\r\n{}\r\n", i);
  const Read read = read_whole(body + "--b--");
  EXPECT_EQ(read.told(), "[f|same||0|true][f|same||1|true][f|same||2|true]");
}

TEST(Multipart, AHeadIsAsLongAsItsBoundAndNotOneMore) {
  // From behind the boundary to the last field's end.
  const std::string form = "\r\nContent-Disposition: form-data; name=f\r\nX: ";
  const auto with = [&](std::size_t bytes) {
    return "--b" + form + std::string(bytes - form.size(), 'y') + "\r\n\r\nx\r\n--b--";
  };
  EXPECT_EQ(read_whole(with(head_bytes)).told(), "[f|||x|true]");
  EXPECT_EQ(read_whole(with(head_bytes + 1)).code, Errc::too_big);
  EXPECT_EQ(read_whole("--b" + std::string(1 << 20, ' ')).code, Errc::too_big);
}

TEST(Multipart, AsManyPartsAsTheLimitAndNotOneMore) {
  const auto with = [](std::size_t parts) {
    std::string body;
    for (std::size_t i = 0; i < parts; ++i)
      body += fmt::format("--b\r\nContent-Disposition: form-data; name=n{}\r\n\r\n\r\n", i);
    return body + "--b--";
  };
  EXPECT_EQ(read_whole(with(limits::multipart_parts)).error, "");
  for (const std::size_t parts : {limits::multipart_parts + 1, std::size_t{1000}}) {
    const Read read = read_whole(with(parts));
    EXPECT_EQ(read.code, Errc::too_big);
    EXPECT_EQ(read.parts.size(), limits::multipart_parts);
  }
}

TEST(Multipart, AnErrorOfACallEndsTheBody) {
  for (const int which : {0, 1, 2}) {
    int calls = 0;
    const auto answer = [&](int mine) -> Status {
      ++calls;
      if (mine == which) return fail(Errc::disk, "full");
      return {};
    };
    Multipart reader("b", {.begin = [&](const PartHead&) { return answer(0); },
                           .data = [&](std::string_view) { return answer(1); },
                           .end = [&] { return answer(2); }});
    const Status status = reader.feed(named(""));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::disk);
    EXPECT_EQ(calls, which + 1);
    EXPECT_FALSE(reader.feed(named("")));
    EXPECT_FALSE(reader.finish());
    EXPECT_EQ(calls, which + 1);
  }
}

TEST(Multipart, TheBoundaryIsWhatTheTypeSays) {
  const auto boundary = [](std::string_view type) {
    return Multipart::boundary_of(type).value_or("none");
  };
  EXPECT_EQ(boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(boundary("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b:c\""), "a b:c");
  EXPECT_EQ(boundary("multipart/form-data; boundary=" + std::string(70, 'x')),
            std::string(70, 'x'));
  for (const std::string& type : {std::string(), std::string("multipart/form-data"),
                                  std::string("multipart/form-data; boundary="),
                                  std::string("multipart/form-data; boundary=\"\""),
                                  std::string("multipart/mixed; boundary=a"),
                                  std::string("multipart/form-data; boundary=a; boundary=b"),
                                  std::string("multipart/form-data; boundary=\"a"),
                                  std::string("multipart/form-data boundary=a"),
                                  std::string("multipart/form-data; boundary=\"a \""),
                                  std::string("multipart/form-data; boundary=a\r\nb"),
                                  std::string("multipart/form-data; boundary=\"a\\\\b\""),
                                  "multipart/form-data; boundary=" + std::string(71, 'x')})
    EXPECT_EQ(boundary(type), "none") << type;
}

// A body out of what matters to the reader; not all of them are whole.
std::string random_body(std::mt19937_64& random) {
  constexpr std::string_view file =
      "\r\n--b1 \r\nContent-Type: a/b\r\nContent-Disposition: form-data; name=\"b\"; "
      "filename=\"c\"\r\n\r\n";
  constexpr std::string_view pieces[] = {
      "\r\n",
      "\r",
      "\n",
      "-",
      "--",
      "\r\n--",
      "--b1",
      "\r\n--b",
      "\r\n--b1\r\n",
      "\r\n--b1--",
      "x",
      "\0"sv,
      "\r\n--b1\r\nContent-Disposition: form-data; name=a\r\n\r\n",
      file};
  std::string body =
      random() % 4 == 0 ? "" : "--b1\r\nContent-Disposition: form-data; name=z\r\n\r\n";
  for (auto count = random() % 12; count > 0; --count) body += pieces[random() % std::size(pieces)];
  if (random() % 2 == 0) body += "\r\n--b1--\r\n";
  return body;
}

TEST(Multipart, HoweverItIsCutTheCallsAreTheSame) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  fmt::print("multipart cuts: seed {}\n", seed);
  std::mt19937_64 random(seed);
  int whole_ones = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string body = random_body(random);
    const Read whole = read_cut(body, "b1", [] { return std::string_view::npos; });
    const auto longest = 1 + random() % 20;
    const Read cut = read_cut(body, "b1", [&] { return 1 + random() % longest; });
    ASSERT_EQ(whole.told(), cut.told()) << "seed " << seed << ", body " << i << ":\n" << body;
    whole_ones += whole.error.empty() ? 1 : 0;
  }
  EXPECT_GT(whole_ones, 1000);
  EXPECT_LT(whole_ones, 19'000);
}

}  // namespace
}  // namespace tallymill::http
