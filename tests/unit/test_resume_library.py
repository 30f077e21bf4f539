"""The shipped wrappers that go on after interruptions: all leaves, and how each goes on.

What has to change between two attempts is from the published source of the modules and from Linux,
by leaf, independently of the library.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

import seamir
from seamir.ir.leaf import Plan, show_step
from seamir.model.statuses import Match

LEAVES = json.loads((Path(__file__).parent.parent / "data" / "leaves.json").read_text())

RESUMABLE = 0x8000_0003_0000_0000
RESTARTABLE = 0x8000_0004_0000_0000
BUSY = 0x8000_0206_0000_0000
SYS_BUSY = 0x8000_0202_0000_0000

# By leaf and version: what changes before a further attempt, on which statuses.
STATE = ["r10[63] = 1"], [RESUMABLE, BUSY]
MEMORY = ["carry rcx", "r10[63] = 1"], [RESUMABLE, BUSY]
LIST = ["carry rcx"], [RESUMABLE, BUSY]
ANEW: tuple[list[str], list[int]] = [], [RESTARTABLE, BUSY]
SAME: tuple[list[str], list[int]] = [], [RESUMABLE]
WAYS: dict[tuple[str, int], tuple[list[str], list[int]]] = {
    ("TDH.PHYMEM.CACHE.WB", 0): (["rcx[0] = 1"], [RESUMABLE]),
    ("TDH.EXPORT.STATE.IMMUTABLE", 0): STATE,
    ("TDH.EXPORT.STATE.TD", 0): STATE,
    ("TDH.EXPORT.STATE.VP", 0): STATE,
    ("TDH.IMPORT.STATE.IMMUTABLE", 0): STATE,
    ("TDH.IMPORT.STATE.TD", 0): STATE,
    ("TDH.IMPORT.STATE.VP", 0): STATE,
    ("TDH.EXPORT.MEM", 0): MEMORY,
    ("TDH.EXPORT.MEM", 1): MEMORY,
    ("TDH.IMPORT.MEM", 0): MEMORY,
    ("TDH.IMPORT.MEM", 1): MEMORY,
    ("TDH.MEM.SCAN.COMP", 0): (["carry r11", "r8[63] = 1"], [RESUMABLE, BUSY]),
    ("TDH.EXPORT.BLOCKW", 0): LIST,
    ("TDH.EXPORT.BLOCKW", 1): LIST,
    ("TDH.EXPORT.RESTORE", 0): LIST,
    ("TDH.EXPORT.RESTORE", 1): LIST,
    ("TDH.MEM.SCAN.RANGE", 0): (["carry r9", "carry r10", "carry r11"], [RESUMABLE, BUSY]),
    ("TDH.EXT.MEM.ADD", 0): (["carry rcx"], [RESUMABLE]),
    ("TDH.MEM.SEPT.ADD", 1): ([f"carry r{n}" for n in (8, 9, 10, 11)], [RESUMABLE, BUSY]),
    ("TDH.MEM.PAGE.DEMOTE", 0): ANEW,
    ("TDH.MEM.PAGE.PROMOTE", 0): ANEW,
    ("TDH.MEM.PAGE.PROMOTE", 1): ANEW,
    ("TDH.EXT.INIT", 0): SAME,
    ("TDH.SPDM.CONNECT", 0): SAME,
    ("TDH.SPDM.DISCONNECT", 0): SAME,
    ("TDH.SPDM.MNG", 0): SAME,
    ("TDH.DMAR.ADD", 0): SAME,
    ("TDH.DMAR.REMOVE", 0): SAME,
    ("TDH.IQ.INV.PROCESS", 0): SAME,
    ("TDH.SYS.DISABLE", 0): ([], [RESUMABLE, SYS_BUSY]),
}
# Of the leaves that the data says are interrupted, versions that are not.
NOT_INTERRUPTED = {("TDH.MEM.SEPT.ADD", 0): "one page at a time"}
MOST_ATTEMPTS = 512


@cache
def plans(name: str = "tdx/resume.seam") -> dict[tuple[str, int], Plan]:
    """The plans of a description by leaf and version."""
    made = seamir.compile(seamir.load(name), emit=()).plans
    return {(plan.leaf, plan.version): plan for plan in made}


def test_the_table_is_complete() -> None:
    assert plans().keys() == WAYS.keys()


def test_every_leaf_that_is_interrupted_is_there() -> None:
    interrupted = {
        (leaf["name"], version)
        for leaf in LEAVES
        if "0x80000003" in " ".join(leaf["retry_status"])
        or "0x80000004" in " ".join(leaf["retry_status"])
        for version in leaf["versions"]
        if leaf["instruction"] == "seamcall"
    }
    assert interrupted - NOT_INTERRUPTED.keys() <= plans().keys()
    assert len(interrupted) > 20


@pytest.mark.parametrize("key", WAYS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_how_it_goes_on(key: tuple[str, int]) -> None:
    plan = plans()[key]
    steps, statuses = WAYS[key]
    (clause,) = plan.again
    assert [show_step(step) for step in clause.steps] == steps
    # Whatever the detail bits; bit 60 is a hint that no comparison takes in.
    mask = 0xEFFF_FFFF_0000_0000
    assert [Match(match.mask, match.value) for match in clause.matches] == [
        Match(mask, status) for status in statuses
    ]
    assert clause.resumes == bool(steps)
    assert plan.bound == clause.attempts + 1 <= MOST_ATTEMPTS


@pytest.mark.parametrize("key", WAYS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_the_rest_is_as_in_host(key: tuple[str, int]) -> None:
    """A first attempt, and a call that goes on after the last one, are those of host.seam."""
    plan, single = plans()[key], plans("tdx/host.seam")[key]
    assert single.bound == 1
    assert plan.symbol == f"{single.symbol}_resume"
    for part in ("arguments", "inputs", "checks", "loads", "destroyed", "edges", "deliveries"):
        assert shown(getattr(plan, part)) == shown(getattr(single, part)), part


def shown(value: object) -> str:
    """A part of a plan as text."""
    return str(sorted(value) if isinstance(value, frozenset) else value)


@pytest.mark.parametrize("key", WAYS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_the_comment_says_what_is_left_to_the_caller(key: tuple[str, int]) -> None:
    text = " ".join(plans()[key].documentation.doc.split())
    assert "If the status is still" in text
    assert text.endswith("Nothing is rescheduled in between.")
