"""`seamir run`: what it prints, word for word, and what ends it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import ROOT, call, run, write
from golden_cases import case_names, compile_case

from seamir.ir.leaf import Plan
from seamir.run import report_json, report_text, run_call

TEXT = """\
operands ids { RCX = 1; RDX = 2; R10 = 10; SEPT = 0x92; SEPT_TREE = 0x92; }
statuses codes {
    detail  [31:0] of ids;
    success bits [63:62] == 0;
    SUCCESS     = 0;
    INTERRUPTED = 0x8000000300000000;
    INVALID     = 0xc000010000000000;
    BUSY        = 0x8000020000000000;
    NO_ENTROPY  = 0x8000020300000000;
}
statuses software { SW_ERROR = 0x8000ff0000000000; VMFAIL = 0x8000ff00ffff0000; }

type hpa     = u64[51:12];
const NULL_PA = 0xffff_ffff_ffff_ffff;
type any_hpa = hpa | NULL_PA;
type level   = u32 in 0..4;
bits info { level [2:0]; state [15:8]; vm [17:16]; }

conduit call {
    instruction seamcall "66 0f 01 cf";
    rax[15:0]  = leaf;
    rax[23:16] = version;
    rax[63]    = 1;
    status rax in codes, software;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return VMFAIL;
    on fault return SW_ERROR | trapnr;
}
conduit quiet {
    instruction tdcall "66 0f 01 cc";
    rax = leaf;
    status rax in codes;
    clobbers rcx;
}

leaf REMOVE = 29 version 1 via call (tdr: hpa, gpa: hpa, level: level)
    -> (entry: u64 = rcx on error, info: info = rdx optional)
{
    rcx = gpa | level;
    rdx = tdr;
    retry 2  on NO_ENTROPY;
    retry 16 on BUSY(SEPT_TREE);
}
wrapper careful = REMOVE { check level else INVALID(RCX); keep; }
wrapper fixed   = REMOVE { rcx = gpa | 1; }

leaf EXPORT.MEM = 68 via call
    (list: u64, stream: u16, delta: s32, page: any_hpa, now: bool, what: info)
    -> (list = rcx, count: s32 = rdx[31:0] on success)
{
    rcx = list;
    rdx = page;
    r8  = 3;
    r9  = NULL_PA;
    r10[15:0] = stream;
    r10[16]   = now;
    r11 = what;
    rsi = delta + 1;
    resume 10 on INTERRUPTED(*) { r10[63] = 1; carry rcx; }
}
leaf CALLING = 5 via call () -> (a: u64 = rcx, b: u64 = rdx)
{
    deliver struct pair optional;
    on carry call no_module return VMFAIL;
    on fault #UD call spurious;
    on fault #GP trap;
}
leaf FIELD = 6 via call () -> (value: s16 = r8[15:0] else 7) { deliver register; }
leaf FATAL = 7 via quiet () { noreturn; }
leaf ALONE = 8 via quiet ();
leaf PLAIN = 9 via call (a: u64) -> (b: u64 = rcx, c: info = rdx) { rdx = a; }
"""
CALLS = ("--allow-call", "no_module", "--allow-call", "spurious")
EXPORT = (
    "EXPORT.MEM",
    "list=5",
    "stream=7",
    "delta=-1",
    "page=NULL_PA",
    "now=true",
    "what.state=3",
)
REMOVE = ("tdr=0x1000", "gpa=0x2000", "level=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with calls.seam in it."""
    write(tmp_path, "calls.seam", TEXT)
    return tmp_path


def output(folder: Path, *arguments: str, warnings: str = "") -> str:
    """What a run prints; the first arguments are LEAF and NAME=VALUE."""
    done = call("run", "calls.seam", *CALLS, *arguments, cwd=folder)
    assert done.stderr == warnings
    return done.stdout


def test_a_call_that_succeeds(folder: Path) -> None:
    script = "SUCCESS{info.level=2, info.vm=1, rcx=9}"
    assert (
        output(folder, "fixed", *REMOVE[:2], "--script", script)
        == """\
fixed(tdr=0x1000, gpa=0x2000), 1 attempt

attempt 1
    rax  0x800000000001001d  rax[63] = 1 | version = 1 | leaf REMOVE
    rcx  0x2001              gpa = 0x2000 | rcx[0] = 1
    rdx  0x1000              tdr
  => completed: SUCCESS 0x0, success
    rcx  0x9      entry
    rdx  0x11002  info

returns SUCCESS 0x0
    *entry  0x0      not on error
    *info   0x11002  level 2, state 16, vm 1
"""
    )


def test_retries(folder: Path) -> None:
    script = "BUSY(SEPT_TREE)*2; NO_ENTROPY*9"
    assert (
        output(folder, "careful", *REMOVE, "info=NULL", "--script", script)
        == """\
careful(tdr=0x1000, gpa=0x2000, level=1, info=NULL), 5 attempts

attempts 1 to 2
    rax  0x800000000001001d  rax[63] = 1 | version = 1 | leaf REMOVE
    rcx  0x2001              gpa = 0x2000 | level = 1
    rdx  0x1000              tdr
  => completed: BUSY(SEPT_TREE) 0x8000020000000092, an error
  again: retry 16 on BUSY(SEPT_TREE)
attempts 3 to 4
    rax  0x800000000001001d  rax[63] = 1 | version = 1 | leaf REMOVE
    rcx  0x2001              gpa = 0x2000 | level = 1
    rdx  0x1000              tdr
  => completed: NO_ENTROPY 0x8000020300000000, an error
  again: retry 2 on NO_ENTROPY
attempt 5
    rax  0x800000000001001d  rax[63] = 1 | version = 1 | leaf REMOVE
    rcx  0x2001              gpa = 0x2000 | level = 1
    rdx  0x1000              tdr
  => completed: NO_ENTROPY 0x8000020300000000, an error
  no attempt is left: retry 2 on NO_ENTROPY

returns NO_ENTROPY 0x8000020300000000
    *entry  0x2001
    *info   -       NULL: nothing is stored
"""
    )


def test_a_resumption_shows_what_it_changes(folder: Path) -> None:
    script = "INTERRUPTED(R10){list=0x55}*2; SUCCESS{count=-2}"
    text = output(folder, *EXPORT, "--script", script)
    assert (
        text
        == """\
export_mem(list=5, stream=7, delta=-1, page=NULL_PA, now=true, what=0x300), 3 attempts

attempt 1
    rax  0x8000000000000044  rax[63] = 1 | leaf EXPORT.MEM
    rcx  0x5                 list
    rdx  0xffffffffffffffff  page: NULL_PA
    r8   0x3
    r9   0xffffffffffffffff  NULL_PA
    r10  0x10007             now = true | stream = 7
    r11  0x300               what: level 0, state 3, vm 0
    rsi  0x0                 delta + 1
  => completed: INTERRUPTED(R10) 0x800000030000000a, an error
    rcx  0x55  list
  again: resume 10 on INTERRUPTED(*)
attempt 2
    rax  0x8000000000000044  rax[63] = 1 | leaf EXPORT.MEM
    rcx  0x55                list
    rdx  0xffffffffffffffff  page: NULL_PA
    r8   0x3
    r9   0xffffffffffffffff  NULL_PA
    r10  0x8000000000010007  now = true | stream = 7 | r10[63] = 1
    r11  0x300               what: level 0, state 3, vm 0
    rsi  0x0                 delta + 1
  => completed: INTERRUPTED(R10) 0x800000030000000a, an error
    rcx  0x55  list
  again: resume 10 on INTERRUPTED(*)
attempt 3
    rax  0x8000000000000044  rax[63] = 1 | leaf EXPORT.MEM
    rcx  0x55                list
    rdx  0xffffffffffffffff  page: NULL_PA
    r8   0x3
    r9   0xffffffffffffffff  NULL_PA
    r10  0x8000000000010007  now = true | stream = 7 | r10[63] = 1
    r11  0x300               what: level 0, state 3, vm 0
    rsi  0x0                 delta + 1
  => completed: SUCCESS 0x0, success
    rdx  0xfffffffffffffffe  count

returns SUCCESS 0x0
    *list   0x55
    *count  0xfffffffe  -2
"""
    )


def test_carry_and_outputs_that_are_kept(folder: Path) -> None:
    assert (
        output(folder, "careful", *REMOVE, "--script", "carry")
        == """\
careful(tdr=0x1000, gpa=0x2000, level=1), 1 attempt

attempt 1
    rax  0x800000000001001d  rax[63] = 1 | version = 1 | leaf REMOVE
    rcx  0x2001              gpa = 0x2000 | level = 1
    rdx  0x1000              tdr
  => carry
  on carry return VMFAIL

returns VMFAIL 0x8000ff00ffff0000
    *entry  -  untouched
    *info   -  untouched
"""
    )


def test_a_fault(folder: Path) -> None:
    text = output(folder, *EXPORT, "--script", "#GP")
    assert text.endswith("""\
  => fault #GP
  on fault return SW_ERROR | trapnr

returns SW_ERROR | trapnr 0x8000ff000000000d
    *list   -    untouched
    *count  0x0
""")


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (("CALLING", "--script", "carry"),
         "  => carry\n  on carry call no_module return VMFAIL\n\n"
         "calls no_module(), returns VMFAIL 0x8000ff00ffff0000\n"
         "    out->a  0x0\n    out->b  0x0\n"),
        (("CALLING", "--script", "#UD"),
         "  => fault #UD\n  on fault #UD call spurious\n\n"
         "calls spurious(), which does not return\n"),
        (("CALLING", "--script", "#GP"),
         "  => fault #GP\n  on fault #GP trap\n\nexecutes ud2\n"),
        (("CALLING", "--script", "#15", "--feature", "-fixup"),
         "  => fault vector 15\n\n"
         "vector 15 is not caught: target linux-kernel is used without a fixup table\n"),
        (("ALONE", "--script", "#UD"),
         "  => fault #UD\n\n#UD is not caught: the description gives faults no meaning\n"),
        (("CALLING", "out=NULL", "--script", "0x1234{a=5}"),
         "  => completed: SUCCESS(0x1234) 0x1234, success\n    rcx  0x5  a\n\n"
         "returns SUCCESS(0x1234) 0x1234\n"
         "    out->a  -  NULL: nothing is stored\n    out->b  -  NULL: nothing is stored\n"),
        (("CALLING",),
         "  => completed: SUCCESS 0x0, success\n\nreturns SUCCESS 0x0\n"
         "    out->a  0x0\n    out->b  0x0\n"),
        (("FATAL",),
         "  => completed: SUCCESS 0x0, success\n\n"
         "executes ud2: the call must not come back\n"),
        (("FIELD", "--script", "SUCCESS{value=-2}"),
         "    r8   0x7                 preset of value\n  => completed: SUCCESS 0x0, success\n"
         "    r8  0xfffe  value\n\nreturns SUCCESS 0x0\n    .value  0xfffe  -2\n"),
        (("FIELD",),
         "  => completed: SUCCESS 0x0, success\n\nreturns SUCCESS 0x0\n    .value  0x7\n"),
    ],
)  # fmt: skip
def test_ends(folder: Path, arguments: tuple[str, ...], end: str) -> None:
    assert output(folder, *arguments).endswith(end)


def test_a_check_that_fails(folder: Path) -> None:
    assert (
        output(folder, "careful", *REMOVE[:2], "level=9")
        == """\
careful(tdr=0x1000, gpa=0x2000, level=9), no attempts

check level else INVALID(RCX): level = 9 breaks the promise (0 to 4)
returns INVALID(RCX) 0xc000010000000001
    *entry  -  untouched
    *info   -  untouched
"""
    )


def test_a_broken_promise_is_a_warning(folder: Path) -> None:
    text = output(folder, "fixed", "tdr=1", "gpa=0", warnings="""\
arguments:1:1: warning[W0901]: tdr is not what its type promises: hpa (bits 51:12)
    1 | tdr=1 gpa=0
      | ^^^
  help: the code does not test it; `check` would
""")  # fmt: skip
    assert "    rdx  0x1                 tdr\n" in text


def test_all_attempts_of_many(tmp_path: Path) -> None:
    text = TEXT.replace("retry 2 ", "retry 99 ").replace("retry 16 ", "retry 19 ")
    write(tmp_path, "calls.seam", text)
    printed = output(tmp_path, "fixed", *REMOVE[:2], "--script", "NO_ENTROPY*50; BUSY(SEPT)")
    assert printed.startswith("fixed(tdr=0x1000, gpa=0x2000), 70 attempts\n\nattempts 1 to 50\n")
    assert "\nattempts 51 to 69\n" in printed
    assert printed.count("\n  no attempt is left: retry 19 on BUSY(SEPT_TREE)\n") == 1


def test_the_documented_run(tmp_path: Path) -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    shown = text[text.index("\npage_remove(") + 1 :]
    write(
        tmp_path,
        "calls.seam",
        """\
import "tdx/conduits.seam";
import "tdx/host.seam";
wrapper page_remove = TDH.MEM.PAGE.REMOVE { retry 16 on TDX_OPERAND_BUSY(SEPT_TREE); }
""",
    )
    script = "TDX_OPERAND_BUSY(SEPT_TREE)*2; TDX_SUCCESS{rdx=0x301}"
    assert " ".join(script.split()) in " ".join(text.split())
    printed = output(tmp_path, "page_remove", *REMOVE, "--script", script)
    assert shown.startswith(f"{printed}```\n")


# -- several values, other ends

MORE = """\
import "tdx/conduits.seam";
import "tdx/types.seam";
import "tdx/status.seam";

statuses answers { success bits [63:0] == 0; OK = 0; RETRY = 1; }
layout registers { rdx @0 as first; r8 @8; }
conduit exposing {
    instruction tdcall "66 0f 01 cc";
    rax = 0;
    r10 = 0;
    r11 = leaf;
    rcx = exposed;
    status r10 in answers;
    clobbers memory;
    on refused rax in tdx_status != TDX_SUCCESS return refusal;
    scrub;
}
conduit silent {
    instruction tdcall "66 0f 01 cc";
    rax = leaf;
    status none;
    clobbers rax;
}
conduit flagged {
    instruction pvalidate "f2 0f 01 ff";
    status rax in answers;
}

leaf LISTED = 1 via seamcall (regs: registers, pages: hpa[2], n: level, more: hpa[n <= 4])
    -> (regs = {rdx, r8}, back: u32[2] = {rcx, rbx} on success)
{
    {rdx, r8} = regs;
    {r9, r10} = pages;
    r12..r15 = more else NULL_PA;
}
leaf EXPOSED = 2 via exposing (a: u64) -> (b: u64 = r12 on success, c: u64 = r13)
{ r12 = a; retry 1 on RETRY; }
leaf SILENT = 3 via silent (a: u64) -> (b: s32 = rcx[31:0]) { rcx = a; deliver register; }
leaf QUIET = 4 via silent (a: u64) -> (b: u64 = rcx) { rcx = a; }
leaf FLAGGED via flagged (address: ptr) -> (unchanged: bool = carry) { rax = address; }
type level = u64 in 0..4;
"""


def more(folder: Path, *arguments: str) -> str:
    """What a run of a leaf of MORE prints."""
    write(folder, "more.seam", MORE)
    done = call("run", "more.seam", *arguments, cwd=folder)
    assert done.stderr == ""
    return done.stdout


def test_arrays_and_layouts(folder: Path) -> None:
    words = ("regs.rdx=5", "regs.r8=6", "pages=0x1000,0x2000", "n=1", "more=0x3000")
    script = "TDX_SUCCESS{regs.rdx=0x55, back[1]=7}"
    assert (
        more(folder, "LISTED", *words, "--script", script)
        == """\
listed(regs.rdx=5, regs.r8=6, pages[0]=0x1000, pages[1]=0x2000, n=1, more[0]=0x3000), 1 attempt

attempt 1
    rax  0x1                 leaf LISTED
    rdx  0x5                 regs.rdx
    r8   0x6                 regs.r8
    r9   0x1000              pages[0]
    r10  0x2000              pages[1]
    r12  0x3000              more[0]
    r13  0xffffffffffffffff  no more[1]
    r14  0xffffffffffffffff  no more[2]
    r15  0xffffffffffffffff  no more[3]
  => completed: TDX_SUCCESS 0x0, success
    rdx  0x55  regs.rdx
    rbx  0x7   back[1]

returns TDX_SUCCESS 0x0
    regs->first  0x55
    regs->r8     0x6
    back[0]      0x0
    back[1]      0x7
"""
    )


def test_an_array_without_elements(folder: Path) -> None:
    words = ("regs.rdx=5", "regs.r8=6", "pages[1]=0x2000", "pages[0]=0x1000", "n=0")
    text = more(folder, "LISTED", *words)
    assert text.count(" no more[") == 4


def test_one_value_for_all_registers_of_a_layout(folder: Path) -> None:
    rest = ("pages=0x1000,0x2000", "n=0")
    assert more(folder, "LISTED", "regs=3", *rest).startswith("listed(regs.rdx=3, regs.r8=3, ")
    for order in (("regs=0", "regs.r8=6"), ("regs.r8=6", "regs=0")):
        assert more(folder, "LISTED", *order, *rest).startswith("listed(regs.rdx=0, regs.r8=6")


def test_an_element_is_missing(folder: Path) -> None:
    write(folder, "more.seam", MORE)
    words = ("regs.rdx=5", "pages=0x1000", "n=2", "more=0x3000")
    done = call("run", "more.seam", "LISTED", *words, cwd=folder, status=2)
    message = "error[E0903]: `regs.r8`, `pages[1]` and `more[1]` have no value\n"
    assert message in done.stderr


def test_elements_of_one_place_are_missing(folder: Path) -> None:
    write(folder, "more.seam", MORE)
    done = call("run", "more.seam", "LISTED", "pages=1,2", "n=2", cwd=folder, status=2)
    assert done.stderr.count(": note: ") == 2
    assert "note: regs.rdx and 1 more are u64\n" in done.stderr
    assert "note: more[0] and 1 more are " in done.stderr


EXPOSED = """\
attempt 2
    rax  0x0
    rcx  0x3c00  exposes r10..r13
    r10  0x0
    r11  0x2     leaf EXPOSED
    r12  0x3     a
    r13  0x0     exposed and not used
"""


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (("EXPOSED", "a=3", "--script", "RETRY; OK{c=4}"),
         f"{EXPOSED}  => completed: OK 0x0, success\n    r13  0x4  c\n\n"
         "returns OK 0x0\n    *b  0x3\n    *c  0x4\n"),
        (("EXPOSED", "a=3", "--script", "RETRY{c=9}; refused=TDX_OPERAND_BUSY(RCX)"),
         f"{EXPOSED}  => refused: TDX_OPERAND_BUSY(RCX) 0x8000020000000001\n"
         "  on refused return refusal\n\n"
         "returns TDX_OPERAND_BUSY(RCX) 0x8000020000000001\n    *b  0x0\n    *c  0x0\n"),
        (("EXPOSED", "a=3", "--script", "RETRY; refused=0x123456"),
         f"{EXPOSED}  => refused: TDX_SUCCESS(0x123456) 0x123456\n"
         "  on refused return refusal\n\n"
         "returns TDX_SUCCESS(0x123456) 0x123456\n    *b  0x0\n    *c  0x0\n"),
        (("SILENT", "a=3", "--script", "completed{b=-5}"),
         "attempt 1\n    rax  0x3  leaf SILENT\n    rcx  0x3  a\n  => completed\n"
         "    rcx  0xfffffffb  b\n\nreturns\n    return value  0xfffffffb  -5\n"),
        (("QUIET", "a=3"),
         "attempt 1\n    rax  0x4  leaf QUIET\n    rcx  0x3  a\n  => completed\n\n"
         "returns\n    *b  0x3\n"),
        (("FLAGGED", "address=0x1000", "--script", "OK{unchanged=true}"),
         "attempt 1\n    rax  0x1000  address\n  => completed: OK 0x0, success\n"
         "    carry  0x1  unchanged\n\nreturns OK 0x0\n    *unchanged  0x1  true\n"),
        (("FLAGGED", "address=0x1000", "--script", "RETRY"),
         "attempt 1\n    rax  0x1000  address\n  => completed: RETRY 0x1, an error\n\n"
         "returns RETRY 0x1\n    *unchanged  0x0  false\n"),
    ],
)  # fmt: skip
def test_other_ends(folder: Path, arguments: tuple[str, ...], end: str) -> None:
    text = more(folder, *arguments)
    assert text[text.rindex("attempt ") :] == end


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("EXPOSED", "a=1", "--script", "refused=0"),
         "script:1:9: error[E0906]: `0` in rax says that the call was not refused\n"),
        (("EXPOSED", "a=1", "--script", "refused"),
         "script:1:8: error[E0905]: `=` is missing after `refused`\n"),
        (("EXPOSED", "a=1", "--script", "carry"),
         "script:1:1: error[E0906]: exposed has no carry edge\n"),
        (("SILENT", "a=1", "--script", "refused=1"),
         "script:1:1: error[E0906]: silent has no refused edge\n"),
        (("SILENT", "a=1", "--script", "TDX_SUCCESS"),
         "script:1:1: error[E0906]: silent has no status\n"),
        (("EXPOSED", "a=1", "--script", "{"),
         "help: an outcome is a status, `refused=VALUE`, or a fault such as `#UD`\n"),
    ],
)  # fmt: skip
def test_wrong_scripts_of_other_ends(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    write(folder, "more.seam", MORE)
    done = call("run", "more.seam", *arguments, cwd=folder, status=2)
    assert message in done.stderr


# -- as data


def test_json(folder: Path) -> None:
    script = "BUSY(SEPT_TREE); SUCCESS{info.level=2}"
    data = json.loads(output(folder, "careful", *REMOVE, "--script", script, "--json"))
    loaded = [
        {
            "register": "rax",
            "value": "0x800000000001001d",
            "meaning": "rax[63] = 1 | version = 1 | leaf REMOVE",
        },
        {"register": "rcx", "value": "0x2001", "meaning": "gpa = 0x2000 | level = 1"},
        {"register": "rdx", "value": "0x1000", "meaning": "tdr"},
    ]
    assert data == {
        "symbol": "careful",
        "leaf": "REMOVE",
        "target": "linux-kernel",
        "arguments": {"tdr": "0x1000", "gpa": "0x2000", "level": "0x1"},
        "attempts": [
            {
                "loaded": loaded,
                "outcome": "completed",
                "status": "0x8000020000000092",
                "status_name": "BUSY(SEPT_TREE)",
                "success": False,
                "vector": None,
                "returned": [],
                "again": "retry 16 on BUSY(SEPT_TREE)",
                "exhausted": None,
            },
            {
                "loaded": loaded,
                "outcome": "completed",
                "status": "0x0",
                "status_name": "SUCCESS",
                "success": True,
                "vector": None,
                "returned": [{"register": "rdx", "value": "0x1002", "meaning": "info"}],
                "again": None,
                "exhausted": None,
            },
        ],
        "decided_by": None,
        "end": "returns SUCCESS 0x0",
        "status": "0x0",
        "trapped": False,
        "called": [],
        "escaped_fault": None,
        "outputs": [
            {
                "name": "entry",
                "destination": "*entry",
                "value": "0x0",
                "meaning": "not on error",
                "fields": {},
            },
            {
                "name": "info",
                "destination": "*info",
                "value": "0x1002",
                "meaning": "level 2, state 16, vm 0",
                "fields": {"level": "0x2", "state": "0x10", "vm": "0x0"},
            },
        ],
        "differences": [],
        "warnings": [],
    }


def test_json_of_calls_that_do_not_complete(folder: Path) -> None:
    data = json.loads(output(folder, "careful", *REMOVE, "info=NULL", "--script", "#UD", "--json"))
    assert data["arguments"]["info"] is None
    assert data["outputs"][1]["value"] is None
    assert (data["attempts"][0]["outcome"], data["attempts"][0]["vector"]) == ("fault", 6)
    assert data["decided_by"] == "on fault return SW_ERROR | trapnr"
    data = json.loads(output(folder, "CALLING", "--script", "#UD", "--json"))
    assert (data["called"], data["trapped"], data["status"]) == (["spurious"], True, None)
    data = json.loads(output(folder, "ALONE", "--script", "#UD", "--json"))
    assert data["escaped_fault"] == 6


# -- options, and what is wrong


def test_options_of_compile(folder: Path) -> None:
    arguments = ("PLAIN", "a=0x1000", "--deliver", "struct", "--target", "linux-user")
    text = output(folder, *arguments, "--symbol-prefix", "my_", "--conduit", "call=call")
    assert text.startswith("my_plain(a=0x1000), 1 attempt\n")
    assert text.endswith("    out->b  0x0\n    out->c  0x1000  level 0, state 16, vm 0\n")


def test_the_leaf_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    text = TEXT[: TEXT.index("leaf REMOVE")] + "leaf ONE = 1 via call (a: u64) { rcx = a; }"
    write(tmp_path, "calls.seam", text)
    assert output(tmp_path, "a=1").startswith("one(a=1), 1 attempt\n")


@pytest.mark.parametrize("leaf", [(), ("REMOVE",), ("*e*",), ("a=1",)])
def test_one_wrapper_is_to_be_chosen(folder: Path, leaf: tuple[str, ...]) -> None:
    done = call("run", "calls.seam", *CALLS, *leaf, cwd=folder, status=2)
    assert "Error: which leaf or symbol of calls.seam?\n  REMOVE" in done.stderr
    assert re.search(r"\n  REMOVE +fixed\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("REMOOVE",), "error[E0806]: no leaf and no symbol matches `REMOOVE`"),
        (("careful", "tdr=1"), "error[E0903]: `gpa` and `level` have no value"),
        (("ALONE", "tdr=1"), "error[E0902]: alone has no parameter `tdr`"),
        (("ALONE", "--script", "NOPE"), "script:1:1: error[E0905]: nothing here is called `NOPE`"),
        (("ALONE", "--script", "carry"), "script:1:1: error[E0906]: alone has no carry edge"),
        (("ALONE", "--target", "moon"), "error[E0801]: there is no target `moon`"),
    ],
)
def test_a_bad_command_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = call("run", "calls.seam", *CALLS, *arguments, cwd=folder, status=2)
    assert message in done.stderr
    assert done.stdout == ""


def test_an_error_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "calls.seam", TEXT.replace("rdx = tdr", "rdx = tdx"))
    done = call("run", "calls.seam", *CALLS, "careful", cwd=tmp_path, status=1)
    assert "error[E0202]" in done.stderr


def test_a_missing_unicorn_is_one_line(folder: Path) -> None:
    before = "sys.modules['unicorn'] = None"
    done = run("run", "calls.seam", *CALLS, "ALONE", cwd=folder, before=before, status=1)
    assert done.stderr == (
        "seamir: error[E0804]: running needs the extra `seamir[emulate]`\n"
        "  help: pip install 'seamir[emulate]'\n"
    )


def test_code_that_does_something_else_is_a_defect(folder: Path) -> None:
    """Here the plan is changed once the code is made: it is not the code that is wrong."""
    before = """
import dataclasses, seamir.compiler as compiler
made = compiler.compile
def compile(*args, **options):
    done = made(*args, **options)
    (plan,) = done.plans
    loads = [dataclasses.replace(x, value=dataclasses.replace(x.value, value=5))
             if x.register == "r8" else x for x in plan.loads]
    return dataclasses.replace(done, plans=(dataclasses.replace(plan, loads=tuple(loads)),))
compiler.compile = compile
"""
    done = run("run", "calls.seam", *CALLS, "FIELD", cwd=folder, before=before, status=70)
    assert "\nTHE CODE DOES NOT DO WHAT ITS PLAN MEANS:\nr8 at attempt 1 is 0x7 in" in done.stdout
    assert "seamir: defect: DisagreementError: field: r8 at attempt 1 is 0x7" in done.stderr
    assert "please report it" in done.stderr


# -- every description there is


def scripts(plan: Plan) -> Iterator[str | None]:
    """Scripts that reach each kind of outcome of a wrapper."""
    yield None
    if plan.edges.carry is not None:
        yield "carry"
    if plan.instruction.may_fault:
        yield "#UD"
    if plan.edges.refused is not None:
        yield f"refused={plan.edges.refused.value ^ 1}"
    statuses = [f"{clause.matches[0].value:#x}" for clause in plan.again]
    if statuses:
        yield "; ".join([*statuses, *statuses])


@pytest.mark.parametrize("name", case_names())
def test_every_golden_case_runs(name: str) -> None:
    compilation = compile_case(name)
    for plan in compilation.plans:
        one = replace(compilation, plans=(plan,))
        words = [f"{item.name}=1" for item in plan.inputs]
        for text in scripts(plan):
            record, _ = run_call(one, words, text)
            assert not record.differences
            assert report_text(record).startswith(f"{plan.symbol}(")
            assert json.loads(json.dumps(report_json(record)))["symbol"] == plan.symbol


def test_what_the_readme_shows_is_what_happens(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```\n\$ seamir (run .*?[^\\])\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    done = run(*shlex.split(found[1].replace("\\\n", " ")), cwd=tmp_path)
    assert (done.stdout, done.stderr) == (found[2], "")
