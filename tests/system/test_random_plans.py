"""Random plans through code generation: the machine code does what the interpreter says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from execution import play, scenarios
from plans import SPAN
from random_plans import random_plan

from seamir.emulate.machine import Machine
from seamir.llvm.codegen import emit_module
from seamir.llvm.emit import emit_object
from seamir.targets import TARGETS

PLANS = 30  # for each seed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["linux-kernel", "linux-user", "uefi"])
def test_random_plans(name: str, seed: int) -> None:
    target = TARGETS[name]
    plans = [random_plan(seed * PLANS + index) for index in range(PLANS)]
    if "fixup" not in target.features:
        plans = [replace(p, edges=replace(p.edges, fault=None, vectors=())) for p in plans]
    module = emit_module(plans, target, SPAN.source, "none")
    machine = Machine(emit_object(module, target), target)
    problems: list[str] = []
    for plan in plans:
        for scenario in scenarios(plan, repeat=1):
            _, _, differences = play(machine, plan, scenario)
            problems += [f"{plan.symbol}, {scenario.name}: {text}" for text in differences]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])
