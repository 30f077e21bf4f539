"""The order in which constants and types are resolved: what an item needs comes before it.

A file may define them in any order and in long chains. Resolved in this order, none of them needs
a deep recursion, and those that need themselves are found.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from seamir.model.scope import Scope
from seamir.model.types import BUILTIN_TYPES
from seamir.syntax import ast

Resolved = ast.ConstItem | ast.TypeItem | ast.BitsItem


def needed_first(
    scope: Scope, item: Resolved, done: Container[int]
) -> Iterator[tuple[Scope, Resolved, bool]]:
    """What `item` needs and then itself, each with its scope and whether it needs itself.

    Leaves out items whose id is in `done`, which the caller extends by each item it gets.
    """
    if id(item) in done:
        return
    stack = [(scope, item, _needed(scope, item))]
    path = {id(item)}
    while stack:
        where, current, rest = stack[-1]
        found = next(((s, i) for s, i in rest if id(i) not in done), None)
        if found is None:
            stack.pop()
            path.discard(id(current))
            if id(current) not in done:
                yield where, current, False
        elif id(found[1]) in path:
            yield *found, True
        else:
            path.add(id(found[1]))
            stack.append((*found, _needed(*found)))


def _needed(scope: Scope, item: Resolved) -> Iterator[tuple[Scope, Resolved]]:
    """The items that an item names."""
    if isinstance(item, ast.ConstItem):
        names = names_in(item.value)
    elif isinstance(item, ast.TypeItem):
        names = [name.text for name in item.constants]
        if item.base.text not in BUILTIN_TYPES:
            yield from _found(scope, "type", item.base.text)
    else:
        names = []
    for name in names:
        yield from _found(scope, "constant", name)


def _found(scope: Scope, kind: str, name: str) -> Iterator[tuple[Scope, Resolved]]:
    for where, item in scope.find(kind, name):
        if isinstance(item, ast.ConstItem | ast.TypeItem | ast.BitsItem):
            yield where, item


def names_in(item: ast.Expr) -> list[str]:
    """The names in an expression, from left to right; that of the family of `family.STATUS`."""
    names: list[str] = []
    stack = [item]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BinaryExpr):
            stack += [part.right, part.left]
        elif isinstance(part, ast.NameExpr):
            names.append((part.family or part.name).text)
    return names
