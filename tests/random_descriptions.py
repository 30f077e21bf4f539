"""Random descriptions: text in the language that nearly always is valid, made from a seed.

`random_description` is the entry. What it makes reaches every construct of the language, also
together in ways in which nobody would use them: all registers, many pointers, few promises.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from random import Random

from random_clauses import ClauseMaker, Leaf, Output
from random_items import (
    BASES,
    ItemMaker,
    Items,
    Layout,
    documentation,
)
from random_leaves import LeafMaker

ALLOWED_CALLS = ("helper", "panic")


def random_description(seed: int) -> str:
    """The text of a description."""
    random = Random(seed)
    items = ItemMaker(random).make()
    makers = ItemMaker(random)
    texts = list(items.texts)
    if random.random() < 0.05:
        texts.append('import "tdx/types.seam";')
    leaves: list[Leaf] = []
    for index in range(random.randrange(2, 5)):
        leaf = LeafMaker(random, items, makers, index, leaves).make()
        leaves.append(leaf)
        texts.append(leaf.text)
        for which in range(random.choice([0, 1, 1, 2])):
            texts.append(WrapperMaker(random, items, makers, leaf, f"w{index}_{which}").make())
    if random.random() < 0.3:
        random.shuffle(texts)
    return "\n".join(texts) + "\n"


class WrapperMaker(ClauseMaker):
    """Makes one wrapper of a leaf."""

    def __init__(
        self, random: Random, items: Items, makers: ItemMaker, leaf: Leaf, name: str
    ) -> None:
        super().__init__(random, items, makers, leaf)
        self._name = name

    def make(self) -> str:
        random, leaf = self._random, self._leaf
        saved = (leaf.bound, list(leaf.codes), leaf.again, leaf.returns)
        lines: list[str] = []
        parameters = ""
        if random.random() < 0.4:
            parameters = self._retyped()
        elif random.random() < 0.4:
            lines += self._fixed()
        outputs = list(leaf.outputs)
        if outputs and random.random() < 0.2:
            gone = random.sample(outputs, random.choice([1, 1, len(outputs)]))
            lines.append("drop;" if len(gone) == len(outputs) else f"drop {self._names(gone)};")
            outputs = [output for output in outputs if output not in gone]
        # The words of the leaf stay, so only one that said nothing else can stop here.
        stops = leaf.noreturn or (
            not outputs and not leaf.again and not leaf.returns and random.random() < 0.4
        )
        lines += self.outcomes(stops)
        if not stops:
            lines += self.again_clauses(1000)
        elif not leaf.noreturn:
            lines.append("noreturn;")
        for parameter in leaf.scalars:
            unsaid = parameter.name not in leaf.checks and parameter.kind.is_narrow
            if unsaid and parameters == "" and "=" not in "".join(lines) and random.random() < 0.2:
                lines.append(self.check(parameter.name, stops))
        lines += self.facts()
        lines += self._delivered(outputs, bool(leaf.outputs) and not outputs)
        if random.random() < 0.3:
            random.shuffle(lines)
        leaf.bound, leaf.codes, leaf.again, leaf.returns = saved
        body = "".join(f"    {line}\n" for line in lines)
        version = f" version {leaf.version}" if leaf.version.isdigit() else ""
        return (
            f"{documentation(random)}wrapper {self._name} = {leaf.name}{version}{parameters} "
            f"{{\n{body}}}"
        )

    @staticmethod
    def _names(outputs: Sequence[Output]) -> str:
        return ", ".join(output.name for output in outputs)

    def _delivered(self, outputs: Sequence[Output], all_gone: bool) -> list[str]:
        random, leaf = self._random, self._leaf
        lines = []
        pure = [o for o in outputs if not o.in_out and not isinstance(o.shape, Layout)]
        kept = leaf.keeps
        of_leaf = "register" in leaf.delivery or "layout" in leaf.delivery
        if pure and random.random() < 0.25 and not of_leaf:
            kept = True
            lines.append("keep;" if random.random() < 0.5 else f"keep {pure[0].name};")
        if outputs and not all_gone and (random.random() < 0.5 or leaf.delivery):
            lines.append(self.deliver(outputs, self._name, kept))
        return lines

    def _retyped(self) -> str:
        random = self._random
        entries = []
        for parameter in self._leaf.parameters:
            kind = parameter.kind
            back = next((o for o in self._leaf.outputs if o.name == parameter.name), None)
            if random.random() < 0.5 or isinstance(parameter.shape, Layout) or kind.base == "bool":
                continue
            fitting = [
                base
                for base in BASES
                if base.base not in ("bool", "ptr")
                and base.low <= kind.low
                and base.high >= kind.largest
                and (back is None or base.signed == kind.signed)
                and (back is None or back.whole or back.slice_width <= base.width)
            ]
            if parameter.shape is not None:
                fitting = [b for b in fitting if (b.width, b.signed) == (kind.width, kind.signed)]
            if parameter.count is not None or not fitting:
                continue
            brackets = f"[{parameter.shape}]" if isinstance(parameter.shape, int) else ""
            entries.append(f"{parameter.name}: {random.choice(fitting).name}{brackets}")
        return f" ({', '.join(entries)})" if entries else ""

    def _fixed(self) -> list[str]:
        random, leaf = self._random, self._leaf
        lines: list[str] = []
        chosen = random.sample(leaf.operands, min(len(leaf.operands), random.randrange(1, 4)))
        registers = sorted({register for register, *_ in leaf.operands})
        lists = [p for p in leaf.parameters if isinstance(p.shape, int) and not p.count]
        for parameter in lists:
            assert isinstance(parameter.shape, int)
            if random.random() < 0.3 and parameter.shape <= len(registers):
                taken = random.sample(registers, parameter.shape)
                return [f"{{{', '.join(taken)}}} = {parameter.name};"]
        for register, first, last, _ in chosen:
            low, high = first, last
            same = [o for o in leaf.operands if o[0] == register]
            if len(same) > 1 and random.random() < 0.3 and register not in str(lines):
                low, high = 0, 63
            elif any(line.startswith(f"{register} ") for line in lines):
                continue
            value = self.value(leaf.scalars, high - low + 1) if random.random() < 0.2 else ""
            value = value or self.constant(high - low + 1)
            lines.append(f"{self._makers.place(register, low, high)} = {value};")
        return lines


def main() -> None:
    """Prints the description of a seed."""
    print(random_description(int(sys.argv[1])))


if __name__ == "__main__":
    main()
