"""The shipped library and the data it is held against, side by side.

tests/data has the facts, read from module source and Linux independently of the library. A Leaf is
one version of a leaf with the plan that the library makes of it. Plans come from the descriptions
as they are shipped; where wrappers of a leaf fix or retry, they are in files of their own, which
are no part of this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import seamir
from seamir.ir.leaf import LoadKind, Plan
from seamir.model.expressions import evaluate
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.types import Type, possible_of

Row: TypeAlias = dict[str, Any]  # of the data

DATA = Path(__file__).parent / "data"
# The library's files with leaves, and where the data of each is. Those of TDVMCALL have a table of
# their own in test_tdvmcall_library.py.
SOURCES = {
    "host": "leaves.json",
    "guest": "leaves.json",
    "seamldr": "leaves.json",
    "connect_rfc": "leaves_tdx_connect_rfc.json",
}
_PREFIXES = {"host": "TDH.", "guest": "TDG.", "seamldr": "SEAMLDR.", "connect_rfc": "TDH."}

# Leaves of the data that the library does not have, and why.
LEFT_OUT = {"TDH.SERVTD.REBIND": "only the number is known"}
# Leaves that the library has in addition: whose data holds for them too, and why they are there.
ALIASES = {"TDH.VP.ENTER.RBP": ("TDH.VP.ENTER", "for TDs that exchange RBP")}


@cache
def data(stem: str) -> Mapping[str, Row]:
    """The data of a file's leaves, by leaf."""
    rows: list[Row] = json.loads((DATA / SOURCES[stem]).read_text())
    return {row["name"]: row for row in rows if row["name"].startswith(_PREFIXES[stem])}


@cache
def plans(stem: str, conduit: str = "") -> Mapping[tuple[str, int], Plan]:
    """The plans of a library file by leaf and version; `conduit` stands in for seamcall."""
    swap = {"seamcall": conduit} if conduit else {}
    made = seamir.compile(seamir.load(f"tdx/{stem}.seam", conduits=swap), emit=()).plans
    by_leaf = {(plan.leaf, plan.version): plan for plan in made}
    assert len(by_leaf) == len(made), "a leaf is there twice"
    return by_leaf


@dataclass(frozen=True)
class Case:
    """A version of a leaf in one of the library's files."""

    stem: str
    name: str
    version: int

    def __str__(self) -> str:
        suffix = f" version {self.version}" if self.version else ""
        return f"{self.stem} {self.name}{suffix}"

    @property
    def key(self) -> tuple[str, int]:
        """What tables of exceptions call it."""
        return self.name, self.version

    @property
    def plan(self) -> Plan:
        """What the library makes of it."""
        return plans(self.stem)[self.key]

    @property
    def row(self) -> Row:
        """What the data says of the leaf, all versions."""
        name, _ = ALIASES.get(self.name, (self.name, ""))
        return data(self.stem)[name]

    @property
    def inputs(self) -> dict[str, Row]:
        """The data's input registers of this version."""
        return {row["reg"]: row for row in self.row["inputs"] if _is_of(row, self.version)}

    @property
    def outputs(self) -> list[Row]:
        """The data's outputs of this version, RAX included where it is more than a status."""
        return [row for row in self.row["outputs"] if _is_of(row, self.version)]

    def parameter_mask(self, register: str, parameter: str) -> int:
        """The bits of a register that a parameter may set."""
        constant = packed(self.plan, register, None)
        return packed(self.plan, register, parameter) & ~constant


def _is_of(row: Row, version: int) -> bool:
    return version in row.get("only_versions", [version])


def cases() -> list[Case]:
    """All that the library should have, by the data."""
    found = [
        Case(stem, name, version)
        for stem in SOURCES
        for name, row in data(stem).items()
        for version in row["versions"]
        if name not in LEFT_OUT
    ]
    return found + [Case("host", name, 0) for name in ALIASES]


def fields(row: Row) -> dict[str, int]:
    """Named bits of a register as masks; the whole register if the data names no bits."""
    if "bits" not in row:
        return {row["name"]: ALL_BITS}
    return {bits["name"]: slice_mask(bits["lo"], bits["hi"]) for bits in row["bits"]}


def ranges(rows: list[Row]) -> set[tuple[int, int]]:
    """Lowest and highest bit of each field."""
    return {(bits["lo"], bits["hi"]) for bits in rows}


def promised_bits(kind: Type) -> int:
    """The bits that values of a type may set, constants such as NULL_PA aside."""
    return possible_of(kind.low, kind.high, kind.bits).bits


def own_fields(kind: Type | None) -> set[tuple[int, int]]:
    """The fields of a type of bits, or of the one it was made from; none for other types."""
    while kind is not None and not kind.fields:
        kind = kind.base
    return set() if kind is None else {(field.low, field.high) for field in kind.fields}


def packed(plan: Plan, register: str, parameter: str | None) -> int:
    """The register's value with all promised bits of an input 1 and the other inputs 0."""
    load = plan.load(register)
    if load is None:
        return 0
    values = {
        item.name: promised_bits(item.promise) if item.name == parameter else 0
        for item in plan.inputs
    }
    return evaluate(load.value, values)


def operands(plan: Plan) -> set[str]:
    """The registers that carry operands."""
    return {load.register for load in plan.loads if load.kind is LoadKind.OPERAND}


def means(table: Mapping[str, str], name: str, meant: str) -> bool:
    """Whether a parameter or output stands for what the data calls `meant`.

    A row for the element comes before one for the array or layout: see library_names.py.
    """
    found = re.fullmatch(r"(\w+)(?:\[(\d+)\]|\.(\w+))?", name)
    assert found is not None, name
    stem, index, register = found.groups()
    numbers = (register, register) if index is None else (index, str(int(index) + 1))
    names = table.get(name, table.get(stem, stem))
    return meant in names.format(*numbers).split()
