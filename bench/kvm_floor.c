// The least that a monitor can do on /dev/kvm: a ROM at the top of 4 GiB, the reset vector, and a loop that answers every
// port read with a constant, until the ROM writes 0xfe to port 0x64. What bench/kvm measures everything else against.
// With "controllers" it makes the VM that Solder makes for virt-x86_64: RAM, the interrupt controllers and the PIT in the
// kernel, and their routes. What the host takes to build and tear down such a VM is nobody's to save.
//   kvm_floor ROM [controllers]
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int die(const char* what) {
  perror(what);
  return 1;
}

static int add_controllers(int vm) {
  struct kvm_pit_config pit = {0};
  if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) return die("KVM_CREATE_IRQCHIP");
  if (ioctl(vm, KVM_CREATE_PIT2, &pit) < 0) return die("KVM_CREATE_PIT2");
  return 0;
}

static int route_pins(int vm) {
  enum { kPins = 24 };
  struct kvm_irq_routing* table = calloc(1, sizeof *table + kPins * sizeof table->entries[0]);
  if (!table) return die("calloc");
  table->nr = kPins;
  for (uint32_t pin = 0; pin < kPins; ++pin) {
    table->entries[pin].gsi = pin;
    table->entries[pin].type = KVM_IRQ_ROUTING_IRQCHIP;
    table->entries[pin].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
    table->entries[pin].u.irqchip.pin = pin;
  }
  int failed = ioctl(vm, KVM_SET_GSI_ROUTING, table) < 0 && die("KVM_SET_GSI_ROUTING");
  free(table);
  return failed;
}

static int map(int vm, uint32_t slot, uint32_t flags, uint64_t at, uint64_t bytes, void* memory) {
  struct kvm_userspace_memory_region region = {slot, flags, at, bytes, (uintptr_t)memory};
  return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 && die("KVM_SET_USER_MEMORY_REGION");
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "controllers") != 0))
    return fprintf(stderr, "kvm_floor ROM [controllers]\n"), 2;
  int controllers = argc == 3;
  int rom = open(argv[1], O_RDONLY);
  struct stat info;
  if (rom < 0 || fstat(rom, &info) != 0) return die(argv[1]);
  void* memory = mmap(0, info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, rom, 0);
  int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) return die("/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) return die("KVM_CREATE_VM");
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
  if (controllers) {
    // RAM before the controllers: a slot waits for the windows that they have put on KVM's buses.
    const uint64_t bytes = 64 << 20;
    void* ram = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED) return die("mmap");
    if (map(vm, 1, 0, 0, bytes, ram) || map(vm, 0, KVM_MEM_READONLY, 0x100000000ull - info.st_size, info.st_size, memory) ||
        add_controllers(vm) || route_pins(vm))
      return 1;
  } else if (map(vm, 0, 0, 0x100000000ull - info.st_size, info.st_size, memory)) {
    return 1;
  }
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
