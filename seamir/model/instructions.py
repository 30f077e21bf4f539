"""The instructions a conduit may name, one row each.

The bytes in a description only confirm the row: no description can bring its own machine code
unless the person who compiles it permits those bytes. Encodings: Intel SDM volume 2 (SEAMCALL,
TDCALL), AMD APM volume 3 (PVALIDATE).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction by name and encoding.

    `sets_carry`: CF tells of an outcome. `may_fault`: an exception at the instruction is an
    outcome that a fault table may catch.
    """

    name: str
    code: bytes
    sets_carry: bool = False
    may_fault: bool = False


INSTRUCTIONS: dict[str, Instruction] = {
    row.name: row
    for row in (
        Instruction("seamcall", b"\x66\x0f\x01\xcf", sets_carry=True, may_fault=True),
        Instruction("tdcall", b"\x66\x0f\x01\xcc", may_fault=True),
        Instruction("pvalidate", b"\xf2\x0f\x01\xff", sets_carry=True, may_fault=True),
    )
}

MAXIMUM_LENGTH = 15  # bytes of an x86 instruction

# Exception vectors by mnemonic, Intel SDM volume 3, table 6-1.
FAULT_VECTORS: dict[str, int] = {
    "#DE": 0, "#DB": 1, "#BP": 3, "#OF": 4, "#BR": 5, "#UD": 6, "#NM": 7, "#DF": 8, "#TS": 10,
    "#NP": 11, "#SS": 12, "#GP": 13, "#PF": 14, "#MF": 16, "#AC": 17, "#MC": 18, "#XM": 19,
    "#VE": 20, "#CP": 21,
}  # fmt: skip


def parse_code(text: str) -> bytes | None:
    """The bytes of a string such as "66 0f 01 cf"; None if it is not 1 to 15 hexadecimal bytes."""
    digits = text.split()
    if not 1 <= len(digits) <= MAXIMUM_LENGTH:
        return None
    hexadecimal = set("0123456789abcdefABCDEF")
    if any(len(pair) != 2 or not set(pair) <= hexadecimal for pair in digits):
        return None
    return bytes(int(pair, 16) for pair in digits)
