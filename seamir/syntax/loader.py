"""Reads the named files and everything they import, each once.

Takes names or texts, returns Units in an order where imports come before their importers. All
errors in all files are reported together; import cycles are errors. Loads that are given the same
ParsedFiles share what they have parsed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seamir.diagnostics import Diagnostic, SeamError
from seamir.diagnostics import Note as DiagnosticNote
from seamir.source import Source, Span
from seamir.syntax import ast
from seamir.syntax.files import find_import, find_named, make_source, read_file


@dataclass(frozen=True, eq=False)
class Unit:
    """A parsed file and the units it imports directly; `named` if the user asked for it."""

    file: ast.File
    imports: tuple[Unit, ...]
    named: bool

    @property
    def source(self) -> Source:
        """The text of the file."""
        return self.file.source


class ParsedFiles:
    """Files that were read and parsed, for loads that follow each other and share imports.

    A file found here is not read again, so the loads see one state of it. Threads may share one.
    """

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str, str], Source] = {}
        self._files: dict[Source, ast.File] = {}

    def read(self, path: Path, shown: str, logical: str, where: Span | None = None) -> Source:
        """The source of a file, as `files.read_file`; errors are not kept."""
        key = (_key(path), shown, logical)
        if key not in self._sources:
            return self._sources.setdefault(key, read_file(path, shown, logical, where))
        return self._sources[key]

    def parse(self, source: Source) -> ast.File:
        """The syntax tree of a source; raises SeamError, each time, if it has errors."""
        if source not in self._files:
            self._files[source] = _parse(source)
        return self._files[source]


class Loader:
    """Loads files for one compilation."""

    def __init__(self, include: Sequence[str], parsed: ParsedFiles | None = None) -> None:
        self._include = tuple(include)
        self._parsed = parsed or ParsedFiles()
        self._units: dict[str, Unit] = {}
        self._named: set[str] = set()
        self._errors: list[Diagnostic] = []

    def load(self, names: Sequence[str]) -> tuple[Unit, ...]:
        """Loads the files that the user names; raises SeamError with all that is wrong."""
        paths = []
        for name in names:
            try:
                path, logical = find_named(name, self._include)
            except SeamError as error:
                self._errors += error.diagnostics
                continue
            shown = name if path == Path(name) else str(logical)
            self._named.add(_key(path))
            paths.append((path, shown, logical))
        for path, shown, logical in paths:
            self._load_path(path, shown, logical)
        return self._finish()

    def load_text(self, text: str, name: str) -> tuple[Unit, ...]:
        """Loads a description held in a string; imports are found in `include` and library."""
        source = make_source(text.encode("utf-8", "surrogatepass"), name, Path(name).name or name)
        self._load_source(source, f"\0{name}", True)
        return self._finish()

    def _finish(self) -> tuple[Unit, ...]:
        if self._errors:
            raise SeamError(list(dict.fromkeys(self._errors)))
        return tuple(self._units.values())

    def _load_path(self, path: Path, shown: str, logical: str) -> None:
        key = _key(path)
        if key in self._units:
            return
        try:
            source = self._parsed.read(path, shown, logical)
        except SeamError as error:
            self._errors += error.diagnostics
            return
        self._load_source(source, key, True)

    def _load_source(self, source: Source, key: str, named: bool) -> None:
        """Depth first with a stack of its own: a chain of imports may be long."""
        stack = [_Pending(source, key, named)]
        open_keys = {key: stack[0]}
        while stack:
            pending = stack[-1]
            pending.parse_once(self._parsed, self._errors)
            following = next(pending.remaining, None)
            if following is None:
                imports = tuple(self._units[k] for k in pending.imported if k in self._units)
                unit = Unit(ast.File(pending.source, pending.items), imports, pending.named)
                self._units[pending.key] = unit
                stack.pop()
                del open_keys[pending.key]
                continue
            child = self._open_import(pending, following, open_keys)
            if child is not None:
                stack.append(child)
                open_keys[child.key] = child

    def _open_import(
        self, importer: _Pending, item: ast.Import, open_keys: dict[str, _Pending]
    ) -> _Pending | None:
        try:
            path, logical = find_import(
                item.path.value, importer.source, self._include, item.path.span
            )
            key = _key(path)
            importer.imported.append(key)
            importer.current = item
            if key in self._units:
                return None
            if key in open_keys:
                self._errors.append(_cycle(item, key, open_keys))
                return None
            shown = _shown_name(importer.source, item.path.value, path)
            source = self._parsed.read(path, shown, logical, item.path.span)
        except SeamError as error:
            self._errors += error.diagnostics
            return None
        return _Pending(source, key, key in self._named)


class _Pending:
    """A file that is being read: its items, and the imports still to follow."""

    def __init__(self, source: Source, key: str, named: bool) -> None:
        self.source, self.key, self.named = source, key, named
        self.items: tuple[ast.Item, ...] = ()
        self.imported: list[str] = []
        self.current: ast.Import | None = None
        self._parsed = False

    def parse_once(self, parsed: ParsedFiles, errors: list[Diagnostic]) -> None:
        if self._parsed:
            return
        self._parsed = True
        try:
            self.items = parsed.parse(self.source).items
        except SeamError as error:
            errors += error.diagnostics
        self.remaining = iter([i for i in self.items if isinstance(i, ast.Import)])


def _parse(source: Source) -> ast.File:
    from seamir.syntax.parser import parse  # lark is loaded when there is something to parse

    return parse(source)


def _cycle(item: ast.Import, key: str, open_keys: dict[str, _Pending]) -> Diagnostic:
    chain = list(open_keys.values())
    chain = chain[[pending.key for pending in chain].index(key) :]
    notes = [
        DiagnosticNote(f"`{pending.source.name}` imports the next file here", pending.current.span)
        for pending in chain
        if pending.current is not None and pending.current is not item
    ]
    message = f'"{item.path.value}" is imported by the very files that it imports'
    return Diagnostic("E0110", message, item.path.span, tuple(notes))


def _shown_name(importer: Source, path: str, found: Path) -> str:
    """How diagnostics name an imported file: next to its importer if it was found there."""
    if importer.path is not None and Path(importer.path).parent / path == found:
        folder = os.path.dirname(importer.name)
        return os.path.join(folder, path) if folder else path
    return path


def _key(path: Path) -> str:
    return os.path.realpath(path)
