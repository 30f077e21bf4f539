"""Which names a file sees: its own and those of the files it imports directly.

Duplicates are reported while scopes are built, unknown and ambiguous names when they are used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TypeVar

from seamir.diagnostics import Diagnostics
from seamir.model.names import check_not_register
from seamir.syntax import ast
from seamir.syntax.files import library_file_with
from seamir.syntax.loader import Unit

ItemT = TypeVar("ItemT", bound=ast.Item)

_CODES = {
    ast.TypeItem: ("type", "E0201"),
    ast.BitsItem: ("type", "E0201"),
    ast.LayoutItem: ("type", "E0201"),
    ast.ConstItem: ("constant", "E0202"),
    ast.OperandsItem: ("operands", "E0204"),
    ast.StatusesItem: ("statuses", "E0204"),
    ast.ConduitItem: ("conduit", "E0205"),
}

# How messages call those whose names are plurals.
_SHOWN = {"operands": "set of operand ids", "statuses": "status family"}

Named = (
    ast.TypeItem
    | ast.BitsItem
    | ast.LayoutItem
    | ast.ConstItem
    | ast.OperandsItem
    | ast.StatusesItem
    | ast.ConduitItem
)


# The words that begin items of a kind.
_ITEM_WORDS = {
    "type": "type|bits|layout",
    "constant": "const",
    "operands": "operands",
    "statuses": "statuses",
    "conduit": "conduit",
    "leaf": "leaf",
}


class Scope:
    """The names of one file; `key` of a name is its kind and text."""

    def __init__(self, unit: Unit, imported: Iterable[Scope], sink: Diagnostics) -> None:
        self.unit = unit
        self.imported = tuple(imported)
        self.own: dict[tuple[str, str], Named] = {}
        self.leaves: dict[str, dict[int, ast.LeafItem]] = {}  # by name, then version
        self.wrappers: dict[str, ast.WrapperItem] = {}
        self._names: dict[str, list[str]] = {}
        for item in unit.file.items:
            self._declare(item, sink)

    def _declare(self, item: ast.Item, sink: Diagnostics) -> None:
        if isinstance(item, ast.Import):
            return
        if isinstance(item, ast.LeafItem):
            self._declare_leaf(item, sink)
            return
        if isinstance(item, ast.WrapperItem):
            earlier_wrapper = self.wrappers.setdefault(item.name.text, item)
            _report_twice(item.name, earlier_wrapper.name, f"wrapper {item.name.text}", sink)
            return
        kind = _CODES[type(item)][0]
        if kind in ("type", "constant"):
            check_not_register(item.name, f"a {kind}", sink)
        earlier = self.own.setdefault((kind, item.name.text), item)
        _report_twice(item.name, earlier.name, f"{kind} {item.name.text}", sink)
        for scope in self.imported:
            other = scope.own.get((kind, item.name.text))
            if other is not None:
                _report_twice(item.name, other.name, f"{kind} {item.name.text}", sink)

    def _declare_leaf(self, item: ast.LeafItem, sink: Diagnostics) -> None:
        name, version = item.name, item.version.value if item.version else 0
        what = f"version {version} of leaf {name.text}" if version else f"leaf {name.text}"
        earlier = self.leaves.setdefault(name.text, {}).setdefault(version, item)
        _report_twice(name, earlier.name, what, sink)
        for scope in self.imported:
            other = scope.leaves.get(name.text, {}).get(version)
            if other is not None:
                _report_twice(name, other.name, what, sink)

    def is_repeated(self, item: ast.LeafItem | ast.WrapperItem) -> bool:
        """Whether the file has such an item before, which was reported."""
        if isinstance(item, ast.WrapperItem):
            return self.wrappers[item.name.text] is not item
        return self.leaves[item.name.text][item.version.value if item.version else 0] is not item

    def find(self, kind: str, name: str) -> list[tuple[Scope, Named]]:
        """Where a name of a kind is defined among what this file sees."""
        own = self.own.get((kind, name))
        if own is not None:
            return [(self, own)]
        found = [(scope, scope.own.get((kind, name))) for scope in self.imported]
        return [(scope, item) for scope, item in found if item is not None]

    def names(self, kind: str) -> Collection[str]:
        """All names of a kind that this file sees."""
        if kind not in self._names:
            scopes = (self, *self.imported)
            found = {text for scope in scopes for (k, text) in scope.own if k == kind}
            self._names[kind] = sorted(found)
        return self._names[kind]

    def look_up(
        self, kind: str, name: ast.Name, wanted: type[ItemT], sink: Diagnostics
    ) -> tuple[Scope, ItemT] | None:
        """The one item of that name and class; reports if it is unknown or ambiguous."""
        everything = self.find(kind, name.text)
        found = [(s, i) for s, i in everything if isinstance(i, wanted)]
        if not found:
            code = _CODES[wanted][1] if wanted in _CODES else "E0201"
            sink.report(
                code,
                f"there is no {_SHOWN.get(kind, kind)} `{name.text}` here",
                name.span,
                help=self.elsewhere(kind, name.text, sink)
                or suggest(name.text, sink, self.names(kind)),
            )
            return None
        if len(everything) > 1:
            notes = [(f"one `{name.text}` is here", item.name.span) for _, item in everything]
            sink.report("E0210", f"`{name.text}` has two meanings here", name.span, notes=notes)
            return None
        return found[0]

    def elsewhere(self, kind: str, name: str, sink: Diagnostics) -> str | None:
        """Imports are not transitive: says so when an import of an import has the name."""
        further = [other for scope in self.imported for other in scope.imported]
        seen = {id(scope) for scope in self.imported}
        while further:
            scope = further.pop(0)
            if id(scope) in seen:
                continue
            if not sink.afford(1):
                return None
            if (kind, name) in scope.own or (kind == "leaf" and name in scope.leaves):
                source = scope.unit.source.logical_name
                return f'imports are not transitive: add `import "{source}";`'
            seen.add(id(scope))
            further += scope.imported
        return self._in_library(kind, name, sink)

    def _in_library(self, kind: str, name: str, sink: Diagnostics) -> str | None:
        """Which import would bring the name in, if the library has it."""
        word = _ITEM_WORDS.get(kind)
        if word is None or not sink.afford(100):
            return None
        path = library_file_with(word, name)
        if path is None or path == self.unit.source.logical_name:
            return None
        return f'the library has it: add `import "{path}";`'

    def find_leaf(self, name: str) -> list[tuple[Scope, int, ast.LeafItem]]:
        """All versions of a leaf that this file sees; its own come first and hide others."""
        own = self.leaves.get(name, {})
        found = [(self, version, item) for version, item in own.items()]
        return found + [
            (scope, version, item)
            for scope in self.imported
            for version, item in scope.leaves.get(name, {}).items()
            if version not in own
        ]


def _report_twice(name: ast.Name, earlier: ast.Name, what: str, sink: Diagnostics) -> None:
    if earlier is not name:
        notes = [("it is defined here already", earlier.span)]
        sink.report("E0207", f"{what} is defined twice", name.span, notes=notes)


def suggest(name: str, sink: Diagnostics, *known: Collection[str]) -> str | None:
    """A help line that names a known name close to a wrong one."""
    if not sink.afford(sum(map(len, known))):
        return None
    cutoff = 0.75 if len(name) > 4 else 0.65
    # Comparing is slow: only with names that could be meant, and never with endless ones.
    longest = min(len(name) + 3, 64)
    near = [w for words in known for w in words if len(name) - 3 <= len(w) <= longest]
    close = get_close_matches(name, near, n=1, cutoff=cutoff)
    return f"did you mean `{close[0]}`?" if close else None
