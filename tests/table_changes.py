"""Small changes of relocations and fixup tables in place, each a mistake of whoever writes objects.

A change takes an object and one of its functions and gives edits: what is written where into the
file, and in words what was there before and is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from code_changes import Body, neighbours
from object_places import Patch, Places, Record, Row

from seamir.objects.contents import Function

_KINDS = (0, 1, 2, 3, 4)  # types of rows: 1 and 2 are Linux's EX_TYPE_DEFAULT and EX_TYPE_FAULT


@dataclass(frozen=True)
class Edit:
    """Patches of a file, what they change, and the offset (bytes) in the function where."""

    offset: int
    before: str
    after: str
    patches: tuple[Patch, ...]


Change = Callable[[Places, Function, Random], Iterator[Edit]]


# -- relocations


def change_symbol(places: Places, function: Function, random: Random) -> Iterator[Edit]:
    """A relocation names another symbol."""
    for record in places.records(function):
        others = [number for number in places.symbols if number != record.symbol]
        number = random.choice(others)
        before = _relocation(places, record)
        after = _relocation(places, record._replace(symbol=number))
        yield _edit(function, record, before, after, places.with_symbol(record, number))


def change_addend(places: Places, function: Function, _random: Random) -> Iterator[Edit]:
    """A relocation has another addend."""
    for record in places.records(function):
        for distance in (1, -1, 4, -4, 8, -8):
            changed = record._replace(addend=record.addend + distance)
            texts = _relocation(places, record), _relocation(places, changed)
            yield _edit(function, record, *texts, places.with_addend(record, changed.addend))


def move_relocation(places: Places, function: Function, _random: Random) -> Iterator[Edit]:
    """A relocation is of a field nearby."""
    for record in places.records(function):
        for distance in (1, -1, 4, -4):
            patch = places.with_offset(record, record.offset + distance)
            here = record.offset - function.offset
            texts = f"relocation at {here:#x}", f"relocation at {here + distance:#x}"
            yield _edit(function, record, *texts, patch)


def _relocation(places: Places, record: Record) -> str:
    return f"relocation {places.symbols[record.symbol]}{record.addend:+#x}"


def _edit(function: Function, record: Record, before: str, after: str, patch: Patch) -> Edit:
    return Edit(record.offset - function.offset, before, after, (patch,))


# -- rows of the fixup table


def remove_row(places: Places, function: Function, _random: Random) -> Iterator[Edit]:
    """The table has no row for the function."""
    for number, row in enumerate(places.rows):
        if row.function == function.name:
            patches = tuple(places.without_row(number))
            yield Edit(row.from_offset, _row(row), "no row", patches)


def move_row(places: Places, function: Function, _random: Random) -> Iterator[Edit]:
    """A row is for the neighbour of its instruction, or leads to that of its edge."""
    body = Body(function)
    for row in _rows(places, function):
        for offset in neighbours(body, row.from_offset):
            changed = row._replace(from_offset=offset)
            yield _row_edit(places, row, changed)
        for offset in neighbours(body, row.to_offset):
            changed = row._replace(to_offset=offset)
            yield _row_edit(places, row, changed)


def change_type(places: Places, function: Function, _random: Random) -> Iterator[Edit]:
    """A row has another type."""
    for row in _rows(places, function):
        for kind in _KINDS:
            if kind != row.kind:
                patch = Patch(row.kind_place, kind.to_bytes(4, "little"))
                after = _row(row._replace(kind=kind))
                yield Edit(row.from_offset, _row(row), after, (patch,))


def take_row(places: Places, function: Function, random: Random) -> Iterator[Edit]:
    """A row is that of another function, or leads into it."""
    others = [row for row in places.rows if row.function != function.name]
    for row in _rows(places, function):
        if not others:
            return
        other = random.choice(others)
        source = _like(places, row.source, other.source)
        target = _like(places, row.target, other.target)
        name = other.function
        yield Edit(row.from_offset, _row(row), f"{name}, {_row(other)}", (source, target))
        leads = f"fault at {row.from_offset:#x} -> {name}+{other.to_offset:#x}"
        yield Edit(row.from_offset, _row(row), leads, (target,))


def _rows(places: Places, function: Function) -> list[Row]:
    return [row for row in places.rows if row.function == function.name]


def _row(row: Row) -> str:
    return f"fault at {row.from_offset:#x} -> {row.to_offset:#x} type {row.kind}"


def _row_edit(places: Places, row: Row, changed: Row) -> Edit:
    """A row with other offsets in the same function."""
    source = row.source.addend + changed.from_offset - row.from_offset
    target = row.target.addend + changed.to_offset - row.to_offset
    patches = places.with_addend(row.source, source), places.with_addend(row.target, target)
    return Edit(row.from_offset, _row(row), _row(changed), patches)


def _like(places: Places, record: Record, other: Record) -> Patch:
    """The relocation at its own field with symbol and addend of another one."""
    changed = record._replace(symbol=other.symbol)
    assert not places.is_coff, "the symbol and the addend are in one record"
    return places.with_addend(changed, other.addend)


TABLE_CHANGES: dict[str, Change] = {
    "relocation's symbol changed": change_symbol,
    "relocation's addend changed": change_addend,
    "relocation moved": move_relocation,
    "row removed": remove_row,
    "row moved": move_row,
    "row's type changed": change_type,
    "row of another function": take_row,
}
