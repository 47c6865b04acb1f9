#include "cli/subcommands.h"
#include "machine/boards.h"

namespace solder::cli {

void MachineOptions::add_to(CLI::App& app, bool positional) {
  if (positional)
    app.add_option(
        "MACHINE", machines,
        "a built-in board, or .dts, .dtb and .dtbo files; composed in order, later wins (default: virt-arm64)");
  app.add_option("--machine", machines, "the same as MACHINE")->allow_extra_args(false);
  app.add_option("--kernel", kernel, "the kernel: an Image, gzip-compressed or not, EFI stub or not")
      ->type_name("FILE")
      ->take_last();
  app.add_option("--firmware", firmware, "a ROM image that the CPUs start in, instead of a kernel")
      ->type_name("FILE")
      ->take_last();
  app.add_option("--initrd", initrd, "the initial RAM disk")->type_name("FILE")->take_last();
  app.add_option("--append", append, "added to the kernel's command line")->type_name("TEXT")->take_last();
  app.add_option("--cpus", cpus, "how many CPUs")->type_name("N")->take_last();
  app.add_option("--irqchip", irqchip,
                 "where the interrupt controllers live: kernel (KVM), split (x86: only the local APICs) or user (here)")
      ->type_name("MODE")
      ->take_last();
  app.add_option("--memory", memory, "how much RAM: 512M, 2G")->type_name("SIZE")->take_last();
  app.add_option("--disk", disks, "a raw disk image on a virtio slot: FILE[,readonly]; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--net", networks, "a network on a virtio slot: user[,forward=tcp:HOST:GUEST], tap=NAME or none")
      ->type_name("NET")
      ->allow_extra_args(false);
  app.add_option("--console", console, "where the console goes: stdio, file=F, pty, unix=F or null")
      ->type_name("WHERE")
      ->take_last();
}

Result<std::unique_ptr<tree::Tree>> MachineOptions::compose() const {
  machine::Shorthand shorthand;
  shorthand.cpus = cpus;
  if (!memory.empty()) shorthand.memory = SOLDER_TRY(machine::parse_size(memory, "--memory"));
  shorthand.disks = disks;
  shorthand.networks = networks;
  if (!console.empty()) shorthand.console = console;
  if (!irqchip.empty()) shorthand.irqchip = irqchip;
  if (!append.empty()) shorthand.append = append;
  if (!kernel.empty()) shorthand.kernel = kernel;
  if (!firmware.empty()) shorthand.firmware = firmware;
  if (!initrd.empty()) shorthand.initrd = initrd;
  auto tree = SOLDER_TRY(machine::compose_machine(machines));
  return machine::apply_shorthand(std::move(tree), shorthand);
}

}  // namespace solder::cli
