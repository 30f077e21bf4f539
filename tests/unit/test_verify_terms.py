"""The prover's words: constructors, their evaluation, and what z3 makes of them."""

from __future__ import annotations

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

from seamir.verify.evaluation import evaluate, symbols_of
from seamir.verify.solver import Solver
from seamir.verify.terms import Term, Word, equal

TREES, VALUES = 1250, 8  # 10,000 cases of each constructor
PROOFS = 60  # of each


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
