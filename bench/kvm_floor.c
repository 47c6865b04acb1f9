// The least that a monitor can do on /dev/kvm: a ROM at the top of 4 GiB, the reset vector, and a loop that answers every
// port read with a constant, until the ROM writes 0xfe to port 0x64. What bench/kvm measures everything else against.
//   kvm_floor ROM
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int die(const char* what) {
  perror(what);
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "kvm_floor ROM\n"), 2;
  int rom = open(argv[1], O_RDONLY);
  struct stat info;
  if (rom < 0 || fstat(rom, &info) != 0) return die(argv[1]);
  void* memory = mmap(0, info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, rom, 0);
  int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) return die("/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) return die("KVM_CREATE_VM");
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
  struct kvm_userspace_memory_region region = {0, 0, 0x100000000ull - info.st_size, info.st_size, (uintptr_t)memory};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) return die("KVM_SET_USER_MEMORY_REGION");
  int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (cpu < 0) return die("KVM_CREATE_VCPU");
  long size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run* run = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  if (run == MAP_FAILED) return die("mmap");
  for (;;) {
    if (ioctl(cpu, KVM_RUN, 0) < 0) return die("KVM_RUN");
    if (run->exit_reason != KVM_EXIT_IO) return fprintf(stderr, "exit %u\n", run->exit_reason), 1;
    uint8_t* data = (uint8_t*)run + run->io.data_offset;
    if (run->io.direction == KVM_EXIT_IO_OUT) {
      if (run->io.port == 0x64 && *data == 0xfe) return 0;
    } else {
      memset(data, 0x60, run->io.size * run->io.count);
    }
  }
}
