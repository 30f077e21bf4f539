"""Random descriptions proved, and their code held against plans that are not theirs.

What the tests do with a few seeds and `fuzz_proofs` with many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from random import Random

from execution import play, scenarios
from fuzz_leaves import switched
from random_changes import changed
from random_runs import constructs_of, load

import seamir
from seamir.compiler import DELIVERIES
from seamir.emulate.machine import Machine
from seamir.ir.leaf import Plan
from seamir.syntax import ast
from seamir.verify.prover import prove_object
from seamir.verify.replay import replay
from seamir.verify.result import Proof, Verdict

CALLS = 60  # of a function against a plan that is not its own
MOST_OPTIONAL = 3  # pointers that may be NULL: each doubles the paths
MOST_STEPS = 3  # of resumptions
MOST_DELIVERIES = 12


@dataclass
class Tally:
    """What came of some seeds.

    `verdicts` are those about functions and their own plans, by target; `pairs` those about
    functions and changed plans, with what execution showed. `late` proofs had no time to end, and
    `large` functions were left aside.
    """

    descriptions: int = 0
    leaves: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    paths: int = 0
    obligations: int = 0
    queries: int = 0
    late: int = 0
    large: int = 0
    longest: float = 0  # seconds
    problems: list[str] = field(default_factory=list)
    seconds: float = 0  # of the processor

    def add(self, other: Tally) -> None:
        """Adds what came of other seeds."""
        longest = max(self.longest, other.longest)
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))
        self.longest = longest


class Trial:
    """Descriptions through the prover, each proof within `timeout` seconds; None: no limit.

    Without a limit only functions are proved that are `is_small`.
    """

    def __init__(self, targets: Sequence[seamir.Target], timeout: float | None = None) -> None:
        self.tally = Tally()
        self._targets, self._timeout = targets, timeout

    def run(self, seed: int) -> None:
        """Proves a description for each target, with features switched, and holds its code against
        a change of each plan.
        """
        tally, random = self.tally, Random(f"options {seed}")
        tally.descriptions += 1
        try:
            program = load(seed)
            delivery = random.choice(DELIVERIES)
            made = [self._compile(program, target, delivery, random) for target in self._targets]
        except seamir.SeamError as error:
            tally.refused[error.diagnostics[0].code] += 1
            return
        tally.leaves += constructs_of(program)[ast.LeafItem.__name__]
        for compilation in made:
            plans = [p for p in compilation.plans if self._timeout is not None or is_small(p)]
            tally.large += len(compilation.plans) - len(plans)
            for plan in plans:
                place = f"seed {seed}, {compilation.target.name}, {plan.symbol}"
                if self._prove(compilation, plan, place):
                    self._hold_against(compilation, plan, changed(plan, random), place)

    def _compile(
        self, program: seamir.Program, target: seamir.Target, delivery: str, random: Random
    ) -> seamir.Compilation:
        features = list(switched(target, random))
        return seamir.compile(program, target=target, features=features, deliver=delivery)

    def _prove(self, compilation: seamir.Compilation, plan: Plan, place: str) -> bool:
        """Code against its own plan; whether there was time for it."""
        proof = self._proof(compilation, plan)
        if proof is None:
            return False
        tally = self.tally
        tally.verdicts[f"{compilation.target.name}, {proof.verdict.value}"] += 1
        tally.paths += proof.paths
        tally.obligations += proof.obligations
        tally.queries += proof.queries
        tally.longest = max(tally.longest, proof.seconds)
        if not proof.is_proved:
            texts = "; ".join(failure.text for failure in proof.failures[:3])
            tally.problems.append(f"{place}: {proof.verdict.value}: {texts}")
        elif not proof.paths or not proof.obligations:
            tally.problems.append(f"{place}: a proof of nothing")
        return True

    def _hold_against(
        self, compilation: seamir.Compilation, plan: Plan, other: Plan, place: str
    ) -> None:
        """Code against a changed plan: it is proved if and only if no execution differs."""
        proof = self._proof(compilation, other)
        if proof is None:
            return
        difference = _difference(compilation, other)
        seen = "alike" if difference is None else "differs"
        if difference is None and proof.verdict is Verdict.REFUTED:
            seen = "differs in the call that the prover names"
            difference = _named_difference(compilation, other, proof)
        self.tally.pairs[f"{seen}, {proof.verdict.value}"] += 1
        if (difference is None) != proof.is_proved:
            lines = set(str(other).splitlines()) - set(str(plan).splitlines())
            change = "; ".join(line.strip() for line in sorted(lines))
            told = "; ".join([difference or "no difference", *(f.text for f in proof.failures[:2])])
            self.tally.problems.append(f"{place}: {proof.verdict.value} with {change}: {told}")

    def _proof(self, compilation: seamir.Compilation, plan: Plan) -> Proof | None:
        """What the prover says; None if it had no time to say it."""
        data, target = compilation.outputs["obj"].data, compilation.target
        (proof,) = prove_object(data, [plan], target, timeout=self._timeout)
        if any(failure.text == "the time is over" for failure in proof.failures):
            self.tally.late += 1
            return None
        return proof


def is_small(plan: Plan) -> bool:
    """Whether a proof is a matter of seconds."""
    optional = {delivery.argument for delivery in plan.deliveries if delivery.optional}
    steps = sum(len(clause.steps) for clause in plan.again)
    few = len(optional) <= MOST_OPTIONAL and steps <= MOST_STEPS
    return few and len(plan.deliveries) <= MOST_DELIVERIES


def _named_difference(compilation: seamir.Compilation, plan: Plan, proof: Proof) -> str | None:
    """How an execution of one of the prover's counterexamples departs from a plan."""
    data, target = compilation.outputs["obj"].data, compilation.target
    for failure in proof.failures:
        if failure.counterexample is not None:
            seen = replay(data, plan, target, failure.counterexample)
            if seen.differences:
                return f"{failure.text}: {seen.differences[0]}"
    return None


def _difference(compilation: seamir.Compilation, plan: Plan) -> str | None:
    """How an execution departs from a plan, if one is found that does."""
    machine = Machine(compilation.outputs["obj"].data, compilation.target)
    for call in scenarios(plan, repeat=2, limit=CALLS):
        _, _, differences = play(machine, plan, call)
        if differences:
            return f"{call.name}: {differences[0]}"
    return None
