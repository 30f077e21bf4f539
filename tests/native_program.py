"""Wrappers called by a C program: writes the program and its script, and reads what it prints.

The program is what a user would write: it includes the generated header, calls each wrapper
through its prototype, and is linked with the object. tests/native/ plays the other side for it.
`predict` makes the calls, each with what is to come of it; `write_program` and
`write_script` are for the C side; `differences` compares a line of its output with a call.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import manifest_oracle
from execution import Scenario

from seamir.emulate.compare import compare
from seamir.emulate.interpreter import Run, interpret
from seamir.emulate.machine import DATA_SIZE, DATA_START, Execution
from seamir.emulate.script import Carry, Completed, Fault, Memory, OtherSide, Outcome, Write
from seamir.ir.leaf import Argument, ArgumentKind, CallSymbol, Plan, Returns
from seamir.model.registers import ALL_BITS, REGISTERS, slice_mask
from seamir.model.types import Type
from seamir.targets import Target

_NUMBERS = {name: register.number for name, register in REGISTERS.items()}


@dataclass(frozen=True)
class Call:
    """A call of the wrapper `plans[index]`, how it goes, and what is to be seen of it."""

    index: int
    plan: Plan
    scenario: Scenario
    outcomes: Sequence[Outcome]
    run: Run


@dataclass(frozen=True)
class _Recorder:
    """The other side of a call, which notes its outcomes."""

    side: OtherSide
    outcomes: list[Outcome] = field(default_factory=list)

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        self.outcomes.append(self.side(attempt, registers))
        return self.outcomes[-1]


def predict(
    index: int, plan: Plan, scenario: Scenario, manifest: manifest_oracle.Json | None = None
) -> Call:
    """What a call of the `index`-th wrapper does: by its plan, or by a manifest if there is one."""
    arguments = _passable(plan, scenario.arguments)
    scenario = replace(scenario, arguments=arguments)
    recorder = _Recorder(scenario.side)
    if manifest is None:
        run = interpret(plan, arguments, Memory(scenario.regions), recorder)
    else:
        run = manifest_oracle.predict(manifest, plan.symbol, arguments, scenario.regions, recorder)
    return Call(index, plan, scenario, tuple(recorder.outcomes), run)


def _passable(plan: Plan, arguments: Mapping[str, int]) -> dict[str, int]:
    """The arguments as C can pass them: of a bool's 8 bits all but the lowest are 0."""
    bools = {a.name for a in plan.arguments if _is_value(a) and a.type.c_base == "bool"}
    return {name: word & ~0xFE if name in bools else word for name, word in arguments.items()}


def _is_value(argument: Argument) -> bool:
    return argument.kind is ArgumentKind.VALUE


# -- the program


def write_program(plans: Sequence[Plan], target: Target, header: str) -> str:
    """A C file that calls every wrapper by way of tests/native/."""
    callees = _callees(plans)
    memory = f"DATA_START == {DATA_START:#x} && DATA_SIZE == {DATA_SIZE:#x}"
    parts = [f'#include "{header}"\n#include "module.h"\n']
    parts.append(f'_Static_assert({memory}, "the memory of the script");\n')
    parts += _foreign_structures(plans)
    parts += [f"MODULE_STUB({symbol});\n" for symbol in callees]
    parts += [_calling_function(plan) for plan in plans]
    rows = [_wrapper_row(plan, callees) for plan in plans]
    parts.append(_table("struct wrapper wrappers", rows))
    parts.append(
        _table(
            "struct callee callees", [f'{{ "{name}", {name} }}' for name in callees] or ["{ 0 }"]
        )
    )
    section = target.fixup_section
    parts.append(f"""
const struct program module_program = {{
	.wrappers = wrappers,
	.wrapper_count = {len(plans)},
	.callees = callees,
	.callee_count = {len(callees)},
	.vectors = {int("simd" in target.features)},
	.red_zone = {int("redzone" in target.features)},
}};

#ifndef __KERNEL__
/* The linker defines these. They are weak because a table without rows does not exist. */
extern const struct fixup __start_{section}[] __attribute__((weak, visibility("hidden")));
extern const struct fixup __stop_{section}[] __attribute__((weak, visibility("hidden")));

const struct fixups module_fixups = {{
	.rows = __start_{section},
	.end = __stop_{section},
	.type = {target.fixup_type},
}};

int main(void)
{{
	return module_main();
}}
#endif
""")
    return "\n".join(parts)


def _foreign_structures(plans: Sequence[Plan]) -> list[str]:
    """Definitions of the structures that the header only declares, each with the header's check."""
    found = {a.layout for plan in plans for a in plan.arguments if a.layout and a.layout.extern}
    parts = []
    for layout in sorted(found, key=lambda layout: layout.name):
        members = sorted(layout.members, key=lambda member: member.offset)
        ends = [0, *(member.offset + 8 for member in members)]
        body = "".join(
            f"\tchar gap_{member.offset}[{member.offset - end}];\n" * (member.offset > end)
            + f"\tu64 {member.name};\n"
            for member, end in zip(members, ends, strict=False)
        )
        check = f"SEAMIR_CHECK_{layout.name}".upper()
        parts.append(f"struct {layout.name} {{\n{body}}};\n{check};\n")
    return parts


def _called(plan: Plan) -> list[CallSymbol]:
    return [action for action in plan.edges.actions if isinstance(action, CallSymbol)]


def _callees(plans: Sequence[Plan]) -> list[str]:
    """All functions that wrappers call."""
    return sorted({action.symbol for plan in plans for action in _called(plan)})


def _table(name: str, rows: Sequence[str]) -> str:
    body = ",\n".join(f"\t{row}" for row in rows)
    return f"static const {name}[] = {{\n{body},\n}};\n"


def _wrapper_row(plan: Plan, callees: Sequence[str]) -> str:
    code = ", ".join(f"{byte:#04x}" for byte in plan.instruction.code)
    returning = {action.symbol for action in _called(plan) if action.value is not None}
    final = sum(1 << callees.index(n) for n in {a.symbol for a in _called(plan)} - returning)
    may_return = int(plan.returns is not Returns.NOTHING)
    numbers = f"{int(plan.destroys_simd)}, {may_return}, {final:#x}"
    return f'{{ "{plan.symbol}", call_{plan.symbol}, {{ {code} }}, {numbers} }}'


def _calling_function(plan: Plan) -> str:
    """A C function that calls a wrapper: arguments from words, results to module.c."""
    lines = [_local(plan, index, argument) for index, argument in enumerate(plan.arguments)]
    names = ", ".join(f"arg_{argument.name}" for argument in plan.arguments)
    call = f"MODULE_CALL({plan.symbol})({names});"
    match plan.returns:
        case Returns.NOTHING:
            lines.append(call)
        case Returns.NO_STATUS:
            lines += [call, "module_status(0);"]
        case Returns.VALUE:
            lines += [f"__auto_type const returned = {call}", "module_status(0);"]
            lines.append("module_value(&returned, sizeof(returned));")
        case Returns.STATUS:
            lines += [f"u64 const returned = {call}", "module_status(returned);"]
        case Returns.STATUS_AND_VALUE:
            lines.append(f"struct {plan.symbol}_result const returned = {call}")
            lines.append("module_status(returned.status);")
            lines.append("module_value(&returned.value, sizeof(returned.value));")
    if plan.returns is not Returns.NOTHING:
        lines += [_report_output(place) for place in _places(plan)]
    lines += [] if plan.arguments else ["(void)slots;"]
    body = "\n".join(f"\t{line}" for line in lines)
    return f"static void call_{plan.symbol}(const uint64_t *slots)\n{{\n{body}\n}}\n"


def _local(plan: Plan, index: int, argument: Argument) -> str:
    name, slot = f"arg_{argument.name}", f"slots[{index}]"
    if _is_value(argument):
        spelling = _spelling(argument.type)
        return f"{spelling} const {name} = ({spelling}){slot};"
    return f"{_pointed_to(plan, argument)} *const {name} = module_pointer({slot});"


def _pointed_to(plan: Plan, argument: Argument) -> str:
    """What a pointer argument points to, in C; of an array, its elements."""
    if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
        return f"struct {plan.struct.name}"
    if argument.layout is not None:
        return f"struct {argument.layout.name}"
    return _spelling(argument.type)


def _spelling(kind: Type) -> str:
    """What the type is called in C."""
    return kind.c_name or {"ptr": "void *"}.get(kind.c_base, kind.c_base)


@dataclass(frozen=True)
class _Place:
    """Memory of one output: in C, and as a number of bytes from an argument."""

    name: str
    argument: str
    expression: str
    offset: int
    size: int


def _places(plan: Plan) -> list[_Place]:
    """Where outputs are stored, each once."""
    places = []
    for argument in plan.arguments:
        if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
            places += [
                _Place(
                    member.name,
                    argument.name,
                    f"arg_{argument.name}->{member.name}",
                    member.offset,
                    member.type.width // 8 * (member.length or 1),
                )
                for member in plan.struct.members
            ]
        elif argument.kind in (ArgumentKind.OUT, ArgumentKind.IN_OUT):
            place = f"*arg_{argument.name}"
            if argument.length is not None:
                kind = _pointed_to(plan, argument)
                place = f"*({kind}(*)[{argument.length}])arg_{argument.name}"
            places.append(_Place(argument.name, argument.name, f"({place})", 0, argument.size))
    return places


def _report_output(place: _Place) -> str:
    what = f'"{place.name}", &{place.expression}, sizeof({place.expression})'
    return f"if (arg_{place.argument}) module_output({what});"


# -- the script


class _How(IntEnum):
    """As in module.c."""

    COMPLETED = 0
    CARRY = 1
    FAULT = 2


class _CarryFlag(IntEnum):
    CLEAR = 0
    SET = 1
    ANY = 2


def write_script(calls: Sequence[Call]) -> bytes:
    """The calls as 64-bit words."""
    words: list[int] = []
    for call in calls:
        body = list(_call_words(call))
        words += [len(body), *body]
    return struct.pack(f"<{len(words)}Q", *words)


def _call_words(call: Call) -> Iterator[int]:
    plan, scenario = call.plan, call.scenario
    yield from (call.index, scenario.seed, len(plan.arguments))
    for argument in plan.arguments:
        word = scenario.arguments[argument.name]
        mask = slice_mask(0, argument.type.width - 1) if _is_value(argument) else ALL_BITS
        yield from (word & mask, mask, word & ~mask)
    yield len(scenario.regions)
    for address, content in scenario.regions.items():
        yield from _memory_words(address, content)
    yield len(call.outcomes)
    for outcome in call.outcomes:
        yield from _outcome_words(plan, outcome)


def _outcome_words(plan: Plan, outcome: Outcome) -> Iterator[int]:
    named: Mapping[str, int] = {}
    writes: tuple[Write, ...] = ()
    match outcome:
        case Completed(named, writes, carry):
            flag = _CarryFlag.ANY if plan.edges.carry is None else _CarryFlag.CLEAR
            if plan.returns_carry:
                flag = _CarryFlag.SET if carry else _CarryFlag.CLEAR
            yield from (_How.COMPLETED, 0, flag, _set(plan.destroyed - set(named)))
        case Carry():
            yield from (_How.CARRY, 0, _CarryFlag.SET, _set(plan.destroyed - {"rax"}))
        case Fault(vector):
            yield from (_How.FAULT, vector, _CarryFlag.ANY, 0)
    yield _set(named)
    yield from (named[name] for name in sorted(named, key=_NUMBERS.__getitem__))
    yield len(writes)
    for write in writes:
        yield from _memory_words(write.address, write.data)


def _set(names: Iterable[str]) -> int:
    """A set of registers, each the bit that instructions number it by."""
    return sum(1 << _NUMBERS[name] for name in names)


def _memory_words(address: int, content: bytes) -> Iterator[int]:
    yield from (address, len(content))
    padded = content.ljust(-(-len(content) // 8) * 8, b"\0")
    yield from struct.unpack(f"<{len(padded) // 8}Q", padded)


# -- the report


def differences(call: Call, line: str, *, through_header: bool = True) -> list[str]:
    """Where a line of the program's output departs from the call.

    `through_header`: what the header says of the outputs was reported as well.
    """
    facts: dict[str, Any] = json.loads(line)
    found = [] if facts["symbol"] == call.plan.symbol else [f"it is {facts['symbol']}"]
    found += compare(call.plan, call.run, _execution(call, facts))
    if through_header and "status" in facts:
        found += _header_differences(call, facts)
    return found


def _header_differences(call: Call, facts: Mapping[str, Any]) -> Iterator[str]:
    arguments = call.scenario.arguments
    wanted = [
        [place.name, arguments[place.argument] + place.offset, place.size]
        for place in _places(call.plan)
        if arguments[place.argument]
    ]
    if facts["outputs"] != wanted:
        yield f"the header has outputs at {facts['outputs']} and not at {wanted}"
    if call.run.value is not None:
        size = next(d.type.width // 8 for d in call.plan.deliveries if d.argument is None)
        if facts["value"][1] != size:
            yield f"the header's value has {facts['value'][1]} bytes and not {size}"


def _execution(call: Call, facts: Mapping[str, Any]) -> Execution:
    """What the program saw, as the emulator would report it."""
    value = facts.get("value")
    return Execution(
        attempts=tuple(
            {name: words[number] for name, number in _NUMBERS.items() if name != "rsp"}
            for words in facts["attempts"]
        ),
        status=facts.get("status") if call.plan.status is not None else None,
        value=None if value is None else value[0],
        trapped=facts["trapped"],
        called=tuple(facts["called"]),
        writes=_writes(call, facts),
        escaped_fault=facts.get("escaped_fault"),
        problems=tuple(facts["problems"]),
    )


def _writes(call: Call, facts: Mapping[str, Any]) -> tuple[Write, ...]:
    """The bytes that changed, and those that were to be written, with what is in them now.

    That a byte was written which did not change by it cannot be seen.
    """
    memory = {
        address + index: byte
        for address, content in facts["regions"]
        for index, byte in enumerate(bytes.fromhex(content))
    }
    wanted = {w.address + index for w in call.run.writes for index in range(len(w.data))}
    bytes_now = {address: memory[address] for address in wanted} | dict(facts["changed"])
    return tuple(Write(address, bytes([byte])) for address, byte in bytes_now.items())
