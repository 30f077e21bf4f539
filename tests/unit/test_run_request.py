"""What `seamir run` makes of NAME=VALUE and of a script, and what it says about bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seamir
from seamir.compiler import constants_of
from seamir.diagnostics import SeamError
from seamir.emulate.machine import DATA_SIZE, DATA_START
from seamir.emulate.script import Carry, Completed, Fault
from seamir.ir.leaf import Plan
from seamir.run.arguments import Call, read_arguments
from seamir.run.script import ScriptedSide, read_script, success_status
from seamir.run.values import Vocabulary, name_of_status

TEXT = """\
operands ids { RCX = 1; LOCK = 0x92; }
statuses codes {
    detail  [31:0] of ids;
    ignore  [60];
    success bits [63:62] == 0;
    BAD  = 0xC000000000000000;
    FINE = 0x100;
    BUSY = 0x8000020000000000, 0x8000020100000000;
}
statuses own { DOWN = 0x8000FF0000000000; }

const NONE = 0xffff_ffff_ffff_ffff;
const SAME = 0xffff_ffff_ffff_ffff;
const FIVE = 2 + 3;
type whole = u64[51:12];
type page  = whole | NONE;
type level = u32 in 0..4;
bits info { level [2:0]; state [15:8]; top [63]; }

conduit call {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in codes, own;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return DOWN;
    on fault return DOWN | trapnr;
}
conduit other { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax in own; clobbers rcx; }

leaf A = 1 via call (page: page, level: level, delta: s16, flag: bool, info: info, list: u64)
    -> (list = rcx, where: info = rdx optional, low: u8 = r8[7:0], sign: s32 = r9[31:0])
{
    rcx = list;
    rdx = page;
    r8 = level;
    r9 = delta;
    r10 = info;
    r11 = flag;
    resume 3 on BUSY(*) { carry rcx; }
}
leaf B = 2 via other ();
leaf C = 3 via call (level: level) { rcx = level; check level else BAD(RCX); }
"""
PROGRAM = seamir.load_text(TEXT)
PLANS = {plan.leaf: plan for plan in seamir.compile(PROGRAM, emit=()).plans}
GOOD = "page=0x1000 level=2 delta=-5 flag=1 info=0x8000_0000_0000_0301 list=7"


def vocabulary(plan: Plan) -> Vocabulary:
    """What names stand for."""
    return Vocabulary(constants_of(PROGRAM), plan.conduit.families)


def arguments(words: str, leaf: str = "A") -> Call:
    """The call that the words, separated by spaces, ask for."""
    plan = PLANS[leaf]
    return read_arguments(plan, words.split(" ") if words else [], vocabulary(plan))


def script(text: str | None, leaf: str = "A") -> ScriptedSide:
    """The other side that a script describes."""
    plan = PLANS[leaf]
    return read_script(plan, text, vocabulary(plan))


def complaints(error: pytest.ExceptionInfo[SeamError]) -> list[tuple[str, str, str | None]]:
    """Code, message, and what the caret is under, of each diagnostic."""
    return [
        (d.code, d.message, None if d.span is None else d.span.text)
        for d in error.value.diagnostics
    ]


# -- arguments


def test_values_reach_slots_and_memory() -> None:
    call = arguments(GOOD)
    assert call.inputs == {
        "page": 0x1000,
        "level": 2,
        "delta": 0xFFFF_FFFF_FFFF_FFFB,
        "flag": 1,
        "info": 0x8000_0000_0000_0301,
        "list": 7,
    }
    assert call.slots["page"] == 0x1000
    assert call.slots["level"] & 0xFFFF_FFFF == 2
    assert call.slots["delta"] & 0xFFFF == 0xFFFB
    assert call.regions[call.slots["list"]] == (7).to_bytes(8, "little")
    assert call.warnings == ()


def test_bits_above_a_type_are_junk() -> None:
    slots = arguments(GOOD).slots
    assert slots["level"] >> 32
    assert slots["delta"] >> 16 not in (0, (1 << 48) - 1)
    assert slots["flag"] >> 8


def test_pointers_lead_to_memory_of_their_own() -> None:
    call = arguments(GOOD)
    pointers = [call.slots[name] for name in ("list", "where", "low", "sign")]
    assert {len(call.regions[p]) for p in pointers[:2]} == {8}
    assert [len(call.regions[p]) for p in pointers] == [8, 8, 1, 4]
    ends = [(p, p + len(call.regions[p])) for p in sorted(pointers)]
    assert all(a[1] + 8 <= b[0] for a, b in pairwise(ends))
    assert ends[0][0] >= DATA_START
    assert ends[-1][1] <= DATA_START + DATA_SIZE


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("page=NONE", "page", (1 << 64) - 1),
        ("level=FIVE", "level", 5),
        ("level=0x0_4", "level", 4),
        ("flag=true", "flag", 1),
        ("flag=false", "flag", 0),
        ("delta=0xfffb", "delta", 0xFFFF_FFFF_FFFF_FFFB),
        ("list=BUSY(LOCK)", "list", 0x8000_0200_0000_0092),
        ("list=BUSY", "list", 0x8000_0200_0000_0000),
        ("list=BUSY(0x7)", "list", 0x8000_0200_0000_0007),
        ("list=18_446_744_073_709_551_615", "list", (1 << 64) - 1),
    ],
)
def test_ways_to_write_a_value(word: str, name: str, value: int) -> None:
    words = [w for w in GOOD.split() if not w.startswith(f"{name}=")]
    assert arguments(" ".join([*words, word])).inputs[name] == value


def test_fields_of_a_parameter() -> None:
    words = GOOD.replace("info=0x8000_0000_0000_0301", "info.level=1 info.top=1 info.state=0x42")
    assert arguments(words).inputs["info"] == 0x8000_0000_0000_4201


def test_null() -> None:
    call = arguments(f"{GOOD} where=NULL")
    assert call.slots["where"] == 0
    assert len(call.regions) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("level", [("E0901", "`level` names no argument", "level")]),
        ("=3", [("E0901", "`=3` names no argument", "=3")]),
        ("é=3", [("E0901", "`é=3` names no argument", "é=3")]),
        ("level=", [("E0901", "a value is missing", "")]),
        ("level=2M", [("E0901", "`2M` is no value", "2M")]),
        ("level=0x", [("E0901", "`0x` is no value", "0x")]),
        ("level=1,2", [("E0901", "`,` is not expected after a value", ",")]),
        ("level=XX", [("E0901", "nothing here is called `XX`", "XX")]),
        ("level=BUSY(", [("E0901", "`)` is missing after `(`", "(")]),
        ("level=BUSY(*)", [("E0901", "no detail is called `*`", "*")]),
        ("level=DOWN(1)", [("E0901", "statuses of own have no detail bits", "1")]),
        ("level=0x1_0000_0000_0000_0000", [
            ("E0901", "`0x1_0000_0000_0000_0000` has more than 64 bits",
             "0x1_0000_0000_0000_0000")]),
        ("level=1 level=2", [("E0901", "`level` is given twice", "level")]),
        ("info=1 info.level=2", [("E0901", "`info.level` is given twice", "info.level")]),
        ("info.level=2 info=1", [("E0901", "`info` is given twice", "info")]),
        ("low=1", [("E0901", "`low` points to an output, which has no value", "low")]),
        ("levle=1", [("E0902", "a has no parameter `levle`", "levle")]),
        ("info.levl=1", [("E0902", "a has no parameter `info.levl`", "info.levl")]),
        ("level.x=1", [("E0902", "a has no parameter `level.x`", "level.x")]),
        ("level=0x1_0000_0000", [
            ("E0904", "`0x1_0000_0000` does not fit level, level (0 to 4)", "0x1_0000_0000")]),
        ("level=-1", [("E0904", "`-1` does not fit level, level (0 to 4)", "-1")]),
        ("delta=-32769", [("E0904", "`-32769` does not fit delta, s16", "-32769")]),
        ("delta=0x10000", [("E0904", "`0x10000` does not fit delta, s16", "0x10000")]),
        ("info.level=8", [("E0904", "`8` does not fit info.level, bits 2:0", "8")]),
        ("info.top=2", [("E0904", "`2` does not fit info.top, one bit", "2")]),
        ("low=NULL", [("E0904", "`low` cannot be NULL", "NULL")]),
        ("list=NULL", [("E0904", "`list` cannot be NULL", "NULL")]),
        ("level=x x=1 delta=", [
            ("E0901", "nothing here is called `x`", "x"),
            ("E0902", "a has no parameter `x`", "x"),
            ("E0901", "a value is missing", "")]),
    ],
)  # fmt: skip
def test_wrong_arguments(words: str, expected: list[tuple[str, str, str]]) -> None:
    with pytest.raises(SeamError) as error:
        arguments(words)
    assert complaints(error) == expected


def test_help_lines() -> None:
    with pytest.raises(SeamError) as error:
        arguments("levle=1 info.levl=1 zzz=1 where=5")
    assert [d.help for d in error.value.diagnostics] == [
        "did you mean `level`?",
        "did you mean `info.level`?",
        "they are page, level, delta, flag, info, list, where, low, sign",
        "leave it out, or write where=NULL",
    ]


def test_what_is_missing_is_listed_with_its_type() -> None:
    with pytest.raises(SeamError) as error:
        arguments("info.level=1 page=0 list=3")
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == (
        "E0903",
        "`level`, `delta` and `flag` have no value",
    )
    assert [note.message for note in diagnostic.notes] == [
        "level is level (0 to 4)",
        "delta is s16",
        "flag is bool",
    ]
    assert diagnostic.help == "add level=VALUE delta=VALUE flag=VALUE"
    with pytest.raises(SeamError) as error:
        arguments("", "C")
    assert complaints(error) == [("E0903", "`level` has no value", None)]


def test_a_broken_promise_is_a_warning() -> None:
    words = GOOD.replace("page=0x1000", "page=0x1001").replace("flag=1", "flag=2")
    found = arguments(f"{words.replace('info=0x8000_0000_0000_0301', 'info.level=1')}").warnings
    assert [(d.code, d.message, d.span and d.span.text) for d in found] == [
        (
            "W0901",
            "page is not what its type promises: page (bits 51:12 or 0xffffffffffffffff)",
            "page",
        ),
        ("W0901", "flag is not what its type promises: bool", "flag"),
    ]
    assert found[0].help == "the code does not test it; `check` would"


def test_a_check_needs_no_warning() -> None:
    assert arguments("level=9", "C").warnings == ()


# -- constants


def test_constants_by_name_those_of_types_first() -> None:
    assert list(constants_of(PROGRAM).items()) == [
        ("NONE", (1 << 64) - 1),
        ("SAME", (1 << 64) - 1),
        ("FIVE", 5),
    ]
    imported = constants_of(seamir.load("tdx/host.seam"))
    assert next(iter(imported)) == "NULL_PA"
    assert imported["MD_FIELD_ID_NA"] == (1 << 64) - 1


# -- scripts

LOADED = {"rax": 1, "rcx": 0x77, "rdx": 0x1000, "r8": 2, "r9": 3, "r10": 0x55, "r11": 1}


def registers_after(
    side: ScriptedSide, attempt: int = 0, loaded: Mapping[str, int] = LOADED
) -> Mapping[str, int]:
    """What the other side returns in registers."""
    outcome = side(attempt, loaded)
    assert isinstance(outcome, Completed)
    return outcome.registers


def test_without_a_script_every_call_succeeds() -> None:
    side = script(None)
    assert success_status(PLANS["A"]) == 0x100
    assert [registers_after(side, n)["rax"] for n in (0, 1, 50)] == [0x100] * 3
    assert registers_after(script(None, "B"), loaded={"rax": 2})["rax"] == 0


def test_outcomes_one_an_attempt_and_the_last_for_the_rest() -> None:
    side = script("BUSY*2 ; BUSY(LOCK); #UD;carry")
    assert [registers_after(side, n)["rax"] for n in range(3)] == [
        0x8000_0200_0000_0000,
        0x8000_0200_0000_0000,
        0x8000_0200_0000_0092,
    ]
    assert [side(n, LOADED) for n in (3, 4, 5, 9)] == [Fault(6), Carry(), Carry(), Carry()]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("#GP", Fault(13)), ("#30", Fault(30)), ("#255;", Fault(255)), (" carry ", Carry())],
)
def test_calls_that_do_not_complete(text: str, outcome: Carry | Fault) -> None:
    assert script(text)(0, LOADED) == outcome


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("FINE", 0x100),
        ("0x123", 0x123),
        ("7", 7),
        ("BUSY(RCX)", 0x8000_0200_0000_0001),
        ("BUSY(3)", 0x8000_0200_0000_0003),
        ("BUSY(0xffff_ffff)", 0x8000_0200_FFFF_FFFF),
        ("DOWN", 0x8000_FF00_0000_0000),
        ("FIVE", 5),
        ("007*007", 7),
    ],
)
def test_statuses(text: str, status: int) -> None:
    assert registers_after(script(text))["rax"] == status


def test_registers_that_come_back() -> None:
    after = registers_after(script("FINE{ rcx = -1, where.state=2, where.level=FIVE, low = 0xfe }"))
    assert after["rcx"] == (1 << 64) - 1
    assert after["rdx"] == 0x1000 & ~0xFF07 | 0x205
    assert after["r8"] == 0xFE
    after = registers_after(script("FINE{sign=-2,rdx=BUSY(RCX)}"))
    assert after["r9"] == 0xFFFF_FFFE
    assert after["rdx"] == 0x8000_0200_0000_0001


def test_other_registers_keep_their_value_or_hold_junk() -> None:
    side = script("FINE")
    first, second = registers_after(side, 0), registers_after(side, 1)
    assert set(first) == PLANS["A"].destroyed
    kept = ("rcx", "rdx", "r8", "r9")
    assert all(first[name] == LOADED[name] for name in kept)
    for name in ("r10", "r11"):
        assert first[name] not in (0, LOADED[name])
        assert first[name] != second[name]
    assert registers_after(side, 0) == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("E0905", "an outcome is missing", "")]),
        (";", [("E0905", "`;` is no outcome", ";"), ("E0905", "an outcome is missing", "")]),
        ("FINE;;FINE", [("E0905", "`;` is no outcome", ";")]),
        ("FINE BUSY", [("E0905", "`BUSY` is not expected after a value", "BUSY")]),
        ("FINE, BUSY", [("E0905", "`,` is not expected after a value", ",")]),
        ("carry FINE", [("E0905", "`FINE` is not expected after an outcome", "FINE")]),
        ("FINE{}}", [("E0905", "`}` is not expected after an outcome", "}")]),
        ("{rcx=1}", [("E0905", "`{` is no outcome", "{")]),
        ("$", [("E0905", "`$` is no outcome", "$")]),
        ("FIN", [("E0905", "nothing here is called `FIN`", "FIN")]),
        ("BUSY(", [("E0905", "`)` is missing after `(`", "(")]),
        ("BUSY(RCX;FINE", [("E0905", "`)` is missing after `RCX`", "RCX")]),
        ("BUSY(*)", [("E0905", "no detail is called `*`", "*")]),
        ("BUSY(LOK)", [("E0905", "no detail is called `LOK`", "LOK")]),
        ("BUSY(0x100000000)", [
            ("E0905", "`0x100000000` does not fit the detail bits of codes", "0x100000000")]),
        ("DOWN(1)", [("E0905", "statuses of own have no detail bits", "1")]),
        ("#XX", [("E0905", "`#XX` is no fault", "#XX")]),
        ("#0006", [("E0905", "`#0006` is no fault", "#0006")]),
        ("#256", [("E0905", "`#256` is no fault", "#256")]),
        ("#", [("E0905", "`#` is no fault", "#")]),
        ("FINE*0", [("E0905", "`0` is no number of attempts", "0")]),
        ("FINE*65536", [("E0905", "`65536` is no number of attempts", "65536")]),
        ("FINE*-1", [("E0905", "`-1` is no number of attempts", "-1")]),
        ("FINE*", [("E0905", "the end is no number of attempts", "")]),
        ("FINE{1=2}", [("E0905", "`1` is no register", "1")]),
        ("FINE{foo=2}", [("E0905", "`foo` is no register and no output", "foo")]),
        ("FINE{where.x=2}", [("E0905", "`where.x` is no register and no output", "where.x")]),
        ("FINE{rcx}", [("E0905", "`=` is missing after `rcx`", "}")]),
        ("FINE{rcx=}", [("E0905", "a value is missing", "}")]),
        ("FINE{rcx=1", [("E0905", "`}` is missing after the registers", "")]),
        ("FINE{rcx=1 rdx=2}", [("E0905", "`rdx` is not expected after a value", "rdx")]),
        ("FINE{rcx=1,list=2}", [("E0905", "bits of `list` have a value already", "list")]),
        ("FINE{rbx=1}", [("E0906", "the other side preserves rbx", "rbx")]),
        ("FINE{rsp=1}", [("E0906", "the other side preserves rsp", "rsp")]),
        ("FINE{rax=1}", [
            ("E0906", "rax has the status, which stands before the brace", "rax")]),
        ("FINE{low=256}", [("E0906", "`256` does not fit `low`, r8[7:0]", "256")]),
        ("FINE{low=-1}", [("E0906", "`-1` does not fit `low`, r8[7:0]", "-1")]),
        ("FINE{where.top=2}", [("E0906", "`2` does not fit `where.top`, rdx[63]", "2")]),
        ("-1", [("E0906", "`-1` does not fit the status in rax", "-1")]),
        ("FIN; #XX; BUSY; FINE{rbx=1}", [
            ("E0905", "nothing here is called `FIN`", "FIN"),
            ("E0905", "`#XX` is no fault", "#XX"),
            ("E0906", "the other side preserves rbx", "rbx")]),
    ],
)  # fmt: skip
def test_wrong_scripts(text: str, expected: list[tuple[str, str, str]]) -> None:
    with pytest.raises(SeamError) as error:
        script(text)
    assert complaints(error) == expected


def test_no_carry_without_an_edge() -> None:
    with pytest.raises(SeamError) as error:
        script("carry", "B")
    assert complaints(error) == [("E0906", "b has no carry edge", "carry")]


def test_an_error_shows_its_place_in_the_script() -> None:
    with pytest.raises(SeamError) as error:
        script("BUSY;\n  FINE{rbx = 1}")
    assert str(error.value) == (
        "script:2:8: error[E0906]: the other side preserves rbx\n"
        "    2 |   FINE{rbx = 1}\n"
        "      |        ^^^\n"
        "  help: it may change rax, rcx, rdx, r8, r9, r10, r11"
    )


# -- names of statuses


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0x100, "FINE"),
        (0x8000_0200_0000_0000, "BUSY"),
        (0x8000_0201_0000_0092, "BUSY(LOCK)"),
        (0x9000_0200_0000_0001, "BUSY(RCX)"),
        (0x8000_0200_0000_0007, "BUSY(0x7)"),
        (0x8000_FF00_0000_0000, "DOWN"),
        (0x8000_FF00_0000_0006, ""),
        (0x101, ""),
    ],
)
def test_names_of_statuses(status: int, name: str) -> None:
    assert name_of_status(PLANS["A"].conduit.families, status) == name


def test_a_long_script_takes_no_time() -> None:
    side = script(";".join(["BUSY(LOCK){low=1}"] * 20_000) + "; FINE")
    assert registers_after(side, 19_999)["rax"] == 0x8000_0200_0000_0092
    assert registers_after(side, 20_000)["rax"] == 0x100


@pytest.mark.parametrize("digits", ["9" * 5000, "0x" + "f" * 5000, "1" + "_0" * 3000])
def test_long_numbers(digits: str) -> None:
    with pytest.raises(SeamError) as error:
        script(digits)
    assert complaints(error) == [("E0905", f"`{digits}` has more than 64 bits", digits)]
    with pytest.raises(SeamError) as error:
        arguments(f"level={digits}")
    assert complaints(error) == [("E0901", f"`{digits}` has more than 64 bits", digits)]


@given(st.text(st.sampled_from("BUSY FINE{}()=,;*#UDcarryrcxlow.level01-x_[]$é\n")))
def test_any_text_is_a_script_or_a_diagnostic(text: str) -> None:
    try:
        side = script(text)
    except SeamError as error:
        assert {d.code for d in error.diagnostics} <= {"E0905", "E0906"}
        assert str(error)
    else:
        side(0, LOADED)


@given(st.text(st.sampled_from("level info page list=NULL,01-x_[]FIVE.state$é\n")))
def test_any_text_is_an_argument_or_a_diagnostic(text: str) -> None:
    with pytest.raises(SeamError) as error:
        arguments(text)
    assert {d.code for d in error.value.diagnostics} <= {"E0901", "E0902", "E0903", "E0904"}
