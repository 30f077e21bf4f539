"""Reading descriptions safely: only regular files, only UTF-8, only within the limits.

Imports name files below the importing file's folder, below the folders given by the user, or in
the shipped library; they cannot reach anywhere else, through `..` or through symbolic links.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from seamir.diagnostics import fail
from seamir.source import Source, Span, readable_name

MAXIMUM_FILE = 16 * 1024 * 1024  # bytes
MAXIMUM_LINE = 64 * 1024  # characters

# Control characters, line ends that few editors show, and what changes the direction of text.
_NOT_TEXT = re.compile(
    "\r(?!\n)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_IMPORT = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*\.seam")


def library_folder() -> Path:
    """The folder of the shipped leaf library."""
    return Path(str(files("seamir") / "leaves"))


def read_file(path: Path, name: str, logical_name: str, where: Span | None = None) -> Source:
    """Reads a description.

    `name` is what diagnostics call it; `where` is the import that asked for it, if any. Raises
    SeamError if the file cannot be read, is no regular file, is too large or is not UTF-8.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E0101", f"cannot read `{name}`: {reason}", where) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise fail("E0102", f"`{name}` is {kind}", where)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            data = stream.read(MAXIMUM_FILE + 1)
        except OSError as error:
            raise fail("E0101", f"cannot read `{name}`: {error.strerror}", where) from error
    return make_source(data, name, logical_name, str(path.absolute()), where)


def make_source(
    data: bytes, name: str, logical_name: str, path: str | None = None, where: Span | None = None
) -> Source:
    """A source from bytes, within the limits; raises SeamError otherwise."""
    logical_name = readable_name(logical_name)
    if len(data) > MAXIMUM_FILE:
        raise fail("E0103", f"`{name}` is larger than {MAXIMUM_FILE >> 20} MiB", where)
    data = data.removeprefix(codecs.BOM_UTF8)  # some editors put a mark there
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = Source(name, data[: error.start].decode("utf-8"), logical_name, path)
        place = Span(before, len(before.text), len(before.text))
        byte = data[error.start]
        message = f"byte {byte:#04x} is not UTF-8"
        raise fail("E0104", message, place, help="descriptions are UTF-8 text") from error
    source = Source(name, text, logical_name, path)
    _check_text(source)
    return source


def _check_text(source: Source) -> None:
    for start, following in pairwise([*source.line_starts, len(source.text) + 1]):
        if following - start > MAXIMUM_LINE + 1:
            message = f"this line is longer than {MAXIMUM_LINE >> 10} KiB"
            raise fail("E0103", message, Span(source, start, start + 1))
    found = _NOT_TEXT.search(source.text)
    if found is not None:
        span = Span(source, *found.span())
        code = f"U+{ord(found.group()):04X}"
        if found.group() == "\r":
            message = f"a carriage return ({code}) that ends no line"
            help = "lines end with a line feed, or with both"
        else:
            message = f"a control character ({code})"
            help = "it could make the file look like what it is not; remove it"
        raise fail("E0104", message, span, help=help)


def find_named(name: str, include: Sequence[str]) -> tuple[Path, str]:
    """The file that a user names, and its logical name.

    Looked for as a path, then below each folder of `include`, then in the library. Raises
    SeamError if it is nowhere.
    """
    if name and "\0" not in name:
        direct = Path(name)
        if _exists(direct):
            return direct, direct.name
        if _IMPORT.fullmatch(name):
            for folder in (*map(Path, include), library_folder()):
                if _exists(folder / name):
                    return folder / name, name
    message = f"there is no file `{name}`, here, in an -I folder or in the library"
    raise fail("E0101", message, help=_library_help(name))


def library_names() -> list[str]:
    """The paths of all files in the library, such as tdx/host.seam, in order."""
    folder = library_folder()
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.seam"))


def _library_help(wanted: str) -> str:
    """The library's file that was meant, or all of them."""
    names = library_names()
    near = [name for name in names if Path(name).name == wanted]
    if not near and len(wanted) < 64:  # comparing is slow
        near = get_close_matches(wanted, names, n=1, cutoff=0.75)
    if near:
        return f"did you mean `{near[0]}`?"
    return "the library has " + ", ".join(names)


def library_file_with(words: str, name: str) -> str | None:
    """The library path of a file with an item of that name; `words` are item words, as in a|b."""
    item = re.compile(rf"^[ \t]*(?:{words})[ \t]+{re.escape(name)}\b", re.MULTILINE)
    folder = library_folder()
    for path in sorted(folder.rglob("*.seam")):
        if item.search(path.read_text(encoding="utf-8")):
            return path.relative_to(folder).as_posix()
    return None


def find_import(
    path: str, importer: Source, include: Sequence[str], where: Span
) -> tuple[Path, str]:
    """The file that an import names, and its logical name.

    Looked for below the importing file's folder, the folders of `include`, then the library.
    Raises SeamError if it is nowhere or would leave the folder it was found in.
    """
    if not _IMPORT.fullmatch(path) or ".." in path.split("/"):
        help = 'write a relative path such as "tdx/types.seam", without `..`'
        raise fail("E0111", "an import cannot name this path", where, help=help)
    roots = [] if importer.path is None else [Path(importer.path).parent]
    for root in (*roots, *map(Path, include), library_folder()):
        candidate = root / path
        if not _exists(candidate):
            continue
        if not _is_below(candidate, root):
            message = "this import leaves its folder through a symbolic link"
            raise fail("E0111", message, where)
        return candidate, path
    message = f'there is no file "{path}" below this file\'s folder, an -I folder or the library'
    raise fail("E0109", message, where, help=_library_help(path))


def _is_below(path: Path, folder: Path) -> bool:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, root]) == root


def _exists(path: Path) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        # What is there but cannot be read is reported when it is opened.
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    except ValueError:
        return False
    return True
