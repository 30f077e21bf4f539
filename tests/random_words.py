"""Random expressions over bit vectors, and what they are three times over.

`built` makes one with the constructors of seamir.verify.terms, `plain` makes the terms that say the
same without any simplification, and `number` computes it with Python's integers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from seamir.verify import terms
from seamir.verify.terms import Term, Word, mask

WIDTHS = (1, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Expression:
    """An operation on others; `value` is that of a constant, or the lowest bit of an extract."""

    operation: str
    width: int
    parts: tuple[Expression, ...] = ()
    value: int = 0
    name: str = ""


def symbol(random: Random, width: int) -> Expression:
    """One of three unknowns of that width."""
    return Expression("symbol", width, name=f"{random.choice('abc')}{width}")


def constant(random: Random, width: int) -> Expression:
    """A number, often a boundary."""
    boundaries = (0, 1, mask(width), 1 << (width - 1), mask(width) >> 1, mask(width) >> width // 2)
    value = random.choice((*boundaries, random.getrandbits(width), random.randrange(width + 3)))
    return Expression("constant", width, value=value & mask(width))


class Expressions:
    """Makes them, of up to `largest` bits.

    The same parts occur again and again, since that is what rules are about.
    """

    def __init__(self, random: Random, largest: int) -> None:
        self._random, self._largest = random, largest
        self._seen: dict[int, list[Expression]] = {}

    def of_width(self, width: int, depth: int) -> Expression:
        """Any expression of so many bits, with so many operations above each other."""
        random = self._random
        seen = self._seen.setdefault(width, [])
        choice = random.randrange(10)
        if choice == 0 and seen:
            return random.choice(seen)
        if depth == 0 or choice == 1:
            return (symbol if random.random() < 0.6 else constant)(random, width)
        found = self.of(random.choice(operations_of(width)), width, depth)
        seen.append(found)
        return found

    def of(self, operation: str, width: int, depth: int) -> Expression:
        """An expression of that operation, and width where it allows it."""
        random = self._random

        def part(size: int) -> Expression:
            return self.of_width(size, depth - 1)

        match operation:
            case "negate" | "bit_not":
                return Expression(operation, width, (part(width),))
            case "equal" | "less_unsigned" | "less_signed":
                size = random.choice([one for one in WIDTHS if one <= self._largest])
                other = constant(random, size) if random.random() < 0.4 else part(size)
                return Expression(operation, 1, (part(size), other))
            case "both" | "either":
                return Expression(operation, 1, tuple(part(1) for _ in range(random.randrange(4))))
            case "if_else":
                return Expression(operation, width, (part(1), part(width), part(width)))
            case "extract":
                size = random.randint(width, self._largest)
                low = random.choice((0, size - width, random.randint(0, size - width)))
                return Expression(operation, width, (part(size),), low)
            case "zero_extend" | "sign_extend":
                return Expression(operation, width, (part(random.randint(1, width)),))
            case "concat":
                size = random.randrange(1, width)
                return Expression(operation, width, self._neighbours(width - size, size, part))
            case _:
                return Expression(operation, width, (part(width), part(width)))

    def _neighbours(
        self, high: int, low: int, part: Callable[[int], Expression]
    ) -> tuple[Expression, Expression]:
        """The parts of a concat; often bits of one word, which mostly lie together in it."""
        random = self._random
        if random.random() < 0.5:
            return part(high), part(low)
        size = random.randint(high + low, self._largest)
        word, start = part(size), random.randint(0, size - high - low)
        return (
            Expression("extract", high, (word,), start + random.choice((low, low, 0))),
            Expression("extract", low, (word,), start),
        )


_ANY_WIDTH = (
    *("add", "subtract", "multiply", "negate", "bit_and", "bit_or", "bit_xor", "bit_not"),
    *("shift_left", "shift_right", "shift_right_signed", "if_else", "extract"),
    *("zero_extend", "sign_extend"),
)
_CONDITIONS = ("equal", "less_unsigned", "less_signed", "both", "either")
OPERATIONS = (*_ANY_WIDTH, "concat", *_CONDITIONS)


def operations_of(width: int) -> tuple[str, ...]:
    """Those with results of that width."""
    return (*_ANY_WIDTH, *_CONDITIONS) if width == 1 else (*_ANY_WIDTH, "concat")


# -- what they are


def built(one: Expression) -> Word:
    """By the constructors."""
    parts, widths = [built(part) for part in one.parts], [part.width for part in one.parts]
    match one.operation:
        case "symbol":
            return terms.symbol(one.name, one.width)
        case "constant":
            return one.value
        case "extract":
            return terms.extract(parts[0], one.value, one.width)
        case "zero_extend" | "sign_extend":
            extend: Callable[..., Word] = getattr(terms, one.operation)
            return extend(parts[0], widths[0], one.width)
        case "concat":
            return terms.concat(parts[0], widths[0], parts[1], widths[1])
        case "equal" | "less_unsigned" | "less_signed":
            compare: Callable[..., Word] = getattr(terms, one.operation)
            return compare(*parts, widths[0])
        case "both" | "either":
            join: Callable[..., Word] = getattr(terms, one.operation)
            return join(*parts)
        case _:
            make: Callable[..., Word] = getattr(terms, one.operation)
            return make(*parts, one.width)


_OPERATORS = {
    "add": "add",
    "multiply": "mul",
    "negate": "neg",
    "if_else": "ite",
    "extract": "extract",
    "bit_and": "and",
    "bit_or": "or",
    "bit_xor": "xor",
    "both": "and",
    "either": "or",
    "shift_left": "shl",
    "shift_right": "lshr",
    "shift_right_signed": "ashr",
    "zero_extend": "zext",
    "sign_extend": "sext",
    "concat": "concat",
    "equal": "eq",
    "less_unsigned": "ult",
    "less_signed": "slt",
}


def plain(one: Expression) -> Word:
    """By terms of the same structure; what has no unknown is a number."""
    if one.operation == "symbol":
        return terms.symbol(one.name, one.width)
    parts, width = tuple(plain(part) for part in one.parts), one.width

    def term(operator: str, *arguments: Word) -> Term:
        return Term(operator, width, arguments, "", 0)

    if not any(isinstance(part, Term) for part in parts):
        return number(one, {})
    match one.operation:
        case "subtract":
            return term("add", parts[0], term("neg", parts[1]))
        case "bit_not":
            return term("xor", parts[0], mask(width))
        case "both" | "either":
            result = parts[0]
            for part in parts[1:]:
                result = term(_OPERATORS[one.operation], result, part)
            return result
        case "extract":
            return term("extract", parts[0], one.value)
        case "zero_extend" | "sign_extend" if one.parts[0].width == width:
            return parts[0]
        case "extract" if one.parts[0].width == width:
            return parts[0]
        case "concat":
            return term("concat", *parts, one.parts[1].width)
        case "less_unsigned" | "less_signed":
            return term(_OPERATORS[one.operation], *parts, one.parts[0].width)
        case _:
            return term(_OPERATORS[one.operation], *parts)


def number(one: Expression, values: Mapping[str, int]) -> int:
    """By Python's integers, for values of the unknowns."""
    if one.operation == "symbol":
        return values[one.name]
    parts, all_bits = [number(part, values) for part in one.parts], mask(one.width)
    sizes = [part.width for part in one.parts]
    signed = [_signed(part, size) for part, size in zip(parts, sizes, strict=True)]
    match one.operation:
        case "constant":
            return one.value
        case "add":
            return sum(parts) & all_bits
        case "subtract":
            return parts[0] - parts[1] & all_bits
        case "multiply":
            return parts[0] * parts[1] & all_bits
        case "negate":
            return -parts[0] & all_bits
        case "bit_and":
            return parts[0] & parts[1]
        case "bit_or":
            return parts[0] | parts[1]
        case "bit_xor":
            return parts[0] ^ parts[1]
        case "bit_not":
            return ~parts[0] & all_bits
        case "both":
            return int(all(parts))
        case "either":
            return int(any(parts))
        case "shift_left":
            return parts[0] << min(parts[1], one.width) & all_bits
        case "shift_right":
            return parts[0] >> min(parts[1], one.width)
        case "shift_right_signed":
            return signed[0] >> min(parts[1], one.width) & all_bits
        case "extract":
            return parts[0] >> one.value & all_bits
        case "zero_extend":
            return parts[0]
        case "sign_extend":
            return signed[0] & all_bits
        case "concat":
            return parts[0] << sizes[1] | parts[1]
        case "equal":
            return int(parts[0] == parts[1])
        case "less_unsigned":
            return int(parts[0] < parts[1])
        case "less_signed":
            return int(signed[0] < signed[1])
        case "if_else":
            return parts[1] if parts[0] else parts[2]
        case _:
            raise ValueError(one.operation)


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def random_values(symbols: Iterable[Term], random: Random) -> Mapping[str, int]:
    """Values for unknowns."""
    return {one.name: constant(random, one.width).value for one in symbols}
