"""Writes files and is killed, at each of the system calls that this takes; says what is left.

    python tests/killed_writer.py FOLDER

For each system call there is a child that dies before it, or in the middle of it if it writes. A
line of JSON for each has what was in FOLDER after its death, and after the next one that writes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from command_line import LEAVES

import seamir

CALLS = ("mkdir", "open", "link", "replace", "unlink", "rmdir", "close")
KINDS = ("obj", "asm", "llvm-ir", "header", "manifest", "docs")


class Death:
    """Counts system calls, and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def passes(self) -> bool:
        """Whether this call may do all of its work; dies if it is the one, and its work is none."""
        self._left -= 1
        return self._left > 0

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, after a death if it is time."""

        def call(*arguments: Any, **named: Any) -> Any:
            if not self.passes():
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    def opening(self, function: Callable[..., BinaryIO]) -> Callable[..., Any]:
        """`os.fdopen`, with streams that may die when half is written."""

        def call(*arguments: Any) -> Any:
            return HalfWritten(function(*arguments), self)

        return call


class HalfWritten:
    """A stream; the process may die in the middle of a write."""

    def __init__(self, stream: BinaryIO, death: Death) -> None:
        self._stream, self._death = stream, death

    def __enter__(self) -> HalfWritten:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> int:
        """Writes it all, or half of it and no more."""
        if self._death.passes():
            return self._stream.write(data)
        self._stream.write(data[: len(data) // 2])
        self._stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def compiled(retries: int) -> seamir.Compilation:
    """Outputs that differ with the number."""
    text = LEAVES.replace("retry 9", f"retry {retries}").replace("a page", f"{retries} pages")
    return seamir.compile(seamir.load_text(text, "leaves.seam"), emit=KINDS)


def contents(folder: Path) -> dict[str, str]:
    """The files in a folder by name, with digests."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def prepare(folder: Path, old: seamir.Compilation) -> None:
    """A folder with some of the old outputs, and one that is a link."""
    shutil.rmtree(folder, ignore_errors=True)
    old.write(folder / "there")
    old.write(folder)
    (folder / "leaves.json").unlink()
    (folder / "leaves.h").unlink()
    (folder / "leaves.h").symlink_to("there/leaves.h")


def die(folder: Path, new: seamir.Compilation, at: int) -> int:
    """Writes in a child that dies at its call number `at`; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            death = Death(at)
            for name in CALLS:
                setattr(os, name, death.before(getattr(os, name)))
            os.fdopen = death.opening(os.fdopen)
            new.write(folder, depfile=folder / "deps/leaves.d")
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Lets children die until one lives."""
    folder = Path(sys.argv[1]).absolute()
    old, new = compiled(3), compiled(5)
    prepare(folder, old)
    before = contents(folder)
    new.write(folder, depfile=folder / "deps/leaves.d")
    print(json.dumps({"before": before, "wanted": contents(folder)}))
    at, status = 0, signal.SIGKILL.value
    while status == signal.SIGKILL:
        at += 1
        prepare(folder, old)
        status = die(folder, new, at)
        left = contents(folder)
        new.write(folder, depfile=folder / "deps/leaves.d")
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        print(json.dumps({"status": status, "left": left, "then": contents(folder), "all": names}))


if __name__ == "__main__":
    main()
