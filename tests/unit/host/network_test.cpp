#include "host/network.h"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <mutex>
#include <vector>

namespace solder::host {
namespace {

// Who has 10.0.2.2? Tell 10.0.2.15 (RFC 826).
std::vector<u8> arp_request() {
  std::vector<u8> frame(60, 0);
  const u8 head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,    0x12, 0x34, 0x56, 0x08, 0x06,
                     0,    1,    0x08, 0,    6,    4,    0,    1,    0x52, 0x54, 0,    0x12, 0x34, 0x56,
                     10,   0,    2,    15,   0,    0,    0,    0,    0,    0,    10,   0,    2,    2};
  std::memcpy(frame.data(), head, sizeof head);
  return frame;
}

TEST(UserNetwork, TheGatewayAnswersArp) {
  auto network = open_network("user").value();
  std::promise<std::vector<u8>> answer;
  std::once_flag once;
  network->set_receiver([&](std::span<const u8> frame) {
    if (frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06 && frame[21] == 2) {
      std::call_once(once, [&] { answer.set_value({frame.begin(), frame.end()}); });
    }
    return true;
  });
  network->send(arp_request());
  const std::vector<u8> reply = answer.get_future().get();
  EXPECT_EQ(reply[28], 10);
  EXPECT_EQ(reply[31], 2);
  network->set_receiver({});
}

TEST(UserNetwork, AFrameThatFoundNoRoomComesAgainAfterReady) {
  auto network = open_network("user").value();
  std::mutex mutex;
  std::condition_variable changed;
  int offers = 0;
  bool room = false;
  network->set_receiver([&](std::span<const u8>) {
    const std::lock_guard guard(mutex);
    ++offers;
    changed.notify_all();
    return room;
  });
  network->send(arp_request());
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return offers > 0; });
  room = true;
  const int before = offers;
  lock.unlock();
  // The refusal is noted just after the callback returns, so ask until it was.
  for (bool again = false; !again;) {
    network->ready();
    std::unique_lock relock(mutex);
    again = changed.wait_for(relock, std::chrono::milliseconds(5), [&] { return offers > before; });
  }
  network->set_receiver({});
}

TEST(Network, ErrorsTellWhatToWrite) {
  EXPECT_FALSE(open_network("bridge"));
  EXPECT_NE(open_network("user,forward=tcp:22").error().fix.find("HOSTPORT"), std::string::npos);
  EXPECT_NE(open_network("user,forward=tcp:x:22").error().what.find("'x'"), std::string::npos);
  EXPECT_FALSE(open_network("tap="));
  EXPECT_TRUE(open_network("none"));
}

}  // namespace
}  // namespace solder::host
