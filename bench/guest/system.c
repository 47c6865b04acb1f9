/* System works: what a kernel under a translator does all day. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "work.h"

static uint64_t syscalls(uint64_t n) {
  uint64_t sum = 0;
  while (n-- > 0) sum += (uint64_t)syscall(SYS_getppid) + 1;
  return sum != 0;
}

/* Two processes and two pipes: scheduling, ASID switches. */
static uint64_t switches(uint64_t n) {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return 0;
  const pid_t child = fork();
  char byte = 1;
  if (child == 0) {
    for (uint64_t i = 0; i < n; ++i) {
      if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  uint64_t done = 0;
  for (uint64_t i = 0; i < n; ++i) {
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) break;
    ++done;
  }
  waitpid(child, 0, 0);
  close(there[0]);
  close(there[1]);
  close(back[0]);
  close(back[1]);
  return done;
}

static uint64_t faults(uint64_t n) {
  uint64_t sum = 0;
  while (n-- > 0) {
    uint8_t* p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < 1 << 20; i += 4096) p[i] = 1;
    sum += p[4096];
    munmap(p, 1 << 20);
  }
  return sum;
}

static uint64_t forks(uint64_t n) {
  uint64_t sum = 0;
  while (n-- > 0) {
    const pid_t child = fork();
    if (child == 0) _exit(3);
    int status = 0;
    waitpid(child, &status, 0);
    sum += (uint64_t)WEXITSTATUS(status);
  }
  return sum;
}

static uint64_t shared_count;

static void* add(void* n) {
  for (uint64_t i = 0; i < *(uint64_t*)n; ++i) __atomic_fetch_add(&shared_count, 1, __ATOMIC_SEQ_CST);
  return 0;
}

/* Two threads on one counter: atomics, and with two vCPUs real contention. */
static uint64_t atomics(uint64_t n) {
  pthread_t other;
  shared_count = 0;
  if (pthread_create(&other, 0, add, &n) != 0) return 0;
  add(&n);
  pthread_join(other, 0);
  return shared_count;
}

const struct work system_works[] = {
    {"sys.syscalls", syscalls, 15000}, {"sys.switches", switches, 1000},  {"sys.faults", faults, 20},
    {"sys.forks", forks, 50},          {"sys.atomics", atomics, 5000000}, {0},
};
