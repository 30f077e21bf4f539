"""What a proof comes to, for people and programs to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from seamir.emulate.script import Outcome
from seamir.source import Span


class Verdict(Enum):
    """Whether code does what its plan says."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Counterexample:
    """One call that goes wrong: what the caller passes and what the other side does.

    `arguments` has the 64 bits of each argument's slot, `registers` the others at entry, `regions`
    memory by address; `outcomes` are those of the attempts, in order.
    """

    arguments: Mapping[str, int]
    registers: Mapping[str, int]
    regions: Mapping[int, bytes]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Failure:
    """Something that could not be proved.

    `text` says what; `found` and `wanted` are the two values that differ, where it is about values,
    as numbers for the counterexample. `offset` (bytes from the function's start) is where the
    code stands then and `line` what the object says about it (file, line); `span` is the place of
    the description that asks for it. Where it `is_lost` the prover does not know how the code goes
    on from there. It `is_certain` if what it rests on is no more than what can happen. Without a
    counterexample nothing was refuted.
    """

    text: str
    found: int | None = None
    wanted: int | None = None
    offset: int | None = None
    instruction: str | None = None
    line: tuple[str, int] | None = None
    span: Span | None = None
    counterexample: Counterexample | None = None
    is_certain: bool = False
    is_lost: bool = False


@dataclass(frozen=True)
class Proof:
    """The result for one wrapper.

    `paths` are ways through the code between entry, attempts and ends, `obligations` what was to
    be shown on them, `queries` how often z3 was asked; `sites` are offsets of the instruction.
    `unreachable` are offsets of code that never runs, each with the reason, and `assumptions`
    what holds only if the caller sees to it. `seconds` is processor time.
    """

    symbol: str
    leaf: str
    verdict: Verdict
    paths: int = 0
    obligations: int = 0
    queries: int = 0
    instructions: int = 0
    sites: tuple[int, ...] = ()
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    unreachable: tuple[tuple[int, str], ...] = ()
    assumptions: tuple[str, ...] = ()
    is_cached: bool = field(default=False, compare=False)

    @property
    def is_proved(self) -> bool:
        """Whether all was shown."""
        return self.verdict is Verdict.PROVED
