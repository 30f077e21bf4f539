"""Golden files on disk: compared with what is made, written, and those that nothing makes.

Takes texts by path; returns differences as text, and the paths of what was written. Raises
SeamError if a file cannot be read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from seamir.diagnostics import fail
from seamir.golden.differences import difference, listing_difference
from seamir.golden.texts import KEPT
from seamir.writing import write_files

_LISTING = KEPT["listing"].suffix


def compare(path: Path, made: str, label: str) -> str:
    """How a file differs from the text made now, as text; "" if it does not.

    `label` is how the file is called. Raises SeamError if it cannot be read.
    """
    kept = _read(path)
    if kept is None:
        return f"{label} is missing"
    differ = listing_difference if path.suffix == _LISTING else difference
    return "\n".join(differ(label, kept, made))


def write_changed(made: Mapping[Path, str], inputs: Iterable[str] = ()) -> list[Path]:
    """Writes the files whose text is another one; all or none. Returns the paths of these.

    `inputs` are absolute paths that must not be replaced. Raises SeamError if a file cannot be
    read or written.
    """
    changed = {path: text for path, text in made.items() if _read(path) != text}
    write_files({path: text.encode("utf-8") for path, text in changed.items()}, inputs)
    return list(changed)


def unused(folder: Path, used: Iterable[Path]) -> list[Path]:
    """Files of a folder whose names are those of golden files, NAME.TARGET.SUFFIX, and not used."""
    suffixes = {kind.suffix for kind in KEPT.values()}
    paths = folder.iterdir() if folder.is_dir() else ()
    named = {path for path in paths if path.suffix in suffixes and "." in path.stem}
    return sorted(named - set(used))


def _read(path: Path) -> str | None:
    """The text of a file, None if there is none; line ends of any system are the same."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise fail("E0101", f"cannot read `{path}`: {error.strerror}") from error
