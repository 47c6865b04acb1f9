"""The two sides of every comparison: how Solder and its peer run the same guest, and how a run is measured."""

import os
import re
import select
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUESTS = os.path.join(ROOT, ".cache", "guests", "arm64")


def solder_command(kernel, initrd, append, cpus, memory):
    return [os.path.join(ROOT, "build", "solder"), "run", "--accel", "translator", "--cpus", str(cpus), "--memory",
            f"{memory}M", "--net", "none", "--no-reboot", "--kernel", kernel, "--initrd", initrd, "--append", append]


def qemu_command(kernel, initrd, append, cpus, memory):
    """Matched: the same board, a CPU model without pointer authentication, a thread for each vCPU."""
    return ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi",
            "-smp", str(cpus), "-m", str(memory), "-nographic", "-nic", "none", "-no-reboot", "-kernel", kernel,
            "-initrd", initrd, "-append", append]


SIDES = {"solder": solder_command, "qemu": qemu_command}


class Run:
    """One finished run: the console's text, wall seconds to the marker, CPU seconds and peak memory of the process."""

    def __init__(self, text, marker_seconds, cpu_seconds, peak_kib):
        self.text = text
        self.marker_seconds = marker_seconds
        self.cpu_seconds = cpu_seconds
        self.peak_kib = peak_kib


def run(command, marker, timeout):
    """Starts `command` and reads its console until it ends. The clock runs from exec to the first line with `marker`."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = b""
    seen = None
    while True:
        left = start + timeout - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            process.kill()
            process.wait()
            sys.exit(f"{command[0]}: no end after {timeout} s; the console's last lines:\n" +
                     text.decode(errors="replace")[-2000:])
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        text += chunk
        if seen is None and marker.encode() in text:
            seen = time.monotonic() - start
    _, _, usage = os.wait4(process.pid, 0)
    if seen is None:
        sys.exit(f"{command[0]}: the guest never printed {marker!r}; the console's last lines:\n" +
                 text.decode(errors="replace")[-2000:])
    return Run(text.decode(errors="replace"), seen, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def require(*programs):
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: run scripts/dependencies --tests")
    if not os.path.exists(os.path.join(ROOT, "build", "solder")):
        sys.exit("build/solder is missing: run ./run --build")
    if not os.path.exists(os.path.join(GUESTS, "vmlinuz-cloud")):
        sys.exit("the guest kernels are missing: run scripts/fetch-guest")


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def geometric_mean(values):
    product = 1.0
    for value in values:
        product *= value
    return product ** (1 / len(values))


def version(program):
    line = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return re.sub(r"\s*\(.*\)$", "", line)
