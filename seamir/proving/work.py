"""The work of proving the wrappers of one object, in whichever process."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from seamir.ir.leaf import Plan
from seamir.proving.alone import alone
from seamir.targets import Target
from seamir.verify.code import LaidOut
from seamir.verify.result import Proof


@dataclass(frozen=True)
class Work:
    """An object, what its functions are to be proved to do, and seconds for each (None: any)."""

    data: bytes
    plans: tuple[Plan, ...]
    target: Target
    timeout: float | None


@dataclass(frozen=True)
class Result:
    """A proof, and whether it is of the function alone, whatever else its object has."""

    proof: Proof
    is_alone: bool


class Prover:
    """Proves the wrappers of one object, one at a time; raises SeamError if z3 is missing."""

    def __init__(self, work: Work) -> None:
        from seamir.verify.prover import prove

        self._prove = prove
        self._work = work
        self._laid_out = LaidOut.of(work.data, work.target)

    def prove(self, index: int) -> Result:
        """Proves the wrapper of a plan, alone where that suffices.

        What cannot be proved of a function alone may be true of it in its object.
        """
        work, plan = self._work, self._work.plans[index]
        reduced = alone(self._laid_out, plan, work.target)
        left = work.timeout
        if reduced is not None:
            started = monotonic()
            found = self._prove(reduced, plan, work.target, timeout=left)
            if found.is_proved:
                return Result(found, is_alone=True)
            if left is not None:
                left -= monotonic() - started
                if left <= 0:
                    return Result(found, is_alone=False)
        found = self._prove(self._laid_out, plan, work.target, timeout=left)
        return Result(found, is_alone=False)
