"""What a word is for given values of its symbols: how a counterexample becomes numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from seamir.verify.terms import Term, Word, mask, signed, width_of


def symbols_of(*words: Word) -> set[Term]:
    """The symbols that words depend on."""
    return {term for term in _walk(words) if term.operator == "symbol"}


def _walk(words: tuple[Word, ...]) -> Iterator[Term]:
    seen: set[Term] = set()
    pending = [word for word in words if isinstance(word, Term)]
    while pending:
        term = pending.pop()
        if term in seen:
            continue
        seen.add(term)
        yield term
        pending += [part for part in term.arguments if isinstance(part, Term)]


def parts_first(word: Word, is_known: Callable[[Term], bool]) -> Iterator[Term]:
    """The terms of a word that are not known, each after those it is made of.

    Whoever asks makes each of them known before asking for the next.
    """
    pending = [word] if isinstance(word, Term) else []
    while pending:
        term = pending[-1]
        if is_known(term):
            pending.pop()
            continue
        parts = [part for part in term.arguments if isinstance(part, Term) and not is_known(part)]
        if parts:
            pending += parts
        else:
            yield term


def evaluate(word: Word, values: Mapping[str, int]) -> int:
    """The number that a word is, given its symbols' values by name; symbols not named are 0."""
    known: dict[Term, int] = {}

    def value_of(part: Word) -> int:
        return part if isinstance(part, int) else known[part]

    for term in parts_first(word, known.__contains__):
        if term.operator == "symbol":
            known[term] = values.get(term.name, 0) & mask(term.width)
        else:
            known[term] = _apply(term, [value_of(part) for part in term.arguments])
    return value_of(word)


def _apply(term: Term, values: list[int]) -> int:
    width, first = term.width, values[0]
    match term.operator:
        case "neg":
            return -first & mask(width)
        case "extract":
            return first >> values[1] & mask(width)
        case "zext":
            return first
        case "sext":
            return signed(first, width_of(term.arguments[0])) & mask(width)
        case "concat":
            return first << values[2] | values[1]
        case "ite":
            return values[1] if first else values[2]
        case "ult":
            return int(first < values[1])
        case "slt":
            return int(signed(first, values[2]) < signed(values[1], values[2]))
        case "eq":
            return int(first == values[1])
        case "shl":
            return first << values[1] & mask(width) if values[1] < width else 0
        case "lshr":
            return first >> values[1] if values[1] < width else 0
        case "ashr":
            return signed(first, width) >> min(values[1], width - 1) & mask(width)
        case "add":
            return (first + values[1]) & mask(width)
        case "mul":
            return first * values[1] & mask(width)
        case "and":
            return first & values[1]
        case "or":
            return first | values[1]
        case "xor":
            return first ^ values[1]
        case _:
            raise ValueError(f"no operation is called {term.operator}")
