"""Emitted objects with one mistake each, made from a seed: what a prover must not prove.

`mutant` is the entry. Kinds of mistakes take turns, and so do the descriptions, targets and
deliveries; the function and the place are random. The mutants of descriptions are in mutants.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from random import Random

from code_changes import CODE_CHANGES, Body
from descriptions import HARD, LIBRARY, program_of
from iced_x86 import Decoder, Formatter, FormatterSyntax
from object_places import Patch, Places, patched
from table_changes import TABLE_CHANGES, Edit

import seamir
from seamir.compiler import DELIVERIES
from seamir.ir.leaf import Plan
from seamir.targets import Target

KINDS = (*CODE_CHANGES, *TABLE_CHANGES)
CHUNK = len(KINDS)  # mutants in a row that are of one object
TARGETS = (
    ("linux-kernel",),
    ("linux-user",),
    ("freestanding",),
    ("uefi",),
    ("linux-kernel", "+frame-pointer", "-rethunk"),
    ("freestanding", "+kernel-model", "+fixup", "+ibt"),
)


@dataclass(frozen=True)
class Subject:
    """What is mutated: a description for a target with features, and how outputs are delivered."""

    description: str
    target: tuple[str, ...]
    deliver: str

    def __str__(self) -> str:
        return f"{Path(self.description).name} for {' '.join(self.target)}, {self.deliver}"


def _subjects() -> list[Subject]:
    """All of them, in an order in which any few in a row differ in everything."""
    found = [Subject(*parts) for parts in product((*LIBRARY, HARD), TARGETS, DELIVERIES)]
    return Random("subjects").sample(found, len(found))


SUBJECTS = _subjects()


@dataclass(frozen=True)
class Mutant:
    """An object with one edit of the code, or of a table, of the function of `plan`."""

    seed: int
    kind: str
    subject: Subject
    plan: Plan
    places: Places
    edit: Edit

    @property
    def target(self) -> Target:
        """What the object is for."""
        return self.places.target

    @property
    def original(self) -> bytes:
        """The object as it was emitted."""
        return self.places.data

    @cached_property
    def data(self) -> bytes:
        """The object with the mistake."""
        return patched(self.places.data, self.edit.patches)

    def __str__(self) -> str:
        place = f"{self.plan.symbol}+{self.edit.offset:#x}"
        return f"{self.seed} {self.kind}, {place}: {self.edit.before} => {self.edit.after}"


def mutant(seed: int) -> Mutant:
    """The mutant of a seed, of any kind if the object has no place for the one whose turn it is."""
    subject = SUBJECTS[seed // CHUNK % len(SUBJECTS)]
    made = _compiled(subject)
    random = Random(f"code mutant {seed}")
    places = Places(made.outputs["obj"].data, made.target)
    for kind in (KINDS[seed % len(KINDS)], *random.sample(KINDS, len(KINDS))):
        for plan in random.sample(made.plans, len(made.plans)):
            for choices in edits(kind, places, plan.symbol, random):
                return Mutant(seed, kind, subject, plan, places, random.choice(choices))
    raise AssertionError(f"{subject} has no place for any change")


@cache
def _compiled(subject: Subject) -> seamir.Compilation:
    return seamir.compile(
        program_of(subject.description),
        target=subject.target[0],
        features=subject.target[1:],
        deliver=subject.deliver,
        emit=("obj",),
    )


def edits(kind: str, places: Places, symbol: str, random: Random) -> Iterator[list[Edit]]:
    """Changes of a kind in one function, those together that are at one place, places by chance."""
    function = places.contents.function(symbol)
    assert function is not None
    if kind in TABLE_CHANGES:
        found = list(TABLE_CHANGES[kind](places, function, random))
        if found:
            yield found
        return
    body = Body(function)
    count = len(body.instructions)
    for number in random.sample(range(count), count):
        codes = list(CODE_CHANGES[kind](body, number, random))
        if codes:
            yield [_code_edit(places, body, number, code) for code in codes]


def _code_edit(places: Places, body: Body, number: int, new: bytes) -> Edit:
    """The bytes in place of what begins at an instruction."""
    offset = body.instructions[number].ip
    old = body.function.code[offset : offset + len(new)]
    patch = Patch(places.code(body.function) + offset, new)
    return Edit(offset, _text(old, offset), _text(new, offset), (patch,))


def _text(code: bytes, offset: int) -> str:
    """Instructions at an offset in words."""
    formatter = Formatter(FormatterSyntax.INTEL)
    formatter.hex_prefix, formatter.hex_suffix, formatter.uppercase_hex = "0x", "", False
    formatter.branch_leading_zeros = formatter.show_branch_size = False
    return "; ".join(formatter.format(one) for one in Decoder(64, code, ip=offset))
