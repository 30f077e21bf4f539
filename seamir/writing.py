"""Writing outputs: each file appears complete or not at all, and only when it changed."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from seamir.diagnostics import fail, printable
from seamir.staging import remove_leftovers, staging_folder

_NOT_IN_RULES = frozenset("%;=|")  # nothing quotes these in a rule


def write_files(
    files: Mapping[Path, bytes],
    inputs: Iterable[str] = (),
    depfiles: Mapping[Path, bytes] | None = None,
) -> dict[Path, bool]:
    """Writes `files` (path to bytes) and then `depfiles`; none of them if one cannot be written.

    Folders are made if needed. `inputs` are absolute paths that must not be replaced. Files that
    have the bytes already keep their time stamp; through a symbolic link its target is written.
    Only regular files are replaced. A process that is killed leaves each file as it was or
    complete, and what else it leaves is removed by the next one. Returns for each path whether it
    changed. Raises SeamError.
    """
    path = Path()
    depfiles = depfiles or {}
    contents = {**files, **depfiles}
    try:
        places = _places(files, depfiles, inputs)
        with ExitStack() as cleaning, ExitStack() as undoing:
            staging: dict[str, str | None] = {}  # None: no file of the folder changes
            pending: list[tuple[str, str]] = []
            for place, path in places.items():
                folder = os.path.dirname(place)
                if folder not in staging:
                    _make_folder(folder)
                    remove_leftovers(folder)
                    staging[folder] = None
                if _has(place, contents[path]):
                    continue
                room = staging[folder] or cleaning.enter_context(staging_folder(folder))
                staging[folder] = room
                waiting = os.path.join(room, str(len(pending)))
                _write_new(waiting, contents[path])
                pending.append((waiting, place))
            for waiting, place in pending:
                path = places[place]
                undoing.callback(_put_back, place, _keep(place, f"{waiting}.old"))
                os.replace(waiting, place)
            undoing.pop_all()  # all are there: nothing is undone
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E0808", f"cannot write `{path}`: {reason}") from error
    changed = {place for _, place in pending}
    return {path: place in changed for place, path in places.items()}


def _places(
    files: Mapping[Path, bytes], depfiles: Mapping[Path, bytes], inputs: Iterable[str]
) -> dict[str, Path]:
    """The path as given of each place that is to be written."""
    names = frozenset(inputs)
    identities = frozenset(filter(None, map(_identity, names)))
    places: dict[str, Path] = {}
    for path in (*files, *depfiles):
        place = os.path.realpath(path)
        if place in names or _identity(place) in identities:
            raise fail("E0808", f"the output `{path}` would replace an input")
        if place in places and path in depfiles:
            raise fail("E0808", f"the depfile would replace the output `{places[place]}`")
        if place in places:
            raise fail("E0808", f"two outputs would be written as `{path}`")
        if os.path.isdir(place):
            raise fail("E0808", f"cannot write `{path}`: it is a directory")
        if os.path.exists(place) and not os.path.isfile(place):
            raise fail("E0808", f"cannot write `{path}`: it is not a regular file")
        places[place] = path
    return places


def _identity(path: str) -> tuple[int, int] | None:
    """What is the same for all names of a file; None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError:  # which would read as if the output were there
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def _has(place: str, data: bytes) -> bool:
    try:
        return os.path.getsize(place) == len(data) and Path(place).read_bytes() == data
    except OSError:
        return False


def _write_new(place: str, data: bytes) -> None:
    # The system applies the umask: reading it would change it for all threads.
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _keep(place: str, name: str) -> str | None:
    """Gives what is at a place a second name, to put it back by; None if nothing is there."""
    if not os.path.exists(place):
        return None
    try:
        os.link(place, name)
    except OSError:  # not every file system or file can have two names
        shutil.copy2(place, name)
    return name


def _put_back(place: str, kept: str | None) -> None:
    with suppress(OSError):  # the error that led here is the one to tell
        if kept is None:
            os.unlink(place)
        else:
            os.replace(kept, place)


def depfile_text(outputs: Iterable[str], inputs: Iterable[str]) -> str:
    """A rule for make and ninja: the outputs depend on the inputs.

    Outputs stand there as spelled, since make takes `build/x.o` and `/home/build/x.o` for two
    files, and then with absolute paths, as all inputs do; ninja needs `deps = gcc` for that.
    Raises SeamError if a path has a character that no rule can express.
    """
    spelled = list(outputs)
    both = dict.fromkeys((*spelled, *map(os.path.abspath, spelled)))
    targets = " ".join(map(_escape, both))
    sources = " ".join(_escape(path) for path in inputs)
    return f"{targets}: {sources}\n"


def _escape(path: str) -> str:
    """The path as make reads it."""
    wrong = next((c for c in path if c in _NOT_IN_RULES or c < " "), None)
    if wrong is not None:
        message = f"a depfile cannot name `{printable(path)}`"
        raise fail("E0808", message, help=f"make gives {wrong!r} another meaning")
    # Backslashes count only before what they could quote.
    return re.sub(r"(\\*)([ #:])", r"\1\1\\\2", path).replace("$", "$$")
