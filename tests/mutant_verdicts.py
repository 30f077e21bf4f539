"""What execution and the prover say of a mutant of an object, side by side.

A mutant that behaves otherwise than its plan and is proved shows a prover that is wrong. One that
no execution tells from its plan is either the same, and a reason is looked for, or what the prover
finds and execution does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from code_mutants import Mutant, Subject
from mutant_behaviour import Behaviour, behaviour
from mutant_reasons import reason

from seamir.emulate.image import LinkError
from seamir.emulate.script import MemoryAccessError
from seamir.ir.leaf import Plan
from seamir.objects.contents import ObjectError
from seamir.targets import Target
from seamir.verify.prover import prove_object
from seamir.verify.replay import replay
from seamir.verify.result import Counterexample, Verdict

SECONDS = 60.0  # for one proof; what is not decided by then is not proved
PROVED, REFUTED, UNDECIDED = (
    one.name for one in (Verdict.PROVED, Verdict.REFUTED, Verdict.UNDECIDED)
)
# Beside the prover's verdicts: proved, but only with assumptions that the object does not need, or
# that calls break which show a difference; the object cannot be read or laid out; the prover ended
# with an exception.
ASSUMED, REFUSED, DEFECT = "ASSUMED", "REFUSED", "DEFECT"


@dataclass(frozen=True)
class Judged:
    """A mutant in words, how it behaves, and what the prover says of it.

    `verdict` is the name of one of the prover's, or one of those above; `failure` is in words.
    `under_assumptions` is how it behaves in calls that keep what its proof assumes. `of_original`
    is the verdict on the function as it was emitted, `reason` why a mutant that is proved is the
    same. `is_shown` says of a refutation whether its counterexample goes wrong when it is executed.
    """

    seed: int
    kind: str
    text: str
    subject: Subject
    behaviour: Behaviour
    under_assumptions: Behaviour
    verdict: str
    failure: str
    of_original: str
    reason: str
    is_shown: bool

    @property
    def differs(self) -> bool:
        """Whether execution shows that it does not do what its plan says."""
        return self.behaviour.difference is not None

    def problems(self) -> Iterator[str]:
        """What is wrong with the prover."""
        difference = self.under_assumptions.difference
        if self.verdict == DEFECT:
            yield f"{self.text}: {self.failure} ({self.subject})"
        if self.verdict in (PROVED, ASSUMED) and difference is not None:
            yield f"{self.text}: {self.verdict}, and {difference} ({self.subject})"
        if self.of_original != PROVED:
            yield f"{self.text}: {self.of_original} without the change ({self.subject})"


def judge(one: Mutant) -> Judged:
    """Executes a mutant and tries to prove it."""
    original = _of_original(one)
    answer = _prove(one.data, one.plan, one.target)
    behaves = under_assumptions = behaviour(one)
    if behaves.difference is not None and answer.assumptions:
        under_assumptions = behaviour(one, answer.assumptions)
    verdict, failure = answer.verdict, answer.failure
    assumed = sorted(set(answer.assumptions) - set(original.assumptions))
    if verdict == PROVED and (assumed or behaves.difference != under_assumptions.difference):
        verdict, failure = ASSUMED, f"only if {', '.join(assumed or answer.assumptions)}"
    return Judged(
        seed=one.seed,
        kind=one.kind,
        text=str(one),
        subject=one.subject,
        behaviour=behaves,
        under_assumptions=under_assumptions,
        verdict=verdict,
        failure=failure,
        of_original=original.verdict,
        reason=reason(one) if verdict == PROVED else "",
        is_shown=answer.example is not None and _is_shown(one, answer.example),
    )


def _is_shown(one: Mutant, example: Counterexample) -> bool:
    """Whether a counterexample goes wrong when it is executed."""
    try:
        return bool(replay(one.data, one.plan, one.target, example).differences)
    except (MemoryAccessError, ValueError):  # it needs memory where the emulator has none
        return False


class _Answer(NamedTuple):
    """What the prover says: a verdict, what it assumes, the first failure, a counterexample."""

    verdict: str
    assumptions: tuple[str, ...] = ()
    failure: str = ""
    example: Counterexample | None = None


_originals: dict[tuple[Subject, str], _Answer] = {}


def _of_original(one: Mutant) -> _Answer:
    """The answer for the function as it was emitted; each is asked for once."""
    key = one.subject, one.plan.symbol
    if key not in _originals:
        _originals[key] = _prove(one.original, one.plan, one.target)
    return _originals[key]


def _prove(data: bytes, plan: Plan, target: Target) -> _Answer:
    """What the prover says of one function of an object."""
    try:
        (proof,) = prove_object(data, [plan], target, timeout=SECONDS)
    except (ObjectError, LinkError) as error:
        return _Answer(REFUSED, failure=str(error))
    except Exception as error:  # whichever: it is told with the mutant
        return _Answer(DEFECT, failure=f"{type(error).__name__}: {error}")
    failure = proof.failures[0].text if proof.failures else ""
    examples = [one.counterexample for one in proof.failures if one.counterexample is not None]
    example = examples[0] if examples else None
    return _Answer(proof.verdict.name, proof.assumptions, failure, example)
