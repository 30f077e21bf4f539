"""How a wrapper is proved, for all inputs and all that may come back.

From the entry every path is followed to the instruction or to an end; from the instruction every
path again, with all that the plan's conduit does not promise made unknown, for each outcome that it
has. What must hold at the instruction, at a return and at a trap is the plan's (specification.py);
how far a loop has come is held in sites.py. A proof is one only if no path got lost, every
obligation held, and every instruction of the function ran or is known to be unreachable.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from seamir.ir.leaf import LoadKind, Plan
from seamir.source import Span
from seamir.targets import Target
from seamir.verify.code import Code
from seamir.verify.counterexample import find_example
from seamir.verify.coverage import unreachable_code
from seamir.verify.ends import Ends
from seamir.verify.evaluation import evaluate
from seamir.verify.memory import RegionMemory
from seamir.verify.outcomes import after_attempt, entry_state, take_fixup
from seamir.verify.overlap import Overlaps
from seamir.verify.result import Failure, Proof, Verdict
from seamir.verify.sites import Site
from seamir.verify.solver import OutOfTimeError, Solver
from seamir.verify.specification import Attempts, Granted, Specification
from seamir.verify.state import LATER
from seamir.verify.terms import (
    FALSE,
    TRUE,
    Word,
    bit_not,
    both,
    either,
    equal,
)
from seamir.verify.walk import (
    Arrival,
    Event,
    Lost,
    Path,
    Return,
    Trap,
    Walker,
)

_MOST_FAILURES = 8  # that are reported of one wrapper
_DEFAULT_SECTION = ".text"


@dataclass(eq=False)  # each is itself: two sites may have the same counts
class _Record:
    """What came of the paths from one point."""

    paths: int = 0
    obligations: int = 0
    failures: list[Failure] = field(default_factory=list)


class Procedure:
    """The proof of one wrapper under way."""

    def __init__(self, plan: Plan, code: Code, target: Target, solver: Solver) -> None:
        self._plan, self._code, self._target, self._solver = plan, code, target, solver
        self._specification = Specification(plan)
        self._overlaps = Overlaps(plan)
        self._walker = Walker(plan, code, target, solver, self._require_plainly)
        self._entry = entry_state(self._specification, code, target)
        registers, vectors = dict(self._entry.registers), dict(self._entry.vectors)
        self._ends = Ends(self._specification, target, registers, vectors, self._require)
        self._record = _Record()
        self._records: list[_Record] = []
        self._visits = 0
        self._visited: set[int] = set()
        self._unreachable: tuple[tuple[int, str], ...] = ()

    # -- the whole

    def run(self) -> None:
        """Does all that there is to be shown."""
        try:
            for path in self._from_entry():
                self._prove_from(path)
                if self._has_failed():
                    return
            if not self._has_failed():
                self._check_coverage()
        except OutOfTimeError:
            self._record = _Record(failures=[Failure("the time is over", span=self._plan.span)])
            self._records.append(self._record)

    def proof(self) -> Proof:
        """What came of it, if nothing failed: proved."""
        failures = [failure for record in self._records for failure in record.failures]
        paths = sum(record.paths for record in self._records)
        obligations = sum(record.obligations for record in self._records)
        if not failures and not (paths and obligations):
            failures = [Failure("nothing was there to be shown", span=self._plan.span)]
        return Proof(
            symbol=self._plan.symbol,
            leaf=self._plan.leaf,
            verdict=Verdict.UNDECIDED if failures else Verdict.PROVED,
            paths=paths,
            obligations=obligations,
            queries=self._solver.queries,
            instructions=len(self._walker.covered),
            sites=tuple(sorted(self._visited)),
            failures=tuple(failures[:_MOST_FAILURES]),
            unreachable=self._unreachable,
            assumptions=self._overlaps.assumptions(),
        )

    def _has_failed(self) -> bool:
        return any(record.failures for record in self._records)

    # -- from the entry to the instruction

    def _from_entry(self) -> list[Path]:
        """The paths from the entry to the instruction."""
        self._begin()
        state = self._entry.copy()
        assert isinstance(state.memory, RegionMemory)
        start = Path(state, state.memory, self._code.start, (), None)
        self._check_object(start)
        arrivals = []
        for path, event in self._walker.walk(start):
            self._record.paths += 1
            if not isinstance(event, Arrival):
                self._end(path, event)
                continue
            self._check_arrival(path, both(*self._specification.kept), "a check fails")
            self._check_operands(path, self._specification.first_attempt())
            arrivals.append(path)
        return arrivals

    def _check_object(self, start: Path) -> None:
        """What the object says of the function besides its code."""
        plan, section = self._plan, self._code.function.section
        if plan.section != _DEFAULT_SECTION:  # where others place code as they like
            text = f"it is in section {section}, and has to be in {plan.section}"
            self._require(start, int(section == plan.section), text, span=plan.span)
        for address in self._code.image.fixups:
            if self._code.offset(address) is None:
                continue
            known = int(self._code.starts(address, plan.instruction.code))
            text = "the fixup table has a row for an instruction that is not the call"
            self._require(replace(start, place=address), known, text, span=plan.span)

    def _begin(self) -> _Record:
        """Starts a new record."""
        self._record = _Record()
        self._records.append(self._record)
        return self._record

    # -- from the instruction on, until what is known at it holds for all attempts

    def _prove_from(self, path: Path) -> None:
        """Everything after the first attempt that this path from the entry makes."""
        sites: dict[int, Site] = {}
        records: dict[int, _Record] = {}
        self._join(sites, path, self._specification.first_attempt())
        while not self._has_failed():
            site = next((one for one in sites.values() if one.is_pending), None)
            if site is None:
                return
            site.is_pending = False
            if site.address in records:  # what was shown before is shown again for more
                self._records.remove(records[site.address])
            records[site.address] = self._begin()
            for arrival, attempts in self._attempt(site):
                self._join(sites, arrival, attempts)

    def _join(self, sites: dict[int, Site], path: Path, attempts: Attempts) -> None:
        def confirm(condition: Word) -> bool:
            if isinstance(condition, int):
                return bool(condition)
            self._solver.assume_only(path.conditions)
            return self._solver.is_certain(condition)

        site = sites.get(path.address)
        if site is not None:
            site.join(path, attempts, confirm)
            if not site.facts["rsp"]:
                self._lose(path, Lost("rsp is not the same at each attempt", False))
            return
        limits = tuple(clause.attempts for clause in self._plan.again)
        changing = self._specification.changing
        sites[path.address] = Site.of(path, attempts, limits, changing, confirm)

    def _attempt(self, site: Site) -> list[tuple[Path, Attempts]]:
        """All outcomes of an attempt at a site; returns the attempts that follow."""
        self._visits += 1
        offset = self._code.offset(site.address)
        self._visited.add(-1 if offset is None else offset)
        tag = f"{LATER}{self._visits}"
        following: list[tuple[Path, Attempts]] = []
        for path in self._outcomes(site, tag):
            for end, event in self._walker.walk(path):
                self._record.paths += 1
                if isinstance(event, Arrival):
                    following += self._arrive(end)
                else:
                    self._end(end, event)
        return following

    def _outcomes(self, site: Site, tag: str) -> list[Path]:
        plan, edges = self._plan, self._plan.edges
        paths = [after_attempt(plan, site, tag, "completed")]
        if edges.carry is not None:
            paths.append(after_attempt(plan, site, tag, "carry"))
        rows = self._code.image.fixups.get(site.address, ())
        if edges.has_fault:
            fault = after_attempt(plan, site, tag, "fault")
            word = "row" if len(rows) == 1 else "rows"
            text = (
                f"the fixup table, {self._target.fixup_section}, has {len(rows)} {word} "
                "for the instruction, and needs 1"
            )
            at_attempt = replace(fault, place=site.address)
            self._require(at_attempt, int(len(rows) == 1), text, span=plan.span)
            if len(rows) == 1 and take_fixup(fault, *rows[0], self._target):
                paths.append(fault)
            elif len(rows) == 1:
                text = f"the row of the fixup table is of type {rows[0][1]:#x}, "
                self._lose(at_attempt, Lost(f"{text}which the prover does not know", False))
        elif rows:
            text = "the fixup table has a row for the instruction, and the plan no edge for a fault"
            at_attempt = replace(paths[0], place=site.address)
            self._require(at_attempt, FALSE, text, span=plan.span)
        return paths

    # -- arriving at the instruction

    def _arrive(self, path: Path) -> list[tuple[Path, Attempts]]:
        """Another attempt: the clauses that may have granted it, each with where they stand."""
        origin = path.origin
        assert origin is not None
        granted: list[Granted] = []
        if origin.kind == "completed":
            granted = self._specification.granted(origin.before, origin.after)
        condition = either(*(one.condition for one in granted))
        self._check_arrival(path, condition, "nothing grants another attempt")
        following = []
        for one in granted:
            narrowed = self._narrowed(path, one.condition)
            if narrowed is not None:
                self._check_operands(narrowed, one.attempts)
                following.append((narrowed, one.attempts))
        return following

    def _narrowed(self, path: Path, condition: Word) -> Path | None:
        """The path where a condition holds; None if it cannot."""
        if isinstance(condition, int):
            return path if condition else None
        self._solver.assume_only(path.conditions)
        if not self._solver.is_possible(condition):
            return None
        return path.fork(path.address, condition)

    def _check_arrival(self, path: Path, condition: Word, otherwise: str) -> None:
        span = self._plan.span
        self._require(path, condition, f"it makes an attempt where {otherwise}", span=span)
        writes = len(path.memory.writes)
        text = "it stores an output before the last attempt is over"
        self._require(path, int(not writes), text, span=span)
        self._require(
            path, int(not path.called), "it calls a function before the last attempt", span=span
        )
        clear = bit_not(path.state.flags["df"], 1)
        self._require(path, clear, "the direction flag is set at the instruction", span=span)

    def _check_operands(self, path: Path, attempts: Attempts) -> None:
        for load in self._plan.loads:
            found, wanted = path.state.registers[load.register], attempts.operands[load.register]
            what = _LOADED[load.kind]
            text = f"{load.register}, {what}, at the instruction"
            condition = equal(found, wanted)
            self._require(path, condition, text, found=found, wanted=wanted, span=load.span)

    # -- ends

    def _end(self, path: Path, event: Event) -> None:
        if isinstance(event, Lost):
            self._lose(path, event)
            return
        reached: Word = FALSE
        for end in self._ends.of(path):
            reached = either(reached, end.condition)
            narrowed = self._narrowed(path, end.condition)
            if narrowed is None:
                continue
            if isinstance(event, Return):
                self._ends.check_return(narrowed, end)
            else:
                assert isinstance(event, Trap)
                self._ends.check_trap(narrowed, end)
            self._overlaps.add(narrowed, end)
        text = "it ends, and another attempt is due"
        if path.origin is None:
            text = "it ends without an attempt"
        self._require(path, reached, text, span=self._plan.span)

    def _lose(self, path: Path, event: Lost) -> None:
        self._record.obligations += 1
        failure = self._failure(path, event.text, self._plan.span)
        if not event.is_wrong:  # the code may be right, and the prover does not know it
            failure = replace(failure, is_lost=True, is_certain=False)
        self._record.failures.append(failure)

    # -- obligations

    def _require_plainly(self, path: Path, condition: Word, text: str) -> None:
        self._require(path, condition, text, span=self._plan.span)

    def _require(
        self,
        path: Path,
        condition: Word,
        text: str,
        *,
        found: Word | None = None,
        wanted: Word | None = None,
        span: Span | None = None,
    ) -> None:
        """Proves a condition on a path, or remembers the failure."""
        self._record.obligations += 1
        if isinstance(condition, int) and condition:
            return
        if len(self._record.failures) >= _MOST_FAILURES:
            return
        self._solver.assume_only(path.conditions)
        wrong = bit_not(condition, 1)
        if isinstance(condition, int) or self._solver.is_possible(wrong):
            failure = self._failure(path, text, span, wrong, found, wanted)
            self._record.failures.append(failure)

    def _failure(
        self,
        path: Path,
        text: str,
        span: Span | None,
        wrong: Word = TRUE,
        found: Word | None = None,
        wanted: Word | None = None,
    ) -> Failure:
        """A failure with the call that shows it."""
        offset = self._code.offset(path.place)
        failure = Failure(
            text,
            offset=offset,
            instruction=self._code.text(path.place),
            line=None if offset is None else self._code.line(offset),
            span=span,
            is_certain=path.origin is None or path.origin.is_exact,
        )
        example = find_example(self._solver, self._specification, path, wrong)
        if example is None:
            raise AssertionError(f"{self._plan.symbol}: {text}, and there is no such path")
        call, model = example
        return replace(
            failure,
            counterexample=call,
            found=None if found is None else evaluate(found, model),
            wanted=None if wanted is None else evaluate(wanted, model),
        )

    def _check_coverage(self) -> None:
        record = self._begin()
        known, unknown = unreachable_code(self._code, self._walker.covered, self._walker.ways)
        self._unreachable = known
        record.obligations += 1
        for offset, text in unknown:
            record.failures.append(Failure(text, offset=offset, span=self._plan.span))


_LOADED = {
    LoadKind.SELECTOR: "a selector",
    LoadKind.OPERAND: "an operand",
    LoadKind.PRELOAD: "preloaded",
    LoadKind.ZERO: "exposed and to be zeroed",
}
