"""Plans built by hand, for tests of what comes after the leaf IR."""

from __future__ import annotations

from collections.abc import Sequence

from seamir.ir.leaf import (
    Again,
    Argument,
    ArgumentKind,
    Bits,
    CarryRegister,
    Check,
    Delivery,
    Documentation,
    Edges,
    Fill,
    Input,
    Load,
    LoadKind,
    Member,
    Plan,
    Returns,
    ReturnValue,
    SetBits,
    Struct,
)
from seamir.model.entities import Action, CallSymbol, Conduit, Trap
from seamir.model.expressions import Binary, Constant, Expression, ParameterValue, TrapNumber
from seamir.model.instructions import INSTRUCTIONS
from seamir.model.registers import ALL_BITS
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.source import Source, Span

SPAN = Span(Source("test.seam", "text"), 0, 4)
U8, U16, U32, U64 = (BUILTIN_TYPES[name] for name in ("u8", "u16", "u32", "u64"))
S8, S16, S32, S64 = (BUILTIN_TYPES[name] for name in ("s8", "s16", "s32", "s64"))
BOOL, PTR = BUILTIN_TYPES["bool"], BUILTIN_TYPES["ptr"]
ON_CARRY = ReturnValue(Constant(0x8000_FF00_FFFF_0000), SPAN)
ON_FAULT = ReturnValue(Binary("|", Constant(0x8000_FF00_0000_0000), TrapNumber()), SPAN)
DOCUMENTATION = Documentation("", (), None, None, (), None, None)


def exactly(status: int) -> Match:
    """All 64 bits."""
    return Match(ALL_BITS, status)


def any_detail(status: int) -> Match:
    """All bits but the detail bits 31:0."""
    return Match(ALL_BITS & ~0xFFFF_FFFF, status)


ON_SUCCESS = StatusTest(any_of=(Match(0xC000_0000_0000_0000, 0),), text="success")
ON_ERROR = StatusTest(any_of=ON_SUCCESS.any_of, inverted=True, text="error")


def bits(register: str, low: int = 0, high: int = 63) -> Bits:
    """Bits of a register, all of them by default."""
    return Bits(register, low, high, SPAN)


def parameter(name: str) -> ParameterValue:
    """An input as an expression."""
    return ParameterValue(name, U64.possible)


def value(name: str, kind: Type = U64) -> Argument:
    """An argument passed by value."""
    return Argument(name, ArgumentKind.VALUE, kind, False, "", SPAN)


def out(name: str, kind: Type = U64, *, optional: bool = False) -> Argument:
    """A pointer to an output."""
    return Argument(name, ArgumentKind.OUT, kind, optional, "", SPAN)


def in_out(name: str, kind: Type = U64) -> Argument:
    """A pointer to a parameter that an output replaces."""
    return Argument(name, ArgumentKind.IN_OUT, kind, False, "", SPAN)


def array(name: str, kind: Type, length: int, count: str | None = None) -> Argument:
    """A pointer to elements that are read; `count` is the input that says how many there are."""
    return Argument(name, ArgumentKind.IN, kind, False, "", SPAN, length, count)


def struct(name: str, *, optional: bool = False) -> Argument:
    """A pointer to the structure that takes the outputs."""
    return Argument(name, ArgumentKind.STRUCT, U64, optional, "", SPAN)


def structure(*members: tuple[str, Type, int], size: int) -> Struct:
    """A structure of (name, type, offset in bytes), `size` bytes long."""
    return Struct("outputs", tuple(Member(*member) for member in members), size, 8)


def load(register: str, content: Expression | int | str, kind: LoadKind = LoadKind.OPERAND) -> Load:
    """A load of a whole register: a constant, a parameter by name, or an expression."""
    if isinstance(content, int):
        content = Constant(content)
    elif isinstance(content, str):
        content = parameter(content)
    return Load(register, kind, content, (Fill(0, 63, content, None, "", SPAN),), SPAN)


def preload(register: str, constant: int) -> Load:
    """The `else` of an output."""
    return load(register, constant, LoadKind.PRELOAD)


def deliver(
    name: str,
    place: Bits,
    kind: Type = U64,
    *,
    test: StatusTest | None = None,
    keep: bool = False,
    optional: bool = False,
    to: str | None = "same",
    offset: int = 0,
) -> Delivery:
    """A delivery to the argument of the same name; `to=None` means RDX."""
    target = name if to == "same" else to
    return Delivery(name, kind, place, test, keep, target, offset, optional, "", SPAN, name)


def again(attempts: int, *matches: Match, steps: Sequence[SetBits | CarryRegister] = ()) -> Again:
    """A retry or, with steps, a resumption."""
    return Again(attempts, matches, tuple(steps), bool(steps), f"retry {attempts}", SPAN)


def set_bits(place: Bits, content: Expression | int) -> SetBits:
    """A step that replaces bits."""
    return SetBits(place, Constant(content) if isinstance(content, int) else content, SPAN)


def carry(register: str) -> CarryRegister:
    """A step that carries what the last attempt left in a register."""
    return CarryRegister(register, SPAN)


def check(name: str, promise: Type, status: int | None) -> Check:
    """A check of an input."""
    return Check(name, promise, status, "check", SPAN)


def returning(status: int) -> ReturnValue:
    """An edge's action."""
    return ReturnValue(Constant(status), SPAN)


def calling(symbol: str, status: int | None) -> CallSymbol:
    """An edge's action; without status the symbol does not return."""
    return CallSymbol(symbol, None if status is None else Constant(status), SPAN)


def trapping() -> Trap:
    """An edge's action."""
    return Trap(SPAN)


def edges(
    on_carry: Action | None = ON_CARRY,
    on_fault: Action | None = ON_FAULT,
    **vectors: Action,
) -> Edges:
    """Edges; other keywords such as v6 name vectors."""
    return Edges(on_carry, on_fault, tuple((int(k[1:]), a) for k, a in vectors.items()))


def inputs_of(arguments: Sequence[Argument]) -> tuple[Input, ...]:
    """An input for each value and in/out argument."""
    found = []
    for argument in arguments:
        if argument.kind in (ArgumentKind.VALUE, ArgumentKind.IN_OUT):
            offset = None if argument.kind is ArgumentKind.VALUE else 0
            kind = argument.type
            found.append(Input(argument.name, kind, kind, argument.name, offset, SPAN))
    return tuple(found)


def plan(
    *arguments: Argument,
    loads: Sequence[Load] = (),
    deliveries: Sequence[Delivery] = (),
    clauses: Sequence[Again] = (),
    checks: Sequence[Check] = (),
    on: Edges | None = None,
    status: Bits | None = None,
    instruction: str = "seamcall",
    destroyed: Sequence[str] = ("rax", "rcx", "rdx", "r8", "r9", "r10", "r11"),
    memory: bool = True,
    layout: Struct | None = None,
    inputs: Sequence[Input] | None = None,
    returns: Returns = Returns.STATUS,
    symbol: str = "wrapper",
    scrub: bool = False,
    exposed: frozenset[str] | None = None,
) -> Plan:
    """A plan of leaf 29; selector RAX = 29 unless `loads` has RAX. `returns` may be without status.

    Those that are `exposed` have to be loaded, and RCX with the mask.
    """
    if not any(item.register == "rax" for item in loads):
        loads = (load("rax", 29, LoadKind.SELECTOR), *loads)
    on = edges() if on is None else on
    place = bits("rax") if status is None else status
    has_status = returns not in (Returns.NO_STATUS, Returns.VALUE)
    row = INSTRUCTIONS[instruction]
    conduit = Conduit(
        "test",
        (),
        row,
        (),
        place if has_status else None,
        (),
        frozenset(destroyed),
        memory,
        False,
        on,
        False,
        (),
        "",
        SPAN,
    )
    bound = 1
    for clause in clauses:
        bound *= clause.attempts + 1
    return Plan(
        symbol=symbol,
        leaf="TEST",
        number=29,
        version=0,
        version_parameter=None,
        conduit=conduit,
        arguments=arguments,
        inputs=inputs_of(arguments) if inputs is None else tuple(inputs),
        checks=tuple(checks),
        loads=tuple(loads),
        instruction=row,
        destroyed=frozenset(destroyed) | ({place.register} if has_status else set()),
        destroys_memory=memory,
        destroys_simd=False,
        exposed=exposed,
        scrub=scrub,
        edges=on,
        status=place if has_status else None,
        success=ON_SUCCESS.any_of if has_status else None,
        again=tuple(clauses),
        guard=None,
        bound=bound,
        deliveries=tuple(deliveries),
        struct=layout,
        returns=returns,
        section=".text",
        documentation=DOCUMENTATION,
        span=SPAN,
    )
