"""Checked conduits, leaves and wrappers: every name resolved, every fact consistent.

These are what the leaf IR is lowered from. A Wrapper holds everything of the leaf it wraps with
its own changes applied; a leaf without a wrapper has a default one.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamir.model.expressions import Expression, parameters_of
from seamir.model.instructions import Instruction
from seamir.model.statuses import Match, StatusFamily, StatusTest
from seamir.model.types import Layout, Type
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
    """Bits of a register and the value that fills them (its bit 0 at the low end).

    `otherwise` is the register's value if it takes an element of an array that has fewer.
    """

    place: Bits
    value: Expression
    since: str | None
    doc: str
    span: Span
    otherwise: int = 0


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
class Refusal:
    """The instruction came back without having reached the other side: `place` is not `value`.

    `families` name what the place may hold then.
    """

    place: Bits
    value: int
    families: tuple[StatusFamily, ...]
    action: Action


@dataclass(frozen=True, slots=True)
class Edges:
    """What to do when a call does not complete; None: the conduit has no such edge.

    `fault` serves every exception vector that `vectors` does not name.
    """

    carry: Action | None
    fault: Action | None
    vectors: tuple[tuple[int, Action], ...]
    refused: Refusal | None = None

    @property
    def has_fault(self) -> bool:
        """Whether a fault at the instruction goes on inside the function."""
        return self.fault is not None or bool(self.vectors)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions of all edges."""
        refused = None if self.refused is None else self.refused.action
        single = (self.carry, self.fault, *(action for _, action in self.vectors), refused)
        return tuple(action for action in single if action is not None)


@dataclass(frozen=True, slots=True)
class Conduit:
    """The register contract of one way to call.

    `selectors` are values with `leaf`, `version` and `exposed` as parameters of those names;
    `status` is None where there is none; `clobbers` are registers the other side may change
    although no leaf returns anything in them.
    """

    name: str
    lineage: tuple[str, ...]
    instruction: Instruction
    selectors: tuple[Operand, ...]
    status: Bits | None
    families: tuple[StatusFamily, ...]
    clobbers: frozenset[str]
    clobbers_memory: bool
    clobbers_simd: bool
    edges: Edges
    scrub: bool
    notes: tuple[str, ...]
    doc: str
    span: Span

    @property
    def assigned(self) -> dict[str, Span]:
        """Registers that the conduit loads, closed to operands, and where it says so."""
        return {operand.place.register: operand.span for operand in self.selectors}

    @property
    def exposes(self) -> bool:
        """Whether the other side sees the registers of an exposure mask only."""
        return any("exposed" in parameters_of(operand.value) for operand in self.selectors)

    @property
    def told(self) -> frozenset[str]:
        """Registers in which every call says how it went: of the status, and of a refusal."""
        refused = self.edges.refused
        places = (self.status, None if refused is None else refused.place)
        return frozenset(place.register for place in places if place is not None)


@dataclass(frozen=True, slots=True)
class Array:
    """`length` elements, or as many of them as the parameter `count` says."""

    length: int
    count: str | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """One value of an array or layout: its name in expressions, and `offset` bytes from the start.

    `register` is the one that a layout keeps there.
    """

    name: str
    offset: int
    register: str | None = None


def elements_of(name: str, shape: Array | Layout, kind: Type) -> tuple[Element, ...]:
    """The elements of an array of that type, or of a layout."""
    if isinstance(shape, Layout):
        return tuple(
            Element(f"{name}.{member.register}", member.offset, member.register)
            for member in shape.members
        )
    size = kind.width // 8
    return tuple(Element(f"{name}[{index}]", index * size) for index in range(shape.length))


@dataclass(frozen=True, slots=True)
class Parameter:
    """`type` is what C sees and how the value is extended; `promise` is the leaf's own type.

    With `shape` it is a pointer to an array of such values, or to a structure with registers.
    """

    name: str
    type: Type
    promise: Type
    doc: str
    span: Span
    shape: Array | Layout | None = None

    @property
    def elements(self) -> tuple[Element, ...]:
        """The values that expressions may name: the parameter itself if it is one value."""
        if self.shape is None:
            return (Element(self.name, 0),)
        return elements_of(self.name, self.shape, self.type)


@dataclass(frozen=True, slots=True)
class Output:
    """A value taken from a register; `in_out`: it replaces a parameter.

    An array or a layout is several outputs of one `group`, each at its `offset` (bytes) from the
    pointer of that name. `name` tells them apart: `pages[1]`, `regs.rdx`.
    """

    name: str
    group: str
    offset: int
    shape: Array | Layout | None
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
    """How outputs reach the caller; `kind` is "pointers", "struct" or "register".

    With `layout` the structure is that one, and each output goes to the member of its register.
    """

    kind: str
    struct: str | None
    layout: Layout | None
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf function of the ABI, with the clauses it states for all its wrappers.

    `version_parameter` is the parameter that carries the version, if one does; `alias_of` the
    leaf that is selected in the same way.
    """

    name: str
    number: int | None
    version: int
    version_parameter: str | None
    alias_of: str | None
    conduit: Conduit
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    operands: tuple[Operand, ...]
    clobbers: frozenset[str]
    clobbers_memory: bool
    clobbers_simd: bool
    allows_rbp: bool
    scrub: bool
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
    scrub: bool
    noinstr: bool
    noreturn: bool
    notes: tuple[str, ...]
    deprecated: str | None
    doc: str
    span: Span
