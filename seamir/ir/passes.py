"""Passes over plans: each takes a plan and returns a better one that means the same.

`run_passes` verifies the plan before and after each pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seamir.ir.leaf import Check, Plan
from seamir.ir.verify import verify
from seamir.model.entities import (
    Again,
    CallSymbol,
    CarryRegister,
    Edges,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import fold
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match

Pass = Callable[[Plan], Plan]
SIGN = 1 << 63
LOW_HALF = 0xFFFF_FFFF


def fold_constants(plan: Plan) -> Plan:
    """Computes the constant parts of every expression."""
    loads = tuple(
        replace(
            load,
            value=fold(load.value),
            fills=tuple(replace(fill, value=fold(fill.value)) for fill in load.fills),
        )
        for load in plan.loads
    )
    again = tuple(
        replace(clause, steps=tuple(_fold_step(step) for step in clause.steps))
        for clause in plan.again
    )
    carry = None if plan.edges.carry is None else _fold_action(plan.edges.carry)
    fault = None if plan.edges.fault is None else _fold_action(plan.edges.fault)
    vectors = tuple((vector, _fold_action(action)) for vector, action in plan.edges.vectors)
    refused = plan.edges.refused
    if refused is not None:
        refused = replace(refused, action=_fold_action(refused.action))
    edges = Edges(carry, fault, vectors, refused)
    return replace(plan, loads=loads, again=again, edges=edges)


def _fold_step(step: SetBits | CarryRegister) -> SetBits | CarryRegister:
    return replace(step, value=fold(step.value)) if isinstance(step, SetBits) else step


def _fold_action(action: ReturnValue | Trap | CallSymbol) -> ReturnValue | Trap | CallSymbol:
    if isinstance(action, Trap) or action.value is None:
        return action
    return replace(action, value=fold(action.value))


def choose_guard(plan: Plan) -> Plan:
    """Finds the one test that the hot path makes before it looks at the clauses.

    It holds for every status that some clause matches. Bit 63 is tested alone where it decides,
    as on x86 that is one instruction without a constant. Other guards have constants that an
    instruction can hold, so that none takes up a register in the loop.
    """
    matches = [match for clause in plan.again for match in clause.matches]
    if not matches:
        return replace(plan, guard=None)
    common = ALL_BITS
    for match in matches:
        common &= match.mask & ~(match.value ^ matches[0].value)
    value = matches[0].value & common
    if value & SIGN:
        return replace(plan, guard=Match(SIGN, SIGN))
    if _is_immediate(common) and _is_immediate(value):
        return replace(plan, guard=Match(common, value))
    # Half of it, by preference one that TDX_SUCCESS, 0, does not pass.
    high, low = ALL_BITS & ~LOW_HALF & common, LOW_HALF & common
    half = low if value & low and not value & high else high or low
    return replace(plan, guard=Match(half, value & half))


def _is_immediate(value: int) -> bool:
    """Whether it is the sign-extended 32-bit constant of an instruction."""
    return value < 1 << 31 or value >= (1 << 64) - (1 << 31)


def drop_idle_checks(plan: Plan) -> Plan:
    """Drops a check that another one of the same input and type makes already."""
    kept: list[Check] = []
    for check in plan.checks:
        if not any((k.input, k.promise) == (check.input, check.promise) for k in kept):
            kept.append(check)
    return replace(plan, checks=tuple(kept))


def order_clauses(plan: Plan) -> Plan:
    """Gives each clause its matches sorted, so that equal plans give equal code.

    Bits that a narrow status does not have are 0 and need no comparison.
    """
    if plan.status is None:
        return plan
    mask = slice_mask(0, plan.status.width - 1)
    again = tuple(_sorted_clause(clause, mask) for clause in plan.again)
    return replace(plan, again=again)


def _sorted_clause(clause: Again, mask: int) -> Again:
    unique = dict.fromkeys(Match(match.mask & mask, match.value) for match in clause.matches)
    return replace(clause, matches=tuple(sorted(unique, key=lambda m: (m.value, m.mask))))


PASSES: tuple[Pass, ...] = (
    fold_constants,
    drop_idle_checks,
    order_clauses,
    choose_guard,
)


def run_passes(plan: Plan) -> Plan:
    """Runs all passes in order; raises DefectError if one breaks the plan."""
    verify(plan, "lowering")
    for step in PASSES:
        plan = step(plan)
        verify(plan, step.__name__)
    return plan
