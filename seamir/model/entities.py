"""Checked conduits, leaves and wrappers: every name resolved, every fact consistent.

These are what the leaf IR is lowered from. A Wrapper holds everything of the leaf it wraps with
its own changes applied; a leaf without a wrapper has a default one.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamir.model.expressions import Expression
from seamir.model.instructions import Instruction
from seamir.model.statuses import Match, StatusFamily, StatusTest
from seamir.model.types import Type
from seamir.source import Span

# The register of operands that are wrong, which was reported: there is nothing else to say.
NOWHERE = ""


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits `low` to `high` (both included) of a register."""

    register: str
    low: int
    high: int
    span: Span

    @property
    def width(self) -> int:
        """Number of bits."""
        return self.high - self.low + 1

    def __str__(self) -> str:
        if (self.low, self.high) == (0, 63):
            return self.register
        if self.low == self.high:
            return f"{self.register}[{self.low}]"
        return f"{self.register}[{self.high}:{self.low}]"


@dataclass(frozen=True, slots=True)
class Operand:
    """Bits of a register and the value that fills them (its bit 0 at the low end)."""

    place: Bits
    value: Expression
    since: str | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class ReturnValue:
    """Return that status."""

    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Trap:
    """Execute ud2."""

    span: Span


@dataclass(frozen=True, slots=True)
class CallSymbol:
    """Call a function without arguments, then return `value`; None: it does not return."""

    symbol: str
    value: Expression | None
    span: Span


Action = ReturnValue | Trap | CallSymbol


@dataclass(frozen=True, slots=True)
class Edges:
    """What to do when a call does not complete; None: the conduit has no such edge.

    `fault` serves every exception vector that `vectors` does not name.
    """

    carry: Action | None
    fault: Action | None
    vectors: tuple[tuple[int, Action], ...]


@dataclass(frozen=True, slots=True)
class Conduit:
    """The register contract of one way to call.

    `selectors` are values with `leaf` and `version` as parameters of those names; `clobbers` are
    registers the other side may change although no leaf returns anything in them.
    """

    name: str
    lineage: tuple[str, ...]
    instruction: Instruction
    selectors: tuple[Operand, ...]
    status: Bits
    families: tuple[StatusFamily, ...]
    clobbers: frozenset[str]
    clobbers_memory: bool
    clobbers_simd: bool
    edges: Edges
    notes: tuple[str, ...]
    doc: str
    span: Span

    @property
    def assigned(self) -> dict[str, Span]:
        """Registers that the conduit loads, closed to operands, and where it says so."""
        return {operand.place.register: operand.span for operand in self.selectors}


@dataclass(frozen=True, slots=True)
class Parameter:
    """`type` is what C sees and how the value is extended; `promise` is the leaf's own type."""

    name: str
    type: Type
    promise: Type
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Output:
    """A value taken from a register; `in_out` names a parameter that it replaces."""

    name: str
    type: Type
    place: Bits
    test: StatusTest | None
    preload: int | None
    optional: bool
    in_out: bool
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class SetBits:
    """Before the next attempt these bits get that value."""

    place: Bits
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class CarryRegister:
    """Before the next attempt the operand register gets what the last attempt left in it."""

    register: str
    span: Span


@dataclass(frozen=True, slots=True)
class Again:
    """`attempts` further attempts when the status matches; `steps` is empty for a retry."""

    attempts: int
    matches: tuple[Match, ...]
    steps: tuple[SetBits | CarryRegister, ...]
    resumes: bool
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Check:
    """Test a parameter against the promise of its type before any call; None: trap."""

    parameter: str
    status: int | None
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Delivery:
    """How outputs reach the caller; `kind` is "pointers", "struct" or "register"."""

    kind: str
    struct: str | None
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf function of the ABI, with the clauses it states for all its wrappers."""

    name: str
    number: int | None
    version: int
    conduit: Conduit
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    operands: tuple[Operand, ...]
    clobbers: frozenset[str]
    clobbers_memory: bool
    clobbers_simd: bool
    allows_rbp: bool
    effect: str | None
    since: str | None
    requires: tuple[str, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A function to emit: a leaf as one user wants it."""

    symbol: str
    leaf: Leaf
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    operands: tuple[Operand, ...]
    edges: Edges
    again: tuple[Again, ...]
    checks: tuple[Check, ...]
    delivery: Delivery | None
    keep: frozenset[str]
    noinstr: bool
    noreturn: bool
    notes: tuple[str, ...]
    deprecated: str | None
    doc: str
    span: Span
