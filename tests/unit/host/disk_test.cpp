#include "host/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <future>

namespace solder::host {
namespace {

/// An image of `size` bytes that goes away with the test.
struct Image {
  explicit Image(u64 size) {
    char name[] = "/tmp/solder-disk-XXXXXX";
    const int fd = ::mkstemp(name);
    path = name;
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(size)), 0);
    ::close(fd);
  }
  ~Image() { ::unlink(path.c_str()); }
  std::string path;
};

int run(Disk& disk, DiskRequest request) {
  std::promise<int> done;
  request.done = [&](int error) { done.set_value(error); };
  disk.submit(std::move(request));
  return done.get_future().get();
}

DiskRequest transfer(DiskOperation operation, u64 offset, std::vector<std::vector<u8>>& buffers) {
  DiskRequest r{.operation = operation, .offset = offset};
  for (auto& buffer : buffers) {
    r.pieces.push_back({buffer.data(), buffer.size()});
    r.length += buffer.size();
  }
  return r;
}

TEST(Disk, ReadsBackWhatItWroteInPieces) {
  const Image image(1 << 20);
  auto disk = open_disk(image.path).value();
  EXPECT_EQ(disk->size(), u64{1} << 20);
  std::vector<std::vector<u8>> out{std::vector<u8>(512, 1), std::vector<u8>(1024, 2)};
  EXPECT_EQ(run(*disk, transfer(DiskOperation::write, 4096, out)), 0);
  EXPECT_EQ(run(*disk, {.operation = DiskOperation::flush}), 0);
  std::vector<std::vector<u8>> in{std::vector<u8>(1536)};
  EXPECT_EQ(run(*disk, transfer(DiskOperation::read, 4096, in)), 0);
  EXPECT_EQ(in[0][511], 1);
  EXPECT_EQ(in[0][512], 2);
}

TEST(Disk, DiscardedAndZeroedRangesReadAsZero) {
  const Image image(1 << 20);
  auto disk = open_disk(image.path).value();
  std::vector<std::vector<u8>> out{std::vector<u8>(65536, 7)};
  ASSERT_EQ(run(*disk, transfer(DiskOperation::write, 0, out)), 0);
  EXPECT_EQ(run(*disk, {.operation = DiskOperation::discard, .offset = 0, .length = 4096}), 0);
  EXPECT_EQ(run(*disk, {.operation = DiskOperation::write_zeroes, .offset = 8192, .length = 512, .unmap = true}), 0);
  EXPECT_EQ(run(*disk, {.operation = DiskOperation::write_zeroes, .offset = 16384, .length = 4096}), 0);
  std::vector<std::vector<u8>> in{std::vector<u8>(65536, 9)};
  ASSERT_EQ(run(*disk, transfer(DiskOperation::read, 0, in)), 0);
  EXPECT_EQ(in[0][0], 0);
  EXPECT_EQ(in[0][4096], 7);
  EXPECT_EQ(in[0][8192], 0);
  EXPECT_EQ(in[0][8192 + 512], 7);
  EXPECT_EQ(in[0][16384], 0);
}

TEST(Disk, ManyRequestsInFlightAllFinishBeforeDrainReturns) {
  const Image image(4 << 20);
  auto disk = open_disk(image.path).value();
  std::vector<std::vector<u8>> buffers(1000, std::vector<u8>(4096, 3));
  std::atomic<int> finished{0};
  for (usize i = 0; i < buffers.size(); ++i) {
    DiskRequest r{.operation = DiskOperation::write, .offset = i * 4096, .length = 4096};
    r.pieces.push_back({buffers[i].data(), 4096});
    r.done = [&](int error) { finished += error == 0 ? 1 : 1000; };
    disk->submit(std::move(r));
  }
  disk->drain();
  EXPECT_EQ(finished, 1000);
}

TEST(Disk, AFileThatGotShorterIsAnErrorNotOldMemory) {
  const Image image(1 << 20);
  auto disk = open_disk(image.path).value();
  ASSERT_EQ(::truncate(image.path.c_str(), 4096), 0);
  std::vector<std::vector<u8>> in{std::vector<u8>(8192)};
  EXPECT_NE(run(*disk, transfer(DiskOperation::read, 0, in)), 0);
}

TEST(Disk, ErrorsNameTheFileAndTheMend) {
  EXPECT_NE(open_disk("/nonexistent/disk.img").error().text().find("/nonexistent/disk.img"), std::string::npos);
  const Image odd(1000);
  EXPECT_NE(open_disk(odd.path).error().what.find("512"), std::string::npos);
  const Image image(1 << 20);
  EXPECT_NE(open_disk(image.path + ",fast").error().what.find("fast"), std::string::npos);
  EXPECT_FALSE(open_disk("/dev/null"));
}

TEST(Disk, TwoWritersOfOneImageAreRefusedTwoReadersAreNot) {
  const Image image(1 << 20);
  auto writer = open_disk(image.path);
  ASSERT_TRUE(writer);
  EXPECT_NE(open_disk(image.path).error().what.find("in use"), std::string::npos);
  writer->reset();
  auto a = open_disk(image.path + ",readonly");
  auto b = open_disk(image.path + ",readonly");
  EXPECT_TRUE(a);
  EXPECT_TRUE(b);
  EXPECT_FALSE((*a)->can_discard());
}

}  // namespace
}  // namespace solder::host
