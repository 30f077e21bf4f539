"""STOS, with which compilers clear structures; alone, and repeated as often as RCX says.

Intel SDM volume 2, "STOS/STOSB/STOSW/STOSD/STOSQ" and "REP". The count and the direction must be
known numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from iced_x86 import Mnemonic, OpKind

from seamir.verify.operands import Operands, UnknownInstructionError
from seamir.verify.terms import add

_LONGEST = 4096  # elements; more would take long


def _store(at: Operands) -> None:
    state, one = at.state, at.instruction
    backwards = state.flags["df"]
    count = state.registers["rcx"] if one.has_rep_prefix else 1
    if one.op_kind(0) != OpKind.MEMORY_ESRDI or one.has_repne_prefix:
        raise UnknownInstructionError(str(one))
    if not isinstance(backwards, int) or not isinstance(count, int) or count > _LONGEST:
        raise UnknownInstructionError(str(one))
    value, size = at.read(1), at.width(1) // 8
    step = -size if backwards else size
    start = state.registers["rdi"]
    for index in range(count):
        state.memory.write(state, add(start, step * index), size, value)
    state.registers["rdi"] = add(start, step * count)
    if one.has_rep_prefix:
        state.registers["rcx"] = 0


HANDLERS: dict[int, Callable[[Operands], None]] = dict.fromkeys(
    (Mnemonic.STOSB, Mnemonic.STOSW, Mnemonic.STOSD, Mnemonic.STOSQ), _store
)
