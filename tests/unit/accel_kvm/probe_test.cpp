#include "accel/kvm/probe.h"

#include "cpu/accelerators.h"
#include "guest.h"

namespace solder::accel::kvm {
namespace {

TEST(KvmProbe, SaysWhyThereIsNoKvm) {
  const Probe found = probe("/nonexistent/kvm");
  EXPECT_FALSE(found.usable);
  EXPECT_FALSE(found.native);
  EXPECT_NE(found.text.find("/nonexistent/kvm"), std::string::npos);
  EXPECT_FALSE(found.fix.empty());
}

TEST(KvmProbe, RunsCodeWhereKvmCanBeOpened) {
  SOLDER_NEEDS_KVM();
  const Probe found = probe();
  EXPECT_TRUE(found.usable) << found.text;
  EXPECT_FALSE(found.text.empty());
  // The text and the verdict are the same statement.
  EXPECT_EQ(found.native, found.text.find("emulates") == std::string::npos) << found.text;
  RecordProperty("probe", found.text);
}

TEST(KvmProbe, EndsWhenItsTimeIsUp) {
  SOLDER_NEEDS_KVM();
  const Probe found = probe("/dev/kvm", std::chrono::nanoseconds(1));
  EXPECT_TRUE(found.usable) << found.text;
  EXPECT_FALSE(found.native) << "nothing was measured";
  EXPECT_NE(found.text.find("did not get through"), std::string::npos) << found.text;
  EXPECT_NE(found.vm, nullptr);
}

TEST(KvmProbe, TheRegistryKnowsKvmAndItsOptions) {
  const cpu::AcceleratorInfo* kvm = nullptr;
  for (const auto* info : cpu::all_accelerators())
    if (info->name == "kvm") kvm = info;
  ASSERT_NE(kvm, nullptr);
  EXPECT_FALSE(kvm->suits("arm,armv8").usable);
  const cpu::Suitability fast{true, true, {}, {}};
  EXPECT_TRUE(kvm->prepare("", fast));
  EXPECT_TRUE(kvm->prepare("stats", fast));
  const auto unknown = kvm->prepare("fast", fast);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().text().find("fast"), std::string::npos);
}

}  // namespace
}  // namespace solder::accel::kvm
