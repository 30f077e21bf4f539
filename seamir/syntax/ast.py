"""The syntax tree: what a file says, before any name is looked up.

One immutable class per construct of grammar/seam.lark, each with its span. Nothing is checked here
beyond what the grammar itself forces. (Named tuples: a description has many nodes, and these take
a third of the time of frozen dataclasses.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from seamir.source import Source, Span


class Name(NamedTuple):
    text: str
    span: Span


class Integer(NamedTuple):
    value: int
    span: Span


class Text(NamedTuple):
    """A quoted string, without its quotes."""

    value: str
    span: Span


class Slice(NamedTuple):
    """Bits `high` to `low` of a register or value, both included."""

    high: Integer
    low: Integer
    span: Span


class Place(NamedTuple):
    """A register, or the bits of it that `slice` names."""

    register: Name
    slice: Slice | None
    span: Span


class Registers(NamedTuple):
    """One register (`last` is None) or a range such as r8..r11."""

    first: Name
    last: Name | None
    span: Span


class RegisterFile(NamedTuple):
    """Several registers, in the order in which they take the elements of an array or layout."""

    registers: tuple[Registers, ...]
    span: Span


class CarryFlag(NamedTuple):
    """The carry flag, as the source of an output."""

    span: Span


# -- expressions


class NameExpr(NamedTuple):
    family: Name | None
    name: Name
    span: Span


class LiteralExpr(NamedTuple):
    value: int
    span: Span


class BinaryExpr(NamedTuple):
    operator: str  # one of | + - << >>
    left: Expr
    right: Expr
    span: Span


Expr: TypeAlias = NameExpr | LiteralExpr | BinaryExpr


# -- patterns and actions


class Pattern(NamedTuple):
    """`detail` is None for `X`, "*" for `X(*)`, else the operand id's name or number."""

    name: Name
    detail: Name | Integer | str | None
    span: Span


class ReturnAction(NamedTuple):
    value: Expr
    span: Span


class TrapAction(NamedTuple):
    span: Span


class CallAction(NamedTuple):
    symbol: Name
    value: Expr | None
    span: Span


Action: TypeAlias = ReturnAction | TrapAction | CallAction


class Refusal(NamedTuple):
    """How to tell that the other side was not reached: the place does not have the value."""

    place: Place
    families: tuple[Name, ...]
    value: Expr
    span: Span


class Outcome(NamedTuple):
    """`on EDGE ACTION;` where the edge is "carry", "fault" (one vector or all) or "refused"."""

    edge: str
    vector: Name | None
    refusal: Refusal | None
    action: Action
    span: Span


class Assign(NamedTuple):
    place: Place
    value: Expr
    since: Text | None
    doc: str
    span: Span


class AssignFile(NamedTuple):
    """Registers that take the elements of an array or the members of a layout."""

    file: RegisterFile
    value: Expr
    otherwise: Expr | None
    since: Text | None
    doc: str
    span: Span


class Clobbers(NamedTuple):
    registers: tuple[Registers, ...]
    memory: bool
    simd: bool
    span: Span


class Preserves(NamedTuple):
    registers: tuple[Registers, ...]
    span: Span


class NoteText(NamedTuple):
    text: Text
    span: Span


# -- clauses of leaves and wrappers


class Retry(NamedTuple):
    attempts: Integer
    patterns: tuple[Pattern, ...]
    span: Span


class StepAssign(NamedTuple):
    place: Place
    value: Expr
    span: Span


class StepCarry(NamedTuple):
    registers: tuple[Registers, ...]
    span: Span


class Resume(NamedTuple):
    attempts: Integer
    patterns: tuple[Pattern, ...]
    steps: tuple[StepAssign | StepCarry, ...]
    span: Span


class Check(NamedTuple):
    parameter: Name
    status: Pattern | None  # None: trap
    span: Span


class Deliver(NamedTuple):
    kind: str  # "pointers", "struct" or "register"
    struct: Name | None
    optional: bool
    span: Span


class OfOutputs(NamedTuple):
    """A clause about some outputs, or all of them if it names none: `keep` or `drop`."""

    word: str
    names: tuple[Name, ...]
    span: Span


class Allow(NamedTuple):
    register: Name
    span: Span


class Flag(NamedTuple):
    """A clause that is one word: noinstr, noreturn, scrub, effect (global)."""

    word: str
    span: Span


class Since(NamedTuple):
    version: Text
    span: Span


class Requires(NamedTuple):
    feature: Name
    span: Span


class Deprecated(NamedTuple):
    reason: Text | None
    span: Span


class AliasOf(NamedTuple):
    leaf: Name
    span: Span


Clause: TypeAlias = (
    Assign
    | AssignFile
    | AliasOf
    | Retry
    | Resume
    | Outcome
    | Check
    | Deliver
    | OfOutputs
    | Allow
    | Flag
    | Preserves
    | Clobbers
    | Since
    | Requires
    | Deprecated
    | NoteText
)


# -- items


class Import(NamedTuple):
    path: Text
    span: Span


class Range(NamedTuple):
    low: int
    high: int
    span: Span


class TypeItem(NamedTuple):
    name: Name
    base: Name
    constants: tuple[Name, ...]
    slice: Slice | None
    range: Range | None
    spelling: Text | None
    doc: str
    span: Span


class ConstItem(NamedTuple):
    name: Name
    value: Expr
    doc: str
    span: Span


class BitField(NamedTuple):
    name: Name
    slice: Slice
    doc: str
    span: Span


class BitsItem(NamedTuple):
    name: Name
    spelling: Text | None
    fields: tuple[BitField, ...]
    doc: str
    span: Span


class LayoutMember(NamedTuple):
    register: Name
    offset: Integer
    name: Name | None
    doc: str
    span: Span


class LayoutItem(NamedTuple):
    name: Name
    extern: bool
    members: tuple[LayoutMember, ...]
    doc: str
    span: Span


class Code(NamedTuple):
    name: Name
    values: tuple[Integer, ...]
    doc: str
    span: Span


class OperandsItem(NamedTuple):
    name: Name
    codes: tuple[Code, ...]
    doc: str
    span: Span


class Detail(NamedTuple):
    slice: Slice
    operands: Name
    span: Span


class Ignore(NamedTuple):
    slice: Slice
    span: Span


class SuccessBits(NamedTuple):
    slice: Slice
    value: Integer
    span: Span


class Success(NamedTuple):
    """Success holds if any of the tests does."""

    tests: tuple[SuccessBits | Pattern, ...]
    span: Span


class StatusesItem(NamedTuple):
    name: Name
    items: tuple[Detail | Ignore | Success | Code, ...]
    doc: str
    span: Span


class Instruction(NamedTuple):
    name: Name
    code: Text
    span: Span


class StatusPlace(NamedTuple):
    """Where the status is; `place` is None for `status none`."""

    place: Place | None
    families: tuple[Name, ...]
    span: Span


ConduitClause: TypeAlias = (
    Instruction | Assign | StatusPlace | Clobbers | Preserves | Outcome | Flag | NoteText
)


class ConduitItem(NamedTuple):
    name: Name
    base: Name | None
    items: tuple[ConduitClause, ...]
    doc: str
    span: Span


class Array(NamedTuple):
    """`[4]`, or `[n <= 4]` where `counter` is the parameter that says how many there are."""

    counter: Name | None
    length: Integer
    span: Span


class Parameter(NamedTuple):
    name: Name
    type: Name
    array: Array | None
    doc: str
    span: Span


class Tested(NamedTuple):
    """One alternative of `on`: "success", "error" or a pattern."""

    what: str | Pattern
    span: Span


class Condition(NamedTuple):
    alternatives: tuple[Tested, ...]
    exceptions: tuple[Pattern, ...]
    span: Span


class Output(NamedTuple):
    name: Name
    type: Name | None
    array: Array | None
    place: Place | RegisterFile | CarryFlag
    condition: Condition | None
    preload: Expr | None
    optional: bool
    doc: str
    span: Span


class LeafItem(NamedTuple):
    """`version_parameter` is the parameter that carries the version, if one does."""

    name: Name
    number: Integer | None
    version: Integer | None
    version_parameter: Name | None
    conduit: Name
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    clauses: tuple[Clause, ...]
    doc: str
    span: Span


class WrapperItem(NamedTuple):
    name: Name
    leaf: Name
    version: Integer | None
    parameters: tuple[Parameter, ...] | None
    clauses: tuple[Clause, ...]
    doc: str
    span: Span


Item: TypeAlias = (
    Import
    | TypeItem
    | ConstItem
    | BitsItem
    | LayoutItem
    | OperandsItem
    | StatusesItem
    | ConduitItem
    | LeafItem
    | WrapperItem
)


@dataclass(frozen=True)
class File:
    """One parsed file."""

    source: Source
    items: tuple[Item, ...]
