"""Accounts for every instruction of a function: those that no path ran need a reason.

Reasons are few: filler behind an instruction that control does not pass, and code that only a
branch leads to which z3 showed not to be taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from iced_x86 import FlowControl, Instruction, Mnemonic

from seamir.verify.code import Code

_FILLER = {
    Mnemonic.INT3: "int3, which stops speculation",
    Mnemonic.NOP: "padding",
    Mnemonic.UD2: "ud2 behind a call that does not return",
}
_ENDS = frozenset(
    {
        FlowControl.RETURN,
        FlowControl.UNCONDITIONAL_BRANCH,
        FlowControl.INDIRECT_BRANCH,
        FlowControl.EXCEPTION,
        FlowControl.INTERRUPT,
    }
)

Places = tuple[tuple[int, str], ...]


def unreachable_code(
    code: Code, covered: set[int], ways: Mapping[int, set[bool]]
) -> tuple[Places, Places]:
    """Offsets of instructions that never ran: with the reason, and those that have none."""
    behind = _behind_branches(code, covered, ways)
    known: list[tuple[int, str]] = []
    unknown: list[tuple[int, str]] = []
    address, passes = code.start, True
    while address < code.end:
        offset = address - code.start
        if not passes and not any(code.function.code[offset:]):
            known.append((offset, "zeros with which a linker filled the section"))
            break
        instruction = code.at(address)
        if instruction is None:
            unknown.append((offset, "these bytes are no instruction"))
            break
        if address in covered:
            passes = instruction.flow_control not in _ENDS
        elif not passes and instruction.mnemonic in _FILLER:
            known.append((offset, _FILLER[instruction.mnemonic]))
        elif address in behind:
            known.append((offset, behind[address]))
        elif instruction.mnemonic == Mnemonic.UD2 or instruction.mnemonic in _FILLER:
            known.append((offset, _FILLER[instruction.mnemonic]))
        else:
            unknown.append((offset, f"nothing leads to `{code.text(address)}`"))
        address = instruction.next_ip
    return tuple(known), tuple(unknown)


def _behind_branches(
    code: Code, covered: set[int], ways: Mapping[int, set[bool]]
) -> dict[int, str]:
    """The addresses that only a branch leads to which never goes that way, with the reason."""
    found: dict[int, str] = {}
    for branch, taken in ways.items():
        instruction = code.at(branch)
        if len(taken) == 2 or instruction is None:
            continue
        way = instruction.next_ip if True in taken else instruction.near_branch_target
        verb = "always goes" if True in taken else "never goes"
        reason = f"the branch at +{branch - code.start:#x} {verb}"
        pending = [way]
        while pending:
            address = pending.pop()
            if address in covered or address in found or code.offset(address) is None:
                continue
            one = code.at(address)
            if one is None:
                continue
            found[address] = reason
            pending += _successors(one)
    return found


def _successors(instruction: Instruction) -> list[int]:
    flow = instruction.flow_control
    targets = []
    if flow in (FlowControl.CONDITIONAL_BRANCH, FlowControl.UNCONDITIONAL_BRANCH):
        targets.append(instruction.near_branch_target)
    if flow not in _ENDS:
        targets.append(instruction.next_ip)
    return targets
