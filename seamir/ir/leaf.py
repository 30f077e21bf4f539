"""The leaf IR: everything a wrapper does, as a plan of one call. Start reading here.

A Plan says, in this order:

1. arguments   what the C caller passes, and `inputs`: the 64-bit values made from it;
2. checks      tests of inputs before any call;
3. loads       the value of every register the instruction reads: selectors, operands, preloads;
4. instruction and what it destroys;
5. edges       what happens when the call does not complete (carry, fault);
6. again       which statuses lead to another attempt, and what changes before it;
7. deliveries  which bits of which register go where once the last attempt is over;
8. returns     what the function returns, and its section.

Code generation, header, manifest, listing, emulator and prover read the plan and nothing before
it. `str(plan)` prints it; seamir/ir/verify.py says what every plan fulfils.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from seamir.model.entities import (
    Again,
    Bits,
    CallSymbol,
    CarryRegister,
    Conduit,
    Edges,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import Expression, show
from seamir.model.instructions import Instruction
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Type
from seamir.source import Span

__all__ = [
    "Again",
    "Argument",
    "ArgumentKind",
    "Bits",
    "CallSymbol",
    "CarryRegister",
    "Check",
    "Delivery",
    "Documentation",
    "Edges",
    "Fill",
    "Input",
    "Load",
    "LoadKind",
    "Member",
    "Plan",
    "ReturnValue",
    "Returns",
    "SetBits",
    "Struct",
    "Trap",
]


class ArgumentKind(Enum):
    """What an argument of the C function is."""

    VALUE = "value"
    OUT = "out"  # pointer, written
    IN_OUT = "in_out"  # pointer, read at entry and written when the call completed
    STRUCT = "struct"  # pointer to the structure that takes all outputs


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of the C function, in the order of the prototype.

    `type` is the value's type, or the one pointed to (for STRUCT, u64 stands in and Plan.struct
    has the layout). With `optional` a NULL pointer means that nothing is stored.
    """

    name: str
    kind: ArgumentKind
    type: Type
    optional: bool
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Input:
    """A 64-bit value that expressions name: an argument extended by the rule of its type.

    With `offset` (bytes) the value is read at entry from the memory that the argument points to.
    `promise` is the leaf's own type, which says what the caller promises of the value.
    """

    name: str
    type: Type
    promise: Type
    argument: str
    offset: int | None
    span: Span


@dataclass(frozen=True, slots=True)
class Check:
    """If the input breaks the promise of its type: return `status` without a call; None: ud2."""

    input: str
    promise: Type
    status: int | None
    text: str
    span: Span


class LoadKind(Enum):
    """Why a register is loaded."""

    SELECTOR = "selector"  # the conduit's own, constant
    OPERAND = "operand"
    PRELOAD = "preload"  # the `else` of an output


@dataclass(frozen=True, slots=True)
class Fill:
    """Bits `low` to `high` of a loaded register and the value whose bit 0 is at `low`."""

    low: int
    high: int
    value: Expression
    since: str | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Load:
    """A register's value at the first attempt: the fills side by side, 0 elsewhere.

    `value` is all of it as one expression.
    """

    register: str
    kind: LoadKind
    value: Expression
    fills: tuple[Fill, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the structure that takes outputs, at `offset` bytes."""

    name: str
    type: Type
    offset: int


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure with C layout; `size` and `alignment` are in bytes."""

    name: str
    members: tuple[Member, ...]
    size: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One output: bits of a register, when they count, and where they go.

    If the call completed, the value is that of the bits where `test` holds (or is None) and else
    0. If it did not complete, 0 is delivered, or nothing with `keep`. `argument` and `offset`
    (bytes) say where the value is stored; `argument` None means RDX at return.
    """

    name: str
    type: Type
    place: Bits
    test: StatusTest | None
    keep: bool
    argument: str | None
    offset: int
    optional: bool
    doc: str
    span: Span


class Returns(Enum):
    """What the C function returns."""

    STATUS = "status"
    STATUS_AND_VALUE = "status and value"  # a pair in RAX and RDX
    NOTHING = "nothing"  # it never returns


@dataclass(frozen=True, slots=True)
class Documentation:
    """What is said about the call and costs no instruction."""

    doc: str
    notes: tuple[str, ...]
    effect: str | None
    since: str | None
    requires: tuple[str, ...]
    deprecated: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one wrapper.

    `destroyed` are all registers whose value after the instruction is not the one before it.
    `success` is any of the matches (None where the conduit does not say). `guard` is a cheap
    necessary condition of every clause of `again`, for the hot path; None: no clause.
    `bound` is the largest number of attempts.
    """

    symbol: str
    leaf: str
    number: int | None
    version: int
    conduit: Conduit
    arguments: tuple[Argument, ...]
    inputs: tuple[Input, ...]
    checks: tuple[Check, ...]
    loads: tuple[Load, ...]
    instruction: Instruction
    destroyed: frozenset[str]
    destroys_memory: bool
    destroys_simd: bool
    edges: Edges
    status: Bits
    success: tuple[Match, ...] | None
    again: tuple[Again, ...]
    guard: Match | None
    bound: int
    deliveries: tuple[Delivery, ...]
    struct: Struct | None
    returns: Returns
    section: str
    documentation: Documentation = field(compare=False)
    span: Span = field(compare=False)

    def load(self, register: str) -> Load | None:
        """The load of a register, if the instruction reads it."""
        return next((load for load in self.loads if load.register == register), None)

    def __str__(self) -> str:
        return "\n".join(_print(self)) + "\n"


def _print(plan: Plan) -> list[str]:
    number = "" if plan.number is None else f" = {plan.number}"
    lines = [
        f"plan {plan.symbol}: {plan.leaf}{number} version {plan.version} via {plan.conduit.name}"
    ]
    for argument in plan.arguments:
        optional = " optional" if argument.optional else ""
        lines.append(
            f"  argument {argument.name}: {argument.kind.value} {argument.type.name}{optional}"
        )
    for item in plan.inputs:
        where = item.argument if item.offset is None else f"[{item.argument} + {item.offset}]"
        lines.append(f"  input {item.name} = {where} {item.type.width} bits, {item.type.extension}")
    for check in plan.checks:
        action = "trap" if check.status is None else f"return {check.status:#x}"
        lines.append(f"  check {check.input}: {check.promise.name} else {action}")
    lines.append(f"  attempt, at most {plan.bound}")
    for load in plan.loads:
        lines.append(f"    {load.kind.value} {load.register} = {show(load.value)}")
    destroyed = " ".join(sorted(plan.destroyed, key=_order))
    extra = (" memory" if plan.destroys_memory else "") + (" simd" if plan.destroys_simd else "")
    lines.append(f"    {plan.instruction.name} destroys {destroyed}{extra}")
    lines += [f"  on {text}" for text in _print_edges(plan.edges)]
    if plan.guard is not None:
        lines.append(f"  again only if {show_match(plan.guard, plan.status)}")
    for clause in plan.again:
        lines.append(f"  {clause.text}")
        lines += [f"    when {show_match(match, plan.status)}" for match in clause.matches]
        lines += [f"    {show_step(step)}" for step in clause.steps]
    for delivery in plan.deliveries:
        lines.append(f"  deliver {_print_delivery(delivery)}")
    lines.append(f"  return {plan.returns.value} {plan.status}")
    lines.append(f"  section {plan.section}")
    return lines


def _order(register: str) -> tuple[int, str]:
    return len(register), register


def _print_edges(edges: Edges) -> list[str]:
    lines = [] if edges.carry is None else [f"carry {show_action(edges.carry)}"]
    lines += [f"fault {vector} {show_action(action)}" for vector, action in edges.vectors]
    if edges.fault is not None:
        lines.append(f"fault {show_action(edges.fault)}")
    return lines


def show_action(action: ReturnValue | Trap | CallSymbol) -> str:
    """An action as the language writes it."""
    if isinstance(action, ReturnValue):
        return f"return {show(action.value)}"
    if isinstance(action, Trap):
        return "trap"
    value = "" if action.value is None else f" return {show(action.value)}"
    return f"call {action.symbol}{value}"


def show_match(match: Match, place: Bits) -> str:
    """A match as a comparison of the status."""
    if match.mask == (1 << 64) - 1:
        return f"{place} == {match.value:#x}"
    return f"{place} & {match.mask:#x} == {match.value:#x}"


def show_step(step: SetBits | CarryRegister) -> str:
    """What a resumption changes, as the language writes it."""
    if isinstance(step, SetBits):
        return f"{step.place} = {show(step.value)}"
    return f"carry {step.register}"


def _print_delivery(delivery: Delivery) -> str:
    where = "rdx" if delivery.argument is None else f"[{delivery.argument} + {delivery.offset}]"
    condition = "" if delivery.test is None else f" on {delivery.test.text}"
    keep = " keep" if delivery.keep else ""
    optional = " optional" if delivery.optional else ""
    width = delivery.type.width
    return f"{delivery.name} = {delivery.place}{condition} to {where} {width} bits{keep}{optional}"
