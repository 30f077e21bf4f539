"""Which registers a plan reads and writes, and which statuses it names.

Takes a plan, returns names: what one looks a leaf up by in `seamir list` and the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamir.emit.rows import abi_order
from seamir.ir.leaf import LoadKind, Plan, Trap
from seamir.model.expressions import show
from seamir.model.statuses import StatusCode

_WORD = re.compile(r"[A-Za-z_]\w*")


def registers_read(plan: Plan) -> tuple[str, ...]:
    """Registers with an operand of the leaf or a value of the conduit, in ABI order."""
    found = {load.register for load in plan.loads if load.kind is not LoadKind.PRELOAD}
    return tuple(sorted(found, key=abi_order))


def registers_written(plan: Plan) -> tuple[str, ...]:
    """Registers that an output or the status is taken from, in ABI order."""
    found = {plan.status.register, *(delivery.place.register for delivery in plan.deliveries)}
    return tuple(sorted(found, key=abi_order))


def statuses_mentioned(plan: Plan) -> tuple[StatusCode, ...]:
    """The statuses that it names: in clauses, conditions, checks, outcomes, then in documentation.

    Each is a code of the conduit's families.
    """
    found: dict[str, StatusCode] = {}
    for word in (word for text in _texts(plan) for word in _WORD.findall(text)):
        for family in plan.conduit.families:
            if word in family.codes:
                found.setdefault(word, family.codes[word])
    return tuple(found.values())


def _texts(plan: Plan) -> Iterator[str]:
    yield from (clause.text for clause in plan.again)
    yield from (d.test.text for d in plan.deliveries if d.test is not None)
    yield from (check.text for check in plan.checks)
    vectors = (action for _, action in plan.edges.vectors)
    for action in (plan.edges.carry, *vectors, plan.edges.fault):
        if action is not None and not isinstance(action, Trap) and action.value is not None:
            yield show(action.value)
    said = plan.documentation
    yield from (said.doc, *said.notes, *plan.conduit.notes)
    yield from (argument.doc for argument in plan.arguments)
    yield from (fill.doc for load in plan.loads for fill in load.fills)
    yield from (delivery.doc for delivery in plan.deliveries)
