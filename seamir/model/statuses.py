"""Status families: names for status values, when a status means success, and patterns.

A pattern becomes Matches, each a masked comparison, so that later stages compare and never know
names. `X` compares all 64 bits, `X(ID)` those with that operand id in the detail bits, `X(*)` all
but the detail bits; bits a family ignores never take part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from seamir.model.registers import ALL_BITS
from seamir.source import Span


@dataclass(frozen=True, slots=True)
class Match:
    """Holds for statuses with `status & mask == value`."""

    mask: int
    value: int

    def accepts(self, status: int) -> bool:
        """Whether a status matches."""
        return status & self.mask == self.value

    def overlaps(self, other: Match) -> bool:
        """Whether some status matches both."""
        return (self.value ^ other.value) & self.mask & other.mask == 0


class MatchSet:
    """Matches by their masks, of which there are few: a long list is compared fast."""

    def __init__(self, matches: Iterable[Match] = ()) -> None:
        self._values: dict[int, set[int]] = {}
        for match in matches:
            self.add(match)

    def add(self, match: Match) -> None:
        """Adds a match."""
        self._values.setdefault(match.mask, set()).add(match.value)

    def covers(self, match: Match) -> bool:
        """Whether one of the matches accepts every status that `match` accepts."""
        return any(
            mask & ~match.mask == 0 and match.value & mask in values
            for mask, values in self._values.items()
        )

    def overlaps(self, other: MatchSet) -> bool:
        """Whether some status is accepted by both sets."""
        return any(
            not {value & mask & other_mask for value in values}.isdisjoint(
                {value & mask & other_mask for value in other_values}
            )
            for mask, values in self._values.items()
            for other_mask, other_values in other._values.items()
        )


@dataclass(frozen=True, slots=True)
class StatusTest:
    """A condition on a completed call's status.

    Holds if one of `any_of` accepts the status (if none does, when `inverted`), or one of
    `or_any_of` accepts it, and none of `none_of` does. `inverted` is how `on error` is said:
    everything but success.
    """

    any_of: tuple[Match, ...] = ()
    inverted: bool = False
    or_any_of: tuple[Match, ...] = ()
    none_of: tuple[Match, ...] = ()
    text: str = field(default="", compare=False)

    def holds(self, status: int) -> bool:
        """Whether the condition holds for a status."""
        first = any(match.accepts(status) for match in self.any_of) != self.inverted
        second = any(match.accepts(status) for match in self.or_any_of)
        return (first or second) and not any(match.accepts(status) for match in self.none_of)


@dataclass(frozen=True, slots=True)
class StatusCode:
    """A named status; the first value is the one a current module returns."""

    name: str
    values: tuple[int, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class OperandIds:
    """Names for the values of a family's detail bits."""

    name: str
    codes: dict[str, StatusCode]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class StatusFamily:
    """Statuses that share a layout.

    `detail` and `ignored` are masks; `success` is None where the family does not say what
    success is, else success is any of the matches.
    """

    name: str
    codes: dict[str, StatusCode]
    detail: int
    detail_low: int
    operands: OperandIds | None
    ignored: int
    success: tuple[Match, ...] | None
    doc: str
    span: Span

    def matches(self, code: StatusCode, detail: tuple[int, ...] | str | None) -> tuple[Match, ...]:
        """The comparisons of a pattern: `detail` are values, "*" for any, None for exactly."""
        mask = ALL_BITS & ~self.ignored
        extra = [0]
        if detail == "*":
            mask &= ~self.detail
        elif isinstance(detail, tuple):
            extra = [value << self.detail_low for value in detail]
        values = [value | more for value in code.values for more in extra]
        return tuple(dict.fromkeys(Match(mask, value & mask) for value in values))
