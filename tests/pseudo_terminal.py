"""Runs the command `seamir` on a terminal of its own, and says what a person sees there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte
from command_line import environment

ROWS = 600  # so that nothing scrolls away
_CHOICES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "MAKELEVEL", "MAKEFLAGS")
# Called with what the terminal got so far, the process, and the terminal.
Watch = Callable[[bytes, subprocess.Popen[bytes], int], None]
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Seen:
    """What came of a command: `data` is what the terminal got, `piped` what the file got."""

    status: int
    data: bytes
    piped: str
    screen: Any

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, up to the last one that is not empty."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    @property
    def has_colours(self) -> bool:
        """Whether the terminal was told to change colours, or to write in bold."""
        return _COLOURS.search(self.data) is not None

    @property
    def orders(self) -> bytes:
        """What the terminal got but for colours."""
        return _COLOURS.sub(b"", self.data)

    def looks(self, words: str) -> set[tuple[str, bool]]:
        """The colours of words where they stand first, and whether they are bold."""
        for y, line in enumerate(self.screen.display):
            x = line.find(words)
            if x >= 0:
                cells = [self.screen.buffer[y][x + i] for i in range(len(words))]
                return {(cell.fg, cell.bold) for cell in cells}
        raise AssertionError(f"{words!r} is not on the screen:\n" + "\n".join(self.lines))


def look(
    *arguments: str | Path,
    cwd: Path,
    columns: int = 100,
    env: Mapping[str, str] | None = None,
    piped: str = "",
    before: str = "",
    watch: Watch | None = None,
) -> Seen:
    """Runs `seamir` with its output on a terminal; `piped`, "stdout" or "stderr", goes to a file.

    `before` is Python that runs first in the same process. `watch` is called when there is more.
    """
    program = f"import sys\n{before}\nfrom seamir.__main__ import run\nrun()"
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    file = cwd / ".piped"
    with file.open("wb") as other:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=cwd,
            env=_environment(env or {}),
            stdin=slave,
            stdout=other if piped == "stdout" else slave,
            stderr=other if piped == "stderr" else slave,
        )
    os.close(slave)
    data = _read(master, process, watch)
    status = process.wait(timeout=100)
    text = file.read_text(encoding="utf-8")
    file.unlink()
    assert b"Traceback" not in data, data.decode()
    screen = pyte.Screen(columns or 80, ROWS)
    pyte.ByteStream(screen).feed(data)
    return Seen(status, data, text, screen)


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in environment().items() if name not in _CHOICES}
    return {**own, "TERM": "xterm-256color", **changes}


def _read(master: int, process: subprocess.Popen[bytes], watch: Watch | None) -> bytes:
    data = b""
    with suppress(OSError):  # nobody has the terminal open any more, or the watcher closed it
        while more := os.read(master, 65536):
            data += more
            if watch is not None:
                watch(data, process, master)
    with suppress(OSError):  # the watcher closed it
        os.close(master)
    return data
