#include "time/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace solder::time {
namespace {

TEST(Clock, StandsStillWhilePaused) {
  Clock clock;
  clock.pause();
  const Nanoseconds t = clock.now();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(clock.now(), t);
  clock.set(5'000'000'000);
  EXPECT_EQ(clock.now(), 5'000'000'000U);
  clock.resume();
  EXPECT_GE(clock.now(), 5'000'000'000U);
}

TEST(Clock, TicksDoNotOverflow) {
  Clock clock;
  clock.pause();
  clock.set(u64{100} * 365 * 86400 * 1'000'000'000);  // a hundred years
  EXPECT_EQ(clock.ticks(1'000'000'000), u64{100} * 365 * 86400 * 1'000'000'000);
  EXPECT_EQ(Clock::time_of_ticks(62'500'000, 62'500'000), 1'000'000'000U);
  EXPECT_EQ(Clock::time_of_ticks(1, 62'500'000), 16U);
  EXPECT_EQ(Clock::time_of_ticks(~u64{0}, 1), ~u64{0});
}

TEST(Clock, ADeadlineInTicksIsReachedWhenItsTimeIs) {
  for (const u64 hz : {u64{19'200'000}, u64{24'000'000}, u64{62'500'000}, u64{1'000'000'000}}) {
    for (u64 ticks = 1; ticks < 2000; ticks += 7) {
      Clock clock;
      clock.pause();
      clock.set(Clock::time_of_ticks(ticks, hz));
      EXPECT_GE(clock.ticks(hz), ticks);
    }
  }
}

TEST(Timer, FiresOnceAtItsDeadline) {
  Clock clock;
  TimerQueue queue(clock);
  std::promise<Nanoseconds> fired;
  Timer timer(queue, [&] { fired.set_value(clock.now()); });
  const Nanoseconds deadline = clock.now() + 2'000'000;
  timer.arm(deadline);
  EXPECT_GE(fired.get_future().get(), deadline);
  EXPECT_FALSE(timer.armed());
}

TEST(Timer, FiresInOrderWhateverTheOrderOfArming) {
  Clock clock;
  TimerQueue queue(clock);
  std::vector<int> order;
  std::promise<void> last;
  Timer a(queue, [&] { order.push_back(1); });
  Timer b(queue, [&] { order.push_back(2); });
  Timer c(queue, [&] {
    order.push_back(3);
    last.set_value();
  });
  const Nanoseconds base = clock.now() + 3'000'000;
  c.arm(base + 2'000'000);
  a.arm(base);
  b.arm(base + 1'000'000);
  last.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Timer, RearmingEarlierAndLaterTakesTheLastDeadline) {
  Clock clock;
  TimerQueue queue(clock);
  std::atomic<int> count{0};
  std::promise<Nanoseconds> fired;
  Timer timer(queue, [&] {
    if (++count == 1) fired.set_value(clock.now());
  });
  const Nanoseconds base = clock.now();
  timer.arm(base + 1'000'000);
  timer.arm(base + 3'600'000'000'000);
  timer.arm(base + 5'000'000);
  EXPECT_GE(fired.get_future().get(), base + 5'000'000);
  EXPECT_EQ(count, 1);
}

TEST(Timer, ACancelledOneDoesNotFire) {
  Clock clock;
  TimerQueue queue(clock);
  std::atomic<bool> wrong{false};
  std::promise<void> after;
  Timer cancelled(queue, [&] { wrong = true; });
  Timer marker(queue, [&] { after.set_value(); });
  const Nanoseconds base = clock.now();
  cancelled.arm(base + 1'000'000);
  cancelled.cancel();
  marker.arm(base + 2'000'000);
  after.get_future().wait();
  EXPECT_FALSE(wrong);
}

TEST(Timer, MayRearmItselfAndGoAwayWhileQueued) {
  Clock clock;
  TimerQueue queue(clock);
  std::promise<void> done;
  int left = 5;
  Timer periodic;
  periodic = Timer(queue, [&] {
    if (--left == 0) {
      done.set_value();
    } else {
      periodic.arm(clock.now() + 100'000);
    }
  });
  {
    Timer gone(queue, [] { FAIL() << "destroyed before its deadline"; });
    gone.arm(clock.now() + 1'000'000);
  }
  periodic.arm(clock.now());
  done.get_future().wait();
}

TEST(Timer, StandsStillWithThePausedClock) {
  Clock clock;
  TimerQueue queue(clock);
  std::promise<void> fired;
  Timer timer(queue, [&] { fired.set_value(); });
  clock.pause();
  queue.clock_changed();
  timer.arm(clock.now() + 1);
  auto future = fired.get_future();
  EXPECT_EQ(future.wait_for(std::chrono::milliseconds(5)), std::future_status::timeout);
  clock.resume();
  queue.clock_changed();
  future.wait();
}

TEST(Timer, AStepFiresEveryDeadlineAtItsTime) {
  Clock clock;
  clock.pause();
  clock.set(1000);
  TimerQueue queue(clock);
  queue.clock_changed();
  std::vector<std::pair<int, Nanoseconds>> fired;
  Timer periodic;
  periodic = Timer(queue, [&] {
    fired.emplace_back(1, clock.now());
    periodic.arm(clock.now() + 100);
  });
  Timer once(queue, [&] { fired.emplace_back(2, clock.now()); });
  Timer cancelled(queue, [&] { fired.emplace_back(3, clock.now()); });
  periodic.arm(1100);
  once.arm(1250);
  cancelled.arm(1050);
  cancelled.cancel();
  EXPECT_EQ(queue.next_deadline(), 1100U);
  EXPECT_EQ(queue.step(1300, 100), 1300U);
  const std::vector<std::pair<int, Nanoseconds>> expected = {{1, 1100}, {1, 1200}, {2, 1250}, {1, 1300}};
  EXPECT_EQ(fired, expected);
  EXPECT_EQ(clock.now(), 1300U);
}

TEST(Timer, AStepEndsThoughATimerRearmsForEver) {
  Clock clock;
  clock.pause();
  clock.set(0);
  TimerQueue queue(clock);
  u64 fired = 0;
  Timer restless;
  restless = Timer(queue, [&] {
    ++fired;
    restless.arm(clock.now());
  });
  restless.arm(10);
  EXPECT_EQ(queue.step(20, 1000), 10U);
  EXPECT_EQ(fired, 1000U);
}

TEST(Timer, AStepOfARunningClockIsNone) {
  Clock clock;
  TimerQueue queue(clock);
  EXPECT_LT(queue.step(~Nanoseconds{0} >> 2, 1), ~Nanoseconds{0} >> 2);
}

}  // namespace
}  // namespace solder::time
