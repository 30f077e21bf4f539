"""The status flags that the Intel SDM, volume 2, leaves undefined after an instruction."""

from __future__ import annotations

from iced_x86 import Instruction, MemorySizeExt, Mnemonic, RegisterExt

_ALWAYS = {
    **dict.fromkeys((Mnemonic.AND, Mnemonic.OR, Mnemonic.XOR, Mnemonic.TEST), ("af",)),
    Mnemonic.IMUL: ("sf", "zf", "af", "pf"),
    **dict.fromkeys(
        (Mnemonic.BT, Mnemonic.BTS, Mnemonic.BTR, Mnemonic.BTC), ("of", "sf", "af", "pf")
    ),
}
_SHIFTS = (Mnemonic.SHL, Mnemonic.SAL, Mnemonic.SHR, Mnemonic.SAR, Mnemonic.SHLD, Mnemonic.SHRD)
_ROTATIONS = (Mnemonic.ROL, Mnemonic.ROR)


def undefined_flags(instruction: Instruction, count: int) -> set[str]:
    """Their names; `count` is that of a shift."""
    if instruction.mnemonic not in (*_SHIFTS, *_ROTATIONS):
        return set(_ALWAYS.get(instruction.mnemonic, ()))
    size = MemorySizeExt.size(instruction.memory_size)
    width = 8 * (size or RegisterExt.size(instruction.op0_register))
    count &= 63 if width == 64 else 31
    if instruction.mnemonic in _ROTATIONS:
        return set() if count <= 1 else {"of"}
    if count == 0:
        return set()
    undefined = {"af"} if count == 1 else {"af", "of"}
    if count >= width and instruction.mnemonic != Mnemonic.SAR:
        undefined.add("cf")
    return undefined
