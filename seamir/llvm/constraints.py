"""The inline assembly of one call: its text, and the constraint of every register.

Every register named here has passed verify(): LLVM ignores clobbers it does not know and aborts
on operands it cannot place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from seamir.ir.flag import flag_register, vector_register
from seamir.ir.leaf import Plan
from seamir.llvm.parking import park
from seamir.model.registers import ABI_ORDER, CARRY_FLAG, REGISTERS
from seamir.targets import Target

# What LLVM's text has no letter for between quotes.
_SPECIAL = re.compile(r'[^ -~]|["\\]')


@dataclass(frozen=True)
class CallAssembly:
    """`outputs` and `inputs` are registers in operand order; `edges` are labels in order.

    `parked` maps names of pointer arguments to registers that they go through: see parking.py.
    """

    text: str
    constraints: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    edges: tuple[str, ...]
    parked: dict[str, str]


def call_assembly(plan: Plan, target: Target, *, inlinable: bool = False) -> CallAssembly:
    """The assembly of the plan's call.

    Registers that are loaded and destroyed are outputs as well as inputs, so that the compiler
    knows their old value to be gone; registers that are only destroyed are clobbers, and those
    that are only loaded keep their value.
    """
    parked, inputs = park(plan, target.convention, inlinable=inlinable)
    results = {d.place.register for d in plan.deliveries} - {CARRY_FLAG}
    if plan.status is not None:
        results.add(plan.status.register)
    if plan.edges.refused is not None:
        results.add(plan.edges.refused.place.register)
    results |= vector_register(plan)
    results |= plan.destroyed & set(inputs)
    results |= set(parked.values())
    outputs = tuple(sorted(results, key=lambda name: ABI_ORDER[name]))
    flag = None
    if plan.returns_carry:
        flag = flag_register(plan, parked.values())
        outputs = (*(name for name in outputs if name != flag), CARRY_FLAG)
    clobbers = sorted(plan.destroyed - results - {flag}, key=lambda name: REGISTERS[name].number)
    edges = []
    if plan.edges.carry is not None:
        edges.append("carry")
    if plan.catches_faults:
        edges.append("fault")
    flag_part = "=r" if flag is None else f"={{{flag}}}"
    parts = [flag_part if name == CARRY_FLAG else f"={{{name}}}" for name in outputs]
    parts += [f"{{{name}}}" for name in inputs]
    parts += ["!i"] * len(edges)
    parts += [f"~{{{name}}}" for name in clobbers]
    if plan.destroys_simd and "simd" in target.features:
        parts += [f"~{{xmm{number}}}" for number in range(16)]
    parts += ["~{memory}"] if plan.destroys_memory else []
    parts += ["~{flags}"]
    first_label = len(outputs) + len(inputs)
    labels = {edge: f"${{{first_label + index}:l}}" for index, edge in enumerate(edges)}
    text = _text(plan, target, labels, outputs)
    return CallAssembly(text, ",".join(parts), outputs, inputs, tuple(edges), parked)


def _text(plan: Plan, target: Target, labels: dict[str, str], outputs: tuple[str, ...]) -> str:
    code = ",".join(f"0x{byte:02x}" for byte in plan.instruction.code)
    lines = []
    if "fault" in labels:
        lines += [
            "771:",
            f".byte {code}",
            f'.pushsection {target.fixup_section},"a"',
            ".balign 4",
            ".long 771b - .",
            f".long {labels['fault']} - .",
            f".long {target.fixup_type}",
            ".popsection",
        ]
    else:
        lines.append(f".byte {code}")
    if CARRY_FLAG in outputs:
        lines.append(f"setc ${{{outputs.index(CARRY_FLAG)}:b}}")
    if "carry" in labels:
        lines.append(f"jc {labels['carry']}")
    return "\n".join(lines)


def escape(text: str) -> str:
    """The text as LLVM writes it between quotes."""
    return _SPECIAL.sub(
        lambda found: "".join(f"\\{b:02X}" for b in found[0].encode("utf-8", "replace")), text
    )
