"""Calls that hand over the register file: no value of one side is left where the other finds it.

TDH.VP.ENTER and TDG.VP.ENTER run somebody else's code, and TDVMCALL shows registers to the host.
These are held against the data, read off the machine code of both targets, and executed in all
outcome classes with junk in every register that is not spoken for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest
from execution import Scenario, play, scenarios
from library import Case
from machine_code import Code, left_at_return, read_before_written, stores

import seamir
from seamir.emulate.machine import Machine
from seamir.ir.leaf import LoadKind, Plan, Returns
from seamir.llvm.codegen import emit_module
from seamir.llvm.emit import emit_object
from seamir.model.expressions import evaluate
from seamir.model.registers import REGISTERS
from seamir.model.types import extend
from seamir.objects.reading import read_object
from seamir.targets import TARGETS

ENTERS = ("TDH.VP.ENTER", "TDH.VP.ENTER.RBP", "TDG.VP.ENTER")
TDVMCALLS = """
    CPUID HLT IO.READ IO.WRITE RDMSR WRMSR MMIO.READ MMIO.WRITE GetTdVmCallInfo MapGPA GetQuote
    ReportFatalError SetupEventNotifyInterrupt Service MigTD.WaitForRequest MigTD.ReportStatus
    MigTD.Send MigTD.Receive
    """.split()
CALLS = ("TDG.VP.VMCALL", *(f"TDG.VP.VMCALL.{name}" for name in TDVMCALLS))
FILES = dict.fromkeys(CALLS[1:], "tdvmcall") | {"TDG.VP.VMCALL": "guest", "TDG.VP.ENTER": "guest"}
NAMES = {register.number: name for name, register in REGISTERS.items()}
# struct tdx_module_args of Linux: where each register is, in bytes.
LINUX = "rcx rdx r8 r9 r10 r11 r12 r13 r14 r15 rbx rdi rsi".split()

on_targets = pytest.mark.parametrize("target", TARGETS)


@cache
def compiled(leaf: str, target: str) -> seamir.Compilation:
    """One leaf of the library, compiled."""
    program = seamir.load(f"tdx/{FILES.get(leaf, 'host')}.seam", leaves=[leaf])
    return seamir.compile(program, target=target, emit=("obj",))


def plan_of(leaf: str, target: str = "linux-kernel") -> Plan:
    """The plan of a leaf; only its section depends on the target."""
    (plan,) = compiled(leaf, target).plans
    return plan


def code_of(leaf: str, target: str) -> Code:
    """The machine code of a leaf."""
    return read_code(plan_of(leaf, target), compiled(leaf, target).outputs["obj"].data, target)


def read_code(plan: Plan, data: bytes, target: str) -> Code:
    """The machine code of a plan, out of an object."""
    made = read_object(data)
    function = made.function(plan.symbol)
    assert function is not None
    fixups = made.fixups(TARGETS[target].fixup_section)
    own = tuple(one for one in fixups if one.function == plan.symbol)
    return Code(plan, function, own, TARGETS[target].convention)


def test_every_call_to_the_host_is_held() -> None:
    plans = seamir.compile(seamir.load("tdx/tdvmcall.seam"), emit=()).plans
    assert [plan.leaf for plan in plans] == list(CALLS[1:])


def inputs_of(plan: Plan, scenario: Scenario) -> dict[str, int]:
    """What the caller passes in a scenario, as 64-bit values, read independently of the plan."""
    values = {}
    for item in plan.inputs:
        value = scenario.arguments[item.argument]
        if item.offset is not None:
            content = scenario.regions[value]
            value = int.from_bytes(content[item.offset : item.offset + 8], "little")
        values[item.name] = extend(value, item.type.width, item.type.signed)
    return values


# -- entering a guest


@pytest.mark.parametrize("leaf", ENTERS)
def test_every_register_changes_hands(leaf: str) -> None:
    case, plan = Case(FILES.get(leaf, "host"), leaf, 0), plan_of(leaf)
    assert set(case.inputs) <= {load.register for load in plan.loads}
    delivered = {delivery.place.register for delivery in plan.deliveries}
    returned = {row["reg"] for row in case.outputs if row["name"] != "zero"}
    assert delivered == returned - (set() if leaf.endswith(".RBP") else {"rbp"})
    assert plan.destroyed == set(REGISTERS) - {"rsp"}
    assert plan.destroys_memory


@pytest.mark.parametrize("leaf", ENTERS)
def test_nothing_of_the_guest_is_left_and_nobody_traces_it(leaf: str) -> None:
    assert plan_of(leaf).scrub
    for target, section in (("linux-kernel", ".noinstr.text"), ("linux-user", ".text")):
        assert plan_of(leaf, target).section == section
        assert code_of(leaf, target).function.section == section


@pytest.mark.parametrize("leaf", ["TDH.VP.ENTER", "TDG.VP.VMCALL"])
def test_registers_are_where_linux_has_them(leaf: str) -> None:
    plan = plan_of(leaf)
    into = {item.name: item.offset for item in plan.inputs if item.argument == "regs"}
    back = {d.place.register: d.offset for d in plan.deliveries if d.argument == "regs"}
    offsets = {register: 8 * index for index, register in enumerate(LINUX)}
    kept = {} if leaf == "TDH.VP.ENTER" else {"rcx": 0}  # the mask, which is not delivered
    assert back | kept == offsets
    assert into == {f"regs.{r}": offset for r, offset in offsets.items() if r != "rcx"}


@on_targets
@pytest.mark.parametrize("leaf", [*ENTERS, "TDG.VP.VMCALL"])
def test_stores_are_outputs_or_on_the_stack(leaf: str, target: str) -> None:
    code = code_of(leaf, target)
    places: dict[str, set[int]] = {}
    for delivery in code.plan.deliveries:
        assert delivery.argument is not None
        size = delivery.type.width // 8
        one = places.setdefault(delivery.argument, set())
        one |= set(range(delivery.offset, delivery.offset + size))
    found = [store for store in stores(code) if store.base != "rsp"]
    assert found
    for store in found:
        written = set(range(store.offset, store.offset + store.size))
        assert any(written <= bytes_of for bytes_of in places.values()), store.text


@on_targets
@pytest.mark.parametrize("leaf", ["TDH.VP.ENTER", "TDG.VP.ENTER"])
def test_nothing_waits_in_rbp(leaf: str, target: str) -> None:
    """The guest may change RBP, though the data of a TD with NO_RBP_MOD says that it does not."""
    assert read_before_written(code_of(leaf, target), "rbp") == []


@on_targets
def test_rbp_is_seen_where_something_waits_in_it(target: str) -> None:
    """The test above can fail: what is not handed over keeps the pointer meanwhile."""
    assert read_before_written(code_of("TDG.VP.VMCALL", target), "rbp")
    assert read_before_written(code_of("TDH.VP.ENTER.RBP", target), "rbp")


@on_targets
def test_a_td_finds_nothing_in_rbp(target: str) -> None:
    plan = plan_of("TDH.VP.ENTER", target)
    machine = Machine(compiled("TDH.VP.ENTER", target).outputs["obj"].data, TARGETS[target])
    for scenario in scenarios(plan, repeat=1):
        _, execution, _ = play(machine, plan, scenario)
        assert [attempt["rbp"] for attempt in execution.attempts] == [0]


# -- what the host sees


@on_targets
@pytest.mark.parametrize("leaf", CALLS)
def test_exposed_registers_hold_what_was_meant_for_the_host(leaf: str, target: str) -> None:
    """At each attempt of each outcome class; the mask is read out of RCX as the module does."""
    plan = plan_of(leaf, target)
    machine = Machine(compiled(leaf, target).outputs["obj"].data, TARGETS[target])
    spoken_for = {LoadKind.SELECTOR, LoadKind.OPERAND, LoadKind.ZERO}
    count = 0
    for scenario in scenarios(plan, repeat=2):
        _, execution, differences = play(machine, plan, scenario)
        assert differences == []
        for attempt in execution.attempts:
            exposed = {NAMES[bit] for bit in range(64) if attempt["rcx"] >> bit & 1}
            loads = {load.register: load for load in plan.loads if load.kind in spoken_for}
            assert exposed == set(loads) - {"rax", "rcx"}
            wanted = expected(plan, inputs_of(plan, scenario))
            assert {name: attempt[name] for name in exposed} == {n: wanted[n] for n in exposed}
            count += 1
    assert count > 10


def expected(plan: Plan, values: Mapping[str, int]) -> dict[str, int]:
    """What each loaded register holds, given what the caller passes."""
    return {load.register: evaluate(load.value, values) for load in plan.loads}


# -- what is left at return


@on_targets
@pytest.mark.parametrize("leaf", [*ENTERS, *CALLS])
def test_every_path_scrubs(leaf: str, target: str) -> None:
    code = code_of(leaf, target)
    assert code.plan.scrub
    assert left_at_return(code) == set()
    ends = [one for one in code.instructions().values() if code.returns(one)]
    assert bool(ends) == (code.plan.returns is not Returns.NOTHING)


@on_targets
@pytest.mark.parametrize("leaf", [*ENTERS, "TDG.VP.VMCALL", "TDG.VP.VMCALL.CPUID"])
def test_code_that_does_not_scrub_is_found(leaf: str, target: str) -> None:
    """By reading it and by running it."""
    plan = plan_of(leaf, target)
    careless = replace(plan, scrub=False)
    module = emit_module([careless], TARGETS[target], plan.span.source, "none")
    data = emit_object(module, TARGETS[target])
    left = left_at_return(read_code(plan, data, target))
    assert {"r8", "r9"} & left or leaf.endswith("CPUID")
    assert left
    machine = Machine(data, TARGETS[target])
    problems = set()
    for scenario in scenarios(plan, repeat=1):
        _, execution, _ = play(machine, plan, scenario)
        problems |= {p.split()[0] for p in execution.problems if "should be scrubbed" in p}
    assert problems
    assert problems <= left
