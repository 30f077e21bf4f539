"""What execution and the prover say of a mutant of an object, side by side.

A mutant that behaves otherwise than its plan and is proved shows a prover that is wrong. One that
no execution tells from its plan is either the same, and a reason is looked for, or what the prover
finds and execution does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from code_mutants import Mutant, Subject, mutant
from mutant_behaviour import Behaviour, behaviour
from mutant_reasons import reason

from seamir.emulate.image import LinkError
from seamir.ir.leaf import Plan
from seamir.objects.contents import ObjectError
from seamir.targets import Target
from seamir.verify.prover import prove_object
from seamir.verify.result import Verdict

SECONDS = 60.0  # for one proof; what is not decided by then is not proved
PROVED = Verdict.PROVED.name
# Beside the prover's verdicts: proved, but only with assumptions that the object does not need; the
# object cannot be read or laid out; the prover ended with an exception.
ASSUMED, REFUSED, DEFECT = "ASSUMED", "REFUSED", "DEFECT"


@dataclass(frozen=True)
class Judged:
    """A mutant in words, how it behaves, and what the prover says of it.

    `verdict` is the name of one of the prover's, or one of those above; `failure` is in words.
    `under_assumptions` is how it behaves in calls that keep what its proof assumes. `of_original`
    is the verdict on the function as it was emitted, `reason` why a mutant that is proved is the
    same.
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


def judge(seed: int) -> Judged:
    """Executes the mutant of a seed and tries to prove it."""
    one = mutant(seed)
    original = _of_original(one)
    answer = _prove(one.data, one.plan, one.target)
    verdict = answer.verdict
    if verdict == PROVED and not set(answer.assumptions) <= set(original.assumptions):
        verdict = ASSUMED
    behaves = under_assumptions = behaviour(one)
    if behaves.difference is not None and answer.assumptions:
        under_assumptions = behaviour(one, answer.assumptions)
    return Judged(
        seed=seed,
        kind=one.kind,
        text=str(one),
        subject=one.subject,
        behaviour=behaves,
        under_assumptions=under_assumptions,
        verdict=verdict,
        failure=answer.failure,
        of_original=original.verdict,
        reason=reason(one) if verdict == PROVED and behaves.difference is None else "",
    )


class _Answer(NamedTuple):
    """What the prover says: a verdict, what it assumes, and the first failure in words."""

    verdict: str
    assumptions: tuple[str, ...] = ()
    failure: str = ""


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
    return _Answer(proof.verdict.name, proof.assumptions, failure)
