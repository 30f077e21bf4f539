"""Slight changes of a plan, made from a seed: code that fits the plan should not fit its change.

`changed` is the entry. A change is in one place and leaves a valid plan of the same C function. Few
have no effect, such as a register more that the other side may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from seamir.ir.leaf import (
    Again,
    Bits,
    CarryRegister,
    Check,
    Delivery,
    Edges,
    Input,
    Load,
    LoadKind,
    Plan,
    Refusal,
    ReturnValue,
    SetBits,
)
from seamir.ir.passes import run_passes
from seamir.ir.verify import DefectError
from seamir.model.entities import Action, CallSymbol, Trap
from seamir.model.expressions import Binary, Constant, Expression
from seamir.model.registers import ALL_BITS, CARRY_FLAG, REGISTERS
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES

Item = TypeVar("Item")
TRIES = 100  # changes that would break a rule of plans before one is found that does not


def changed(plan: Plan, random: Random) -> Plan:
    """A plan that differs in one place. Raises AssertionError if none is found."""
    for _ in range(TRIES):
        kind = random.choice(CHANGES)
        new = kind(plan, random)
        try:
            if new is not None and new != plan:
                return run_passes(replace(new, bound=_bound(new.again)))
        except DefectError:
            continue  # the next one
    raise AssertionError(f"no change of {plan.symbol} found")


def _bound(clauses: Sequence[Again]) -> int:
    bound = 1
    for clause in clauses:
        bound *= clause.attempts + 1
    return bound


def _one_of(items: Sequence[Item], random: Random, change: Any) -> tuple[Item, ...] | None:
    """The items with one of them changed; None if there is none."""
    if not items:
        return None
    index = random.randrange(len(items))
    return (*items[:index], change(items[index], random), *items[index + 1 :])


# -- values and bits


def _expression(value: Expression, random: Random) -> Expression:
    if isinstance(value, Constant):
        return Constant(value.value ^ 1 << random.randrange(64))
    if isinstance(value, Binary) and random.random() < 0.5:
        return replace(value, left=_expression(value.left, random))
    amount = Constant(random.randrange(1, 64))
    return Binary(random.choice(["+", "-", "<<", ">>"]), value, amount)


def _place(place: Bits, random: Random) -> Bits:
    if place.register == CARRY_FLAG or random.random() < 0.3:
        return replace(place, register=random.choice(sorted(REGISTERS)))
    low, high = place.low + random.choice([-1, 0, 0, 1]), place.high + random.choice([-1, 0, 0, 1])
    return replace(place, low=low, high=high)


def _match(match: Match, random: Random) -> Match:
    bit = 1 << random.randrange(64)
    if random.random() < 0.5:
        return Match(match.mask, (match.value ^ bit) & match.mask)
    mask = match.mask ^ bit
    return Match(mask, match.value & mask)


def _test(test: StatusTest | None, random: Random) -> StatusTest | None:
    if test is None or random.random() < 0.2:
        return None
    if random.random() < 0.3:
        return replace(test, inverted=not test.inverted)
    if test.none_of and random.random() < 0.5:
        return replace(test, none_of=test.none_of[1:])
    any_of = _one_of(test.any_of, random, _match)
    return replace(test, any_of=any_of or ())


# -- what goes in


def _load(plan: Plan, random: Random) -> Plan | None:
    def change(load: Load, random: Random) -> Load:
        if load.kind is LoadKind.OPERAND and random.random() < 0.2:
            return replace(load, register=random.choice(sorted(REGISTERS)))
        return replace(load, value=_expression(load.value, random))

    loads = _one_of(plan.loads, random, change)
    return None if loads is None else replace(plan, loads=loads)


def _input(plan: Plan, random: Random) -> Plan | None:
    def change(item: Input, random: Random) -> Input:
        if item.bound is not None and random.random() < 0.6:
            if random.random() < 0.5:
                return replace(item, bound=replace(item.bound, index=item.bound.index + 1))
            otherwise = item.bound.otherwise ^ 1 << random.randrange(64)
            return replace(item, bound=replace(item.bound, otherwise=otherwise))
        if item.offset is not None and item.bound is None and random.random() < 0.5:
            return replace(item, offset=max(0, item.offset - random.choice([1, 8])))
        if not item.promise.low <= 0 <= item.promise.high:
            return item  # the caller may have no value that keeps the promise
        sign = "u" if item.type.signed else "s"
        return replace(item, type=BUILTIN_TYPES[f"{sign}{item.type.width}"])

    inputs = _one_of(plan.inputs, random, change)
    return None if inputs is None else replace(plan, inputs=inputs)


def _check(plan: Plan, random: Random) -> Plan | None:
    def change(check: Check, random: Random) -> Check:
        if check.status is not None and random.random() < 0.5:
            return replace(check, status=check.status ^ 1 << random.randrange(64))
        promise = check.promise
        return replace(check, promise=replace(promise, high=max(promise.high - 1, promise.low)))

    if random.random() < 0.3:
        return replace(plan, checks=plan.checks[1:])
    checks = _one_of(plan.checks, random, change)
    return None if checks is None else replace(plan, checks=checks)


# -- the call and its outcomes


def _destroyed(plan: Plan, random: Random) -> Plan | None:
    more = random.choice(sorted(REGISTERS.keys() - plan.destroyed - {"rsp"}) or ["rax"])
    return replace(plan, destroyed=plan.destroyed | {more})


def _action(action: Action, random: Random) -> Action:
    if isinstance(action, Trap):
        return ReturnValue(Constant(0), action.span)
    if random.random() < 0.2:
        return Trap(action.span)
    if isinstance(action, CallSymbol) and random.random() < 0.5:
        return replace(action, symbol="other")
    if action.value is None:
        return replace(action, value=Constant(0))
    return replace(action, value=_expression(action.value, random))


def _edges(plan: Plan, random: Random) -> Plan | None:
    edges: Edges = plan.edges
    which = random.choice(["carry", "fault", "vectors", "refused"])
    if which == "carry" and edges.carry is not None:
        edges = replace(edges, carry=_action(edges.carry, random))
    if which == "fault" and edges.fault is not None:
        edges = replace(edges, fault=_action(edges.fault, random))
    if which == "vectors":
        vectors = _one_of(edges.vectors, random, lambda row, r: (row[0], _action(row[1], r)))
        edges = replace(edges, vectors=vectors or ())
    if which == "refused" and edges.refused is not None:
        edges = replace(edges, refused=_refused(edges.refused, random))
    return replace(plan, edges=edges)


def _refused(refused: Refusal, random: Random) -> Refusal | None:
    if random.random() < 0.2:
        return None
    if random.random() < 0.5:
        return replace(refused, action=_action(refused.action, random))
    return replace(refused, value=refused.value ^ 1 << random.randrange(refused.place.width))


def _status(plan: Plan, random: Random) -> Plan | None:
    return None if plan.status is None else replace(plan, status=_place(plan.status, random))


# -- further attempts


def _again(plan: Plan, random: Random) -> Plan | None:
    def change(clause: Again, random: Random) -> Again:
        which = random.random()
        if which < 0.4:
            return replace(clause, attempts=clause.attempts + random.choice([-1, 1]))
        if which < 0.7 or not clause.steps:
            matches = _one_of(clause.matches, random, _match)
            return replace(clause, matches=matches or ())
        if len(clause.steps) > 1 and which < 0.8:
            return replace(clause, steps=clause.steps[1:])
        return replace(clause, steps=_one_of(clause.steps, random, _step) or ())

    if len(plan.again) > 1 and random.random() < 0.2:
        return replace(plan, again=plan.again[::-1])
    if plan.again and random.random() < 0.1:
        return replace(plan, again=plan.again[1:])
    clauses = _one_of(plan.again, random, change)
    return None if clauses is None else replace(plan, again=clauses)


def _step(step: SetBits | CarryRegister, random: Random) -> SetBits | CarryRegister:
    if isinstance(step, CarryRegister):
        if random.random() < 0.5:
            return SetBits(Bits(step.register, 0, 63, step.span), Constant(ALL_BITS), step.span)
        return replace(step, register=random.choice(sorted(REGISTERS)))
    if random.random() < 0.5:
        return replace(step, place=_place(step.place, random))
    return replace(step, value=_expression(step.value, random))


# -- what comes back


def _delivery(plan: Plan, random: Random) -> Plan | None:
    def change(delivery: Delivery, random: Random) -> Delivery:
        which = random.random()
        if which < 0.4:
            return replace(delivery, place=_place(delivery.place, random))
        if which < 0.6:
            return replace(delivery, test=_test(delivery.test, random))
        if which < 0.7:
            return replace(delivery, keep=not delivery.keep)
        if which < 0.8:
            return replace(delivery, offset=max(0, delivery.offset + random.choice([-8, 8, 1])))
        sign = "u" if delivery.type.signed else "s"
        return replace(delivery, type=BUILTIN_TYPES[f"{sign}{delivery.type.width}"])

    if len(plan.deliveries) > 1 and random.random() < 0.2:
        return _swapped(plan, random)
    deliveries = _one_of(plan.deliveries, random, change)
    return None if deliveries is None else replace(plan, deliveries=deliveries)


def _swapped(plan: Plan, random: Random) -> Plan:
    """The plan with two deliveries in each other's place."""
    rows = list(plan.deliveries)
    one, other = random.sample(range(len(rows)), 2)
    rows[one] = replace(rows[one], place=plan.deliveries[other].place)
    rows[other] = replace(rows[other], place=plan.deliveries[one].place)
    return replace(plan, deliveries=tuple(rows))


def _scrub(plan: Plan, _random: Random) -> Plan | None:
    return replace(plan, scrub=not plan.scrub)


CHANGES = (
    *(_load, _load, _load, _input, _check, _destroyed, _edges, _edges, _status),
    *(_again, _again, _delivery, _delivery, _delivery, _scrub),
)


def changes(plan: Plan, seed: int, count: int) -> Iterator[Plan]:
    """Some changes of a plan."""
    random = Random(f"{plan.symbol} {seed}")
    for _ in range(count):
        yield changed(plan, random)
