"""A function without the rest of its object, so that a proof depends on nothing else.

What is proved of the function alone holds in every object that has it: a way out of it would have
led nowhere here. So such a proof can be kept by the function's own bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seamir.emulate.image import lay_out
from seamir.ir.leaf import Plan
from seamir.objects.contents import FixupEntry, Function, ObjectFile
from seamir.targets import Target
from seamir.verify.code import LaidOut


def alone(laid_out: LaidOut, plan: Plan, target: Target) -> LaidOut | None:
    """The plan's function as an object of its own; None if it refers to the rest of its object."""
    contents = laid_out.contents
    function = contents.function(plan.symbol)
    assert function is not None  # the object was checked
    symbols = {relocation.symbol for relocation in function.relocations}
    section = contents.section(function.section)
    if section is None or not symbols <= set(contents.undefined_symbols):
        return None
    code = replace(section, data=function.code, relocations=function.relocations)
    rows = tuple(_rows(laid_out, function))
    undefined = tuple(sorted(symbols))
    functions = (replace(function, offset=0),)
    reduced = ObjectFile((code,), functions, undefined, (), lambda _name: rows)
    return LaidOut(laid_out.data, reduced, lay_out(reduced, target), rows)


def _rows(laid_out: LaidOut, function: Function) -> Iterator[FixupEntry]:
    """The rows of a function, whichever of its names they are found under."""
    places = laid_out.image.functions
    for row in laid_out.rows:
        distance = places[row.function] - places[function.name]
        start, target = row.from_offset + distance, row.to_offset + distance
        if 0 <= start < len(function.code) and 0 <= target < len(function.code):
            yield FixupEntry(start, target, function.name, row.kind)
