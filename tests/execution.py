"""Random scenarios for a plan: calls that together reach every outcome class it has.

A Scenario is one call with arguments, memory and an other side, and can be played to the
interpreter and to the machine alike. `scenarios` is the entry; everything is made from a seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from seamir.emulate.compare import compare
from seamir.emulate.interpreter import Run, grant, interpret, keeps_promise
from seamir.emulate.machine import DATA_SIZE, DATA_START, Execution, Machine
from seamir.emulate.script import Carry, Completed, Fault, Memory, OtherSide, Outcome, Write
from seamir.ir.leaf import Argument, ArgumentKind, Input, LoadKind, Plan
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match
from seamir.model.types import Type, extend


@dataclass(frozen=True)
class Refused:
    """An attempt that comes back without having reached the other side."""


Step = int | Carry | Fault | Refused  # the status with which an attempt completes, or how not
MANY_VECTORS = (0, 3, 6, 13, 14, 18, 20, 31)
LONG = 2000  # attempts of one scenario, at most


@dataclass(frozen=True)
class PlannedSide:
    """An other side that ends attempt after attempt as planned, with garbage in all registers.

    The last step serves all attempts after it. A register with a preload is left unwritten in
    half of the attempts; memory is scribbled over in some, where the conduit may do so.
    """

    plan: Plan
    steps: Sequence[Step]
    regions: Mapping[int, bytes]
    seed: int

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        step = self.steps[min(attempt, len(self.steps) - 1)]
        plan, random = self.plan, Random(self.seed << 20 | attempt)
        if isinstance(step, Refused):
            return self._refuse(random)
        if not isinstance(step, int):
            return step
        values = {name: any_word(random) for name in sorted(plan.destroyed)}
        for load in plan.loads:
            if load.kind is LoadKind.PRELOAD and random.random() < 0.5:
                values[load.register] = registers[load.register]
        place = plan.status
        if place is not None:
            mask = slice_mask(place.low, place.high)
            values[place.register] = values[place.register] & ~mask | step << place.low & mask
        self._reach(values)
        carry = plan.returns_carry and random.random() < 0.5
        return Completed(values, self._scribble(random), carry)

    def _reach(self, values: dict[str, int]) -> None:
        """Makes the registers say that the other side was reached."""
        refused = self.plan.edges.refused
        if refused is not None:
            place = refused.place
            mask = slice_mask(place.low, place.high)
            values[place.register] = values[place.register] & ~mask | refused.value << place.low

    def _refuse(self, random: Random) -> Completed:
        """The registers of a call that was refused: garbage, but not the value of completion."""
        values = {name: any_word(random) for name in sorted(self.plan.destroyed)}
        refused = self.plan.edges.refused
        assert refused is not None
        place = refused.place
        mask = slice_mask(place.low, place.high)
        bit = 1 << random.randrange(place.low, place.high + 1)
        if values[place.register] & mask == refused.value << place.low:
            values[place.register] ^= bit
        if random.random() < 0.3:  # by one bit only
            values[place.register] = values[place.register] & ~mask | refused.value << place.low
            values[place.register] ^= bit
        return Completed(values)

    def _scribble(self, random: Random) -> tuple[Write, ...]:
        if not (self.plan.destroys_memory and self.regions and random.random() < 0.3):
            return ()
        start = random.choice(sorted(self.regions))
        return (Write(start, random.randbytes(len(self.regions[start]))),)


@dataclass(frozen=True)
class Scenario:
    """One call of a wrapper; `name` says what it is about."""

    name: str
    arguments: Mapping[str, int]
    regions: Mapping[int, bytes]
    side: OtherSide
    seed: int


def play(machine: Machine, plan: Plan, scenario: Scenario) -> tuple[Run, Execution, list[str]]:
    """Interprets and executes a scenario; the third is how they differ."""
    run = interpret(plan, scenario.arguments, Memory(scenario.regions), scenario.side)
    execution = machine.call(
        plan, scenario.arguments, scenario.regions, scenario.side, seed=scenario.seed
    )
    return run, execution, compare(plan, run, execution)


def scenarios(
    plan: Plan, seed: int = 0, repeat: int = 4, limit: int | None = None
) -> Iterator[Scenario]:
    """Scenarios of all outcome classes of a plan, each class with `repeat` random operands.

    With a `limit`, so many of them by chance.
    """
    random = Random(f"{plan.symbol} {seed}")
    calls: list[tuple[str, Sequence[Step], str | None]] = []
    for name, steps in outcome_classes(plan, random, repeat):
        calls += [(name, steps, None)] * (1 if len(steps) > 50 else repeat)
    for check in plan.checks:
        calls += [(f"check of {check.input} fails", [0], check.input)] * (repeat * 2)
    if limit is not None and limit < len(calls):
        calls = random.sample(calls, limit)
    for name, steps, breaks in calls:
        yield make_scenario(plan, name, steps, random, breaks)


def make_scenario(
    plan: Plan, name: str, steps: Sequence[Step], random: Random, breaks: str | None = None
) -> Scenario:
    """A call with random operands; the input `breaks` breaks the promise that is checked."""
    checked = {check.input: check.promise for check in plan.checks}
    slots: dict[str, int] = {}
    for item in plan.inputs:
        promise = checked.get(item.name)
        if item.name == breaks and promise is not None:
            slots[item.name] = broken_slot(item, promise, random)
        else:
            slots[item.name] = kept_slot(item, random, always=promise is not None)
    arguments: dict[str, int] = {}
    regions: dict[int, bytes] = {}
    for argument in plan.arguments:
        if argument.kind is ArgumentKind.VALUE:
            arguments[argument.name] = slots[argument.name]
        else:
            arguments[argument.name] = pointer(plan, argument, slots, regions, random)
    side_seed = random.getrandbits(32)
    side = PlannedSide(plan, tuple(steps), dict(regions), side_seed)
    return Scenario(name, arguments, regions, side, side_seed)


# -- operands


def any_word(random: Random) -> int:
    """64 bits: mostly random, sometimes a pattern that mistakes are sensitive to."""
    if random.random() < 0.7:
        return random.getrandbits(64)
    patterns = (0, 1, ALL_BITS, 1 << 63, (1 << 63) - 1, 0x8000_0000, 0xFFFF_FFFF, 1 << 32)
    return random.choice(patterns)


def kept_slot(item: Input, random: Random, *, always: bool) -> int:
    """The slot of an input: a promised value, if not `always` at times any; dirty above it."""
    value = any_word(random)
    if always or random.random() < 0.7:
        value = promised(item, random)
    return dirty(value, item.type, random)


def promised(item: Input, random: Random) -> int:
    """A 64-bit value of the input's type that its promise allows."""
    promise = item.promise
    edges = [promise.low, promise.high, promise.high & promise.bits, *promise.constants, 0, 1]
    for _ in range(200):
        value = random.choice(edges)
        if random.random() < 0.7:
            value = random.randint(promise.low, promise.high) & promise.bits
        value = extend(value, item.type.width, item.type.signed)
        if keeps_promise(promise, value):
            return value
    raise AssertionError(f"no value of {promise.name} found for {item.name}")


def broken_slot(item: Input, promise: Type, random: Random) -> int:
    """A slot whose value breaks a promise, by little or by much."""
    near = [promise.low - 1, promise.high + 1, ~promise.bits & ALL_BITS, promise.bits + 1]
    for _ in range(1000):
        value = random.choice([*near, 1 << random.randrange(64), random.getrandbits(64)])
        value = extend(value, item.type.width, item.type.signed)
        if not keeps_promise(promise, value):
            return dirty(value, item.type, random)
    raise AssertionError(f"every value of {item.type.name} keeps the promise of {promise.name}")


def dirty(value: int, kind: Type, random: Random) -> int:
    """A value as it may arrive in 64 bits: the bits above its type hold anything."""
    mask = slice_mask(0, kind.width - 1)
    return value & mask | random.choice((0, ALL_BITS, random.getrandbits(64))) & ~mask


def pointer(
    plan: Plan,
    argument: Argument,
    slots: Mapping[str, int],
    regions: dict[int, bytes],
    random: Random,
) -> int:
    """A pointer argument, and its region; at times NULL, at times that of another output."""
    is_read = any(item.argument == argument.name for item in plan.inputs)
    if argument.optional and not is_read and random.random() < 0.25:
        return 0
    size = argument.size
    if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
        size = plan.struct.size
    if argument.count is not None:
        size = argument.type.width // 8 * min(slots[argument.count], argument.length or 0)
    if size == 0:  # no element, so nothing that the pointer may be used for
        return random.choice((0, 8, any_word(random)))
    others = [start for start, content in regions.items() if len(content) == size]
    if others and argument.kind is ArgumentKind.OUT and random.random() < 0.1:
        return random.choice(others)
    content = bytearray(random.randbytes(size))
    for item in plan.inputs:
        if item.argument == argument.name and item.offset is not None and item.offset < size:
            width = item.type.width // 8
            low = slots[item.name] & slice_mask(0, item.type.width - 1)
            content[item.offset : item.offset + width] = low.to_bytes(width, "little")
    room = max(256, size + 24, *map(len, regions.values()))  # between two regions, in bytes
    start = DATA_START + 64 * random.randrange((DATA_SIZE - room) // 64)
    while any(abs(start - other) < room + 24 for other in regions):
        start = DATA_START + 64 * random.randrange((DATA_SIZE - room) // 64)
    start += random.randrange(4) * 8
    regions[start] = bytes(content)
    return start


# -- outcomes


def outcome_classes(
    plan: Plan, random: Random, repeat: int
) -> Iterator[tuple[str, Sequence[Step]]]:
    """Each way in which a call can go, as a name and the steps of the other side."""
    for status in final_statuses(plan, random):
        yield f"completed with {status:#x}", [status]
    ends = list(incomplete(plan))
    for end in ends:
        yield f"{end}", [end]
    yield from granted(plan, random, ends)
    for _ in range(4 * repeat if plan.again else 0):
        length = random.randrange(1, min(plan.bound + 3, 40))
        steps = [again_status(plan, random) for _ in range(length)]
        last = random.choice([*ends, *[final_status(plan, random)] * 2])
        yield f"{length} random attempts", [*steps, last]
    if plan.again and plan.bound <= LONG:
        yield "all attempts", exhausting(plan, random)


def incomplete(plan: Plan) -> Iterator[Step]:
    """Every way not to complete."""
    if plan.edges.carry is not None:
        yield Carry()
    if plan.edges.refused is not None:
        yield Refused()
    if plan.instruction.may_fault:
        yield from map(
            Fault, sorted({*MANY_VECTORS, *(vector for vector, _ in plan.edges.vectors)})
        )


def granted(
    plan: Plan, random: Random, ends: Sequence[Step]
) -> Iterator[tuple[str, Sequence[Step]]]:
    """For each clause: stopped after each small number of attempts, and around its budget."""
    for index, clause in enumerate(plan.again):
        budget = clause.attempts
        counts = {*range(1, min(budget, 5) + 1), budget - 1, budget, budget + 1, budget + 3}
        for count in sorted(count for count in counts if 0 < count <= LONG):
            steps: list[Step] = [matching(random.choice(clause.matches), random)] * count
            yield f"clause {index}, {count} times", [*steps, final_status(plan, random)]
            for end in ends[:2]:
                yield f"clause {index}, {count} times, then {end}", [*steps, end]


def exhausting(plan: Plan, random: Random) -> list[Step]:
    """Statuses that ask, innermost first, for every attempt there is, and one more."""
    budgets = [clause.attempts for clause in plan.again]
    steps: list[Step] = []
    while len(steps) < plan.bound:
        index = next((i for i, budget in enumerate(budgets) if budget), 0)
        status = matching(plan.again[index].matches[0], random)
        grant(plan.again, budgets, status)
        steps.append(status)
    return steps


def again_status(plan: Plan, random: Random) -> int:
    """A status that some clause matches; inner ones more often."""
    index = min(int(random.expovariate(1)), len(plan.again) - 1)
    return matching(random.choice(plan.again[index].matches), random)


def matching(match: Match, random: Random) -> int:
    """A status that a match accepts, anything in the bits it ignores."""
    return match.value | random.choice((0, ALL_BITS, random.getrandbits(64))) & ~match.mask


def final_status(plan: Plan, random: Random) -> int:
    """A status that no clause matches."""
    return random.choice(final_statuses(plan, random))


def final_statuses(plan: Plan, random: Random) -> list[int]:
    """Statuses of all kinds with which a call completes at once, without another attempt."""
    limit = slice_mask(0, 63 if plan.status is None else plan.status.width - 1)
    candidates = [0, 1, 0x1234, limit, 1 << 62, 1 << 63, 3 << 62, 0xFFFF_FFFF]
    candidates += [random.getrandbits(64), random.getrandbits(64) & ~(1 << 63)]
    codes = [code for family in plan.conduit.families for code in family.codes.values()]
    for code in random.sample(codes, min(len(codes), 12)):
        candidates += [code.values[0], code.values[-1] | random.getrandbits(32)]
    for match in sorted(interesting(plan), key=lambda match: (match.value, match.mask)):
        status = matching(match, random)
        bit = random.choice([b for b in range(64) if match.mask >> b & 1])
        candidates += [status, status ^ 1 << bit]
    return [
        status
        for status in dict.fromkeys(candidate & limit for candidate in candidates)
        if not any(m.accepts(status) for clause in plan.again for m in clause.matches)
    ]


def interesting(plan: Plan) -> set[Match]:
    """Every comparison that the plan makes with the status."""
    matches = {match for clause in plan.again for match in clause.matches}
    matches |= set(plan.success or ()) | ({plan.guard} if plan.guard else set())
    for delivery in plan.deliveries:
        if delivery.test is not None:
            test = delivery.test
            matches |= {*test.any_of, *test.or_any_of, *test.none_of}
    return {match for match in matches if match.mask}
