// The least there is between a write to an eventfd and a guest's handler: a VM with KVM's interrupt controllers, one
// message, one irqfd, and a ROM whose handler's first instruction counts at 0x2000. The same rounds as Solder's
// models/test/irqfd_latency.cpp, so that bench/kvm can compare the two.
//   kvm_irqfd ROM ROUNDS
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int cpu;
static struct kvm_run* run;

static int die(const char* what) {
  perror(what);
  exit(1);
}
static void* run_cpu(void* unused) {
  (void)unused;
  for (;;) {
    if (ioctl(cpu, KVM_RUN, 0) < 0) die("KVM_RUN");
    fprintf(stderr, "exit %u\n", run->exit_reason);
    exit(1);
  }
}
static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static int compare(const void* a, const void* b) {
  const int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "kvm_irqfd ROM ROUNDS\n"), 2;
  int rom = open(argv[1], O_RDONLY);
  struct stat info;
  if (rom < 0 || fstat(rom, &info) != 0) die(argv[1]);
  void* image = mmap(0, info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, rom, 0);
  int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) die("/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) die("KVM_CREATE_VM");
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
  if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) die("KVM_CREATE_IRQCHIP");
  uint8_t* memory = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct kvm_userspace_memory_region low = {0, 0, 0, 1 << 20, (uintptr_t)memory};
  struct kvm_userspace_memory_region high = {1, 0, 0x100000000ull - info.st_size, info.st_size, (uintptr_t)image};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &low) < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &high) < 0)
    die("KVM_SET_USER_MEMORY_REGION");
  cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (cpu < 0) die("KVM_CREATE_VCPU");
  // CPUID as the host has it: x2APIC is asked for.
  struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[256];
  } cpuid = {.head.nent = 256};
  if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 || ioctl(cpu, KVM_SET_CPUID2, &cpuid) < 0) die("KVM_SET_CPUID2");
  run = mmap(0, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  if (run == MAP_FAILED) die("mmap");
  struct {
    struct kvm_irq_routing head;
    struct kvm_irq_routing_entry entry;
  } routing = {.head.nr = 1};
  routing.entry.gsi = 24;
  routing.entry.type = KVM_IRQ_ROUTING_MSI;
  routing.entry.u.msi.address_lo = 0xfee00000;
  routing.entry.u.msi.data = 0x50;
  if (ioctl(vm, KVM_SET_GSI_ROUTING, &routing) < 0) die("KVM_SET_GSI_ROUTING");
  struct kvm_irqfd irqfd = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .gsi = 24};
  if (ioctl(vm, KVM_IRQFD, &irqfd) < 0) die("KVM_IRQFD");
  pthread_t thread;
  pthread_create(&thread, 0, run_cpu, 0);
  _Atomic uint32_t* words = (_Atomic uint32_t*)(memory + 0x2000);
  const struct timespec rest = {0, 100000};
  while (words[1] == 0) nanosleep(&rest, 0);
  const int rounds = atoi(argv[2]);
  int64_t* all = calloc(rounds, sizeof *all);
  for (int i = 0; i < rounds; ++i) {
    nanosleep(&rest, 0);
    const uint32_t before = words[0];
    const uint64_t one = 1;
    const int64_t from = now();
    if (write(irqfd.fd, &one, sizeof one) != sizeof one) die("write");
    while (words[0] == before)
      if (now() - from > 10000000000ll) return fprintf(stderr, "an interrupt was lost\n"), 1;
    all[i] = now() - from;
  }
  qsort(all, rounds, sizeof *all, compare);
  printf("irqfd: median %lld ns\n", (long long)all[rounds / 2]);
  exit(0);
}
