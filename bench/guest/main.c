/* The benchmark guest's init: runs every work and prints "BENCH name seconds checksum". The clock is the guest's, which
 * both emulators derive from the host's. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run_all(const struct work* works) {
  for (; works->name != 0; ++works) {
    works->run(works->units / 50 + 1); /* warm: pages touched, code translated */
    const double start = now();
    const uint64_t sum = works->run(works->units);
    printf("BENCH %s %.6f %016llx\n", works->name, now() - start, (unsigned long long)sum);
    fflush(stdout);
  }
}

int main(void) {
  mount("devtmpfs", "/dev", "devtmpfs", 0, "");
  const int console = open("/dev/console", O_RDWR);
  if (console >= 0) {
    dup2(console, 0);
    dup2(console, 1);
    dup2(console, 2);
  }
  run_all(integer_works);
  run_all(float_works);
  run_all(memory_works);
  run_all(system_works);
  printf("BENCH-END\n");
  fflush(stdout);
  if (getpid() == 1) reboot(RB_POWER_OFF);
  return 0;
}
