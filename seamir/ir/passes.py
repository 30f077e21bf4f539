"""Passes over plans: each takes a plan and returns a better one that means the same.

A pass with nothing to do returns the plan itself. `run_passes` verifies the plan at the start and
after each pass that changed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from seamir.ir.leaf import Check, Fill, Load, Plan
from seamir.ir.verify import verify
from seamir.model.entities import (
    Action,
    Again,
    CallSymbol,
    Edges,
    Refusal,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import fold
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match

Pass = Callable[[Plan], Plan]
Valued = TypeVar("Valued", bound=Load | Fill | SetBits | ReturnValue | CallSymbol)
SIGN = 1 << 63
LOW_HALF = 0xFFFF_FFFF


def fold_constants(plan: Plan) -> Plan:
    """Computes the constant parts of every expression."""
    edges = plan.edges
    folded = replace(
        plan,
        loads=tuple(_fold_load(load) for load in plan.loads),
        again=tuple(_fold_clause(clause) for clause in plan.again),
        edges=Edges(
            None if edges.carry is None else _fold_action(edges.carry),
            None if edges.fault is None else _fold_action(edges.fault),
            tuple((vector, _fold_action(action)) for vector, action in edges.vectors),
            None if edges.refused is None else _fold_refused(edges.refused),
        ),
    )
    return plan if folded == plan else folded


def _fold_load(load: Load) -> Load:
    fills = tuple(_fold_value(fill) for fill in load.fills)
    return _fold_value(load if fills == load.fills else replace(load, fills=fills))


def _fold_clause(clause: Again) -> Again:
    steps = tuple(_fold_value(s) if isinstance(s, SetBits) else s for s in clause.steps)
    return clause if steps == clause.steps else replace(clause, steps=steps)


def _fold_refused(refused: Refusal) -> Refusal:
    action = _fold_action(refused.action)
    return refused if action is refused.action else replace(refused, action=action)


def _fold_action(action: Action) -> Action:
    if isinstance(action, Trap) or action.value is None:
        return action
    return _fold_value(action)


def _fold_value(item: Valued) -> Valued:
    """The item with its value folded; the item itself if there is nothing to fold."""
    assert item.value is not None
    value = fold(item.value)
    return item if value is item.value else replace(item, value=value)


def choose_guard(plan: Plan) -> Plan:
    """Finds the one test that the hot path makes before it looks at the clauses.

    It holds for every status that some clause matches. Bit 63 is tested alone where it decides,
    as on x86 that is one instruction without a constant. Other guards have constants that an
    instruction can hold, so that none takes up a register in the loop.
    """
    matches = [match for clause in plan.again for match in clause.matches]
    if not matches:
        return plan if plan.guard is None else replace(plan, guard=None)
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
    if len(plan.checks) < 2:
        return plan
    kept: list[Check] = []
    for check in plan.checks:
        if not any((k.input, k.promise) == (check.input, check.promise) for k in kept):
            kept.append(check)
    return replace(plan, checks=tuple(kept))


def order_clauses(plan: Plan) -> Plan:
    """Gives each clause its matches sorted, so that equal plans give equal code.

    Bits that a narrow status does not have are 0 and need no comparison.
    """
    if not plan.again or plan.status is None:
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
        before, plan = plan, step(plan)
        if plan is not before:
            verify(plan, step.__name__)
    return plan
