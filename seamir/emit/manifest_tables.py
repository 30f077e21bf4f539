"""Parts of the manifest: the tables of types and statuses, promises, matches, expressions.

Takes parts of plans, returns what `json` accepts. Wrappers refer to types and status families by
the names that Tables gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from seamir.emit.c_names import c_type
from seamir.emit.header_statuses import families_of
from seamir.ir.leaf import Plan
from seamir.model.expressions import (
    Constant,
    Expression,
    ParameterValue,
    RefusalValue,
    TrapNumber,
    fold,
    parameters_of,
    show,
)
from seamir.model.registers import slice_mask
from seamir.model.statuses import Match, OperandIds, StatusCode, StatusFamily
from seamir.model.types import Layout, Type, possible_of

_TRAP_NUMBER = "$trapnr"  # no parameter can be called that
_REFUSAL = "$refusal"

Json: TypeAlias = dict[str, Any]


def hex_text(value: int) -> str:
    """A number as the manifest has it."""
    return f"{value:#x}"


class Tables:
    """The types and status families of the plans, each under a name of its own."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.families = families_of(plans)
        self.layouts = tuple(
            dict.fromkeys(
                a.layout for plan in plans for a in plan.arguments if a.layout is not None
            )
        )
        self.types: dict[Type, str] = {}
        found: dict[Type, None] = {}
        for plan in plans:
            for kind in _types_of(plan):
                base: Type | None = kind
                while base is not None:
                    found.setdefault(base)
                    base = base.base
        taken: set[str] = set()
        for kind in sorted(found, key=lambda kind: kind.name):
            self.types[kind] = _free(kind.name, taken)
        taken = set()
        self._layout_names = [_free(layout.name, taken) for layout in self.layouts]
        taken = set()
        self._family_names = [_free(family.name, taken) for family in self.families]

    def family_name(self, family: StatusFamily) -> str:
        """The name of a family in this manifest."""
        return self._family_names[self.families.index(family)]

    def layout_name(self, layout: Layout) -> str:
        """The name of a layout in this manifest."""
        return self._layout_names[self.layouts.index(layout)]

    def layout(self, layout: Layout) -> Json:
        """The registers of a layout, each with its offset in bytes."""
        return {
            "name": self.layout_name(layout),
            "c_type": f"struct {layout.name}",
            "extern": layout.extern,
            "size": layout.size,
            "members": [
                {"register": m.register, "name": m.name, "offset": m.offset, "doc": m.doc}
                for m in layout.members
            ],
            "doc": layout.doc,
        }

    def type(self, kind: Type) -> Json:
        """What is known of a type."""
        return {
            "name": self.types[kind],
            "base": None if kind.base is None else self.types[kind.base],
            "c_type": c_type(kind),
            "width": kind.width,
            "signed": kind.signed,
            "extension": kind.extension,
            "promise": promise_json(kind),
            "fields": [
                {
                    "name": field.name,
                    "low": field.low,
                    "high": field.high,
                    "mask": hex_text(slice_mask(field.low, field.high)),
                    "doc": field.doc,
                }
                for field in kind.fields
            ],
            "doc": kind.doc,
        }

    def family(self, family: StatusFamily) -> Json:
        """The statuses of a family."""
        return {
            "name": self.family_name(family),
            "success": None if family.success is None else [match_json(m) for m in family.success],
            "detail": None if not family.detail else hex_text(family.detail),
            "ignored": hex_text(family.ignored),
            "codes": [_code(code) for code in family.codes.values()],
            "operands": None if family.operands is None else _operand_ids(family.operands),
            "doc": family.doc,
        }


def _types_of(plan: Plan) -> Iterable[Type]:
    yield from (argument.type for argument in plan.arguments)
    for item in plan.inputs:
        yield from (item.type, item.promise)
    yield from (check.promise for check in plan.checks)
    yield from (delivery.type for delivery in plan.deliveries)
    if plan.struct is not None:
        yield from (member.type for member in plan.struct.members)


def _free(name: str, taken: set[str]) -> str:
    """The name, or name#2, name#3, ... if others of that name are there already."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    taken.add(free)
    return free


def promise_json(kind: Type) -> Json:
    """What the caller promises of a value of the type; `bits` are those that the range leaves."""
    return {
        "bits": hex_text(possible_of(kind.low, kind.high, kind.bits).bits),
        "low": hex_text(kind.low),
        "high": hex_text(kind.high),
        "constants": [hex_text(value) for value in kind.constants],
    }


def _code(code: StatusCode) -> Json:
    return {"name": code.name, "values": [hex_text(v) for v in code.values], "doc": code.doc}


def _operand_ids(ids: OperandIds) -> Json:
    return {"name": ids.name, "codes": [_code(c) for c in ids.codes.values()], "doc": ids.doc}


def match_json(match: Match) -> Json:
    """A masked comparison."""
    return {"mask": hex_text(match.mask), "value": hex_text(match.value)}


# -- values


def value_json(value: Expression) -> Json:
    """An expression as text, as a constant if it is one, and as a tree of prefix operators."""
    folded = fold(value)
    return {
        "text": show(value),
        "constant": hex_text(folded.value) if isinstance(folded, Constant) else None,
        "parameters": sorted(parameters_of(value)),
        "tree": _tree(value),
    }


def _tree(value: Expression) -> Any:
    """A number, an input's name, "$trapnr", "$refusal", or [operator, left, right]."""
    if isinstance(value, Constant):
        return hex_text(value.value)
    if isinstance(value, ParameterValue):
        return value.name
    if isinstance(value, TrapNumber):
        return _TRAP_NUMBER
    if isinstance(value, RefusalValue):
        return _REFUSAL
    return [value.operator, _tree(value.left), _tree(value.right)]
