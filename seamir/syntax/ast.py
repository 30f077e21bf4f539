"""The syntax tree: what a file says, before any name is looked up.

One frozen dataclass per construct of grammar/seam.lark, each with its span. Nothing is checked
here beyond what the grammar itself forces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from seamir.source import Source, Span


@dataclass(frozen=True, slots=True)
class Name:
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Integer:
    value: int
    span: Span


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string, without its quotes."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Slice:
    """Bits `high` to `low` of a register or value, both included."""

    high: Integer
    low: Integer
    span: Span


@dataclass(frozen=True, slots=True)
class Place:
    """A register, or the bits of it that `slice` names."""

    register: Name
    slice: Slice | None
    span: Span


@dataclass(frozen=True, slots=True)
class Registers:
    """One register (`last` is None) or a range such as r8..r11."""

    first: Name
    last: Name | None
    span: Span


# -- expressions


@dataclass(frozen=True, slots=True)
class NameExpr:
    family: Name | None
    name: Name
    span: Span


@dataclass(frozen=True, slots=True)
class LiteralExpr:
    value: int
    span: Span


@dataclass(frozen=True, slots=True)
class BinaryExpr:
    operator: str  # one of | + - << >>
    left: Expr
    right: Expr
    span: Span


Expr: TypeAlias = NameExpr | LiteralExpr | BinaryExpr


# -- patterns and actions


@dataclass(frozen=True, slots=True)
class Pattern:
    """`detail` is None for `X`, "*" for `X(*)`, else the operand id's name or number."""

    name: Name
    detail: Name | Integer | str | None
    span: Span


@dataclass(frozen=True, slots=True)
class ReturnAction:
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class TrapAction:
    span: Span


@dataclass(frozen=True, slots=True)
class CallAction:
    symbol: Name
    value: Expr | None
    span: Span


Action: TypeAlias = ReturnAction | TrapAction | CallAction


@dataclass(frozen=True, slots=True)
class Outcome:
    """`on EDGE ACTION;` where the edge is "carry" or "fault", the latter for one vector or all."""

    edge: str
    vector: Name | None
    action: Action
    span: Span


@dataclass(frozen=True, slots=True)
class Assign:
    place: Place
    value: Expr
    since: Text | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Clobbers:
    registers: tuple[Registers, ...]
    memory: bool
    simd: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Preserves:
    registers: tuple[Registers, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class NoteText:
    text: Text
    span: Span


# -- clauses of leaves and wrappers


@dataclass(frozen=True, slots=True)
class Retry:
    attempts: Integer
    patterns: tuple[Pattern, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class StepAssign:
    place: Place
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class StepCarry:
    registers: tuple[Registers, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Resume:
    attempts: Integer
    patterns: tuple[Pattern, ...]
    steps: tuple[StepAssign | StepCarry, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Check:
    parameter: Name
    status: Pattern | None  # None: trap
    span: Span


@dataclass(frozen=True, slots=True)
class Deliver:
    kind: str  # "pointers", "struct" or "register"
    struct: Name | None
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Keep:
    names: tuple[Name, ...]  # empty: all outputs
    span: Span


@dataclass(frozen=True, slots=True)
class Allow:
    register: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Flag:
    """A clause that is one word: noinstr, noreturn, effect (global)."""

    word: str
    span: Span


@dataclass(frozen=True, slots=True)
class Since:
    version: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Requires:
    feature: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Deprecated:
    reason: Text | None
    span: Span


Clause: TypeAlias = (
    Assign
    | Retry
    | Resume
    | Outcome
    | Check
    | Deliver
    | Keep
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


@dataclass(frozen=True, slots=True)
class Import:
    path: Text
    span: Span


@dataclass(frozen=True, slots=True)
class Range:
    low: int
    high: int
    span: Span


@dataclass(frozen=True, slots=True)
class TypeItem:
    name: Name
    base: Name
    constants: tuple[Name, ...]
    slice: Slice | None
    range: Range | None
    spelling: Text | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class ConstItem:
    name: Name
    value: Expr
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class BitField:
    name: Name
    slice: Slice
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class BitsItem:
    name: Name
    spelling: Text | None
    fields: tuple[BitField, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Code:
    name: Name
    values: tuple[Integer, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class OperandsItem:
    name: Name
    codes: tuple[Code, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Detail:
    slice: Slice
    operands: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Ignore:
    slice: Slice
    span: Span


@dataclass(frozen=True, slots=True)
class SuccessBits:
    slice: Slice
    value: Integer
    span: Span


@dataclass(frozen=True, slots=True)
class Success:
    """Success holds if any of the tests does."""

    tests: tuple[SuccessBits | Pattern, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class StatusesItem:
    name: Name
    items: tuple[Detail | Ignore | Success | Code, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Instruction:
    name: Name
    code: Text
    span: Span


@dataclass(frozen=True, slots=True)
class StatusPlace:
    place: Place
    families: tuple[Name, ...]
    span: Span


ConduitClause: TypeAlias = (
    Instruction | Assign | StatusPlace | Clobbers | Preserves | Outcome | NoteText
)


@dataclass(frozen=True, slots=True)
class ConduitItem:
    name: Name
    base: Name | None
    items: tuple[ConduitClause, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Parameter:
    name: Name
    type: Name
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Tested:
    """One alternative of `on`: "success", "error" or a pattern."""

    what: str | Pattern
    span: Span


@dataclass(frozen=True, slots=True)
class Condition:
    alternatives: tuple[Tested, ...]
    exceptions: tuple[Pattern, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Output:
    name: Name
    type: Name | None
    place: Place
    condition: Condition | None
    preload: Expr | None
    optional: bool
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class LeafItem:
    name: Name
    number: Integer | None
    version: Integer | None
    conduit: Name
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    clauses: tuple[Clause, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class WrapperItem:
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
