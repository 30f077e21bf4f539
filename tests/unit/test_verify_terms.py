"""The prover's words: constructors, their evaluation, and what z3 makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random

import pytest
from random_words import (
    OPERATIONS,
    WIDTHS,
    Expression,
    Expressions,
    built,
    number,
    plain,
    random_values,
)

from seamir.verify import terms
from seamir.verify.evaluation import evaluate, symbols_of
from seamir.verify.solver import OutOfTimeError, Solver
from seamir.verify.terms import (
    Term,
    Word,
    add,
    bit_and,
    bit_not,
    bit_xor,
    both,
    equal,
    less_unsigned,
    multiply,
    symbol,
)

TREES, VALUES = 1250, 8  # 10,000 cases of each constructor
PROOFS = 200  # of each


def expressions(
    operation: str, count: int, depth: int, largest: int = max(WIDTHS)
) -> Iterator[tuple[Expression, Random]]:
    """Random ones with that operation on top."""
    random = Random(operation)
    for _ in range(count):
        least = 2 if operation == "concat" else 1
        width = random.choice([one for one in WIDTHS if least <= one <= largest])
        yield Expressions(random, largest).of(operation, width, random.randint(1, depth)), random


@pytest.mark.parametrize("operation", OPERATIONS)
def test_constructors_compute_what_they_say(operation: str) -> None:
    for one, random in expressions(operation, TREES, 4):
        word, unsimplified = built(one), plain(one)
        symbols = sorted(symbols_of(unsimplified), key=str)
        if isinstance(word, Term):
            assert word.width == one.width
        for _ in range(VALUES):
            values = random_values(symbols, random)
            expected = number(one, values)
            assert evaluate(word, values) == expected, one
            assert evaluate(unsimplified, values) == expected, one


@pytest.mark.parametrize("operation", OPERATIONS)
def test_z3_proves_the_simplifications(operation: str) -> None:
    solver = Solver()
    for one, _ in expressions(operation, PROOFS, 3, 32):
        assert solver.is_certain(_same(built(one), plain(one))), one


@pytest.mark.parametrize("operation", OPERATIONS)
def test_z3_computes_as_evaluation_does(operation: str) -> None:
    solver = Solver()
    for one, random in expressions(operation, PROOFS, 4, 32):
        word = plain(one)
        symbols = sorted(symbols_of(word), key=str)
        values = random_values(symbols, random)
        solver.assume_only([equal(a, values[a.name], a.width) for a in symbols])
        assert solver.is_certain(_same(word, number(one, values))), one
        assert not solver.is_possible(_same(word, number(one, values) ^ 1)), one


def _same(a: Word, b: Word) -> Word:
    """Whether both are equal, for the solver to find out."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a == b)
    return Term("eq", 1, (a, b), "", 0)


X, Y, FLAG = symbol("x"), symbol("y"), symbol("flag", 1)


def test_assumptions_come_and_go() -> None:
    solver = Solver()
    small, large = less_unsigned(X, 10), less_unsigned(100, X)
    solver.assume_only([FLAG, small])
    assert solver.is_certain(FLAG)
    assert solver.is_certain(less_unsigned(X, 11))
    assert not solver.is_possible(large)
    solver.assume_only([FLAG, large])
    assert not solver.is_possible(small)
    assert solver.is_possible(equal(X, 200))
    solver.assume_only([bit_not(FLAG, 1)])
    assert not solver.is_possible(FLAG)
    assert solver.is_possible(small)
    solver.assume_only([])
    assert solver.is_possible(FLAG) and solver.is_possible(bit_not(FLAG, 1))


def test_a_model_fulfils_the_conditions() -> None:
    solver = Solver()
    solver.assume_only([equal(add(X, Y), 7), FLAG])
    wanted = less_unsigned(1000, X)
    values = solver.model(wanted)
    assert values is not None
    assert set(values) == {"x", "y", "flag"}
    assert evaluate(both(wanted, equal(add(X, Y), 7), FLAG), values) == 1
    assert solver.model(wanted, less_unsigned(X, 1000)) is None


def test_time_that_is_over() -> None:
    solver = Solver(deadline=0.0)
    with pytest.raises(OutOfTimeError):
        solver.is_possible(equal(X, 1))
    with pytest.raises(OutOfTimeError):
        solver.check_time()


def test_a_query_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamir.verify.solver._LONGEST_QUERY", 50)
    a, b = (terms.zero_extend(symbol(name, 32), 32, 64) for name in "ab")
    factored = equal(multiply(a, b), 0xFFFF_FFFB * 0xFFFF_FFEF)  # both are primes
    with pytest.raises(OutOfTimeError):
        Solver().is_possible(factored)


def test_the_longest_words_need_no_deep_stack() -> None:
    byte = symbol("byte", 8)
    word: Word = byte
    condition: Word = FLAG
    for index in range(sys.getrecursionlimit()):
        word = bit_xor(add(word, 1, 8), byte, 8)
        condition = bit_xor(bit_and(condition, equal(Y, index), 1), FLAG, 1)
    values = {"byte": 3, "y": 5, "flag": 1}
    solver = Solver()
    solver.assume_only([equal(byte, 3, 8), equal(Y, 5), FLAG])
    assert solver.is_certain(equal(word, evaluate(word, values), 8))
    assert solver.is_certain(equal(condition, evaluate(condition, values), 1))


def test_a_full_table_forgets_no_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "_LARGEST_TABLE", 10)
    monkeypatch.setattr(terms, "_table", {})
    words = [add(X, multiply(Y, index)) for index in range(2, 40)]
    assert symbol("x") is X
    assert symbol("y") is Y
    again = [add(X, multiply(Y, index)) for index in range(2, 40)]
    assert any(one is not other for one, other in zip(words, again, strict=True))
    solver = Solver()
    for one, other in zip(words, again, strict=True):
        assert solver.is_certain(equal(one, other))
