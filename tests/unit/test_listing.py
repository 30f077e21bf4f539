"""What `seamir list` finds by each thing that can be asked for, and what cannot be meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

import seamir
from seamir.compiler import plans_of
from seamir.ir.leaf import Plan
from seamir.listing import HEAD, Search, align, find, list_rows, plan_rows, version_of
from seamir.targets import TARGETS

LEAVES = """
import "tdx/types.seam";
import "tdx/conduits.seam";

conduit quiet extends seamcall { preserves r8..r11; }

leaf A.FIRST = 500 via seamcall (list: u64, tdr: hpa)
    -> (list = rcx, entry: u64 = rdx on TDX_OPERAND_BUSY(*), extra: u64 = r9 else 0)
{
    rcx = list;
    r12 = tdr;
    resume 9 on TDX_INTERRUPTED_RESUMABLE(*) { carry rcx; }
    since "1.5.05";
    effect global;
}
/// Repeat it on TDX_SYS_NOT_READY.
leaf A.SECOND = 501 via quiet (level: sept_level) -> (data: u64 = r8) {
    r12 = level;
    check level else TDX_OPERAND_INVALID(RCX);
    on carry trap;
    since "1.5.16";
}
leaf A.SECOND = 501 version 1 via quiet () { since "soon"; }
leaf A.THIRD = 502 via tdcall () { requires TDX_CONNECT; deprecated "use A.SECOND"; }
"""


def plans() -> tuple[Plan, ...]:
    """The plans of LEAVES."""
    return plans_of(seamir.load_text(LEAVES), TARGETS["linux-kernel"])[0]


@pytest.mark.parametrize(
    ("asked", "symbols"),
    [
        ({}, "a_first a_second a_second_v1 a_third"),
        ({"reads": ("r12",)}, "a_first a_second"),
        ({"reads": ("R12", "rcx")}, "a_first"),
        ({"reads": ("r9",)}, ""),  # loaded by `else` of an output, which is no operand
        ({"reads": ("rax",)}, "a_first a_second a_second_v1 a_third"),
        ({"writes": ("r9",)}, "a_first"),
        ({"writes": ("r8",)}, "a_second"),
        ({"writes": ("rax",)}, "a_first a_second a_second_v1 a_third"),
        ({"writes": ("rcx", "rdx")}, "a_first"),
        ({"statuses": ("TDX_INTERRUPTED_RESUMABLE",)}, "a_first"),
        ({"statuses": ("TDX_OPERAND_BUSY",)}, "a_first"),
        ({"statuses": ("TDX_OPERAND_INVALID",)}, "a_second"),
        ({"statuses": ("TDX_SYS_NOT_READY",)}, "a_second"),
        ({"statuses": ("TDX_SEAMCALL_VMFAILINVALID",)}, "a_first a_second_v1"),
        ({"statuses": ("TDX_SW_ERROR", "TDX_OPERAND_INVALID")}, "a_second"),
        ({"statuses": ("TDX_RND_NO_ENTROPY",)}, ""),
        ({"effect": "global"}, "a_first"),
        ({"effect": "none"}, "a_second a_second_v1 a_third"),
        ({"leaf_version": 1}, "a_second_v1"),
        ({"leaf_version": 0}, "a_first a_second a_third"),
        ({"leaf_version": 7}, ""),
        ({"since": "1.5.05"}, "a_first a_second"),
        ({"since": "1.5"}, "a_first a_second"),
        ({"since": "1.5.6"}, "a_second"),
        ({"since": "1.10"}, ""),
        ({"via": "quiet"}, "a_second a_second_v1"),
        ({"via": "seamcall"}, "a_first a_second a_second_v1"),
        ({"via": "seam"}, "a_first a_second a_second_v1"),
        ({"via": "tdcall"}, "a_third"),
        ({"via": "seamcall", "reads": ("r12",), "effect": "none"}, "a_second"),
    ],
)
def test_what_is_found(asked: dict[str, Any], symbols: str) -> None:
    assert [plan.symbol for plan in find(plans(), Search(**asked))] == symbols.split()


@pytest.mark.parametrize(
    ("asked", "code", "message", "help"),
    [
        (
            {"reads": ("eax",)},
            "E0809",
            "--reads eax: there is no register of this name",
            "did you mean `rax`?",
        ),
        (
            {"writes": ("register",)},
            "E0809",
            "--writes register: there is no register of this name",
            "registers are rax to r15, in full width",
        ),
        (
            {"statuses": ("TDX_OPERAND_BUSSY",)},
            "E0806",
            "--status TDX_OPERAND_BUSSY: no conduit here has a status of this name",
            "did you mean `TDX_OPERAND_BUSY`?",
        ),
        (
            {"statuses": ("EPOCH_BUSY",)},
            "E0806",
            "--status EPOCH_BUSY: no conduit here has a status of this name",
            "did you mean `TDX_PREVIOUS_TLB_EPOCH_BUSY`?",
        ),
        (
            {"statuses": ("\x1b[0m",)},
            "E0806",
            "--status \ufffd[0m: no conduit here has a status of this name",
            None,
        ),
        (
            {"since": "1.5.x"},
            "E0809",
            "--since 1.5.x: this is not a version",
            "a version has numbers and dots, as 1.5.05",
        ),
        (
            {"via": "seamcal"},
            "E0803",
            "--via seamcal: no leaf here goes by a conduit of this name",
            "did you mean `seamcall`?",
        ),
        (
            {"via": "pseamldr"},
            "E0803",
            "--via pseamldr: no leaf here goes by a conduit of this name",
            "conduits are seamcall, seam, quiet, tdcall",
        ),
    ],
)
def test_what_cannot_be_meant(
    asked: dict[str, Any], code: str, message: str, help: str | None
) -> None:
    with pytest.raises(seamir.SeamError) as caught:
        find(plans(), Search(**asked))
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, found.help) == (code, message, help)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(seamir.SeamError) as caught:
        find(plans(), Search(reads=("a", "b"), statuses=("C",), since="", via="d"))
    codes = [found.code for found in caught.value.diagnostics]
    assert codes == ["E0809", "E0809", "E0806", "E0809", "E0803"]


def test_another_name_of_a_value_finds_it_too() -> None:
    text = """
    statuses s { BUSY = 5; IN_USE = 5; OTHER = 6; }
    conduit c { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax in s; }
    leaf A = 1 via c () { retry 3 on BUSY; }
    """
    found, _ = plans_of(seamir.load_text(text), TARGETS["linux-kernel"])
    assert find(found, Search(statuses=("IN_USE",)))
    assert not find(found, Search(statuses=("OTHER",)))


SECOND = """
import "tdx/types.seam";
import "tdx/status.seam";
layout regs { rdx @0; r8 @8; rsi @16; }
conduit call {
    instruction tdcall "66 0f 01 cc";
    rax = leaf;
    rcx = exposed;
    status none;
    clobbers memory;
    on refused rax in tdx_status != TDX_SUCCESS trap;
}
conduit versioned { instruction seamcall "66 0f 01 cf"; rax[15:0] = leaf; rax[23:16] = version;
    status rax in tdx_status; }
conduit flag { instruction seamcall "66 0f 01 cf"; rax = leaf; status none; }
type few = u8 in 1..3;
leaf A.CALL = 1 via call (regs: regs) -> (regs = {rdx, r8}) { {rdx, rsi} = regs; }
leaf A.VERSIONS = 5 version v via versioned (v: few) { rcx = v; }
leaf A.ALIAS = 5 version v via versioned (v: few) { rdx = v; alias of A.VERSIONS; }
leaf A.FLAG = 6 via flag () -> (nobody: bool = carry) { deliver register; }
"""


@pytest.mark.parametrize(
    ("asked", "symbols"),
    [
        ({"reads": ("rsi",)}, "a_call"),
        ({"reads": ("r8",)}, ""),  # exposed, and zeroed
        ({"writes": ("rax",)}, "a_versions a_alias"),
        ({"writes": ("r8",)}, "a_call"),
        ({"writes": ("carry",)}, "a_flag"),
        ({"statuses": ("TDX_SUCCESS",)}, "a_call"),
        ({"leaf_version": 3}, "a_versions a_alias"),
        ({"leaf_version": 0}, "a_call a_flag"),
    ],
)
def test_what_is_found_of_other_conduits(asked: dict[str, Any], symbols: str) -> None:
    found, _ = plans_of(seamir.load_text(SECOND), TARGETS["linux-kernel"])
    assert [plan.symbol for plan in find(found, Search(**asked))] == symbols.split()


def test_a_version_that_is_a_parameter() -> None:
    found, _ = plans_of(seamir.load_text(SECOND), TARGETS["linux-kernel"])
    rows = {row["symbol"]: row for row in plan_rows(found)}
    assert rows["a_alias"]["version_parameter"] == "v"
    assert rows["a_alias"]["alias_of"] == "A.VERSIONS"
    assert re.search(r"(?m)^a_versions +A.VERSIONS +5 +v +versioned ", align(list_rows(found)))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.5.05", (1, 5, 5)),
        ("1.5.0", (1, 5)),
        ("2", (2,)),
        ("0", ()),
        ("", None),
        ("1..5", None),
        ("1.5 (draft)", None),
        ("\u0661", None),
        ("9" * 5000, None),
    ],
)
def test_versions(text: str, version: tuple[int, ...] | None) -> None:
    assert version_of(text) == version


def test_rows_for_programs() -> None:
    rows = {row["symbol"]: row for row in plan_rows(plans())}
    assert rows["a_first"] == {
        "symbol": "a_first",
        "leaf": "A.FIRST",
        "number": "0x1f4",
        "version": 0,
        "version_parameter": None,
        "conduit": "seamcall",
        "attempts": 10,
        "arguments": [
            {"name": "list", "kind": "in_out"},
            {"name": "tdr", "kind": "value"},
            {"name": "entry", "kind": "out"},
            {"name": "extra", "kind": "out"},
        ],
        "reads": ["rax", "rcx", "r12"],
        "writes": ["rax", "rcx", "rdx", "r9"],
        "statuses": [
            "TDX_INTERRUPTED_RESUMABLE",
            "TDX_OPERAND_BUSY",
            "TDX_SEAMCALL_VMFAILINVALID",
            "TDX_SW_ERROR",
        ],
        "alias_of": None,
        "effect": "global",
        "since": "1.5.05",
        "requires": [],
        "deprecated": None,
    }
    assert rows["a_third"]["requires"] == ["TDX_CONNECT"]
    assert rows["a_third"]["deprecated"] == "use A.SECOND"
    assert rows["a_second_v1"]["arguments"] == []


def test_a_table_of_nothing_has_its_head() -> None:
    assert list_rows([]) == [HEAD]
    assert align([HEAD]) == "SYMBOL  LEAF  NUMBER  VERSION  CONDUIT  ATTEMPTS  ARGUMENTS\n"
