"""Asks z3 whether conditions over terms can hold; the only module that knows z3.

What is decided by the terms themselves never gets there. Importing it raises SeamError if z3 is
not installed, so whoever may do without proofs imports the prover where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from seamir.diagnostics import fail
from seamir.verify.evaluation import parts_first, symbols_of
from seamir.verify.terms import TRUE, Term, Word, bit_not

try:
    import z3
except ImportError:
    _MESSAGE, _HELP = "proving needs the extra `seamir[verify]`", "pip install 'seamir[verify]'"
    raise fail("E0804", _MESSAGE, help=_HELP) from None

_CONDITIONS = frozenset({"eq", "ult", "slt", "and", "or", "xor", "ite"})  # of 1 bit
_LONGEST_QUERY = 20_000  # milliseconds, where no limit of the whole proof is nearer


class OutOfTimeError(Exception):
    """The proof's time is over, or z3 does not decide a query in the time there is."""


class Solver:
    """A stack of assumptions, and questions about them; `queries` counts what z3 was asked.

    `deadline` is a time of `time.monotonic`, None for no limit.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.queries = 0
        self._deadline = deadline
        self._context = z3.Context()
        self._solver = z3.SolverFor("QF_BV", ctx=self._context)
        self._made: dict[Term, Any] = {}
        self._conditions: dict[Term, Any] = {}
        self._assumed: list[Word] = []

    def check_time(self) -> None:
        """Raises OutOfTimeError if the deadline has passed."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTimeError

    def assume_only(self, conditions: Sequence[Word]) -> None:
        """Makes the assumptions these; what they begin with in common with those before stays."""
        kept = 0
        for before, now in zip(self._assumed, conditions, strict=False):
            if before is not now and before != now:
                break
            kept += 1
        if len(self._assumed) > kept:
            self._solver.pop(len(self._assumed) - kept)
            del self._assumed[kept:]
        for condition in conditions[kept:]:
            self._solver.push()
            self._solver.add(self._proposition(condition))
            self._assumed.append(condition)

    def is_possible(self, condition: Word = TRUE) -> bool:
        """Whether the condition can hold under the assumptions; OutOfTimeError if z3 gives up."""
        if isinstance(condition, int) and not condition:
            return False
        if isinstance(condition, Term):
            if any(one is condition for one in self._assumed):
                return True  # the assumptions themselves are possible
            opposite = bit_not(condition, 1)
            if any(one is opposite for one in self._assumed):
                return False
        elif not self._assumed:
            return True
        return self._ask(condition)

    def is_certain(self, condition: Word) -> bool:
        """Whether the condition holds wherever the assumptions do."""
        return not self.is_possible(bit_not(condition, 1))

    def model(self, *conditions: Word) -> Mapping[str, int] | None:
        """Numbers for all symbols with which it all holds, by name; None: there are none."""
        result = self._check([self._proposition(one) for one in conditions])
        if result != z3.sat:
            return None
        found = self._solver.model()
        needed = symbols_of(*self._assumed, *conditions)
        return {
            one.name: found.eval(self._term(one), model_completion=True).as_long() for one in needed
        }

    def _ask(self, condition: Word) -> bool:
        return bool(self._check([self._proposition(condition)]) == z3.sat)

    def _check(self, conditions: Sequence[Any]) -> Any:
        self.check_time()
        limit = _LONGEST_QUERY
        if self._deadline is not None:
            limit = max(1, min(limit, int((self._deadline - time.monotonic()) * 1000)))
        self._solver.set("timeout", limit)
        self.queries += 1
        result = self._solver.check(*conditions)
        if result == z3.unknown:
            raise OutOfTimeError
        return result

    # -- translation

    def _proposition(self, word: Word) -> Any:
        """A word of 1 bit for z3; its parts first, so that the longest word needs no deep stack."""
        for term in parts_first(word, self._is_made):
            if term.width == 1:
                self._condition(term)
            else:
                self._term(term)
        return self._condition(word)

    def _is_made(self, term: Term) -> bool:
        return term in (self._conditions if term.width == 1 else self._made)

    def _condition(self, word: Word) -> Any:
        if isinstance(word, int):
            return z3.BoolVal(bool(word), ctx=self._context)
        found = self._conditions.get(word)
        if found is None:
            found = self._conditions[word] = self._make_condition(word)
        return found

    def _make_condition(self, term: Term) -> Any:
        if term.operator == "symbol":
            return self._term(term) == 1
        one, *rest = term.arguments
        match term.operator:
            case "eq":
                width = next(part.width for part in term.arguments if isinstance(part, Term))
                return self._word(one, width) == self._word(rest[0], width)
            case "ult":
                width = _number(rest[1])
                return z3.ULT(self._word(one, width), self._word(rest[0], width))
            case "slt":
                width = _number(rest[1])
                return self._word(one, width) < self._word(rest[0], width)
            case "and":
                return z3.And(self._condition(one), self._condition(rest[0]))
            case "or":
                return z3.Or(self._condition(one), self._condition(rest[0]))
            case "xor" if rest[0] == 1:
                return z3.Not(self._condition(one))
            case "xor":
                return z3.Xor(self._condition(one), self._condition(rest[0]))
            case "ite":
                return z3.If(*(self._condition(part) for part in term.arguments))
            case _:
                return self._term(term) == 1

    def _word(self, word: Word, width: int) -> Any:
        if isinstance(word, int):
            return z3.BitVecVal(word, width, ctx=self._context)
        return self._term(word)

    def _term(self, term: Term) -> Any:
        found = self._made.get(term)
        if found is None:
            found = self._made[term] = self._make_term(term)
        return found

    def _make_term(self, term: Term) -> Any:
        width = term.width
        if term.operator == "symbol":
            return z3.BitVec(term.name, width, ctx=self._context)
        if width == 1 and term.operator in _CONDITIONS:
            return z3.If(self._condition(term), self._word(1, 1), self._word(0, 1))
        one, *rest = term.arguments
        match term.operator:
            case "extract":
                low = _number(rest[0])
                assert isinstance(one, Term)
                return z3.Extract(low + width - 1, low, self._term(one))
            case "zext" | "sext":
                assert isinstance(one, Term)
                extend = z3.ZeroExt if term.operator == "zext" else z3.SignExt
                return extend(width - one.width, self._term(one))
            case "concat":
                size = _number(rest[1])
                return z3.Concat(self._word(one, width - size), self._word(rest[0], size))
            case "ite":
                return z3.If(self._condition(one), *(self._word(part, width) for part in rest))
            case "neg":
                return -self._word(one, width)
        left, right = self._word(one, width), self._word(rest[0], width)
        match term.operator:
            case "add":
                return left + right
            case "mul":
                return left * right
            case "and":
                return left & right
            case "or":
                return left | right
            case "xor":
                return left ^ right
            case "shl":
                return left << right
            case "lshr":
                return z3.LShR(left, right)
            case "ashr":
                return left >> right
            case _:
                raise ValueError(f"no operation is called {term.operator}")


def _number(word: Word) -> int:
    assert isinstance(word, int)
    return word
