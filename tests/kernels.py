"""The kernels that modules are built for and that are booted: packages of this distribution.

`python tests/kernels.py` asks apt for the present version of each kernel of KERNELS, downloads it
and unpacks it into a folder of the cache. Nothing is installed. Tests use what is in the cache: the
folder build/kernels, or what the environment names as SEAMIR_KERNELS.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CACHE = Path(os.environ.get("SEAMIR_KERNELS") or ROOT / "build" / "kernels").absolute()
TIME_LIMIT = 600  # seconds for one command; a guard only

# What is needed of the packages that a metapackage leads to: headers and those that they have in
# common, the image (since Linux 7 linux-binary-... has it), the programs of the build, the flags of
# the compiler. Not linux-base, modules, firmware.
_PARTS = re.compile(r"linux-(\S+-)?(headers|image|binary|kbuild|compiler)-")
# What a kernel was unpacked of and where, a line for each package: "NAME VERSION".
_RECORD = "packages"


class Unavailable(Exception):
    """A kernel cannot be had; the text says why."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that was unpacked.

    `release` is what `uname -r` says in it, `headers` the folder for `make -C`, `image` the kernel
    itself as boot loaders take it.
    """

    release: str
    headers: Path
    image: Path

    @property
    def version(self) -> tuple[int, int]:
        """The first two numbers of the release, such as (6, 12)."""
        major, minor = re.split(r"\D", self.release, maxsplit=2)[:2]
        return int(major), int(minor)

    def has(self, option: str) -> bool:
        """Whether it is configured so, such as "CONFIG_X86_KERNEL_IBT"."""
        lines = (self.headers / "include" / "config" / "auto.conf").read_text().splitlines()
        return f"{option}=y" in lines


@dataclass(frozen=True)
class Row:
    """A kernel of a distribution: apt has metapackages linux-headers-NAME and linux-image-NAME.

    `distribution` is the ID of /etc/os-release, `version` its VERSION_ID if only that one has it.
    """

    name: str
    distribution: str
    version: str = ""

    @property
    def metapackages(self) -> tuple[str, str]:
        """They depend on the packages of the present version."""
        return f"linux-headers-{self.name}", f"linux-image-{self.name}"

    @property
    def folder(self) -> Path:
        """Where in the cache it is unpacked."""
        return CACHE / self.name

    @property
    def is_of_this_machine(self) -> bool:
        """Whether the distribution that runs here has it."""
        if platform.machine() != "x86_64":
            return False
        try:
            system = platform.freedesktop_os_release()
        except OSError:
            return False
        return system.get("ID") == self.distribution and self.version in (
            "",
            system.get("VERSION_ID"),
        )


# Cloud kernels are small. Debian 12's first is 6.1, Debian 13's is 6.12. Ubuntu's row could not be
# tried where it was written.
KERNELS = (
    Row("cloud-amd64", "debian"),
    Row("6.12-cloud-amd64", "debian", "12"),
    Row("virtual", "ubuntu"),
)


def kernels() -> list[Kernel]:
    """The kernels in the cache that are of this machine's distribution."""
    found = (unpacked(row) for row in KERNELS if row.is_of_this_machine)
    return [kernel for kernel in found if kernel is not None]


def need_kernel(row: Row) -> Kernel:
    """The kernel from the cache.

    Without it skips the test, with the reason; in CI fails, because CI fetches all that there are.
    """
    kernel = unpacked(row)
    if kernel is not None:
        return kernel
    if in_ci() and row.is_of_this_machine:
        pytest.fail(f"the kernel {row.name} was not fetched")
    pytest.skip(f"no kernel {row.name}: `make test-system` fetches it on {row.distribution}")


def in_ci() -> bool:
    """Whether this is a run of CI, where a kernel less is an error."""
    return os.environ.get("CI") == "true"


def unpacked(row: Row) -> Kernel | None:
    """The kernel in the cache, if it is there."""
    return _kernel_in(row.folder) if (row.folder / _RECORD).is_file() else None


def _kernel_in(tree: Path) -> Kernel:
    """The kernel that packages were unpacked of; raises `Unavailable` if they do not have one."""
    folders = [path.parent for path in tree.glob("usr/src/linux-headers-*/Module.symvers")]
    if len(folders) != 1:
        raise Unavailable(f"there are headers of {len(folders)} kernels in its packages")
    release = folders[0].name.removeprefix("linux-headers-")
    # Packages of Linux 7 have it among the modules.
    images = (tree / "boot" / f"vmlinuz-{release}", tree / "usr/lib/modules" / release / "vmlinuz")
    for image in images:
        if image.exists():
            return Kernel(release, folders[0], image)
    raise Unavailable(f"its packages have no image of {release}")


# -- fetching


def fetch(row: Row) -> Kernel:
    """Puts the present version of a kernel into the cache, if it is not there already.

    Raises `Unavailable`.
    """
    packages = _packages(row)
    lines = [str(row.folder), *(f"{name} {version}" for name, version in packages.items())]
    record = "".join(f"{line}\n" for line in lines)
    with suppress(FileNotFoundError):
        if (row.folder / _RECORD).read_text() == record:
            return _kernel_in(row.folder)
    # What is under its final name is whole: a folder is renamed when everything is in it.
    with tempfile.TemporaryDirectory(prefix=".part-", dir=CACHE) as part:
        tree = Path(part, "tree")
        _unpack(_download(packages, Path(part)), tree)
        _kernel_in(tree)  # raises if there is none
        _relocate(tree, row.folder)
        (tree / _RECORD).write_text(record)
        if row.folder.exists():
            shutil.rmtree(row.folder)
        tree.rename(row.folder)
    return _kernel_in(row.folder)


def _packages(row: Row) -> dict[str, str]:
    """The version of each package that the metapackages lead to, by name."""
    found: dict[str, str] = {}
    names = set(row.metapackages)
    while names:
        records = [_fields(record) for record in _show(names).split("\n\n") if record.strip()]
        found |= {record["Package"]: record["Version"] for record in records}
        if missing := names - found.keys():
            raise Unavailable(f"apt does not offer {', '.join(sorted(missing))}")
        depends = {part for record in records for part in _parts(record.get("Depends", ""))}
        names = depends - found.keys()
    return {name: found[name] for name in sorted(found) if name not in row.metapackages}


def _show(names: Iterable[str]) -> str:
    return _run("apt-cache", "show", "--no-all-versions", *sorted(names))


def _fields(record: str) -> dict[str, str]:
    lines = (line.partition(": ") for line in record.splitlines() if not line.startswith(" "))
    return {name: value for name, _, value in lines}


def _parts(depends: str) -> Iterable[str]:
    """Of "a (>= 1), b | c" the names that are parts of a kernel; of alternatives the first."""
    names = (one.split()[0] for one in depends.split(",") if one.strip())
    return (name for name in names if _PARTS.match(name))


def _download(packages: Iterable[str], folder: Path) -> Sequence[Path]:
    # As root, apt would download as a user who may not write to this folder, and say so.
    _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages, cwd=folder)
    return sorted(folder.glob("*.deb"))


def _unpack(packages: Iterable[Path], tree: Path) -> None:
    for package in packages:
        _run("dpkg", "-x", str(package), str(tree))


def _relocate(tree: Path, folder: Path) -> None:
    """Debian's headers name themselves, and what they have in common, by absolute paths."""
    for makefile in tree.glob("usr/src/linux-headers-*/Makefile"):
        text = makefile.read_text()
        if "include /usr/src/" in text:
            makefile.write_text(text.replace("/usr/src/", f"{folder}/usr/src/"))


def _run(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; raises `Unavailable` with the first error that it reports."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"not installed: {command[0]}") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E: ", "dpkg"))]
        said = lines[0] if lines else f"status {done.returncode}"
        raise Unavailable(f"{' '.join(command[:2])}: {said}")
    return done.stdout


def main() -> int:
    """Fetches every kernel of this distribution and prints a line for each.

    Returns the exit status: 1 if in CI one is missing.
    """
    rows = [row for row in KERNELS if row.is_of_this_machine]
    if not rows:
        print("SKIPPED: no kernel is known that this distribution has for x86-64")
        return 0
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in CACHE.glob(".part-*"):  # of a process that was killed
            shutil.rmtree(left)
        fetched = [_fetch_and_say(row) for row in rows]
    return 0 if all(fetched) or not in_ci() else 1


def _fetch_and_say(row: Row) -> bool:
    """Whether the kernel is in the cache afterwards."""
    try:
        kernel = fetch(row)
    except Unavailable as reason:
        old = unpacked(row)
        if old is None:
            print(f"SKIPPED: kernel {row.name}: {reason} (`apt-get update` may help)")
            return False
        print(f"kept the kernel that is there, since {reason}")
        kernel = old
    print(f"{kernel.release}  {row.folder}")
    return True


if __name__ == "__main__":
    sys.exit(main())
