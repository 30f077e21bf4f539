"""Bitcode under LTO: callers in C and Rust are linked with it, inspected, and executed.

The first parts link with `ld.lld -r` and execute what comes of it in the emulator, against all
outcomes; the last part runs the programs of examples/lto.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lto
import pytest
from command_line import ROOT
from descriptions import HARD
from execution import play, scenarios
from iced_x86 import Instruction, OpKind, Register
from tools import run

import seamir
from seamir.emulate.machine import Machine
from seamir.emulate.script import Carry, Completed, Fault, Outcome, Script
from seamir.ir.inlining import inlining_obstacle
from seamir.objects.contents import Function, ObjectFile
from seamir.objects.disassembly import decode
from seamir.objects.reading import read_object

CALLS = ("helper", "panic", "oops")
EXAMPLE = ROOT / "examples" / "lto"
LONG = 200  # attempts, of wrappers that are not executed
SEAMCALL = bytes.fromhex("660f01cf")

# A wrapper of each kind that LTO could get wrong.
KINDS = """
import "tdx/conduits.seam";
import "tdx/types.seam";

leaf TEST.TRACK = 38 via seamcall (tdr: hpa) { rcx = tdr; }
leaf TEST.REMOVE = 29 via seamcall (tdr: hpa, gpa: gpa, level: sept_level)
    -> (page: u64 = rcx, info: u64 = rdx)
{
    rcx = gpa | level;
    rdx = tdr;
}
wrapper test_remove = TEST.REMOVE;
wrapper test_retry = TEST.REMOVE { retry 9 on TDX_RND_NO_ENTROPY; }
wrapper test_two_retries = TEST.REMOVE {
    retry 9 on TDX_RND_NO_ENTROPY;
    retry 16 on TDX_OPERAND_BUSY(SEPT_TREE);
}
leaf TEST.PAIR = 3 via seamcall (tdr: hpa) -> (word: u64 = r8) {
    rcx = tdr;
    deliver register;
}
leaf TEST.FLAGS = 4 via seamcall (flag: bool, small: s8, other: u16) -> (is_set: bool = rcx[0]) {
    rcx[0] = flag;
    rdx = small;
    r8 = other;
    deliver register;
}
leaf TEST.SCRUB = 5 via seamcall (tdr: hpa) -> (secret: u64 = r8) { rcx = tdr; scrub; }
leaf TEST.NOINSTR = 6 via seamcall (tdr: hpa) { rcx = tdr; noinstr; }
leaf TEST.RBP = 7 via seamcall (word: u64) { rbp = word; allow rbp; }
leaf TEST.SIMD = 8 via seamcall (tdr: hpa) { rcx = tdr; clobbers simd; }

// Nothing but RAX is left for the carry flag, and a fault that is caught changes that.
conduit crowded {
    instruction seamcall "66 0f 01 cf";
    status none;
    clobbers rcx, rdx, rbx, rsi, rdi, r8..r15, memory;
    on fault trap;
}
leaf TEST.FLAG_RBP via crowded (word: u64)
    -> (words: u64[13] = {rcx, rdx, rbx, rsi, rdi, r8..r15}, cf: bool = carry)
{
    rcx = word;
    preserves rbp;
    deliver struct;
}
leaf TEST.FLAG_R15 via crowded (word: u64)
    -> (words: u64[12] = {rcx, rdx, rbx, rsi, rdi, r8..r14}, cf: bool = carry)
{
    rcx = word;
    preserves rbp;
    deliver struct;
}
"""
OBSTACLES = {
    "test_scrub": "scrub",
    "test_noinstr": "noinstr",
    "test_rbp": "rbp",
    "test_flag_rbp": "rbp",
    "test_simd": "simd",
}


@cache
def compiled(name: str, target: str) -> seamir.Compilation:
    """A description's bitcode and header, "" for KINDS."""
    load = seamir.load(name, allow_calls=CALLS) if name else seamir.load_text(KINDS, "kinds.seam")
    return seamir.compile(load, target=target, emit=("bitcode", "header"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lto")


@cache
def linked(folder: Path, name: str, target: str, *flags: str) -> bytes:
    """The object that lld makes of a description's bitcode and its callers."""
    place = "-".join([Path(name).stem, target, *flags])
    return lto.link(compiled(name, target), folder / place, *flags)


def function(code: ObjectFile, symbol: str) -> Function:
    found = code.function(symbol)
    assert found is not None, symbol
    return found


def names(code: Function) -> set[str]:
    """The symbols that a function refers to."""
    return {relocation.symbol for relocation in code.relocations}


def stack_accesses(code: Function) -> list[Instruction]:
    """Loads and stores of local variables."""
    return [
        instruction
        for instruction in decode(code.code)
        if any(instruction.op_kind(i) == OpKind.MEMORY for i in range(instruction.op_count))
        and instruction.memory_base in (Register.RSP, Register.RBP)
    ]


# -- what is inlined


@pytest.mark.parametrize("name", ["", "tdx/host.seam", "tdx/guest.seam", HARD])
@pytest.mark.parametrize("target", lto.FLAGS)
def test_a_caller_has_the_wrapper_inlined(folder: Path, name: str, target: str) -> None:
    """Or calls it, for the wrappers that are not to be inlined."""
    code = read_object(linked(folder, name, target))
    result = compiled(name, target)
    fixups = code.fixups(result.target.fixup_section)
    for plan in result.plans:
        caller = function(code, f"call_{plan.symbol}")
        is_inlined = plan.symbol not in names(caller)
        assert is_inlined == (inlining_obstacle(plan) is None), plan.symbol
        copies = caller.code.count(plan.instruction.code)
        assert copies == int(is_inlined), f"{plan.symbol}: loops are not unrolled"
        rows = [row for row in fixups if row.function == caller.name]
        assert len(rows) == (copies if plan.catches_faults else 0)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("", ()),
        ("tdx/host.seam", ()),
        ("tdx/guest.seam", ()),
        (HARD, ()),
        ("", ("-fno-omit-frame-pointer",)),
    ],
)
@pytest.mark.parametrize("target", lto.FLAGS)
def test_inlined_copies_do_what_the_plan_says(
    folder: Path, name: str, target: str, flags: tuple[str, ...]
) -> None:
    result = compiled(name, target)
    machine = Machine(linked(folder, name, target, *flags), result.target)
    problems = []
    for plan in result.plans:
        if plan.bound > LONG:
            continue
        for scenario in scenarios(plan, repeat=1):
            call = lto.passable(plan, scenario)
            for caller in lto.caller_plans(plan):
                found = play(machine, caller, call)[2]
                problems += [f"{caller.symbol}, {scenario.name}: {text}" for text in found]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


def test_which_wrappers_are_only_called() -> None:
    for target in lto.FLAGS:
        said = {plan.symbol: inlining_obstacle(plan) for plan in compiled("", target).plans}
        wanted = {symbol: OBSTACLES.get(symbol) for symbol in said}
        if target != "linux-kernel":  # which alone has a section for noinstr
            wanted["test_noinstr"] = None
        if target == "freestanding":  # no fault is caught, so RAX is left
            wanted["test_flag_rbp"] = None
        assert said == wanted


@pytest.mark.parametrize("target", lto.FLAGS)
@pytest.mark.parametrize("symbol", ["test_remove", "test_retry", "test_two_retries"])
def test_outputs_in_variables_stay_in_registers(folder: Path, target: str, symbol: str) -> None:
    """Through the pointers of the caller only: nothing is stored into variables."""
    code = read_object(linked(folder, "", target))
    caller = function(code, f"local_{symbol}")
    assert SEAMCALL in caller.code
    assert stack_accesses(caller) == []


@pytest.mark.parametrize("target", lto.FLAGS)
@pytest.mark.parametrize("symbol", ["test_retry", "test_two_retries"])
def test_a_completed_call_loads_no_statuses(folder: Path, target: str, symbol: str) -> None:
    """They are compared in halves, which are part of the comparing instructions."""
    caller = function(read_object(linked(folder, "", target)), f"call_{symbol}")
    before = caller.code[: caller.code.index(SEAMCALL)]
    assert all(i.op1_kind != OpKind.IMMEDIATE64 for i in decode(before))


def test_a_scrubbed_wrapper_clears_registers_where_it_returns(folder: Path) -> None:
    code = read_object(linked(folder, "", "linux-user"))
    assert "test_scrub" in names(function(code, "call_test_scrub"))
    cleared = [f"{i}" for i in decode(function(code, "test_scrub").code) if "xor" in f"{i}"]
    assert {"xor ecx,ecx", "xor r11d,r11d"} <= set(cleared)


def test_position_independent_callers_stay_so(tmp_path: Path) -> None:
    """What `ld -r` makes of them goes into a shared library."""
    result = compiled("", "linux-user")
    (tmp_path / "more.c").write_text(
        '#include "kinds.h"\nstatic u64 words[4];\n'
        "u64 more(u64 tdr, int i) { return words[i] = test_track(tdr + words[i]); }\n"
    )
    result.write(tmp_path)
    flags = ["-O2", "-flto", "-fPIC", f"--target={lto.TRIPLE}"]
    run(lto.clang(), *flags, "-c", "more.c", cwd=tmp_path)
    run(lto.lld(), "-r", "more.o", "kinds.bc", "-o", "all.o", cwd=tmp_path)
    assert "test_track" not in names(
        function(read_object((tmp_path / "all.o").read_bytes()), "more")
    )
    run(lto.lld(), "-shared", "all.o", "-o", "all.so", cwd=tmp_path)


# -- an inlined call within other code

QUIET = """
statuses s { success bits [63:62] == 0; OK = 0; BUSY = 0x8000020000000000; }
conduit quiet {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in s;
    clobbers memory;
    on carry return BUSY;
    on fault #UD return 5;
    on fault return trapnr;
}
leaf QUIET.A = 1 via quiet (a: u64) { rcx = a; }
leaf QUIET.B = 2 via quiet (a: u64) { rcx = a; retry 3 on BUSY; }
"""
AROUND = """
#include "quiet.h"
u64 call_quiet_a(u64 a) { u64 s = quiet_a(a); return s == 13 ? 99 : s * 3; }
u64 call_quiet_b(u64 a)
{
	u64 s = quiet_b(a);
	if (a == 1)
		return s + 1;
	if (a == 2)
		return 99;
	return s >> 1;
}
"""


def around_a(_: int, status: int) -> int:
    return 99 if status == 13 else status * 3


def around_b(a: int, status: int) -> int:
    return {1: status + 1, 2: 99}.get(a, status >> 1)


def outcomes() -> Iterator[tuple[Outcome, int]]:
    """Each with the status of the wrappers."""
    for status in (0, 7, 13, 1 << 61):
        yield Completed({"rax": status}), status
    yield Carry(), 0x8000_0200_0000_0000
    for vector in (6, 13, 14):
        yield Fault(vector), 5 if vector == 6 else vector


def test_the_only_result_of_a_call_survives_what_is_around_it(tmp_path: Path) -> None:
    """The fault edge uses what is in RAX, and optimisation moves that use."""
    program = seamir.load_text(QUIET, "quiet.seam")
    result = seamir.compile(program, target="linux-user", emit=("bitcode", "header"))
    result.write(tmp_path)
    (tmp_path / "around.c").write_text(AROUND)
    flags = ["-O2", "-flto", f"--target={lto.TRIPLE}"]
    run(lto.clang(), *flags, "-c", "around.c", cwd=tmp_path)
    run(lto.lld(), "-r", "around.o", "quiet.bc", "-o", "all.o", cwd=tmp_path)
    machine = Machine((tmp_path / "all.o").read_bytes(), result.target)
    for plan, around in zip(result.plans, (around_a, around_b), strict=True):
        caller = next(p for p in lto.caller_plans(plan) if p.symbol.startswith("call_"))
        for a in (1, 2, 3):
            for outcome, status in outcomes():
                execution = machine.call(caller, {"a": a}, {}, Script((outcome,)))
                wanted = around(a, status) & (1 << 64) - 1
                assert (execution.status, execution.problems) == (wanted, ()), (a, outcome)
                assert execution.attempts[0]["rcx"] == a


# -- UEFI, Rust, ThinLTO, and other versions


def test_a_uefi_caller_has_the_wrapper_inlined(tmp_path: Path) -> None:
    """It is an application of its own, since lld-link makes nothing relocatable."""
    result = compiled("", "uefi")
    result.write(tmp_path)
    (tmp_path / "callers.c").write_text(lto.write_callers(result))
    options = ["-O2", "-flto", f"--target={result.target.triple}", "-ffreestanding"]
    run(lto.clang(), *options, "-c", "callers.c", "-o", "callers.o", cwd=tmp_path)
    entry = ["/subsystem:efi_application", "/entry:call_test_track", "/out:all.efi"]
    made = run(lto.lld_link(), *entry, "callers.o", "kinds.bc", cwd=tmp_path)
    assert (made.stdout, made.stderr) == ("", "")
    listing = run("objdump", "-d", "all.efi", cwd=tmp_path).stdout
    assert listing.count("seamcall") == 1
    assert not re.search(r"\t(call|jmp) ", listing)  # the entry is all there is


RUST = """
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }

#[repr(C)]
pub struct Pair { status: u64, value: u64 }
#[repr(C)]
pub struct Flag { status: u64, value: bool }
unsafe extern "C" {
    fn test_remove(tdr: u64, gpa: u64, level: u32, page: *mut u64, info: *mut u64) -> u64;
    fn test_retry(tdr: u64, gpa: u64, level: u32, page: *mut u64, info: *mut u64) -> u64;
    fn test_pair(tdr: u64) -> Pair;
    fn test_flags(flag: bool, small: i8, other: u16) -> Flag;
    fn test_scrub(tdr: u64, secret: *mut u64) -> u64;
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn local_test_remove(
    tdr: u64, gpa: u64, level: u32, page: &mut u64, info: &mut u64
) -> u64 {
    let (mut first, mut second) = (0, 0);
    let status = unsafe { test_remove(tdr, gpa, level, &mut first, &mut second) };
    (*page, *info) = (first, second);
    status
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn local_test_retry(
    tdr: u64, gpa: u64, level: u32, page: &mut u64, info: &mut u64
) -> u64 {
    let (mut first, mut second) = (0, 0);
    let status = unsafe { test_retry(tdr, gpa, level, &mut first, &mut second) };
    (*page, *info) = (first, second);
    status
}
#[unsafe(no_mangle)]
pub extern "C" fn call_test_pair(tdr: u64) -> Pair { unsafe { test_pair(tdr) } }
#[unsafe(no_mangle)]
pub extern "C" fn call_test_flags(flag: bool, small: i8, other: u16) -> Flag {
    unsafe { test_flags(flag, small, other) }
}
#[unsafe(no_mangle)]
pub extern "C" fn call_test_scrub(tdr: u64, secret: &mut u64) -> u64 {
    unsafe { test_scrub(tdr, secret) }
}
"""


def test_a_rust_caller_has_the_wrapper_inlined(tmp_path: Path) -> None:
    result = compiled("", "linux-user")
    result.write(tmp_path)
    (tmp_path / "callers.rs").write_text(RUST)
    flags = "--edition 2021 --crate-type staticlib -O -C panic=abort -C lto=fat".split()
    flags += ["-C", "linker-plugin-lto", "callers.rs", "-o", "callers.a"]
    made = run(lto.rustc(), *flags, cwd=tmp_path)
    assert (made.stdout, made.stderr) == ("", "")
    symbols = re.findall(r"pub (?:unsafe )?extern \"C\" fn (\w+)", RUST)
    roots = [f"--undefined={symbol}" for symbol in symbols]
    made = run(lto.lld(), "-r", *roots, "callers.a", "kinds.bc", "-o", "all.o", cwd=tmp_path)
    assert (made.stdout, made.stderr) == ("", "")
    data = (tmp_path / "all.o").read_bytes()
    code, machine = read_object(data), Machine(data, result.target)
    called = 0
    for plan in result.plans:
        for caller in lto.caller_plans(plan):
            if caller.symbol not in symbols:
                continue
            compiled_caller = function(code, caller.symbol)
            is_inlined = SEAMCALL in compiled_caller.code
            assert is_inlined == (plan.symbol not in names(compiled_caller))
            # rustc has another type than clang for a pair with a narrow value.
            assert is_inlined == (plan.symbol not in ("test_scrub", "test_flags"))
            if caller.symbol.startswith("local_"):
                assert stack_accesses(compiled_caller) == []
            for scenario in scenarios(plan):
                assert play(machine, caller, lto.passable(plan, scenario))[2] == []
                called += 1
    assert called > 100


def test_thin_lto_needs_a_summary_that_clang_adds(tmp_path: Path) -> None:
    result = compiled("", "linux-user")
    result.write(tmp_path)
    (tmp_path / "callers.c").write_text(lto.write_callers(result))
    thin = [lto.clang(), "-O2", "-flto=thin", f"--target={lto.TRIPLE}", "-c"]
    for file, made in (("callers.c", "callers.o"), ("kinds.bc", "kinds.o")):
        done = run(*thin, file, "-o", made, cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("", "")
    for file, wanted in (("kinds.bc", False), ("kinds.o", True)):
        run(lto.lld(), "-shared", "callers.o", file, "-o", "all.so", cwd=tmp_path)
        listing = run("objdump", "-d", "all.so", cwd=tmp_path).stdout
        caller = listing[listing.index("<call_test_track>:") :].split("\n\n")[0]
        assert ("seamcall" in caller) == wanted, file


def test_an_older_clang_says_that_it_cannot_read_it(tmp_path: Path) -> None:
    seamir.compile(
        seamir.load_text(KINDS, "kinds.seam"), target="linux-user", emit=("bitcode", "llvm-ir")
    ).write(tmp_path)
    older = [lto.older_clang(), "-c", "-o", "kinds.o"]
    text = run(*older, "kinds.bc", cwd=tmp_path, status=1).stderr
    assert re.search(rf"Producer: 'LLVM{lto.MAJOR}\.[\d.]+' Reader: 'LLVM|Invalid record", text), (
        text
    )
    assert "error:" in run(*older, "kinds.ll", cwd=tmp_path, status=1).stderr


# -- the example


def test_the_example_takes_faults_as_the_documentation_does() -> None:
    code = (EXAMPLE / "faults.c").read_text().partition("*/\n")[2]
    assert f"```c\n{code}```" in (ROOT / "docs" / "cli.md").read_text()


def test_the_programs_of_the_example(tmp_path: Path) -> None:
    """Built as its README says, they take the fault edge of the inlined copies."""
    shutil.copytree(EXAMPLE, tmp_path / "lto")
    place = tmp_path / "lto"
    tools = {
        "CC": lto.clang(),
        "RUSTC": lto.rustc(),
        "SEAMIR": str(Path(sys.executable).with_name("seamir")),
    }
    lto.lld()
    run("make", *(f"{name}={value}" for name, value in tools.items()), cwd=place)
    for program in ("c", "rust"):
        done = run(place / program)
        assert re.fullmatch(
            r"TDH.MEM.TRACK: 0x8000ff00000000(?:06|0d)\n"
            r"TDH.MEM.PAGE.REMOVE: 0x8000ff00000000(?:06|0d)\n",
            done.stdout,
        ), done.stdout
        assert done.stderr == ""
        listing = run("objdump", "-d", place / program).stdout
        for symbol, wrapper in (("advance_epoch", "track"), ("remove_page", "page_remove")):
            caller = listing[listing.index(f"<{symbol}>:") :].split("\n\n")[0]
            assert caller.count("seamcall") == 1
            assert f"<{wrapper}>" not in caller
