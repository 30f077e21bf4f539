"""What may stand at each place of the command line, for completion in shells.

The functions have the form that click asks for: context, parameter, and the word begun; they return
whole words. Files that cannot be read have nothing in them: completion never complains. None loads
LLVM.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seamir import compiler
from seamir.diagnostics import SeamError
from seamir.ir.leaf import ArgumentKind
from seamir.model.wrappers import default_symbol
from seamir.syntax.files import find_named, library_folder, read_file
from seamir.targets import DEFAULT_TARGET, TARGETS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list["CompletionItem"]]

_NAMED_ITEM = r"^[ \t]*(?:{})[ \t]+([\w.]+)"


def one_of(words: Iterable[str]) -> Complete:
    """One of some words."""
    words = tuple(words)

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _items(word for word in words if word.startswith(incomplete))

    return complete


def some_of(words: Iterable[str]) -> Complete:
    """Several of some words, with commas between them."""
    words = tuple(words)

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        fitting = (word for word in words if word.startswith(last) and word not in taken)
        return _items(f"{before}{comma}{word}" for word in fitting)

    return complete


def a_file(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A description or a folder: in the current folder, those of -I and the library."""
    found = list(_paths(Path(), incomplete))
    if not incomplete.startswith(("/", "~")) and ".." not in incomplete.split("/"):
        for folder in (*map(Path, context.params.get("include") or ()), library_folder()):
            found += _paths(folder, incomplete)
    return _items(dict.fromkeys(found), "path")


def an_object(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """An object or a folder."""
    return _items(_paths(Path(), incomplete, (".o", ".obj")), "path")


def a_file_or_code(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A description, or the code of a diagnostic where a letter of one is there already."""
    codes: list[CompletionItem] = []
    if re.fullmatch(r"[EW]\d*", incomplete):
        pages = sorted((files("seamir") / "errors").iterdir(), key=lambda page: page.name)
        codes = _items(page.name[:-3] for page in pages if page.name.startswith(incomplete))
    return codes + a_file(context, parameter, incomplete)


def a_leaf(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A leaf, wrapper or symbol of the files that were named."""
    found: list[str] = []
    for text in _texts(context):
        leaves = _names_of(text, "leaf")
        found += (*leaves, *_names_of(text, "wrapper"))
        if incomplete[:1].islower():
            found += (default_symbol(leaf, 0) for leaf in leaves)
    return _items(dict.fromkeys(name for name in found if name.startswith(incomplete)))


def a_value(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """NAME= for a parameter of the leaf that was named, if it has no value yet."""
    name, leaf = context.params.get("name"), context.params.get("leaf")
    given = {word.partition("=")[0] for word in context.params.get("words") or ()}
    if not name or not leaf or "=" in incomplete:
        return []
    include, calls = context.params.get("include"), context.params.get("allow_calls")
    try:
        program = compiler.load(
            name, include=include or (), leaves=(leaf,), allow_calls=calls or ()
        )
        plans, _ = compiler.plans_of(program, TARGETS[DEFAULT_TARGET])
    except SeamError:
        return []
    outputs = (ArgumentKind.OUT, ArgumentKind.STRUCT)
    arguments = (argument for plan in plans for argument in plan.arguments)
    names = dict.fromkeys(word.name for word in arguments if word.kind not in outputs)
    return _items(f"{n}=" for n in names if n not in given and n.startswith(incomplete))


def a_conduit(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A conduit of the files that were named or of the library."""
    return _items(name for name in _conduits(context) if name.startswith(incomplete))


def two_conduits(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """NAME=OTHER, both conduits."""
    name, equals, other = incomplete.partition("=")
    names = _conduits(context)
    if not equals:
        return _items(f"{word}=" for word in names if word.startswith(name))
    return _items(f"{name}={word}" for word in names if word.startswith(other) and word != name)


def _items(words: Iterable[str], kind: str = "plain") -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word, kind) for word in words]


def _paths(start: Path, incomplete: str, suffixes: tuple[str, ...] = (".seam",)) -> Iterator[str]:
    """Such files and folders below `start` that begin so, spelled as they were begun."""
    before, slash, last = incomplete.rpartition("/")
    try:
        entries = sorted(os.scandir(start / os.path.expanduser(before + slash)), key=_name)
    except (OSError, ValueError):  # no folder; ValueError: a NUL in the path
        return
    for entry in entries:
        if not entry.name.startswith(last) or (entry.name.startswith(".") and not last):
            continue
        if entry.is_dir():
            yield f"{before}{slash}{entry.name}/"
        elif entry.name.endswith(suffixes):
            yield f"{before}{slash}{entry.name}"


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _texts(context: click.Context) -> list[str]:
    """The text of the files on the command line so far."""
    names = context.params.get("names") or [context.params.get("name")]
    # An option at the end that has no value yet keeps click from taking arguments out of these.
    texts = []
    for name in filter(None, [*names, *context.args]):
        try:
            path, logical_name = find_named(name, context.params.get("include") or ())
            texts.append(read_file(path, name, logical_name).text)
        except SeamError:
            continue
    return texts


def _names_of(text: str, word: str) -> Sequence[str]:
    """The names of the items that begin with a word. The file may be in the middle of a change."""
    return re.findall(_NAMED_ITEM.format(word), text, re.MULTILINE)


def _conduits(context: click.Context) -> list[str]:
    library = [
        path.read_text(encoding="utf-8") for path in sorted(library_folder().rglob("*.seam"))
    ]
    texts = [*_texts(context), *library]
    return list(dict.fromkeys(name for text in texts for name in _names_of(text, "conduit")))
