"""Proves the wrappers of a program: the library's `prove`.

Lowers the program, compiles it unless an object is given, and proves function by function, side by
side in several processes. z3 is imported when the first proof is made, and not before.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from seamir import compiler
from seamir.compiler import Compilation, Program, Progress
from seamir.diagnostics import Diagnostic, fail
from seamir.ir.leaf import Plan
from seamir.proving.cache import Store
from seamir.proving.reading import Given, check_functions, read_bytes, read_for
from seamir.proving.work import Prover, Result, Work
from seamir.proving.workers import prove_in_workers
from seamir.targets import DEFAULT_TARGET, Target
from seamir.verify.code import LaidOut
from seamir.verify.result import Failure, Proof

_WORTH_A_PROCESS = 100  # wrappers: fewer are proved in the time that a process takes to start


@dataclass(frozen=True)
class Verification:
    """What came of proving a program: a proof for each of its plans, in their order.

    `data` is the object; `seconds` is the time it all took; `diagnostics` has warnings, and an
    error for each failure of a proof.
    """

    target: Target
    plans: tuple[Plan, ...]
    proofs: tuple[Proof, ...]
    seconds: float
    diagnostics: tuple[Diagnostic, ...]
    data: bytes = field(repr=False)
    program: Program = field(repr=False)

    @property
    def is_proved(self) -> bool:
        """Whether every wrapper was proved."""
        return all(proof.is_proved for proof in self.proofs)


def prove(
    program: Program,
    *,
    target: str | Target = DEFAULT_TARGET,
    features: Iterable[str] = (),
    object: Given | None = None,
    deliver: str = "pointers",
    symbol_prefix: str = "",
    timeout: float | None = None,
    jobs: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Proves that machine code does what a program says, for all inputs and all that comes back.

    `object` is the object with the code, as bytes or a path; None: what seamir makes of the
    program. `timeout` is seconds for each wrapper. `jobs` are processes to prove in, 1 for this
    one; None: as many as there are processors and work for. `cache` is a folder that keeps what
    was proved, for the next time. The other parameters are those of `compile`. Raises SeamError on
    errors in the program, the request or the object; what is not proved is in the Verification.
    """
    started = time.monotonic()
    _check_request(timeout, jobs)
    tell = progress or (lambda _stage, _done, _count: None)
    compilation = compiler.compile(
        program,
        target=target,
        features=features,
        emit=("obj",) if object is None else (),
        deliver=deliver,
        symbol_prefix=symbol_prefix,
        fallback=True,
        progress=progress,
    )
    data, name = _object(compilation, object)
    chosen, plans = compilation.target, compilation.plans
    laid_out = read_for(data, name, chosen)
    check_functions(laid_out.contents, plans, name)
    work = Work(data, plans, chosen, timeout)
    store = Store(cache, laid_out, chosen)
    found = {index: store.find(plan) for index, plan in enumerate(plans)}
    proofs = {index: proof for index, proof in found.items() if proof is not None}
    order = sorted(proofs.keys() ^ found.keys(), key=lambda i: _effort(laid_out, plans[i]))
    try:
        for index, result in _results(work, order, jobs):
            proofs[index] = result.proof
            store.add(plans[index], result)
            tell(f"proving {program.main.name}", len(proofs), len(plans))
    finally:
        warnings = store.write()  # an interrupt, too, leaves what was proved
    ordered = tuple(proofs[index] for index in range(len(plans)))
    return Verification(
        target=chosen,
        plans=plans,
        proofs=ordered,
        seconds=time.monotonic() - started,
        diagnostics=(*compilation.diagnostics, *warnings, *_failures(ordered)),
        data=data,
        program=program,
    )


def _check_request(timeout: float | None, jobs: int | None) -> None:
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        help = "it is a number of seconds for each wrapper, more than 0"
        raise fail("E0809", f"there is no time limit of {timeout:g} seconds", help=help)
    if jobs is not None and jobs < 1:
        raise fail("E0809", f"{jobs} processes to prove in", help="1 is this process alone")


def _object(compilation: Compilation, given: Given | None) -> tuple[bytes, str]:
    """The bytes to be proved, and what messages call them."""
    if given is None:
        return compilation.outputs["obj"].data, "the object"
    return read_bytes(given)


def _effort(laid_out: LaidOut, plan: Plan) -> tuple[int, int]:
    """Puts what takes long first: loops, then long code."""
    function = laid_out.contents.function(plan.symbol)
    assert function is not None  # the object was checked
    return -len(plan.again), -len(function.code)


def _results(work: Work, order: Sequence[int], jobs: int | None) -> Iterator[tuple[int, Result]]:
    """The results of some plans, by their numbers, as they come."""
    if jobs is None:
        jobs = min(len(os.sched_getaffinity(0)), len(order) // _WORTH_A_PROCESS)
    if jobs > 1 and len(order) > 1:
        yield from prove_in_workers(work, order, jobs)
        return
    if order:
        prover = Prover(work)
        yield from ((index, prover.prove(index)) for index in order)


def _failures(proofs: Iterable[Proof]) -> Iterator[Diagnostic]:
    for proof in proofs:
        yield from (failure_diagnostic(proof, failure) for failure in proof.failures)


def failure_diagnostic(proof: Proof, failure: Failure) -> Diagnostic:
    """A failure of a proof as an error in the description: the code is not as it says here."""
    message = f"{proof.symbol}: {failure.text}"
    if failure.found is not None and failure.wanted is not None:
        message += f": {failure.found:#x} instead of {failure.wanted:#x}"
    code = "E0814" if failure.counterexample is None else "E0813"
    return Diagnostic(code, message, failure.span)
