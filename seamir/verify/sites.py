"""What is known whenever control reaches the instruction, however often it did before.

The first arrival suggests facts about each register and each cell of the frame: that it holds what
it held then, or an operand of the present attempt, or a count that goes up or down as a clause's
attempts are used up. Each later arrival drops those that z3 does not confirm, until all that are
left hold at every arrival: an invariant, which serves for a loop of any bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from seamir.verify.evaluation import evaluate, symbols_of
from seamir.verify.memory import RegionMemory
from seamir.verify.specification import BUDGET_WIDTH, Attempts
from seamir.verify.state import FLAGS, LATER, VECTOR_WIDTH, State
from seamir.verify.terms import (
    Term,
    Word,
    add,
    bit_and,
    bit_or,
    equal,
    extract,
    less_unsigned,
    mask,
    multiply,
    sign_extend,
    subtract,
    symbol,
    zero_extend,
)
from seamir.verify.walk import Path

# A register or flag by name, a vector register by number, a cell of the frame as (offset, bytes).
Location: TypeAlias = str | int | tuple[int, int]
Confirm: TypeAlias = Callable[[Word], bool]
_UNROLLED = 3  # low bits of a budget that may be the same each time


def is_lasting(word: Word) -> bool:
    """Whether a word means the same at all attempts: it depends on nothing that came after one."""
    return not any(LATER in one.name for one in symbols_of(word))


@dataclass(frozen=True, slots=True)
class Same:
    """The location holds a word that means the same at all attempts."""

    value: Word

    def word(self, attempts: Attempts, width: int) -> Word:
        """What the location holds."""
        return self.value


@dataclass(frozen=True, slots=True)
class Operand:
    """The location holds an operand of the present attempt."""

    register: str

    def word(self, attempts: Attempts, width: int) -> Word:
        """What the location holds."""
        return attempts.operands[self.register]


@dataclass(frozen=True, slots=True)
class Count:
    """The location counts attempts: a constant, and a step for each one that a clause grants.

    `start` and `budgets` are those of the first arrival; `steps` are what a clause's attempts add,
    in `width` bits, None while that is not known. Several counts may so lie side by side in one.
    """

    start: int
    budgets: tuple[int, ...]
    steps: tuple[int | None, ...]
    width: int

    def word(self, attempts: Attempts, width: int) -> Word:
        """What the location holds."""
        total: Word = self.start
        for budget, limit, step in zip(attempts.budgets, self.budgets, self.steps, strict=True):
            used = subtract(limit, budget, BUDGET_WIDTH)
            if self.width > BUDGET_WIDTH:
                used = sign_extend(used, BUDGET_WIDTH, self.width)
            else:
                used = extract(used, 0, self.width)
            total = add(total, multiply(used, step or 0, self.width), self.width)
        return zero_extend(total, self.width, width)

    def learn(self, value: Word, budgets: tuple[Word, ...]) -> Count | None:
        """The count with the step that another arrival shows; None if it does not fit."""
        unknown = [
            index
            for index, budget in enumerate(budgets)
            if self.steps[index] is None and budget != self.budgets[index]
        ]
        if not unknown:
            return self
        if len(unknown) > 1 or not isinstance(value, int) or value > mask(self.width):
            return None
        used = budgets[unknown[0]]
        so_far = self.word(Attempts(budgets, {}), self.width)
        if used != self.budgets[unknown[0]] - 1 or not isinstance(so_far, int):
            return None
        steps = list(self.steps)
        steps[unknown[0]] = (value - so_far) & mask(self.width)
        return Count(self.start, self.budgets, tuple(steps), self.width)


@dataclass(frozen=True, slots=True)
class Left:
    """The location holds what one clause still grants, or what it granted, and a constant.

    It is `start` plus the clause's budget, or with `down` less the budget, in `width` bits.
    """

    clause: int
    down: bool
    start: int
    width: int

    @staticmethod
    def of(value: int, clause: int, budget: int, width: int, *, down: bool) -> Left:
        """The count that holds this value where the clause grants so many attempts."""
        start = value + budget if down else value - budget
        return Left(clause, down, start & mask(width), width)

    def word(self, attempts: Attempts, width: int) -> Word:
        """What the location holds."""
        budget = attempts.budgets[self.clause]
        if self.width > BUDGET_WIDTH:
            budget = zero_extend(budget, BUDGET_WIDTH, self.width)
        else:
            budget = extract(budget, 0, self.width)
        count = (subtract if self.down else add)(self.start, budget, self.width)
        return zero_extend(count, self.width, width)


Fact: TypeAlias = Same | Operand | Count | Left


@dataclass
class Site:
    """What is known at one place of the instruction, on the paths from one way into the code.

    `conditions` hold on all of them. `limits` are what the clauses grant at most; `epoch` is None
    where others may have changed memory between two arrivals. It `is_exact` while it stands for
    nothing but the first arrival. `changing` are the operands that resumptions change, each with
    the bits that may change. `remainders` are low bits of the budgets, how many and which: where a
    compiler unrolled a loop, each place of the instruction sees every second budget, or fourth.
    """

    address: int
    conditions: tuple[Word, ...]
    first: State
    facts: dict[Location, list[Fact]]
    budgets: list[int | None]
    operands: dict[str, Word | None]
    limits: tuple[int, ...]
    epoch: str | None
    is_exact: bool
    first_operands: Mapping[str, Word]
    changing: Mapping[str, int]
    remainders: list[tuple[int, int] | None]
    is_pending: bool = field(default=True)

    @staticmethod
    def of(
        path: Path,
        attempts: Attempts,
        limits: tuple[int, ...],
        changing: Mapping[str, int],
        confirm: Confirm,
    ) -> Site:
        """The site as its first arrival has it."""
        facts = {
            location: [
                fact
                for fact in _suggest(value, width, path, attempts, changing)
                if confirm(equal(value, fact.word(attempts, width), width))
            ]
            for location, (value, width) in _locations(path).items()
        }
        operands = {
            name: word if is_lasting(word) else None for name, word in attempts.operands.items()
        }
        budgets = [one if isinstance(one, int) else None for one in attempts.budgets]
        return Site(
            path.address,
            tuple(one for one in path.conditions if is_lasting(one)),
            path.state.copy(),
            facts,
            budgets,
            operands,
            limits,
            path.memory.epoch,
            path.origin is None,
            attempts.operands,
            changing,
            [None if one is None else (_UNROLLED, one & mask(_UNROLLED)) for one in budgets],
        )

    def join(self, path: Path, attempts: Attempts, confirm: Confirm) -> None:
        """Drops what does not hold on another arrival; if that was anything, the site is pending.

        `confirm` says whether a condition is certain on that path.
        """
        known = set(path.conditions)
        conditions = tuple(one for one in self.conditions if one in known or confirm(one))
        dropped = conditions != self.conditions
        self.conditions = conditions
        locations = _locations(path)
        for location in [one for one in self.facts if one not in locations]:
            del self.facts[location]
            dropped = True
        for location, facts in self.facts.items():
            value, width = locations[location]
            learned = [_learn(fact, value, attempts) for fact in facts]
            kept = [
                fact
                for fact in learned
                if fact is not None and confirm(equal(value, fact.word(attempts, width), width))
            ]
            dropped |= kept != facts
            self.facts[location] = kept
        for index, budget in enumerate(attempts.budgets):
            if self.budgets[index] is not None and budget != self.budgets[index]:
                self.budgets[index], dropped = None, True
            if self.remainders[index] is not None:
                remainder = self._remainder(index, budget, confirm)
                dropped |= remainder != self.remainders[index]
                self.remainders[index] = remainder
        for name, word in self.operands.items():
            if word is not None and not confirm(equal(attempts.operands[name], word)):
                self.operands[name], dropped = None, True
        if self.epoch is not None and path.memory.epoch != self.epoch:
            self.epoch, dropped = None, True
        if dropped:
            self.is_exact = False
            self.is_pending = True

    def _remainder(self, index: int, budget: Word, confirm: Confirm) -> tuple[int, int] | None:
        """As many low bits of a budget, and their value, as it has in common with those before."""
        known = self.remainders[index]
        while known is not None:
            width, low = known
            if confirm(equal(extract(budget, 0, width), low, width)):
                return known
            known = (width - 1, low & mask(width - 1)) if width > 1 else None
        return None

    def _operand(self, name: str, tag: str) -> Word:
        """An operand of which no more is known than the bits that no resumption changes."""
        unknown, first = symbol(f"{tag}.operand.{name}"), self.first_operands[name]
        if not is_lasting(first):
            return unknown
        kept = bit_and(first, ~self.changing.get(name, 0) & mask(64))
        return bit_or(kept, bit_and(unknown, self.changing.get(name, 0)))

    def state(self, tag: str) -> tuple[State, RegionMemory, Attempts, tuple[Word, ...]]:
        """A state that stands for every arrival, with what is known of it.

        What is not known is called by names that begin with the tag.
        """
        conditions = list(self.conditions)
        budgets: list[Word] = []
        for index, budget in enumerate(self.budgets):
            limit = self.limits[index]
            unknown = symbol(f"{tag}.budget{index}", BUDGET_WIDTH)
            budgets.append(unknown if budget is None else budget)
            if budget is None:
                conditions.append(less_unsigned(unknown, limit + 1, BUDGET_WIDTH))
                remainder = self.remainders[index]
                if remainder is not None:
                    bits, low = remainder
                    conditions.append(equal(extract(unknown, 0, bits), low, bits))
        operands = {
            name: self._operand(name, tag) if word is None else word
            for name, word in self.operands.items()
        }
        attempts = Attempts(tuple(budgets), operands)
        state = self.first.copy()
        memory = state.memory
        assert isinstance(memory, RegionMemory)
        if not self.is_exact:
            state.epoch = f"{tag}."
        if self.epoch is None:
            memory.epoch = f"{tag}.memory"
        memory.cells = {}
        for location, facts in self.facts.items():
            width = _width(location)
            words = [fact.word(attempts, width) for fact in facts]
            value = words[0] if words else symbol(f"{tag}.{location}", width)
            conditions += [equal(value, word, width) for word in words[1:]]
            _put(state, memory, location, value)
        return state, memory, attempts, tuple(one for one in conditions if one != 1)


def _width(location: Location) -> int:
    """Bits of a location."""
    if isinstance(location, tuple):
        return 8 * location[1]
    if isinstance(location, int):
        return VECTOR_WIDTH
    return 1 if location in FLAGS else 64


def _locations(path: Path) -> dict[Location, tuple[Word, int]]:
    """All that may hold something from one attempt to the next, with its width in bits."""
    state = path.state
    found: dict[Location, tuple[Word, int]] = {
        name: (value, 64) for name, value in state.registers.items()
    }
    found |= {name: (value, 1) for name, value in state.flags.items()}
    found |= {number: (value, VECTOR_WIDTH) for number, value in state.vectors.items()}
    path.memory.forget_below_stack(state)
    for offset, (size, value) in path.memory.cells.items():
        found[offset, size] = value, 8 * size
    return found


def _put(state: State, memory: RegionMemory, location: Location, value: Word) -> None:
    if isinstance(location, tuple):
        offset, size = location
        memory.cells[offset] = size, value
    elif isinstance(location, int):
        state.vectors[location] = value
    elif location in FLAGS:
        state.flags[location] = value
    else:
        state.registers[location] = value


def _learn(fact: Fact, value: Word, attempts: Attempts) -> Fact | None:
    return fact.learn(value, attempts.budgets) if isinstance(fact, Count) else fact


def _suggest(
    value: Word, width: int, path: Path, attempts: Attempts, changing: Iterable[str]
) -> Iterator[Fact]:
    """What may hold of a location that held this at the first arrival.

    `changing` are the operands that resumptions change. What is no more than likely has to be
    confirmed.
    """
    if is_lasting(value):
        yield Same(value)
    else:
        yield from (Same(constant) for constant in _constants(value, path.conditions))
    for name in sorted(changing) if width == 64 else ():
        operand = attempts.operands[name]
        if value == path.state.registers[name] or _may_equal(value, operand):
            yield Operand(name)
    if not 1 < width <= 64:
        return
    numbers = _Numbers()
    found, *others = (evaluate(word, numbers) for word in (value, *attempts.budgets))
    for bits in {width, min(width, BUDGET_WIDTH)}:
        if isinstance(value, int) and value > mask(bits):
            continue
        budgets = tuple(budget for budget in attempts.budgets if isinstance(budget, int))
        if isinstance(value, int) and len(budgets) == len(attempts.budgets):
            yield Count(value, budgets, (None,) * len(budgets), bits)
        for clause, number in enumerate(others):
            for down in (False, True):
                left = Left.of(found & mask(bits), clause, number, bits, down=down)
                if _may_equal(value, left.word(attempts, width)):
                    yield left


def _constants(value: Word, conditions: Iterable[Word]) -> Iterator[int]:
    """The constants that a word is equal to by a condition."""
    for condition in conditions:
        if isinstance(condition, Term) and condition.operator == "eq":
            one, other = condition.arguments[:2]
            if one is value and isinstance(other, int):
                yield other
            elif other is value and isinstance(one, int):
                yield one


def _may_equal(a: Word, b: Word) -> bool:
    """Whether two words are equal for some numbers taken at random: if not, nobody need ask."""
    if a is b:
        return True
    numbers = _Numbers()
    return all(evaluate(a, numbers) == evaluate(b, numbers) for numbers.trial in range(3))


class _Numbers(dict[str, int]):
    """A number for every symbol, the same each time."""

    trial = 0

    def get(self, name: str, default: int = 0) -> int:  # type: ignore[override]
        return int.from_bytes(sha256(f"{self.trial} {name}".encode()).digest()[:16], "little")
