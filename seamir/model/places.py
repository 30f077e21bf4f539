"""Checks places: bits of registers, lists of registers, and who else uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamir.diagnostics import Diagnostics
from seamir.model.declarations import Declarations
from seamir.model.entities import NOWHERE, Bits, Conduit, Operand
from seamir.model.registers import NEVER_AN_OPERAND, ONLY_IF_ALLOWED, slice_mask
from seamir.source import Span
from seamir.syntax import ast


def check_bits(item: ast.Place, declarations: Declarations) -> Bits | None:
    """The bits that a place names; reports RSP and slices that do not exist."""
    name = item.register.text
    if name == NEVER_AN_OPERAND:
        message = "rsp is the stack pointer and cannot carry an operand"
        declarations.sink.report("E0401", message, item.register.span)
        return None
    if item.slice is None:
        return Bits(name, 0, 63, item.span)
    place = declarations.slice_bits(item.slice)
    return None if place is None else Bits(name, *place, item.span)


def expand_registers(items: Iterable[ast.Registers], sink: Diagnostics) -> dict[str, Span]:
    """The registers of a list, ranges written out, each with its place."""
    result: dict[str, Span] = {}
    for item in items:
        for name in _range(item, sink):
            if name == NEVER_AN_OPERAND:
                sink.report("E0401", "rsp is the stack pointer and cannot be listed", item.span)
                continue
            if name in result:
                sink.report("E0402", f"{name} is listed twice", item.span)
            result[name] = item.span
    return result


def count_registers(items: Iterable[ast.Registers]) -> int | None:
    """How many registers a list has as it is written; None if a range in it was reported."""
    sink = Diagnostics()
    found = [_range(item, sink) for item in items]
    return None if sink.has_errors else sum(map(len, found))


def _range(item: ast.Registers, sink: Diagnostics) -> list[str]:
    if item.last is None:
        return [item.first.text]
    first, last = item.first.text, item.last.text
    if not (first[1:].isdigit() and last[1:].isdigit()) or int(first[1:]) >= int(last[1:]):
        message = "a range of registers goes up from r8 to r15"
        sink.report("E0403", message, item.span, help="for example r8..r11")
        return []
    return [f"r{number}" for number in range(int(first[1:]), int(last[1:]) + 1)]


def report_idle_preserves(
    preserved: Mapping[str, Span], clobbers: Iterable[str], sink: Diagnostics
) -> None:
    """Reports registers that are promised to be preserved although nothing clobbers them."""
    for name, span in preserved.items():
        if name not in clobbers:
            message = f"nothing clobbers {name}, so there is nothing to preserve"
            sink.report("E0405", message, span)


def report_assigned(place: Bits, conduit: Conduit, sink: Diagnostics) -> bool:
    """Reports E0408 if the conduit loads the register itself; returns whether it does."""
    if place.register not in conduit.assigned:
        return False
    message = f"{place.register} belongs to conduit {conduit.name}"
    notes = [("the conduit uses it here", conduit.assigned[place.register])]
    sink.report("E0408", message, place.span, notes=notes)
    return True


def may_name(place: Bits, allows_rbp: bool, sink: Diagnostics) -> bool:
    """Reports RBP where the leaf does not allow it."""
    if place.register == ONLY_IF_ALLOWED and not allows_rbp:
        message = "rbp is the frame pointer of many kernels and debuggers"
        sink.report("E0409", message, place.span, help="add `allow rbp;` to the leaf")
        return False
    return True


def report_overlap(place: Bits, others: Iterable[Operand], sink: Diagnostics) -> bool:
    """Reports E0406 if bits of `place` are written already; returns whether they are."""
    for other in others:
        if other.place.register != place.register or place.register == NOWHERE:
            continue
        shared = slice_mask(place.low, place.high) & slice_mask(other.place.low, other.place.high)
        if shared:
            low = (shared & -shared).bit_length() - 1
            both = Bits(place.register, low, shared.bit_length() - 1, place.span)
            notes = [(f"{both} is already written here", other.span)]
            sink.report("E0406", f"{both} is written twice", place.span, notes=notes)
            return True
    return False
