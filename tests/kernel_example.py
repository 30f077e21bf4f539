"""Builds examples/kernel-module for a kernel, as its README says, and loads it there.

`python tests/kernel_example.py` does so for each kernel in the cache, both ways, and prints what
the modules say.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from boot import Booted, boot
from kernel_modules import Built, run_make
from kernels import ROOT, Kernel, kernels

EXAMPLE = ROOT / "examples" / "kernel-module"
WAYS = ("object", "assembly")
MODULES = ("tdx_calls.ko", "tdx_example.ko")
_SAID = re.compile(r"(?:\[[^]]*\] )?(tdx_example: .*)")


def copy_example(folder: Path) -> None:
    """Puts the files of the example into a folder, without what was made there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Kbuild", "Makefile", "calls.c", "example.c"):
        shutil.copy(EXAMPLE / name, folder)


def build_example(kernel: Kernel, folder: Path, way: str) -> Built:
    """Builds the copy in a folder; `way` is one of WAYS."""
    seamir = Path(sys.executable).with_name("seamir")
    variables = (f"KDIR={kernel.headers}", f"WAY={way}", f"SEAMIR={seamir}")
    # What make itself prints is its commands: -s is for "silent".
    return run_make("-s", "-C", folder, *variables)


def load_example(kernel: Kernel, files: Mapping[str, bytes]) -> Booted:
    """Boots the kernel and loads the example's modules, which are among the files."""
    load = [f"insmod /{name}" for name in MODULES]
    unload = [f"rmmod {Path(name).stem}" for name in reversed(MODULES)]
    return boot(kernel, {name: files[name] for name in MODULES}, [*load, *unload])


def said(booted: Booted) -> list[str]:
    """What the example's module said."""
    return [found[1] for found in map(_SAID.fullmatch, booted.log.splitlines()) if found]


def main() -> int:
    """Returns the exit status: 1 if a kernel complains, or the build."""
    found = kernels()
    if not found:
        print("SKIPPED: no kernel was fetched")
    try:
        silent = [_show(kernel, way) for kernel in found for way in WAYS]
    except pytest.skip.Exception as reason:  # a program is missing
        print(f"SKIPPED: {reason}")
        return 0
    return 0 if all(silent) else 1


def _show(kernel: Kernel, way: str) -> bool:
    """Prints what the modules say in a kernel; returns whether nobody complained."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_example(folder)
        built = build_example(kernel, folder, way)
        complaints, lines = built.complaints, []
        if built.status == 0:
            files = {path.name: path.read_bytes() for path in folder.glob("*.ko")}
            booted = load_example(kernel, files)
            complaints, lines = complaints + booted.complaints(), said(booted)
    print(f"{kernel.release}, as {'an object' if way == 'object' else way}:")
    print("\n".join(lines + complaints))
    return not complaints


if __name__ == "__main__":
    sys.exit(main())
