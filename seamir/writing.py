"""Writing outputs: each file appears complete or not at all, and only when it changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from seamir.diagnostics import fail


def write_files(
    folder: Path, files: Mapping[str, bytes], inputs: Iterable[str] = ()
) -> tuple[Path, ...]:
    """Writes `files` (name to bytes) into `folder`; none of them if one cannot be written.

    `inputs` are absolute paths that must not be replaced. Files that have the bytes already keep
    their time stamp. Raises SeamError.
    """
    forbidden = set(inputs)
    for name in files:
        if os.path.realpath(folder / name) in forbidden:
            raise fail("E0808", f"the output `{folder / name}` would replace an input")
        if (folder / name).is_dir():
            raise fail("E0808", f"cannot write `{folder / name}`: it is a directory")
    pending: list[tuple[str, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            if not _has(folder / name, data):
                pending.append((_write_beside(folder, name, data), folder / name))
        while pending:
            temporary, final = pending[0]
            os.replace(temporary, final)
            pending.pop(0)
    except OSError as error:
        place = error.filename2 or error.filename or folder
        raise fail("E0808", f"cannot write into `{folder}`: {error.strerror} ({place})") from error
    finally:
        for temporary, _ in pending:
            Path(temporary).unlink(missing_ok=True)
    return tuple(folder / name for name in files)


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write_beside(folder: Path, name: str, data: bytes) -> str:
    """Writes a temporary file in the same folder, so that renaming it is atomic."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return temporary


def depfile_text(outputs: Iterable[Path], inputs: Iterable[str]) -> str:
    """A rule for make: the outputs depend on the inputs. All paths are absolute."""
    targets = " ".join(_escape(os.path.abspath(path)) for path in outputs)
    sources = " ".join(_escape(path) for path in inputs)
    return f"{targets}: {sources}\n"


def _escape(path: str) -> str:
    """The path as make reads it."""
    for character in ("\\", " ", "#"):
        path = path.replace(character, "\\" + character)
    return path.replace("$", "$$")
