"""Lines of the whole library: every instruction has one, and each way out has its own.

Wrappers run in the emulator, which notes the lines that an outcome passes; the line table is read
from the object and not from what wrote it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from descriptions import DESCRIPTIONS, LIBRARY, program_of
from execution import Refused, Step, final_status, make_scenario, matching

import seamir
from seamir.emulate.machine import Machine
from seamir.emulate.script import Carry, Fault
from seamir.ir.leaf import CallSymbol, Plan, Returns, ReturnValue, Trap
from seamir.model.entities import Action
from seamir.model.expressions import RefusalValue, TrapNumber
from seamir.objects.contents import Function
from seamir.objects.disassembly import decode
from seamir.source import Span

Place = tuple[str, int]  # file and line

TARGETS = (
    ("linux-kernel",),
    ("linux-user",),
    ("linux-kernel", "+frame-pointer"),
    ("linux-user", "+frame-pointer", "-fixup", "-redzone"),
    ("linux-kernel", "-fixup", "-ibt", "-rethunk", "-sls"),
    ("freestanding",),
    ("uefi",),
)
DELIVERIES = ("pointers", "struct", "register")
CASES = [
    pytest.param(name, target, deliver, id=f"{name.rpartition('golden/')[2]} {target} {deliver}")
    for name in DESCRIPTIONS
    for target in (TARGETS if name in LIBRARY else TARGETS[:2])
    for deliver in (DELIVERIES if name in LIBRARY and target in TARGETS[:2] else DELIVERIES[:1])
]


def place(span: Span) -> Place:
    return span.source.logical_name or span.source.name, span.line


def places_by_offset(function: Function) -> dict[int, Place]:
    """File and line of each instruction."""
    starts = [entry.offset for entry in function.lines]
    assert starts[0] == 0, f"{function.name} begins without a line"
    rows = {i.ip: function.lines[bisect_right(starts, i.ip) - 1] for i in decode(function.code)}
    return {offset: (row.file, row.line) for offset, row in rows.items()}


def check_that_every_instruction_has_a_line(compilation: seamir.Compilation) -> None:
    lengths = {
        unit.source.logical_name or unit.source.name: len(unit.source.line_starts)
        for unit in compilation.program.units
    }
    for function in compilation.object_file.functions:
        for offset, (file, line) in places_by_offset(function).items():
            where = f"{function.name}+{offset:#x} is at {file}:{line}"
            assert 1 <= line <= lengths.get(file, 0), where


# -- edges


class Tracer:
    """Runs wrappers, and notes the place of every instruction."""

    def __init__(self, compilation: seamir.Compilation) -> None:
        self._machine = Machine(compilation.outputs["obj"].data, compilation.target)
        functions = compilation.object_file.functions
        starts: Mapping[str, int] = self._machine._image.functions
        self._places = {
            starts[function.name] + offset: where
            for function in functions
            for offset, where in places_by_offset(function).items()
        }
        self._trace: list[Place] = []
        unicorn = self._machine._processor._unicorn

        def note(_uc: Any, address: int, _size: int, _data: Any) -> None:
            if address in self._places:
                self._trace.append(self._places[address])

        self._machine._processor._uc.hook_add(unicorn.UC_HOOK_CODE, note)

    def passed(self, plan: Plan, steps: list[Step], broken: str | None = None) -> list[Place]:
        """The places that a call passes."""
        self._trace.clear()
        scenario = make_scenario(plan, "", steps, Random(plan.symbol), breaks=broken)
        execution = self._machine.call(
            plan, scenario.arguments, scenario.regions, scenario.side, seed=scenario.seed
        )
        assert not execution.problems, f"{plan.symbol}: {execution.problems}"
        return list(self._trace)


def failures(plan: Plan) -> Iterator[tuple[list[Step], str | None, Place]]:
    """Each way not to complete: the other side's steps, a broken input, and the place of the way.

    Without those that have no instruction of their own.
    """
    edges = plan.edges
    for check in plan.checks:
        yield [0], check.input, place(check.span)
    ways: list[tuple[Step, Action | None]] = [(Carry(), edges.carry)]
    ways += [(Fault(vector), action) for vector, action in edges.vectors]
    others = set(range(32)) - {vector for vector, _ in edges.vectors}
    ways.append((Fault(min(others)), edges.fault))
    if edges.refused is not None and plan.returns is not Returns.NOTHING:
        ways.append((Refused(), edges.refused.action))
    traps = [action for action in edges.actions if ends_in_trap(action)]
    for step, action in ways:
        shares_trap = len(traps) > 1 and action in traps
        if action is not None and not returns_as_it_is(action) and not shares_trap:
            yield [step], None, place(action.span)


def ends_in_trap(action: Action) -> bool:
    """Whether it ends in ud2, which several ways may share."""
    return isinstance(action, Trap) or (isinstance(action, CallSymbol) and action.value is None)


def returns_as_it_is(action: Action) -> bool:
    """Whether it returns what is in RAX already."""
    return isinstance(action, ReturnValue) and isinstance(action.value, TrapNumber | RefusalValue)


def edge_problems(tracer: Tracer, plan: Plan) -> Iterator[str]:
    """Where an outcome passes the line of another one, or not its own."""
    tested = {place(check.span) for check in plan.checks}
    tested |= {place(clause.span) for clause in plan.again}
    tested |= {place(step.span) for clause in plan.again for step in clause.steps}
    if plan.edges.refused is not None:
        tested.add(place(plan.edges.refused.action.span))
    # Where a line has more than one clause, or the whole wrapper, it says less.
    common = {place(plan.span)}
    common |= {place(delivery.span) for delivery in plan.deliveries}
    common |= {place(load.span) for load in plan.loads}
    common |= {place(item.span) for item in plan.inputs}
    known = (tested | {place(action.span) for action in plan.edges.actions}) - common
    for steps, broken, own in failures(plan):
        trace = tracer.passed(plan, steps, broken)
        passed = [one for one in trace if one in known or one == own]
        if not passed or (passed[-1] != own and own not in common):
            yield f"{plan.symbol}: {steps} {broken or ''} ends at {passed[-1:]} instead of {own}"
    final: Step = final_status(plan, Random(0))
    for clause in plan.again:
        trace = tracer.passed(plan, [matching(clause.matches[0], Random(0)), final])
        own_places = {place(clause.span), *(place(step.span) for step in clause.steps)}
        if not own_places & set(trace):
            yield f"{plan.symbol}: {clause.text} does not pass its line"
    trace = tracer.passed(plan, [final])
    strange = [one for one in trace if one in known - tested]
    if strange:
        yield f"{plan.symbol}: a completed call passes {strange}"


def check_that_each_way_out_has_its_own_line(compilation: seamir.Compilation) -> None:
    tracer = Tracer(compilation)
    problems = [text for plan in compilation.plans for text in edge_problems(tracer, plan)]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


# -- what debug data leaves alone


def check_that_debug_data_does_not_change_code(
    compilation: seamir.Compilation, without_debug: seamir.Compilation
) -> None:
    without = without_debug.object_file
    for one, other in zip(compilation.object_file.functions, without.functions, strict=True):
        assert (one.name, one.code, one.relocations) == (
            other.name,
            other.code,
            other.relocations,
        )
    assert not [section.name for section in without.sections if "debug" in section.name]


def check_that_functions_have_sizes_that_fill_their_sections(
    compilation: seamir.Compilation,
) -> None:
    """perf and crash tools find a symbol for every address, cold code included."""
    contents = compilation.object_file
    assert {function.name for function in contents.functions} == set(compilation.symbols)
    for section in contents.sections:
        functions = [one for one in contents.functions if one.section == section.name]
        ends = [0, *(function.offset + len(function.code) for function in functions)]
        if functions:
            assert ends[-1] == len(section.data)
        for function, end in zip(functions, ends, strict=False):
            padding = section.data[end : function.offset]
            assert len(padding) < 16, f"code before {function.name} has no symbol"


def check_that_unwinding_is_told_in_debug_data_only(compilation: seamir.Compilation) -> None:
    """The kernel unwinds by other means, and discards .eh_frame."""
    sections = {section.name for section in compilation.object_file.sections}
    # Windows and firmware have unwinding tables of their own, which leave out such functions.
    assert (".debug_frame" in sections) == (compilation.target.name != "uefi")
    assert ".eh_frame" not in sections


@pytest.mark.parametrize(("name", "target", "deliver"), CASES)
def test_lines_and_symbols(name: str, target: tuple[str, ...], deliver: str) -> None:
    program = program_of(name)
    compilation, without = (
        seamir.compile(program, target=target[0], features=target[1:], deliver=deliver, debug=debug)
        for debug in (True, False)
    )
    check_that_every_instruction_has_a_line(compilation)
    check_that_each_way_out_has_its_own_line(compilation)
    check_that_debug_data_does_not_change_code(compilation, without)
    check_that_functions_have_sizes_that_fill_their_sections(compilation)
    check_that_unwinding_is_told_in_debug_data_only(compilation)
