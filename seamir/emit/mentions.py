"""Which registers a plan reads and writes, and which statuses it names.

Takes a plan, returns names: what one looks a leaf up by in `seamir list` and the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamir.emit.rows import abi_order
from seamir.ir.leaf import LoadKind, Plan, Trap
from seamir.model.expressions import show
from seamir.model.statuses import StatusCode, StatusFamily

_WORD = re.compile(r"[A-Za-z_]\w*")


def registers_read(plan: Plan) -> tuple[str, ...]:
    """Registers with an operand of the leaf or a value of the conduit, in ABI order."""
    kinds = (LoadKind.SELECTOR, LoadKind.OPERAND)
    found = {load.register for load in plan.loads if load.kind in kinds}
    return tuple(sorted(found, key=abi_order))


def registers_written(plan: Plan) -> tuple[str, ...]:
    """Registers that an output or the status is taken from, in ABI order; or the carry flag."""
    found = {delivery.place.register for delivery in plan.deliveries}
    if plan.status is not None:
        found.add(plan.status.register)
    return tuple(sorted(found, key=abi_order))


def families_of_plan(plan: Plan) -> tuple[StatusFamily, ...]:
    """The families of its status, then those of what a refused call leaves."""
    refused = plan.edges.refused
    further = () if refused is None else refused.families
    return (*plan.conduit.families, *(f for f in further if f not in plan.conduit.families))


def statuses_mentioned(plan: Plan) -> tuple[StatusCode, ...]:
    """The statuses that it names: in clauses, conditions, checks, outcomes, then in documentation.

    Each is a code of `families_of_plan`.
    """
    found: dict[str, StatusCode] = {}
    for word in (word for text in _texts(plan) for word in _WORD.findall(text)):
        for family in families_of_plan(plan):
            if word in family.codes:
                found.setdefault(word, family.codes[word])
    return tuple(found.values())


def _texts(plan: Plan) -> Iterator[str]:
    yield from (clause.text for clause in plan.again)
    yield from (d.test.text for d in plan.deliveries if d.test is not None)
    yield from (check.text for check in plan.checks)
    refused = plan.edges.refused
    if refused is not None:
        codes = (code for family in refused.families for code in family.codes.values())
        yield from (code.name for code in codes if refused.value in code.values)
    for action in plan.edges.actions:
        if not isinstance(action, Trap) and action.value is not None:
            yield show(action.value)
    said = plan.documentation
    yield from (said.doc, *said.notes, *plan.conduit.notes)
    yield from (argument.doc for argument in plan.arguments)
    yield from (fill.doc for load in plan.loads for fill in load.fills)
    yield from (delivery.doc for delivery in plan.deliveries)
