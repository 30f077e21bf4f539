"""Boots a kernel under qemu with some files and commands, and judges what it says.

The processor is emulated: any machine will do, and there is no TDX module. What was found is in
the log alone. qemu's exit status says nothing: it is 0 after a panic as well.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from kernels import Kernel
from tools import need

TIME_LIMIT = 120  # seconds for one boot; a guard only
MEMORY = 512 << 20  # bytes
# A range of physical addresses that the kernel leaves alone, and the host sees.
SHARED_START = 256 << 20
SHARED_SIZE = 208 << 20

OWN_TAINT = 1 << 12 | 1 << 13  # a module from elsewhere, and one without a signature
FINAL_LINE = "the test's commands ended"
TAINT = "the kernel's taint:"
# What no line of a log may have.
_BAD_NEWS = re.compile(
    r"Oops|\bBUG\b|WARNING:|Call Trace|Kernel panic|invalid opcode|general protection|"
    r"stack segment|double fault|page fault|detected stall|soft lockup|hung_task|"
    r"[Uu]nknown symbol|disagrees about version"
)
# An oops is a panic, and a panic ends qemu, by a triple fault. A kernel that measures the frequency
# of the time stamps fails on a busy host, and waits forever for a timer that this machine has not.
_COMMAND_LINE = "console=ttyS0 oops=panic panic=-1 reboot=t tsc_early_khz=2600000 tsc=reliable"
_AFTER_PANIC = 5  # seconds for a kernel to say all
_INTERPRETER = 3  # the kind of program header that a program has which is linked dynamically

_INIT = """\
#!/bin/busybox sh
set -e
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
{commands}
# Through the kernel, so that none of its own lines comes between.
echo "{taint} $(cat /proc/sys/kernel/tainted)" >/dev/kmsg
echo "{final}" >/dev/kmsg
poweroff -f
"""


@dataclass(frozen=True)
class Booted:
    """What came of a boot: all that was printed, and the shared memory afterwards."""

    log: str
    shared: bytes

    def complaints(self, taint: int = OWN_TAINT) -> list[str]:
        """What is wrong with the log; empty if the commands ended and the kernel is as before.

        `taint` is the value that the kernel is to have afterwards, in /proc/sys/kernel/tainted.
        """
        lines = self.log.splitlines()
        found = [line for line in lines if _BAD_NEWS.search(line)]
        if FINAL_LINE not in self.log:
            return [*found, "the log does not end as it should; its last lines:", *lines[-12:]]
        # Not by lines: what a program prints without ending the line stands before the kernel's.
        taints = re.findall(rf"{TAINT} (\d+)", self.log)
        if taints != [f"{taint}"]:
            found.append(f"{TAINT} {' '.join(taints) or 'not said'} instead of {taint}")
        return found


def boot(
    kernel: Kernel, files: Mapping[str, bytes], commands: Sequence[str], shared: bytes = b""
) -> Booted:
    """Boots a kernel, with files in its root folder, and runs commands as a shell does.

    `shared` is put at the beginning of the shared memory, which has to be large enough. A command
    that fails ends the run. Skips the test, with the reason, if qemu or busybox is missing.
    """
    if len(shared) > SHARED_SIZE:
        raise ValueError(f"{len(shared)} bytes are more than the {SHARED_SIZE} that are shared")
    need("qemu-system-x86_64", "busybox")
    init = _INIT.format(commands="\n".join(commands), taint=TAINT, final=FINAL_LINE)
    contents = {**files, "init": init.encode(), "bin/busybox": _busybox()}
    with tempfile.TemporaryDirectory(prefix="seamir-boot-", dir=_in_memory()) as name:
        folder = Path(name)
        (folder / "initramfs").write_bytes(cpio(contents, ("bin", "dev", "proc")))
        with (folder / "memory").open("wb") as memory:
            memory.truncate(MEMORY)
            memory.seek(SHARED_START)
            memory.write(shared)
        log = _run(kernel, folder)
        with (folder / "memory").open("rb") as memory:
            memory.seek(SHARED_START)
            return Booted(log, memory.read(SHARED_SIZE))


def _busybox() -> bytes:
    content = Path(shutil.which("busybox") or "").read_bytes()
    start, size, count = struct.unpack_from("<32xQ14xHH", content)  # the ELF's program headers
    kinds = [struct.unpack_from("<I", content, start + size * i)[0] for i in range(count)]
    if _INTERPRETER in kinds:
        pytest.skip("booting needs a busybox that is linked statically: busybox-static")
    return content


def _in_memory() -> str | None:
    """A folder in memory, if one has room: guests are slow on a file that is written to a disk."""
    folder = "/dev/shm"
    if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * MEMORY:
        return folder
    return None


def _run(kernel: Kernel, folder: Path) -> str:
    backend = f"memory-backend-file,id=ram,size={MEMORY},share=on,mem-path={folder / 'memory'}"
    line = f"{_COMMAND_LINE} memmap={SHARED_SIZE:#x}${SHARED_START:#x}"
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-accel", "tcg", "-M", "microvm,memory-backend=ram", "-cpu", "max", "-smp", "1",
        "-m", f"{MEMORY >> 20}", "-object", backend,
        "-kernel", str(kernel.image), "-initrd", str(folder / "initramfs"), "-append", line,
    ]  # fmt: skip
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            in_time = _wait(process, Path(log.name))
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        text = log.read().decode("utf-8", "replace").replace("\r", "")
        return text if in_time else f"{text}\nqemu was ended after {TIME_LIMIT} seconds\n"


def _wait(process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether qemu ends in its time; not for long after a panic, where a kernel may hang."""
    end = time.monotonic() + TIME_LIMIT
    while time.monotonic() < end:
        panicked = b"Kernel panic" in log.read_bytes()
        try:
            process.wait(_AFTER_PANIC if panicked else 1)
            return True
        except subprocess.TimeoutExpired:
            if panicked:
                return True
    return False


# -- the root folder


def cpio(files: Mapping[str, bytes], folders: Sequence[str]) -> bytes:
    """An archive as the kernel unpacks it (newc); all files are executable."""
    parts = [_member(name, 0o040755, b"") for name in folders]
    parts += [_member(name, 0o100755, content) for name, content in files.items()]
    return b"".join([*parts, _member("TRAILER!!!", 0, b"")])


def _member(name: str, mode: int, content: bytes) -> bytes:
    # Inode, mode, owner, group, links, time, size, device, special device, length of the name, sum.
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return b"".join(part + bytes(-len(part) % 4) for part in (header, content))
