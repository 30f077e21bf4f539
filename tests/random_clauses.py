"""Random expressions, patterns and clauses: what random leaves and wrappers both say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from random_items import (
    Code,
    Conduit,
    ItemMaker,
    Items,
    Kind,
    Layout,
    number,
    words,
)


@dataclass
class Parameter:
    """A parameter; `shape` is a length or a layout, `count` the parameter of its elements."""

    name: str
    kind: Kind
    shape: int | Layout | None = None
    count: str | None = None
    text: str = ""


@dataclass
class Output:
    """`registers` are those of a list, or the one of the place."""

    name: str
    kind: Kind
    registers: tuple[str, ...]
    shape: int | Layout | None = None
    whole: bool = True
    slice_width: int = 64
    has_condition: bool = False
    has_preload: bool = False
    optional: bool = False
    in_out: bool = False
    is_carry: bool = False


@dataclass
class Leaf:
    """A leaf, with what wrappers need to know of it."""

    name: str
    conduit: Conduit
    number: int | None = None
    version: str = ""
    parameters: list[Parameter] = field(default_factory=list)
    operands: list[tuple[str, int, int, str]] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)  # registers of lists
    outputs: list[Output] = field(default_factory=list)
    checks: set[str] = field(default_factory=set)
    codes: list[Code] = field(default_factory=list)  # that no clause matches yet
    bound: int = 1
    noreturn: bool = False
    again: bool = False
    returns: bool = False  # an outcome or check that returns
    keeps: bool = False
    delivery: str = ""
    text: str = ""

    @property
    def scalars(self) -> list[Parameter]:
        return [p for p in self.parameters if p.shape is None]


class ClauseMaker:
    """What leaves and wrappers both say."""

    def __init__(self, random: Random, items: Items, makers: ItemMaker, leaf: Leaf) -> None:
        self._random = random
        self._items = items
        self._makers = makers
        self._leaf = leaf

    # -- expressions

    def constant(self, width: int = 64) -> str:
        random, items = self._random, self._items
        fitting = [name for name, value in items.constants.items() if value < 1 << width]
        named = [code.name for code in self._leaf.conduit.codes] if width == 64 else []
        if width == 64 and self._leaf.conduit.families and random.random() < 0.1:
            family = random.choice(self._leaf.conduit.families)
            return f"{family.name}.{random.choice(family.codes).name}"
        choices = [number(random.getrandbits(width), random), "0"]
        choices += [random.choice(fitting)] if fitting else []
        choices += [random.choice(named)] if named else []
        choices += [f"{random.choice(fitting)} >> 1 | 1 << {width - 1}"] if fitting else []
        return random.choice(choices)

    def value(self, kinds: Sequence[Parameter], width: int, first: Parameter | None = None) -> str:
        """An expression that fits `width` bits; it reads `first` if there is such a one."""
        random = self._random
        parameter = first or (random.choice(kinds) if kinds and random.random() < 0.8 else None)
        if parameter is None:
            return self.constant(width)
        name, mask = parameter.name, parameter.kind.mask
        shift = 0
        if mask.bit_length() > width:
            shift = random.randrange(mask.bit_length() - width, 64)
            return f"{name} >> {min(shift, 63)}"
        how = random.random()
        room = width - mask.bit_length()
        if how < 0.35:
            return name
        if how < 0.5 and room:
            return f"{name} << {random.randint(0, min(room, 63))}"
        if how < 0.65 and width == 64:
            text = f"{name} {random.choice('+-')} {number(random.getrandbits(64), random)}"
            return f"({text}) >> 3" if random.random() < 0.2 else text
        if how < 0.8:
            other = random.getrandbits(width) & ~mask
            return f"{name} | {number(other, random)}"
        others = [p for p in kinds if p is not parameter and not p.kind.mask & mask]
        if others:
            other_parameter = random.choice(others)
            if other_parameter.kind.mask.bit_length() <= width:
                return f"{name} | {other_parameter.name}"
        small = [p for p in kinds if p.kind.mask.bit_length() <= room]
        if small and how < 0.95:
            return f"{name} | {random.choice(small).name} << {mask.bit_length()}"
        return name

    # -- statuses

    def pattern(self, code: Code, *, one: bool = False) -> str:
        random = self._random
        if not code.has_detail:
            return code.name
        family = next(f for f in self._leaf.conduit.families if code in f.codes)
        choices = [code.name, f"{code.name}({random.choice(family.ids)})", f"{code.name}(0x1)"]
        choices += [] if one else [f"{code.name}(*)"] * 2
        return random.choice(choices)

    def again_clauses(self, limit: int) -> list[str]:
        random, leaf = self._random, self._leaf
        lines: list[str] = []
        if leaf.conduit.status is None:
            return lines
        for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
            budget = random.choice([1, 2, 3, 5])
            if len(leaf.codes) < 2 or leaf.bound * (budget + 1) > limit:
                break
            chosen = [leaf.codes.pop() for _ in range(random.choice([1, 1, 2]))]
            patterns = ", ".join(self.pattern(code) for code in chosen)
            steps = self.steps() if random.random() < 0.5 else []
            if steps:
                lines.append(f"resume {budget} on {patterns} {{ {' '.join(steps)} }}")
            else:
                lines.append(f"retry {budget} on {patterns};")
            leaf.bound *= budget + 1
            leaf.again = True
        return lines

    def steps(self) -> list[str]:
        random, leaf = self._random, self._leaf
        loaded = list(dict.fromkeys(register for register, *_ in leaf.operands))
        returned = {r for output in leaf.outputs for r in output.registers}
        carried = [r for r in loaded if r in returned]
        steps = []
        count = random.choice([0, 1, 2, len(carried)])
        chosen = random.sample(carried, min(len(carried), count))
        if chosen:
            steps.append(f"carry {', '.join(chosen)};")
        for register in random.sample(loaded, min(len(loaded), random.choice([0, 1, 2, 14]))):
            if register in chosen or random.random() < 0.5:
                low = random.randrange(64)
                high = random.randrange(low, 64)
                if register in chosen and high - low == 63:
                    continue
                place = self._makers.place(register, low, high)
                steps.append(f"{place} = {self.value(leaf.scalars, high - low + 1)};")
            else:
                steps.append(f"{register} = {self.value(leaf.scalars, 64)};")
        return steps

    def condition(self) -> str:
        random, conduit = self._random, self._leaf.conduit
        codes = list(conduit.codes)
        random.shuffle(codes)
        says = any(family.says_success for family in conduit.families)
        word = random.choice(["success", "error", None]) if says else None
        if not codes:
            return ""
        # What the other family's statuses mean is said by the first family's test.
        first = next((f for f in conduit.families if f.says_success), None)
        own = [code for code in codes if first is not None and code in first.codes]
        parts = [word] if word else []
        for code in own if word else codes:
            if len(parts) >= random.choice([1, 1, 2, 3]):
                break
            if word is None or code.is_success == (word == "error"):
                # With a detail, a code that alone is success may be an error.
                parts.append(code.name if word == "error" else self.pattern(code))
        excepted: list[str] = []
        if word and random.random() < 0.3:
            for code in own:
                if code.is_success == (word == "success") and len(excepted) < 2:
                    excepted.append(code.name)
        text = " or ".join(parts)
        return f" on {text}" + (f" except {' or '.join(excepted)}" if excepted else "")

    # -- other clauses

    def outcomes(self, traps: bool) -> list[str]:
        random, conduit = self._random, self._leaf.conduit
        lines = []
        has_flag = any(output.is_carry for output in self._leaf.outputs)
        status, families = conduit.status, conduit.families
        may_carry = conduit.instruction != "tdcall" and not has_flag
        if may_carry and random.random() < 0.2:
            lines.append(f"on carry {self._makers.action(status, families, traps=traps)};")
        if random.random() < 0.2:
            lines += self._makers.faults(status, families, traps)
        if conduit.refusal is not None and random.random() < 0.5:
            action = self._makers.action(status, families, traps=traps, refusal=conduit.refusal)
            lines.append(f"on refused {action};")
        self._leaf.returns |= any("trap;" not in line for line in lines)
        return lines

    def check(self, name: str, traps: bool) -> str:
        conduit = self._leaf.conduit
        if traps or not conduit.codes or self._random.random() < 0.2:
            return f"check {name} else trap;"
        self._leaf.returns = True
        return f"check {name} else {self.pattern(self._random.choice(conduit.codes), one=True)};"

    def facts(self) -> list[str]:
        random = self._random
        lines = ["scrub;"] if random.random() < 0.2 else []
        lines += ["noinstr;"] if random.random() < 0.2 else []
        lines += [f'note "{words(random)}";'] if random.random() < 0.2 else []
        lines += [f'deprecated "{words(random)}";'] if random.random() < 0.1 else []
        return lines

    def deliver(self, outputs: Sequence[Output], name: str, kept: bool) -> str:
        """A `deliver` clause that the outputs allow, or nothing."""
        random = self._random
        if not outputs:
            return ""
        choices = ["deliver pointers"]
        if not all(output.in_out for output in outputs):
            choices.append("deliver pointers optional")
        layouts = [output for output in outputs if isinstance(output.shape, Layout)]
        optional = any(output.optional for output in outputs)
        if len(layouts) < len(outputs) and not optional:
            choices += ["deliver struct", f"deliver struct {name}_data"]
            if not any(o.in_out and o not in layouts for o in outputs):
                choices.append("deliver struct optional")
        first = outputs[0]
        one = len(outputs) == 1 and first.shape is None and not first.has_condition
        if one and not optional and not kept:
            choices += ["deliver register"] * 3
        if not optional and not layouts and all(o.whole and not o.is_carry for o in outputs):
            listed = [register for output in outputs for register in output.registers]
            for layout in self._items.layouts:
                shares = len(set(listed)) < len(listed)
                if shares and (kept or any(output.in_out for output in outputs)):
                    continue
                if set(listed) <= set(layout.registers):
                    choices += [f"deliver struct {layout.name}"] * 2
        return random.choice(choices) + ";"
