// Requests from clients that are not trusted.
#include "control/request.h"

#include <gtest/gtest.h>

#include <random>

namespace solder::control {
namespace {

TEST(Request, TakesFieldsWithChecks) {
  const auto request =
      Request::parse(R"({"do": "read", "id": 7, "address": "0x1000", "bytes": 16, "flag": true, "names": ["a", "b"]})");
  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->name(), "read");
  EXPECT_EQ(request->id(), Json(7));
  EXPECT_EQ(request->number("address", 0).value_or(1), 0x1000U);
  EXPECT_EQ(request->number("bytes", 0).value_or(1), 16U);
  EXPECT_EQ(request->number("none", 5).value_or(1), 5U);
  EXPECT_FALSE(request->number("bytes", 0, 15));
  EXPECT_FALSE(request->number("flag", 0));
  EXPECT_TRUE(request->flag("flag", false).value_or(false));
  EXPECT_FALSE(request->flag("bytes", false));
  EXPECT_FALSE(request->text("bytes"));
  EXPECT_EQ(request->texts("names").value_or(std::vector<std::string>{}), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(request->texts("bytes"));
  EXPECT_TRUE(request->only({"address", "bytes", "flag", "names"}));
  const auto strange = request->only({"address", "bytes", "flag"});
  ASSERT_FALSE(strange);
  EXPECT_EQ(strange.error().where, "names");
}

TEST(Request, RefusesWhatIsNone) {
  const std::string deep = R"({"do": "x", "a": )" + std::string(50'000, '[') + std::string(50'000, ']') + "}";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("7"), std::string("{}"),
        std::string(R"({"do": 7})"), std::string(R"({"do": "x", "id": []})"), std::string("\xff\xfe"),
        std::string(R"({"do": "x", "n": 1e999})"), std::string("{\"do\": \"\xff\"}"), deep}) {
    const auto request = Request::parse(text);
    ASSERT_FALSE(request) << text.substr(0, 40);
    EXPECT_FALSE(request.error().what.empty());
  }
  const auto negative = Request::parse(R"({"do": "read", "address": -1})");
  ASSERT_TRUE(negative);
  EXPECT_FALSE(negative->number("address", 0));
}

TEST(Request, MutatedLinesAreRequestsOrErrors) {
  const std::string whole = R"({"do": "trace", "nodes": ["/a", "&b"], "count": 10, "reads": true, "id": "x"})";
  std::mt19937_64 random(1);
  for (u32 round = 0; round < 20'000; ++round) {
    std::string line = whole;
    for (u64 n = 1 + random() % 4; n != 0; --n) line[random() % line.size()] = static_cast<char>(random());
    const auto request = Request::parse(line);
    if (!request) continue;
    (void)request->texts("nodes");
    (void)request->number("count", 0);
    (void)dump(error_reply({request->name(), "", ""}));
  }
}

TEST(Request, HexadecimalBothWays) {
  EXPECT_EQ(to_hex({0, 0x7f, 0xff}), "007fff");
  EXPECT_EQ(from_hex("007fFF").value_or(std::vector<u8>{}), (std::vector<u8>{0, 0x7f, 0xff}));
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
  EXPECT_FALSE(from_hex("+1"));
  EXPECT_EQ(parse_number("0xffffffffffffffff").value_or(0), ~u64{0});
  EXPECT_FALSE(parse_number("0x10000000000000000"));
  EXPECT_FALSE(parse_number("0x"));
  EXPECT_FALSE(parse_number("12 "));
}

}  // namespace
}  // namespace solder::control
