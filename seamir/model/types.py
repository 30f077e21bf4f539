"""Types of parameters and outputs, and what is known of their values.

A type is a representation (width in bits, sign) plus a promise of the caller about its value. A
promise is never tested or masked by emitted code, unless a `check` says so: it serves proofs at
compile time, such as that two values packed into one register share no bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seamir.model.registers import ALL_BITS, slice_mask
from seamir.source import Span


@dataclass(frozen=True, slots=True)
class Possible:
    """What is known of a value once it is extended to 64 bits: bits that may be 1, and bounds."""

    bits: int
    low: int
    high: int

    @staticmethod
    def exactly(value: int) -> Possible:
        """What is known of a constant."""
        return Possible(value, value, value)

    @staticmethod
    def anything() -> Possible:
        """Nothing is known."""
        return Possible(ALL_BITS, 0, ALL_BITS)

    @staticmethod
    def within(low: int, high: int) -> Possible:
        """A value between two unsigned bounds, both included."""
        return Possible((1 << high.bit_length()) - 1, low, high)

    def also(self, value: int) -> Possible:
        """The same, or that one value."""
        return Possible(self.bits | value, min(self.low, value), max(self.high, value))


@dataclass(frozen=True, slots=True)
class Field:
    """Named bits of a `bits` type."""

    name: str
    low: int
    high: int
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class LayoutMember:
    """A register of a layout, at `offset` bytes; `name` is that of the member in C."""

    register: str
    name: str
    offset: int
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Layout:
    """Registers as 64-bit members of a caller's structure.

    If `extern`, the structure is defined elsewhere and may have more members.
    """

    name: str
    members: tuple[LayoutMember, ...]
    extern: bool
    doc: str
    span: Span

    def member(self, register: str) -> LayoutMember | None:
        """The member of a register, if the layout has one."""
        return next((member for member in self.members if member.register == register), None)

    @property
    def size(self) -> int:
        """Bytes from the start of the structure to the end of its last register."""
        return max(member.offset for member in self.members) + 8


@dataclass(frozen=True, slots=True)
class Type:
    """A type; two types are the same only if they have the same name and place.

    `width` is in bits; `low` and `high` bound the value as the C type sees it (negative for
    signed types), `possible` describes it extended to 64 bits; `constants` are values outside
    the promise that are allowed too. `base` is the type this one was made from.
    """

    name: str
    width: int
    signed: bool
    c_base: str
    possible: Possible
    low: int
    high: int
    bits: int
    constants: tuple[int, ...] = ()
    c_name: str | None = None
    fields: tuple[Field, ...] = ()
    base: Type | None = field(default=None, compare=False)  # name and place say enough
    doc: str = ""
    span: Span | None = None

    @property
    def extension(self) -> str:
        """How a value of this type becomes 64 bits: "zero", "sign" or "none"."""
        if self.width == 64:
            return "none"
        return "sign" if self.signed else "zero"

    @property
    def is_narrowed(self) -> bool:
        """Whether there is a promise that a `check` could test."""
        root = BUILTIN_TYPES[self.c_base]
        return (self.low, self.high, self.bits) != (root.low, root.high, root.bits)

    @property
    def allowed_numbers(self) -> tuple[int, ...]:
        """The extra constants as numbers of the C type, negative ones as such."""
        extended = (extend(value, self.width, self.signed) for value in self.constants)
        return tuple(v - (1 << 64) if self.signed and v >> 63 else v for v in extended)

    def derives_from(self, other: Type) -> bool:
        """Whether this type is the other or was made from it."""
        kind: Type | None = self
        while kind is not None:
            if kind == other:
                return True
            kind = kind.base
        return False


def _integer(name: str, width: int, signed: bool) -> Type:
    if signed:
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        return Type(name, width, True, name, Possible.anything(), low, high, ALL_BITS)
    high = (1 << width) - 1
    return Type(name, width, False, name, Possible.within(0, high), 0, high, high)


def extend(value: int, width: int, signed: bool) -> int:
    """The low `width` bits of a value, zero- or sign-extended to 64 bits."""
    value &= slice_mask(0, width - 1)
    if signed and value >> (width - 1):
        value |= ALL_BITS & ~slice_mask(0, width - 1)
    return value


def possible_of(low: int, high: int, bits: int) -> Possible:
    """What is known of a value in `low..high` whose 1 bits are within `bits`."""
    if low < 0:
        return Possible(bits, 0, ALL_BITS) if bits != ALL_BITS else Possible.anything()
    mask = bits & ((1 << high.bit_length()) - 1)
    return Possible(mask, low, min(high, mask))


def has_value(low: int, high: int, bits: int) -> bool:
    """Whether a value in `low..high` has no 1 bits but those of `bits`."""
    if low <= 0:
        return high >= 0 or bits == ALL_BITS
    # The least value from `low` on: `low` itself, or 1 more in a bit and nothing below it.
    found = [low] if not low & ~bits else []
    for bit in range(64):
        above = low >> bit | 1
        if bits >> bit & 1 and not low >> bit & 1 and not above << bit & ~bits:
            found.append(above << bit)
    return min(found, default=high + 1) <= high


BUILTIN_TYPES: dict[str, Type] = {
    **{f"u{width}": _integer(f"u{width}", width, False) for width in (8, 16, 32, 64)},
    **{f"s{width}": _integer(f"s{width}", width, True) for width in (8, 16, 32, 64)},
    # The calling convention gives a bool 8 bits and promises 0 or 1 in them.
    "bool": Type("bool", 8, False, "bool", Possible.within(0, 1), 0, 1, 1),
    "ptr": Type("ptr", 64, False, "ptr", Possible.anything(), 0, ALL_BITS, ALL_BITS),
}


# Stands for a type that is wrong, which was reported: its values fit wherever they are used.
UNKNOWN_TYPE = Type("an unknown type", 64, False, "u64", Possible.exactly(0), 0, 0, 0)


def bits_mask(fields: tuple[Field, ...]) -> int:
    """All bits that some field names."""
    mask = 0
    for named in fields:
        mask |= slice_mask(named.low, named.high)
    return mask
