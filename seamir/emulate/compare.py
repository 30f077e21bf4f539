"""Says in words where an execution of the machine code departs from a run of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from seamir.emulate.interpreter import Run
from seamir.emulate.machine import Execution
from seamir.emulate.script import Write
from seamir.ir.leaf import Plan
from seamir.model.registers import slice_mask


def compare(plan: Plan, run: Run, execution: Execution) -> list[str]:
    """The differences, none if the code did what the plan says.

    Registers that the plan does not load may hold anything at the instruction, and the bits of
    RDX above the type of a returned output anything at return.
    """
    found = list(execution.problems)
    if len(run.attempts) != len(execution.attempts):
        found.append(f"{len(execution.attempts)} attempts instead of {len(run.attempts)}")
    pairs = zip(run.attempts, execution.attempts, strict=False)
    for number, (wanted, loaded) in enumerate(pairs, 1):
        for name, value in wanted.items():
            if loaded[name] != value:
                place = f"{name} at attempt {number}"
                found.append(f"{place} is {loaded[name]:#x} instead of {value:#x}")
    found += _compare("the status", run.status, execution.status)
    if run.value is not None:
        found += _compare("the value", run.value, _narrow(plan, execution.value))
    if run.trapped != execution.trapped:
        found.append("it traps" if execution.trapped else "it does not trap")
    if run.called != execution.called:
        found.append(f"it calls {_list(execution.called)} instead of {_list(run.called)}")
    found += _compare("the escaped fault", run.escaped_fault, execution.escaped_fault)
    if not execution.trapped or execution.called:  # memory matters to nobody after ud2
        found += _compare_memory(_content(run.writes), _content(execution.writes))
    return found


def _compare(what: str, wanted: int | None, value: int | None) -> list[str]:
    if wanted == value:
        return []
    return [f"{what} is {_number(value)} instead of {_number(wanted)}"]


def _compare_memory(wanted: Mapping[int, int], found: Mapping[int, int]) -> list[str]:
    missing, further = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    wrong = {one for one in wanted.keys() & found.keys() if wanted[one] != found[one]}
    differences = [(run, f"{_bytes_at(run)} not written") for run in _runs(missing)]
    differences += [(run, f"{_bytes_at(run)} written") for run in _runs(further)]
    for run in _runs(wrong):
        values = f"{_shown(found, run)} instead of {_shown(wanted, run)}"
        differences.append((run, f"{_bytes_at(run)} {values}"))
    return [text for _, text in sorted(differences, key=lambda one: one[0].start)]


def _runs(addresses: Iterable[int]) -> list[range]:
    """Addresses that follow each other, together."""
    runs: list[range] = []
    for address in sorted(addresses):
        if runs and address == runs[-1].stop:
            runs[-1] = range(runs[-1].start, address + 1)
        else:
            runs.append(range(address, address + 1))
    return runs


def _bytes_at(run: range) -> str:
    if len(run) == 1:
        return f"the byte at {run.start:#x} is"
    return f"the {len(run)} bytes at {run.start:#x} are"


def _shown(content: Mapping[int, int], run: range) -> str:
    return bytes(content[address] for address in run).hex(" ")


def _content(writes: Sequence[Write]) -> dict[int, int]:
    """The last value of each byte written."""
    return {
        write.address + index: byte for write in writes for index, byte in enumerate(write.data)
    }


def _narrow(plan: Plan, value: int | None) -> int | None:
    """The part of the returned register that the output's type has."""
    if value is None:
        return None
    return value & slice_mask(0, plan.returned.type.width - 1)


def _number(value: int | None) -> str:
    return "nothing" if value is None else f"{value:#x}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
