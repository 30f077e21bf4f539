"""Every wrapper of the library and of the test descriptions, run in all outcome classes.

Three readings of one description meet here: what the interpreter makes of the plan, what the
manifest says, and what the machine code does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from descriptions import DESCRIPTIONS, HARD, LIBRARY, program_of
from documented_examples import WHOLE
from execution import LONG, Scenario, make_scenario, play, scenarios
from manifest_oracle import predict

import seamir
from seamir.emulate.compare import compare
from seamir.emulate.interpreter import Run, interpret, is_refused
from seamir.emulate.machine import Machine
from seamir.emulate.script import Completed, Memory
from seamir.ir.leaf import Bound, Delivery, Plan, Refusal, Returns, ReturnValue, Trap
from seamir.model.expressions import Binary, Constant, Expression

TARGETS = (
    ("linux-kernel",),
    ("linux-user",),
    ("linux-kernel", "-fixup", "-ibt", "-rethunk", "-sls"),
    ("freestanding",),
    ("uefi",),
)
ONCE = ("freestanding", "+kernel-model", "+fixup", "+ibt")
PREFIXED = ("linux-kernel", "+kcfi", "+patchable-prefix")
GOLDEN_TARGETS = (TARGETS[0], TARGETS[1], ("uefi",))
FRAMES = ("linux-kernel", "+frame-pointer")
DELIVERIES = ("pointers", "struct", "register")


@cache
def compiled(name: str, target: tuple[str, ...], deliver: str) -> seamir.Compilation:
    """A description compiled for a target and its switches."""
    return seamir.compile(
        program_of(name),
        target=target[0],
        features=target[1:],
        emit=("obj", "manifest"),
        deliver=deliver,
    )


def machine_of(compilation: seamir.Compilation) -> Machine:
    return Machine(compilation.outputs["obj"].data, compilation.target)


def cases() -> Iterator[Any]:
    """What is run: everything on the library and the hard cases, less on the golden inputs."""
    for name in DESCRIPTIONS:
        is_golden = name.endswith("input.seam")
        for target in GOLDEN_TARGETS if is_golden else (*TARGETS, ONCE, PREFIXED):
            is_whole = target is TARGETS[0] or not (is_golden or target in (ONCE, PREFIXED))
            for deliver in DELIVERIES if is_whole else DELIVERIES[:1]:
                label = f"{'/'.join(Path(name).parts[-2:])} {' '.join(target)} {deliver}"
                yield pytest.param(name, target, deliver, id=label)


def differences_of(compilation: seamir.Compilation, repeat: int) -> list[str]:
    """Where plan, manifest and machine code disagree in any scenario."""
    manifest: dict[str, Any] = json.loads(compilation.outputs["manifest"].text)
    machine = machine_of(compilation)
    assert set(machine.symbols) == {plan.symbol for plan in compilation.plans}
    problems: list[str] = []
    for plan in compilation.plans:
        for scenario in scenarios(plan, repeat=repeat):
            found = judge(machine, manifest, plan, scenario)
            problems += [f"{plan.symbol}, {scenario.name}: {text}" for text in found]
    return problems


def judge(machine: Machine, manifest: dict[str, Any], plan: Plan, scenario: Scenario) -> list[str]:
    """Where plan, manifest and machine code disagree in one scenario."""
    run, _, differences = play(machine, plan, scenario)
    told = predict(manifest, plan.symbol, scenario.arguments, scenario.regions, scenario.side)
    if told != run:
        differences.append(f"the manifest says {told} instead of {run}")
    return differences


@pytest.mark.parametrize(("name", "target", "deliver"), list(cases()))
def test_code_does_what_plan_and_manifest_say(
    name: str, target: tuple[str, ...], deliver: str
) -> None:
    problems = differences_of(compiled(name, target, deliver), repeat=2)
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


@pytest.mark.parametrize(("where", "text"), WHOLE, ids=[where for where, _ in WHOLE])
def test_documented_examples_do_what_the_interpreter_says(where: str, text: str) -> None:
    """The interpreter is the reference: what the documents show means what it does."""
    program = seamir.load_text(text, f"{where}.seam")
    problems = differences_of(seamir.compile(program, emit=("obj", "manifest")), repeat=1)
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def test_the_largest_budget() -> None:
    compilation = compiled(HARD, TARGETS[0], "pointers")
    machine = machine_of(compilation)
    manifest: dict[str, Any] = json.loads(compilation.outputs["manifest"].text)
    (plan,) = [plan for plan in compilation.plans if plan.bound > LONG and len(plan.again) == 1]
    status = plan.again[0].matches[0].value
    for count in (plan.bound - 1, plan.bound + 1):
        call = make_scenario(plan, "long", [status] * count + [0], Random(count))
        assert judge(machine, manifest, plan, call) == []
        run = interpret(plan, call.arguments, Memory(call.regions), call.side)
        assert (len(run.attempts), run.status) == (plan.bound, 0 if count < plan.bound else status)


def test_the_library_is_there() -> None:
    assert {"tdx/host.seam", "tdx/guest.seam", "tdx/seamldr.seam"} <= set(LIBRARY)


@pytest.mark.parametrize("name", ["tdx/tdvmcall.seam", HARD], ids=["library", "hard"])
def test_frame_pointers_leave_rbp_as_it_was_or_are_refused(name: str) -> None:
    try:
        compilation = compiled(name, FRAMES, "pointers")
    except seamir.SeamError as error:
        assert name == HARD  # a leaf with RBP as an operand
        errors = [entry for entry in error.diagnostics if entry.severity == "error"]
        assert all("rbp" in entry.message for entry in errors)
        return
    problems = differences_of(compilation, repeat=1)
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def test_a_check_in_a_wrapper_that_does_not_return_traps_or_is_refused() -> None:
    text = """
        type level = u32 in 1..5;
        statuses main { OK = 0; BAD = 5; success OK; }
        conduit c { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax in main; }
        leaf Stop = 1 via c (level: level) { rcx = level; noreturn; check level else BAD; }
    """
    program = seamir.load_text(text)
    if any(entry.severity == "error" for entry in seamir.check(program)):
        return
    compilation = seamir.compile(program, emit=("obj", "manifest"))
    problems = differences_of(compilation, repeat=2)
    assert not problems, "\n".join(problems[:20])


# -- the scenarios reach everything, and a comparison can fail


def classes_of(plan: Plan, scenario: Scenario, run: Run) -> Iterator[str]:
    """The outcome classes that a run belongs to."""
    pointers = [a.name for a in plan.arguments if a.kind.value != "value"]
    addresses = [scenario.arguments[name] for name in pointers]
    if 0 in addresses:
        yield "an output is NULL"
    if len(set(addresses) - {0}) < len([a for a in addresses if a]):
        yield "two outputs are one"
    if run.called:
        yield "a call" if run.status is not None else "a call without return"
    if run.escaped_fault is not None:
        yield "an escaped fault"
    if run.trapped:
        yield "a trap" if run.attempts else "a check traps"
        return
    if run.status is None:
        return
    if not run.attempts:
        yield "a check returns"
        return
    last = scenario.side(len(run.attempts) - 1, run.attempts[-1])
    if not isinstance(last, Completed):
        yield f"{type(last).__name__} at attempt {min(len(run.attempts), 3)}"
        return
    if plan.edges.refused is not None and is_refused(plan.edges.refused, last.registers):
        yield "refused"
        return
    yield "success" if any(m.accepts(run.status) for m in plan.success or ()) else "an error"
    if 0 < run.status >> 32 < 1 << 31:
        yield "informational"
    if 0 < run.status < 1 << 32:
        yield "a count in the low bits"
    if len(run.attempts) == plan.bound > 1:
        yield "all attempts"
    elif len(run.attempts) > 1:
        yield "some attempts"
    yield "memory is scribbled over" if last.memory else "memory is left alone"


def test_scenarios_reach_every_outcome_class() -> None:
    found: Counter[str] = Counter()
    for target in (TARGETS[0], TARGETS[2]):
        for plan in compiled(HARD, target, "pointers").plans:
            for scenario in scenarios(plan, repeat=2):
                memory = Memory(scenario.regions)
                run = interpret(plan, scenario.arguments, memory, scenario.side)
                found.update(classes_of(plan, scenario, run))
    wanted = {
        *("success", "an error", "informational", "a count in the low bits"),
        *("all attempts", "some attempts", "a trap", "a check traps", "a check returns"),
        *("an escaped fault", "a call", "a call without return"),
        *("an output is NULL", "two outputs are one", "refused"),
        *("memory is scribbled over", "memory is left alone"),
        *(f"{kind} at attempt {n}" for kind in ("Carry", "Fault") for n in (1, 2, 3)),
    }
    assert set(found) == wanted
    assert min(found.values()) >= 5, found


def mutants(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Plans that say something slightly different."""
    for index, load in enumerate(plan.loads):
        others = list(plan.loads)
        others[index] = replace(load, value=plus_one(load.value))
        yield f"{load.register} is one more", replace(plan, loads=tuple(others))
    for index, clause in enumerate(plan.again):
        for more in (-1, 1) if clause.attempts < LONG else ():
            clauses = list(plan.again)
            clauses[index] = replace(clause, attempts=clause.attempts + more)
            yield f"clause {index} has {more} attempts more", replace(plan, again=tuple(clauses))
        for step in range(len(clause.steps)):
            clauses = list(plan.again)
            steps = clause.steps[:step] + clause.steps[step + 1 :]
            clauses[index] = replace(clause, steps=steps)
            yield f"clause {index} lacks step {step}", replace(plan, again=tuple(clauses))
        others_only = plan.again[:index] + plan.again[index + 1 :]
        yield f"without clause {index}", replace(plan, again=others_only)
    if len(plan.again) > 1:
        yield "clauses reversed", replace(plan, again=plan.again[::-1])
    for index, delivery in enumerate(plan.deliveries):
        for what, other in delivery_mutants(plan, delivery):
            deliveries = list(plan.deliveries)
            deliveries[index] = other
            yield f"{delivery.name} {what}", replace(plan, deliveries=tuple(deliveries))
    for index, check in enumerate(plan.checks):
        yield (
            f"{check.text} dropped",
            replace(plan, checks=plan.checks[:index] + plan.checks[index + 1 :]),
        )
    edges = plan.edges
    if isinstance(edges.carry, ReturnValue):
        carry = replace(edges.carry, value=plus_one(edges.carry.value))
        yield "another carry status", replace(plan, edges=replace(edges, carry=carry))
    if isinstance(edges.fault, ReturnValue):
        fault = replace(edges.fault, value=plus_one(edges.fault.value))
        yield "another fault status", replace(plan, edges=replace(edges, fault=fault))
    if edges.vectors:
        yield "without vectors", replace(plan, edges=replace(edges, vectors=()))
    if edges.refused is not None and plan.returns is not Returns.NOTHING:
        yield from refusal_mutants(plan, edges.refused)
    for index, item in enumerate(plan.inputs):
        for what, bound in bound_mutants(plan, item.bound):
            inputs = list(plan.inputs)
            inputs[index] = replace(item, bound=bound)
            yield f"{item.name} {what}", replace(plan, inputs=tuple(inputs))


def refusal_mutants(plan: Plan, refused: Refusal) -> Iterator[tuple[str, Plan]]:
    others = {
        "never refused": None,
        "refused by another value": replace(refused, value=refused.value ^ 1),
    }
    if isinstance(refused.action, ReturnValue):
        action = replace(refused.action, value=plus_one(refused.action.value))
        others["another refused status"] = replace(refused, action=action)
    for what, other in others.items():
        yield what, replace(plan, edges=replace(plan.edges, refused=other))


def bound_mutants(plan: Plan, bound: Bound | None) -> Iterator[tuple[str, Bound]]:
    if bound is None:
        return
    count = next(item for item in plan.inputs if item.name == bound.count)
    if count.promise.high > bound.index:
        yield "is there too seldom", replace(bound, index=bound.index + 1)
    yield "is something else if it is not there", replace(bound, otherwise=bound.otherwise ^ 1)


def delivery_mutants(plan: Plan, delivery: Delivery) -> Iterator[tuple[str, Delivery]]:
    place = delivery.place
    if place.high > place.low:
        low = replace(delivery, place=replace(place, low=place.low + 1))
        yield "from one bit higher", low
    if delivery.test is not None:
        yield "unconditional", replace(delivery, test=None)
        test = replace(delivery.test, inverted=not delivery.test.inverted)
        yield "under the opposite condition", replace(delivery, test=test)
    edges = plan.edges
    returns = edges.refused is not None and not isinstance(edges.refused.action, Trap)
    may_not_complete = edges.carry or edges.fault or returns or plan.checks
    if delivery.argument is not None and may_not_complete:
        yield "kept or not", replace(delivery, keep=not delivery.keep)


def plus_one(value: Expression) -> Expression:
    return Binary("+", value, Constant(1))


def test_plans_that_say_something_else_are_told_apart() -> None:
    compilation = compiled(HARD, TARGETS[0], "pointers")
    machine, tried, missed = machine_of(compilation), 0, []
    for plan in compilation.plans:
        calls = [
            (scenario, machine.call(plan, scenario.arguments, scenario.regions, scenario.side))
            for scenario in scenarios(plan, repeat=2)
        ]
        for what, mutant in mutants(plan):
            tried += 1
            for scenario, execution in calls:
                memory = Memory(scenario.regions)
                run = interpret(mutant, scenario.arguments, memory, scenario.side)
                if compare(mutant, run, execution):
                    break
            else:
                missed.append(f"{plan.symbol}: {what}")
    assert tried > 200
    assert not missed, "\n".join(missed)
