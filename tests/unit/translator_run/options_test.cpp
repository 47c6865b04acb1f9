#include "translator/run/options.h"

#include <gtest/gtest.h>

namespace solder::run {
namespace {

TEST(TranslatorOptions, Words) {
  const auto options = parse_options("interpreter,stats,one-insn,one-tlb,flush=12,random-irq=99");
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->interpreter);
  EXPECT_TRUE(options->stats);
  EXPECT_TRUE(options->one_insn);
  EXPECT_TRUE(options->one_tlb);
  EXPECT_EQ(options->flush_every, 12U);
  EXPECT_EQ(options->random_irq, 99U);
  EXPECT_FALSE(parse_options("fast")->interpreter);
}

TEST(TranslatorOptions, ErrorsNameTheWord) {
  EXPECT_NE(parse_options("stats,fsat").error().text().find("'fsat'"), std::string::npos);
  EXPECT_NE(parse_options("flush=x").error().text().find("'flush=x'"), std::string::npos);
  EXPECT_FALSE(parse_options("flush=0"));
  EXPECT_FALSE(parse_options("random-irq"));
}

}  // namespace
}  // namespace solder::run
