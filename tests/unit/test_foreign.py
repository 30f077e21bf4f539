"""Objects that seamir did not emit, executed: which do as the plan says, and which do not."""

from __future__ import annotations

import pytest
from foreign import (
    BAD_BUILDS,
    BUILDS,
    ERRORS,
    LEAVES,
    LIKE_A_KERNEL,
    OWN,
    RIGHT,
    Build,
    assembled,
    differences,
    has_narrow_arguments,
    twins_of,
)
from foreign_errors import Wrong

from benchmarks import compilers


@pytest.mark.parametrize(("file", "target"), RIGHT)
def test_right_assembly_does_what_the_plan_says(file: str, target: str) -> None:
    foreign = assembled(file, target)
    assert differences(foreign, foreign.plans[0]) == []


@pytest.mark.parametrize(("wrong", "target"), ERRORS, ids=str)
def test_execution_shows_the_errors(wrong: Wrong, target: str) -> None:
    foreign = assembled(wrong.file, target, wrong)
    found = differences(foreign, foreign.plans[0], repeat=4)
    if target not in wrong.targets:
        assert found == []
    elif not wrong.unseen:
        assert found


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_twins_do_what_the_plans_say(build: Build) -> None:
    foreign = twins_of(OWN, build)
    assert len(foreign.plans) == 20
    different = {plan.symbol for plan in foreign.plans if differences(foreign, plan)}
    assert different == ({"page_mode"} if "clang" in build.compiler else set())


@pytest.mark.parametrize("name", [name for name in LEAVES if name != OWN])
@pytest.mark.parametrize("build", LIKE_A_KERNEL, ids=str)
def test_twins_of_the_library_do_what_the_plans_say(build: Build, name: str) -> None:
    foreign = twins_of(name, build)
    different = {plan.symbol for plan in foreign.plans if differences(foreign, plan)}
    assert foreign.plans
    assert all(
        "clang" in build.compiler and has_narrow_arguments(foreign.plan(s)) for s in different
    ), different


@pytest.mark.parametrize("build", BAD_BUILDS, ids=str)
def test_gcc_12_loses_the_carry_outcome(build: Build) -> None:
    foreign = twins_of(OWN, build)
    if compilers.major("gcc") != 12:
        pytest.skip("another gcc than 12, with other errors or none")
    found = {plan.symbol: differences(foreign, plan) for plan in foreign.plans}
    lost = {
        symbol
        for symbol, texts in found.items()
        if any("Carry(): the status is" in text for text in texts)
    }
    assert len(lost) >= 9
    assert {symbol for symbol, texts in found.items() if texts} - lost == {"checked"}
