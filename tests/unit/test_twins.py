"""C twins compile with the compilers that are here, and do what the plans say."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from descriptions import HARD
from execution import PlannedSide, Scenario, play, scenarios
from tools import run

import seamir
from seamir.emulate.machine import Machine
from seamir.ir.leaf import ArgumentKind, Plan
from seamir.model.registers import slice_mask

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS.parent))

from benchmarks import compilers, speed, twins  # noqa: E402 - needs the path above

COMPILERS = compilers.available()
STYLES = ("struct", "asm_goto", "flags", "flags_near")


@cache
def headers(name: str, deliver: str) -> seamir.Compilation:
    calls = ["helper", "panic", "oops"] if name == HARD else []
    program = seamir.load(name, allow_calls=calls)
    return seamir.compile(program, emit=("header",), deliver=deliver)


def compile_twin(
    folder: Path, name: str, deliver: str, style: str, compiler: str
) -> tuple[bytes, list[Plan]]:
    """The object of a twin, and the plans that the style can say."""
    compilation = headers(name, deliver)
    plans, _ = twins.sayable(compilation.plans, compilation.target, [style])
    header = f"{compilation.stem}.h"
    (folder / header).write_bytes(compilation.outputs["header"].data)
    source, output = folder / "twin.c", folder / "twin.o"
    source.write_text(twins.twin(plans, compilation.target, [header], style))
    command = compilers.command(compiler, source, output, debug=True)
    strict = [*command, "-Wall", "-Wextra", "-Werror"]
    run(*strict)
    return output.read_bytes(), plans


def extended(plan: Plan, scenario: Scenario) -> Scenario:
    """The scenario with small arguments extended to 32 bits, as clang takes for granted."""
    arguments = dict(scenario.arguments)
    for argument in plan.arguments:
        kind = argument.type
        if argument.kind is ArgumentKind.VALUE and kind.width < 32:
            value = arguments[argument.name] & slice_mask(0, kind.width - 1)
            if kind.signed and value >> (kind.width - 1):
                value |= slice_mask(kind.width, 31)
            arguments[argument.name] = value
    return replace(scenario, arguments=arguments)


def answers_like_software(scenario: Scenario) -> bool:
    """Whether a call completes with a status that says otherwise to a `struct` twin."""
    assert isinstance(scenario.side, PlannedSide)
    return any(isinstance(s, int) and s >> 32 == 0x8000FF00 for s in scenario.side.steps)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", [*speed.LIBRARY, HARD])
def test_twins_compile_without_a_warning(
    tmp_path: Path, name: str, style: str, compiler: str
) -> None:
    if style == "asm_goto" and "clang" in compiler and compilers.major(compiler) < 17:
        pytest.skip("no outputs of asm goto on its edges")
    _, plans = compile_twin(tmp_path, name, "pointers", style, compiler)
    assert plans


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("style", ["struct", "asm_goto", "flags_near"])
@pytest.mark.parametrize(
    ("name", "deliver"),
    [("tdx/host.seam", "pointers"), (HARD, "pointers"), (HARD, "struct"), (HARD, "register")],
)
def test_twins_do_what_the_plans_say(
    tmp_path: Path, name: str, deliver: str, style: str, compiler: str
) -> None:
    if style == "asm_goto" and (compiler == "gcc" or compilers.major(compiler) < 17):
        pytest.skip("this compiler gets asm goto with outputs wrong")
    data, plans = compile_twin(tmp_path, name, deliver, style, compiler)
    machine = Machine(data, headers(name, deliver).target)
    problems = [
        f"{plan.symbol}, {scenario.name}: {text}"
        for plan in plans
        for scenario in scenarios(plan, repeat=1)
        if style != "struct" or not answers_like_software(scenario)
        for text in play(machine, plan, extended(plan, scenario))[2]
        if "to the caller's stack" not in text  # compilers keep things in the arguments' slots
        if "should be scrubbed" not in text or compilers.scrubs(compiler)
    ]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def test_what_a_style_cannot_say_is_an_error() -> None:
    compilation = headers(HARD, "pointers")
    plan = next(plan for plan in compilation.plans if "rbp" in plan.destroyed)
    for style in STYLES:
        with pytest.raises(twins.TwinError, match="RBP"):
            twins.twin([plan], compilation.target, ["x.h"], style)
