"""Bitcode: what linkers find in it. tests/system/test_lto.py links it."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
from llvmlite import binding as llvm

import seamir

LEAVES = """
import "tdx/conduits.seam";
import "tdx/types.seam";

conduit quiet { instruction tdcall "66 0f 01 cc"; rax = leaf; status none; clobbers rcx; }

leaf T.PLAIN = 1 via seamcall (a: u8, b: s16, c: bool, d: u32, e: ptr) -> (x: u64 = rcx) {
    rcx[7:0] = a;
    rdx = b;
    r8[0] = c;
    r9 = d;
    r10 = e;
}
leaf T.PAIR32 = 2 via seamcall () -> (x: u32 = rcx[31:0]) { deliver register; }
leaf T.PAIRBOOL = 3 via seamcall () -> (x: bool = rcx[0]) { deliver register; }
leaf T.PAIRPTR = 4 via seamcall () -> (x: ptr = rcx) { deliver register; }
leaf T.VALUE32 = 5 via quiet () -> (x: u32 = rcx[31:0]) { deliver register; }
leaf T.VALUE16 = 6 via quiet () -> (x: s16 = rcx[15:0]) { deliver register; }
leaf T.VALUE8 = 7 via quiet () -> (x: u8 = rcx[7:0]) { deliver register; }
leaf T.VALUEBOOL = 8 via quiet () -> (x: bool = rcx[0]) { deliver register; }
leaf T.VALUEPTR = 9 via quiet () -> (x: ptr = rcx) { deliver register; }
leaf T.NOTHING = 10 via quiet () { }
leaf T.RETRY = 11 via seamcall (a: u64) {
    rcx = a;
    retry 9 on TDX_RND_NO_ENTROPY;
    retry 16 on TDX_OPERAND_BUSY(SEPT_TREE);
}
leaf T.SCRUB = 12 via seamcall (a: u64) { rcx = a; scrub; }
leaf T.NOINSTR = 13 via seamcall (a: u64) { rcx = a; noinstr; }
leaf T.RBP = 14 via seamcall (a: u64) { rbp = a; allow rbp; }
leaf T.SIMD = 15 via seamcall (a: u64) { rcx = a; clobbers simd; }

// Nothing but RAX is left for the carry flag, and a fault that is caught changes that.
conduit crowded {
    instruction seamcall "66 0f 01 cf";
    status none;
    clobbers rcx, rdx, rbx, rsi, rdi, r8..r15, memory;
    on fault trap;
}
leaf T.FLAG_RBP via crowded ()
    -> (words: u64[13] = {rcx, rdx, rbx, rsi, rdi, r8..r15}, cf: bool = carry)
{
    preserves rbp;
    deliver struct;
}
leaf T.FLAG_R15 via crowded ()
    -> (words: u64[12] = {rcx, rdx, rbx, rsi, rdi, r8..r14}, cf: bool = carry)
{
    preserves rbp;
    deliver struct;
}
"""

# As clang 22 and rustc 1.96 declare them; arguments without the attributes that extend them.
TYPES = {
    "t_plain": "i64 (i8 i16 i1 i32 ptr ptr)",
    "t_pair32": "{ i64, i32 } ()",
    "t_pairbool": "{ i64, i8 } ()",
    "t_pairptr": "{ i64, ptr } ()",
    "t_value32": "i32 ()",
    "t_value16": "signext i16 ()",
    "t_value8": "zeroext i8 ()",
    "t_valuebool": "zeroext i1 ()",
    "t_valueptr": "ptr ()",
    "t_nothing": "void ()",
}
CALLED = {
    "t_scrub": "scrub",
    "t_noinstr": "noinstr",
    "t_rbp": "rbp",
    "t_simd": "simd",
    "t_flag_rbp": "rbp",
}


@cache
def compiled(target: str, features: tuple[str, ...] = (), debug: bool = True) -> seamir.Compilation:
    program = seamir.load_text(LEAVES, "leaves.seam")
    emit = ("bitcode", "manifest")
    return seamir.compile(program, target=target, features=features, emit=emit, debug=debug)


def bitcode(target: str = "linux-user", *features: str, debug: bool = True) -> str:
    """The bitcode of LEAVES read back, as text."""
    data = compiled(target, features, debug).outputs["bitcode"].data
    module = llvm.parse_bitcode(data, llvm.create_context())
    module.verify()
    return str(module)


def attributes(text: str, symbol: str) -> str:
    """The attributes of a function."""
    number = re.search(rf"(?m)^define [^\n]*@{symbol}\([^\n]*\) (?:section \S+ )?#(\d+)", text)
    assert number is not None, symbol
    found = re.search(rf"(?m)^attributes #{number[1]} = \{{ (.*) \}}", text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("target", sorted(seamir.TARGETS))
def test_linkers_find_the_platform(target: str) -> None:
    text = bitcode(target)
    assert re.search(r'(?m)^target datalayout = "e-m:', text)
    assert re.search(r'(?m)^target triple = "x86_64-', text)


def test_functions_have_the_types_that_callers_give_them() -> None:
    """A call by another type is never inlined."""
    text = bitcode()
    found = {}
    for returned, symbol, parameters in re.findall(r"(?m)^define (.*) @(\w+)\((.*?)\)", text):
        kinds = " ".join(parameter.split()[0] for parameter in parameters.split(", ") if parameter)
        found[symbol] = f"{returned} ({kinds})"
    assert {symbol: found[symbol] for symbol in TYPES} == TYPES


@pytest.mark.parametrize(
    ("target", "features", "wanted"),
    [
        ("linux-user", (), ""),
        (
            "linux-kernel",
            (),
            "-mmx,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-x87",
        ),
        (
            "linux-kernel",
            ("-rethunk",),
            "-mmx,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-x87"
            ",+harden-sls-ret,+harden-sls-ijmp",
        ),
        ("linux-user", ("+sls",), "+harden-sls-ret,+harden-sls-ijmp"),
    ],
)
def test_a_wrapper_has_no_feature_that_its_callers_lack(
    target: str, features: tuple[str, ...], wanted: str
) -> None:
    said = attributes(bitcode(target, *features), "t_plain")
    found = re.search(r'"target-features"="([^"]*)"', said)
    assert (found[1] if found else "") == wanted
    assert "inlinehint" in said and "noinline" not in said and "soft-float" not in said


def test_what_a_caller_would_inherit() -> None:
    assert "no-jump-tables" not in attributes(bitcode(), "t_plain")
    assert "no-jump-tables" in attributes(bitcode("linux-kernel"), "t_plain")
    assert "fn_ret_thunk_extern" in attributes(bitcode("linux-kernel"), "t_plain")


def test_what_goes_together_with_hardened_callers() -> None:
    """As clang has it with -fsanitize=kcfi -fpatchable-function-entry=11,11."""
    text = bitcode("linux-kernel", "+kcfi", "+patchable-prefix")
    assert '!{i32 4, !"kcfi", i32 1}' in text
    assert '!{i32 4, !"kcfi-offset", i32 11}' in text
    functions = re.findall(r"(?m)^define .*", text)
    assert all(re.search(r" !kcfi_type !\d+ ", line) for line in functions)
    for symbol in ("t_plain", *CALLED):
        assert '"patchable-function-prefix"="11"' in attributes(text, symbol)
    alone = bitcode("linux-kernel", "+patchable-prefix")
    assert "kcfi" not in alone
    assert '"patchable-function-prefix"="16"' in attributes(alone, "t_plain")
    assert "kcfi-offset" not in bitcode("linux-kernel", "+kcfi")


@pytest.mark.parametrize("target", sorted(seamir.TARGETS))
def test_bitcode_and_manifest_agree_on_what_is_only_called(target: str) -> None:
    text = bitcode(target)
    manifest = json.loads(compiled(target).outputs["manifest"].text)
    for wrapper in manifest["wrappers"]:
        symbol = wrapper["symbol"]
        wanted = CALLED.get(symbol)
        if wanted == "noinstr" and target != "linux-kernel":
            wanted = None  # there is no section for them
        if symbol == "t_flag_rbp" and "fixup" not in seamir.TARGETS[target].features:
            wanted = None  # no fault is caught, so RAX is left
        assert wrapper["not_inlined"] == wanted, symbol
        said = attributes(text, symbol)
        assert ("noinline" in said, "inlinehint" in said) == (wanted is not None, wanted is None)
    assert "zero-call-used-regs" in attributes(text, "t_scrub")


def test_every_way_back_keeps_a_loop_rolled() -> None:
    text = bitcode()
    body = text[text.index("@t_retry(") :].split("\n}")[0]
    back = re.findall(r"br label %attempt, .*!llvm\.loop !(\d+)", body)
    assert len(back) == 2 and len(set(back)) == 1
    itself, hint = re.findall(rf"(?m)^!{back[0]} = distinct !{{!(\d+), !(\d+)}}", text)[0]
    assert itself == back[0]
    assert f'!{hint} = !{{!"llvm.loop.unroll.disable"}}' in text


def test_there_is_no_profile() -> None:
    """It would be one beside those of callers."""
    assert "function_entry_count" not in bitcode()


def test_debug_information() -> None:
    assert "!DILocation" in bitcode()
    assert "!DI" not in bitcode(debug=False)


def test_the_object_is_not_changed_by_bitcode_beside_it() -> None:
    program = seamir.load_text(LEAVES, "leaves.seam")
    alone = seamir.compile(program, emit=("obj", "bitcode")).outputs
    other = seamir.compile(program, emit=("bitcode", "asm", "obj")).outputs
    assert alone["obj"] == other["obj"]
    assert alone["bitcode"] == other["bitcode"]
