"""The leaf IR: everything a wrapper does, as a plan of one call. Start reading here.

A Plan says, in this order:

1. arguments   what the C caller passes, and `inputs`: the 64-bit values made from it;
2. checks      tests of inputs before any call;
3. loads       the value of every register the instruction reads: selectors, operands, preloads;
4. instruction and what it destroys;
5. edges       what happens when the call does not complete (fault, carry, refused);
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
    Refusal,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import Expression, show
from seamir.model.instructions import Instruction
from seamir.model.registers import CARRY_FLAG
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Layout, Type
from seamir.source import Span

__all__ = [
    "Again",
    "Argument",
    "ArgumentKind",
    "Bits",
    "Bound",
    "CallSymbol",
    "CarryRegister",
    "Check",
    "Delivery",
    "Documentation",
    "Edges",
    "Fallback",
    "Fill",
    "Input",
    "Load",
    "LoadKind",
    "Member",
    "Plan",
    "Refusal",
    "ReturnValue",
    "Returns",
    "SetBits",
    "Struct",
    "Trap",
]


class ArgumentKind(Enum):
    """What an argument of the C function is."""

    VALUE = "value"
    IN = "in"  # pointer to several values, read at entry
    OUT = "out"  # pointer, written
    IN_OUT = "in_out"  # pointer, read at entry and written when the call completed
    STRUCT = "struct"  # pointer to the structure that takes all outputs


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of the C function, in the order of the prototype.

    `type` is the value's type, or the one pointed to (for STRUCT, u64 stands in and Plan.struct
    has the layout). With `optional` a NULL pointer means that nothing is stored.

    `length` is the number of elements of an array, `count` the input that says how many of them
    there are at run time, if one does; `layout` is that of a structure with registers.
    """

    name: str
    kind: ArgumentKind
    type: Type
    optional: bool
    doc: str
    span: Span
    length: int | None = None
    count: str | None = None
    layout: Layout | None = None

    @property
    def size(self) -> int:
        """Bytes of what a pointer points to; those of the value for VALUE, 0 for STRUCT."""
        if self.layout is not None:
            return self.layout.size
        return 0 if self.kind is ArgumentKind.STRUCT else self.type.width // 8 * (self.length or 1)


@dataclass(frozen=True, slots=True)
class Bound:
    """The value is there only if input `count` is greater than `index`; else it is `otherwise`."""

    count: str
    index: int
    otherwise: int


@dataclass(frozen=True, slots=True)
class Input:
    """A 64-bit value that expressions name: an argument extended by the rule of its type.

    With `offset` (bytes) the value is read at entry from the memory that the argument points to,
    and with `bound` only if it is there. Elements are inputs of their own: `pages[1]`, `regs.rdx`.
    `promise` is the leaf's own type, which says what the caller promises of the value.
    """

    name: str
    type: Type
    promise: Type
    argument: str
    offset: int | None
    span: Span
    bound: Bound | None = None


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

    SELECTOR = "selector"  # the conduit's own: constant, but for a version that is a parameter
    OPERAND = "operand"
    PRELOAD = "preload"  # the `else` of an output
    ZERO = "zero"  # exposed, and nothing else puts a value there


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
    """A member of the structure that takes outputs, at `offset` bytes; an array with `length`."""

    name: str
    type: Type
    offset: int
    length: int | None = None


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
    (bytes) say where the value is stored; `argument` None means that it is returned: in RDX, or
    in RAX where there is no status. `group` is the output of the description that an element
    belongs to, and the name itself for others.
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
    group: str


class Returns(Enum):
    """What the C function returns."""

    STATUS = "status"
    STATUS_AND_VALUE = "status and value"  # a pair in RAX and RDX
    VALUE = "value"  # in RAX, where there is no status
    NO_STATUS = "no status"  # it returns, and says nothing
    NOTHING = "nothing"  # it never returns


@dataclass(frozen=True, slots=True)
class Fallback:
    """What the description says and the target cannot do, what is done instead, and why."""

    said: str
    instead: str
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class Documentation:
    """What is said about the call and costs no instruction."""

    doc: str
    notes: tuple[str, ...]
    effect: str | None
    since: str | None
    requires: tuple[str, ...]
    deprecated: str | None
    alias_of: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one wrapper.

    `version_parameter` is the input that carries the version, if one does. `destroyed` are all
    registers whose value after the instruction is not the one before it. `exposed` are those of
    the exposure mask, None for a conduit without one. With `scrub` no general-purpose register
    but RAX, and RDX where it is returned, holds a value from the other side at return; those that
    a function preserves hold the caller's, as always. `status` is None where there is none.
    `success` is any of the matches (None where the conduit does not say). `guard` is a cheap
    necessary condition of every clause of `again`, for the hot path; None: no clause.
    `bound` is the largest number of attempts. `fallbacks` are where the plan is not what the
    description says.
    """

    symbol: str
    leaf: str
    number: int | None
    version: int
    version_parameter: str | None
    conduit: Conduit
    arguments: tuple[Argument, ...]
    inputs: tuple[Input, ...]
    checks: tuple[Check, ...]
    loads: tuple[Load, ...]
    instruction: Instruction
    destroyed: frozenset[str]
    destroys_memory: bool
    destroys_simd: bool
    exposed: frozenset[str] | None
    scrub: bool
    edges: Edges
    status: Bits | None
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
    fallbacks: tuple[Fallback, ...] = field(compare=False, default=())

    def load(self, register: str) -> Load | None:
        """The load of a register, if the instruction reads it."""
        return next((load for load in self.loads if load.register == register), None)

    def argument(self, name: str | None) -> Argument | None:
        """The argument of that name, if there is one."""
        return next((argument for argument in self.arguments if argument.name == name), None)

    @property
    def returned(self) -> Delivery:
        """The output that the function returns; there is one where `returns` says a value."""
        return next(delivery for delivery in self.deliveries if delivery.argument is None)

    @property
    def result_tag(self) -> str:
        """The tag of the structure that is returned where `returns` says a status and a value."""
        return f"{self.symbol}_result"

    @property
    def needed(self) -> frozenset[str]:
        """The registers, and the carry flag, whose value counts once the call completed."""
        found = {delivery.place.register for delivery in self.deliveries}
        found |= {s.register for c in self.again for s in c.steps if isinstance(s, CarryRegister)}
        places = [self.status] + ([self.edges.refused.place] if self.edges.refused else [])
        return frozenset(found | {place.register for place in places if place is not None})

    @property
    def catches_faults(self) -> bool:
        """Whether a fault at the instruction goes on inside the function."""
        return self.edges.fault is not None or bool(self.edges.vectors)

    @property
    def calls_without_return(self) -> frozenset[str]:
        """The symbols that edges call as functions that do not return."""
        calls = [action for action in self.edges.actions if isinstance(action, CallSymbol)]
        returning = {action.symbol for action in calls if action.value is not None}
        return frozenset({action.symbol for action in calls} - returning)

    @property
    def returns_carry(self) -> bool:
        """Whether the carry flag is an output."""
        return any(delivery.place.register == CARRY_FLAG for delivery in self.deliveries)

    def __str__(self) -> str:
        return "\n".join(_print(self)) + "\n"


def _print(plan: Plan) -> list[str]:
    number = "" if plan.number is None else f" = {plan.number}"
    version = plan.version_parameter or plan.version
    lines = [f"plan {plan.symbol}: {plan.leaf}{number} version {version} via {plan.conduit.name}"]
    for argument in plan.arguments:
        optional = " optional" if argument.optional else ""
        kind = argument.layout.name if argument.layout is not None else argument.type.name
        if argument.length is not None:
            count = f"{argument.count} <= " if argument.count else ""
            kind += f"[{count}{argument.length}]"
        lines.append(f"  argument {argument.name}: {argument.kind.value} {kind}{optional}")
    for item in plan.inputs:
        where = item.argument if item.offset is None else f"[{item.argument} + {item.offset}]"
        line = f"  input {item.name} = {where} {item.type.width} bits, {item.type.extension}"
        if item.bound is not None:
            bound = item.bound
            line += f" if {bound.count} > {bound.index} else {bound.otherwise:#x}"
        lines.append(line)
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
    if plan.guard is not None and plan.status is not None:
        lines.append(f"  again only if {show_match(plan.guard, plan.status)}")
    for clause in plan.again:
        assert plan.status is not None
        lines.append(f"  {clause.text}")
        lines += [f"    when {show_match(match, plan.status)}" for match in clause.matches]
        lines += [f"    {show_step(step)}" for step in clause.steps]
    for delivery in plan.deliveries:
        lines.append(f"  deliver {_print_delivery(delivery, plan.returns)}")
    status = "" if plan.status is None else f" {plan.status}"
    lines.append(f"  return {plan.returns.value}{status}")
    if plan.scrub:
        lines.append("  scrub")
    lines.append(f"  section {plan.section}")
    lines += [f"  {one.instead} in place of {one.said}: {one.reason}" for one in plan.fallbacks]
    return lines


def _order(register: str) -> tuple[int, str]:
    return len(register), register


def _print_edges(edges: Edges) -> list[str]:
    lines = [] if edges.carry is None else [f"carry {show_action(edges.carry)}"]
    lines += [f"fault {vector} {show_action(action)}" for vector, action in edges.vectors]
    if edges.fault is not None:
        lines.append(f"fault {show_action(edges.fault)}")
    if edges.refused is not None:
        lines.append(f"refused {show_refusal(edges.refused)} {show_action(edges.refused.action)}")
    return lines


def show_refusal(refusal: Refusal) -> str:
    """How a refusal shows, as the language writes it."""
    return f"{refusal.place} != {refusal.value:#x}"


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


def _print_delivery(delivery: Delivery, returns: Returns) -> str:
    where = f"[{delivery.argument} + {delivery.offset}]"
    if delivery.argument is None:
        where = "rax" if returns is Returns.VALUE else "rdx"
    condition = "" if delivery.test is None else f" on {delivery.test.text}"
    keep = " keep" if delivery.keep else ""
    optional = " optional" if delivery.optional else ""
    width = delivery.type.width
    return f"{delivery.name} = {delivery.place}{condition} to {where} {width} bits{keep}{optional}"
