// libslirp at run time: what is said when it is not there, or is something else.
#include "host/slirp_library.h"

#include <gtest/gtest.h>

namespace solder::host {
namespace {

TEST(SlirpLibrary, HasWhatIsCalled) {
  const auto library = SlirpLibrary::load();
  ASSERT_TRUE(library) << library.error().text();
  EXPECT_NE(library->create, nullptr);
  EXPECT_NE(library->input, nullptr);
}

TEST(SlirpLibrary, ThatIsMissingIsNamedWithItsPackage) {
  const auto library = SlirpLibrary::load("libslirp-of-nowhere.so.0");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().where, "--net user");
  EXPECT_NE(library.error().what.find("libslirp-of-nowhere.so.0"), std::string::npos) << library.error().text();
  EXPECT_NE(library.error().fix.find("libslirp0"), std::string::npos) << library.error().text();
}

TEST(SlirpLibrary, ThatLacksAFunctionIsRefused) {
  const auto library = SlirpLibrary::load("libc.so.6");
  ASSERT_FALSE(library);
  EXPECT_NE(library.error().what.find("slirp_new"), std::string::npos) << library.error().text();
}

}  // namespace
}  // namespace solder::host
