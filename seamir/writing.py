"""Writing outputs: each file appears complete or not at all, and only when it changed."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from seamir.diagnostics import fail, printable

_NOT_IN_RULES = frozenset("%;=|")  # nothing quotes these in a rule


def write_files(files: Mapping[Path, bytes], inputs: Iterable[str] = ()) -> dict[Path, bool]:
    """Writes `files` (path to bytes); none of them if one cannot be written.

    Folders are made if needed. `inputs` are absolute paths that must not be replaced. Files that
    have the bytes already keep their time stamp; through a symbolic link its target is written.
    Only regular files are replaced. Returns for each path whether it changed. Raises SeamError.
    """
    temporaries: list[str] = []
    path = Path()
    try:
        places = _places(files, frozenset(inputs))
        pending: list[tuple[str, str]] = []
        for place, path in places.items():
            _make_folder(os.path.dirname(place))
            if not _has(place, files[path]):
                temporary = _temporary_name(place)
                temporaries.append(temporary)
                _write_new(temporary, files[path])
                pending.append((temporary, place))
        for temporary, place in pending:
            path = places[place]
            os.replace(temporary, place)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E0808", f"cannot write `{path}`: {reason}") from error
    finally:
        for temporary in temporaries:
            _remove(temporary)
    changed = {place for _, place in pending}
    return {path: place in changed for place, path in places.items()}


def _places(files: Mapping[Path, bytes], inputs: frozenset[str]) -> dict[str, Path]:
    """The path as given of each place that is to be written."""
    places: dict[str, Path] = {}
    for path in files:
        place = os.path.realpath(path)
        if place in inputs:
            raise fail("E0808", f"the output `{path}` would replace an input")
        if place in places:
            raise fail("E0808", f"two outputs would be written as `{path}`")
        if os.path.isdir(place):
            raise fail("E0808", f"cannot write `{path}`: it is a directory")
        if os.path.exists(place) and not os.path.isfile(place):
            raise fail("E0808", f"cannot write `{path}`: it is not a regular file")
        places[place] = path
    return places


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


def _temporary_name(place: str) -> str:
    """A new name in the same folder, so that renaming is atomic."""
    return os.path.join(os.path.dirname(place), f".seamir-{os.urandom(8).hex()}.tmp")


def _write_new(place: str, data: bytes) -> None:
    # The system applies the umask: reading it would change it for all threads.
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _remove(place: str) -> None:
    with suppress(OSError):  # renamed already, or never made
        os.unlink(place)


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
