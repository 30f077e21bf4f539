"""A function without the rest of its object, so that a proof depends on nothing else.

What is proved of the function alone holds in every object that has it: a way out of it would have
led nowhere here. So such a proof can be kept by the function's own bytes.
"""

from __future__ import annotations

from dataclasses import replace

from seamir.emulate.image import lay_out
from seamir.ir.leaf import Plan
from seamir.objects.contents import FixupRow, Function, ObjectFile
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
    found = [row for row in contents.fixup_rows(target.fixup_section) if function.holds(row.start)]
    if not all(function.holds(row.target) for row in found):
        return None
    rows = tuple(_moved(row, function) for row in found)
    undefined = tuple(sorted(symbols))
    functions = (replace(function, offset=0),)
    reduced = ObjectFile((code,), functions, undefined, (), lambda _name: rows)
    return LaidOut(laid_out.data, reduced, lay_out(reduced, target))


def _moved(row: FixupRow, function: Function) -> FixupRow:
    """A row of the fixup table as it is where its function is alone."""
    (section, start), (_, goes_on) = row.start, row.target
    places = (section, start - function.offset), (section, goes_on - function.offset)
    return FixupRow(*places, row.kind)
