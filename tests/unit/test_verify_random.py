"""Random leaves are proved, and not against plans that execution shows them to depart from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random

import pytest
from plans import load, plan
from random_changes import changed
from random_proofs import Tally, Trial
from random_runs import load as load_seed

import seamir
from seamir.ir.leaf import Plan
from seamir.ir.verify import verify

FIXED = 700_000  # the first of the seeds that are tried each time
NEW = int(os.environ["SEAMIR_SEED"])
TARGETS = list(seamir.TARGETS.values())


def tried(seeds: Sequence[int], target: seamir.Target) -> Tally:
    trial = Trial([target])
    for seed in seeds:
        trial.run(seed)
    return trial.tally


@pytest.mark.parametrize("index", range(len(TARGETS)), ids=list(seamir.TARGETS))
def test_leaves_are_proved_and_departures_are_not(index: int) -> None:
    tally = tried(range(FIXED + 10 * index, FIXED + 10 * index + 4), TARGETS[index])
    assert tally.problems == []
    assert sum(tally.verdicts.values()) >= 5
    assert sum(count for text, count in tally.pairs.items() if "differs" in text) >= 3


def test_new_leaves_are_proved_and_departures_are_not() -> None:
    tally = tried([NEW, NEW + 1], TARGETS[NEW % len(TARGETS)])
    assert tally.problems == [], f"SEAMIR_SEED={NEW}"


def plans_of(seed: int) -> tuple[Plan, ...]:
    try:
        return seamir.compile(load_seed(seed), emit=()).plans
    except seamir.SeamError:
        return ()


def test_changes_are_valid_plans_of_the_same_function() -> None:
    random = Random(1)
    for seed in range(20):
        for one in plans_of(seed):
            other = changed(one, random)
            verify(other, "a change")
            assert other != one
            assert (other.symbol, other.arguments) == (one.symbol, one.arguments)


def test_changes_are_made_from_a_seed() -> None:
    one = plan(loads=[load("rcx", 5)])
    assert [changed(one, Random(3)) for _ in range(2)] == [changed(one, Random(3))] * 2
