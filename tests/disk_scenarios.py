"""Disks that are full or read-only, and folders of others: what is written there, and what is said.

    unshare --mount python tests/disk_scenarios.py NAME FOLDER

Mounts what it needs below FOLDER; `unshare` lets the mounts end with the process. Prints a line of
JSON for each attempt: what was said, and what was in the folder before and after.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from command_line import LEAVES, outcome_of
from killed_writer import compiled, contents

import seamir

PAGE = 4096  # bytes; a tmpfs has whole ones


def mount(folder: Path, options: str, source: str = "none") -> None:
    """Mounts a file system in memory, or what else the options say."""
    kind = ["-t", "tmpfs"] if source == "none" else []
    subprocess.run(["mount", *kind, "-o", options, source, str(folder)], check=True, timeout=60)


def unmount(folder: Path) -> None:
    """Undoes `mount`."""
    subprocess.run(["umount", str(folder)], check=True, timeout=60)


def attempt(folder: Path, made: seamir.Compilation) -> None:
    """Writes, and prints what came of it."""
    before, said = contents(folder), None
    try:
        made.write(folder)
    except seamir.SeamError as error:
        said = [[entry.code, entry.message] for entry in error.diagnostics]
    names = sorted(path.name for path in folder.rglob("*"))
    report = {"said": said, "before": before, "after": contents(folder), "all": names}
    print(json.dumps(report), flush=True)


def full(folder: Path) -> None:
    """A disk that has room for more and more, with nothing on it and with old outputs."""
    old, new = compiled(3), compiled(5)
    pages = sum(len(output.data) // PAGE + 1 for output in new.outputs.values())
    for room in range(1, 2 * pages + 4):
        for is_old in (False, True):
            mount(folder, f"size={room * PAGE}")
            if is_old:
                try:
                    old.write(folder)
                except seamir.SeamError:  # there is no room for these, and none for others
                    unmount(folder)
                    continue
            attempt(folder, new)
            unmount(folder)


def without_names(folder: Path) -> None:
    """A disk that has room for more and more files, of any size."""
    new = compiled(5)
    for files in range(1, 12):
        mount(folder, f"nr_inodes={files}")
        attempt(folder, new)
        unmount(folder)


def read_only(folder: Path) -> None:
    """A disk that may not be written to: other outputs, then the same."""
    old, new = compiled(3), compiled(5)
    mount(folder, "size=4m")
    old.write(folder)
    mount(folder, "remount,ro")
    attempt(folder, new)
    attempt(folder, old)
    unmount(folder)


def busy(folder: Path) -> None:
    """Each output in turn cannot be replaced, because something is mounted there."""
    old, new = compiled(3), compiled(5)
    other = folder.with_name("other")
    other.write_bytes(b"mounted")
    for output in new.outputs.values():
        mount(folder, "size=4m")
        old.write(folder)
        place = folder / f"leaves{output.suffix}"
        mount(place, "bind", str(other))
        attempt(folder, new)
        unmount(place)
        unmount(folder)


def of_another(folder: Path) -> None:
    """The folder belongs to another user; this one is none that may do everything."""
    old, new = compiled(3), compiled(5)
    mount(folder, "size=4m,mode=755")
    old.write(folder)
    os.chdir(folder)
    for place in folder.parents:  # else no path below leads anywhere
        if not place.stat().st_mode & 1:
            place.chmod(place.stat().st_mode | 1)
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
    attempt(folder, new)
    attempt(folder, old)


def by_command(folder: Path) -> None:
    """What the command says of a full disk, and of one that may not be written to."""
    source = folder.with_name("leaves.seam")
    source.write_text(LEAVES)
    for options in ("nr_inodes=2", "ro"):
        mount(folder, options)
        done = outcome_of("compile", str(source), "-o", str(folder))
        print(json.dumps({"status": done.returncode, "said": done.stderr}), flush=True)
        unmount(folder)


SCENARIOS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (full, without_names, read_only, busy, of_another, by_command)
}


def main() -> None:
    """Plays a scenario."""
    folder = Path(sys.argv[2]).absolute()
    folder.mkdir()
    SCENARIOS[sys.argv[1]](folder)


if __name__ == "__main__":
    main()
