"""Wrappers executed natively: C programs that a compiler built against the generated header.

Each program is linked with the object and calls all wrappers, over all outcomes, with a signal
handler on the other side (tests/native/); what it sees has to be what the plans say. The last
part damages wrappers, to see that such a program would find it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from execution import Scenario, scenarios
from native_program import Call, differences, predict, write_program, write_script
from tools import need, need_native, run

import seamir
from seamir.compiler import Compilation, Program
from seamir.emulate.machine import DATA_START
from seamir.emulate.script import Carry, Completed, Fault, Outcome, Script
from seamir.ir.leaf import Plan

TESTS = Path(__file__).resolve().parent.parent
NATIVE = TESTS / "native"
DESCRIPTIONS = {"host": "tdx/host.seam", "execution": str(TESTS / "data" / "execution.seam")}
CALLEES = ("helper", "oops", "panic")
LONG = 100  # attempts
UNKNOWN_SIGNAL = 4  # status, of module.h

COMPILING = {"pie": ["-fPIE"], "no-pie": ["-fno-pie"], "shared": ["-fPIC"]}
LINKING = {
    "default": [],
    "pie": ["-pie"],
    "no-pie": ["-no-pie"],
    "static": ["-static"],
    "shared": ["-shared", "-Wl,-z,defs", "-Wl,-z,text"],
}


def compiler_command(name: str, linking: str = "default") -> str:
    """The compiler of that name; skips the test, with the reason, if it cannot run here."""
    need_native()
    command = "cc" if name == "gcc" and shutil.which(name) is None else name
    need(command)
    if linking == "static":
        library = run(command, "-print-file-name=libc.a").stdout.strip()
        if not Path(library).is_absolute():
            pytest.skip("linking statically needs libc.a")
    return command


@dataclass(frozen=True)
class Variant:
    """One way to build the program."""

    compiler: str
    linking: str
    target: str = "linux-user"
    deliver: str = "pointers"
    long_calls: bool = False  # those of more than LONG attempts, too

    def __str__(self) -> str:
        return f"{self.compiler}-{self.linking}-{self.target}-{self.deliver}"


@cache
def loaded(description: str) -> Program:
    return seamir.load(DESCRIPTIONS[description], allow_calls=CALLEES)


@cache
def compilation(description: str, target: str, deliver: str) -> Compilation:
    program = loaded(description)
    return seamir.compile(program, target=target, emit=("obj", "header"), deliver=deliver)


@cache
def predicted(description: str, deliver: str) -> tuple[Call, ...]:
    return all_calls(compilation(description, "linux-user", deliver).plans)


def all_calls(plans: Sequence[Plan], repeat: int = 2) -> tuple[Call, ...]:
    return tuple(
        predict(index, plan, scenario)
        for index, plan in enumerate(plans)
        for scenario in scenarios(plan, repeat=repeat)
    )


def without_sections(plans: Sequence[Plan]) -> list[Plan]:
    """The plans, in which nothing else depends on the target."""
    return [replace(plan, section="") for plan in plans]


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime(tmp_path_factory.mktemp("native"))


@dataclass(frozen=True)
class Runtime:
    """tests/native/ compiled into a folder, once for each compiler and way to link."""

    folder: Path

    def objects(self, command: str, linking: str) -> list[str]:
        """The object files."""
        made = []
        for source in ("module.c", "signals.c", "thunk.S"):
            path = self.folder / f"{Path(command).name}-{linking}-{source}.o"
            if not path.exists():
                compile_file(command, linking, NATIVE / source, path)
            made.append(str(path))
        return made


def compile_file(command: str, linking: str, source: Path, into: Path) -> None:
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", *COMPILING.get(linking, ())]
    run(command, *flags, "-c", source, "-o", into)


def build(
    folder: Path,
    result: Compilation,
    runtime: Runtime,
    command: str,
    linking: str = "default",
    code: Path | None = None,
) -> Path:
    """A program or library in the folder, with the compilation's header and object.

    `code` is an object or assembly that takes the place of the compilation's object.
    """
    header, own = (result.stem + result.outputs[kind].suffix for kind in ("header", "obj"))
    result.write(folder)
    (folder / "program.c").write_text(write_program(result.plans, result.target, header))
    compile_file(command, linking, folder / "program.c", folder / "program.o")
    program = folder / ("program.so" if linking == "shared" else "program")
    files = [str(folder / "program.o"), str(code or folder / own)]
    files += runtime.objects(command, linking)
    flags = ["-Wl,--fatal-warnings", *LINKING[linking]]
    run(command, *flags, *files, "-o", program)
    return program


def play(program: Path, calls: Sequence[Call]) -> list[list[str]]:
    """Makes all calls; returns the differences of each."""
    command = [str(program)]
    if program.suffix == ".so":
        command = [sys.executable, str(NATIVE / "load.py"), str(program)]
    lines = run(*command, data=write_script(calls)).stdout.splitlines()
    assert len(lines) == len(calls)
    return [differences(call, line) for call, line in zip(calls, lines, strict=True)]


# -- all wrappers, all outcomes


@pytest.mark.parametrize("description", DESCRIPTIONS)
@pytest.mark.parametrize(
    "variant",
    [
        Variant("gcc", "default", long_calls=True),
        Variant("gcc", "no-pie"),
        Variant("gcc", "static"),
        Variant("gcc", "shared"),
        Variant("gcc", "pie", deliver="struct"),
        Variant("clang", "pie"),
        Variant("clang", "shared"),
        Variant("clang", "no-pie", deliver="register"),
        Variant("gcc", "no-pie", "linux-kernel", long_calls=True),
        Variant("gcc", "shared", "linux-kernel"),
        Variant("clang", "static", "linux-kernel", "struct"),
    ],
    ids=str,
)
def test_a_program_sees_what_the_plans_say(
    tmp_path: Path, runtime: Runtime, description: str, variant: Variant
) -> None:
    command = compiler_command(variant.compiler, variant.linking)
    result = compilation(description, variant.target, variant.deliver)
    user = compilation(description, "linux-user", variant.deliver)
    assert without_sections(result.plans) == without_sections(user.plans)
    calls = [
        call
        for call in predicted(description, variant.deliver)
        if len(call.outcomes) <= LONG or variant.long_calls
    ]
    assert {call.plan.symbol for call in calls} == set(result.symbols)
    program = build(tmp_path, result, runtime, command, variant.linking)
    found = [
        f"{call.plan.symbol}, {call.scenario.name}, {dict(call.scenario.arguments)}: {difference}"
        for call, result_of_call in zip(calls, play(program, calls), strict=True)
        for difference in result_of_call
    ]
    assert found == []


@pytest.mark.parametrize("target", ["linux-kernel", "linux-user"])
def test_a_wrapper_called_from_a_loaded_library(
    tmp_path: Path, runtime: Runtime, target: str
) -> None:
    command = compiler_command("gcc")
    result = compilation("host", target, "pointers")
    library = build(tmp_path, result, runtime, command, "shared")
    index = result.symbols.index("tdh_mng_rd")
    arguments = {"tdr": 0x1234_5000, "field": 0x9100_0000_0000_0001, "data": DATA_START}
    words = [str(arguments["tdr"]), str(arguments["field"]), f"*{DATA_START}"]
    loading = [sys.executable, str(NATIVE / "load.py"), str(library), "tdh_mng_rd", *words]
    done = Completed({"rax": 0, "rcx": 1, "rdx": 2, "r8": 0xFEED_F00D, "r9": 3})
    outcomes: list[Outcome] = [done, Carry(), Fault(6), Fault(13)]
    for outcome in outcomes:
        scenario = Scenario("loaded", arguments, {DATA_START: bytes(8)}, Script((outcome,)), 1)
        call = predict(index, result.plans[index], scenario)
        line = run(*loading, data=write_script([call])).stdout
        assert differences(call, line, through_header=False) == []


# -- damaged wrappers are found out

SMALL = """
statuses main {
    success bits [63:62] == 0;
    OK = 0; BUSY = 0x8000020000000000; NO = 0x8000000000000001;
}
conduit host {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in main;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return 5;
    on fault return 0x100 | trapnr;
}
conduit gentle extends host { preserves r8..r11; }
conduit guest {
    instruction tdcall "66 0f 01 cc";
    rax[15:0] = leaf;
    status rax in main;
    clobbers rcx, rdx, r8..r11, memory;
}
type level = u32 in 1..5;
"""

# What the header is made from, and what the object is made from.
DAMAGES = {
    "operands": (
        "(a: u64, b: u64) { rcx = a; rdx = b; }",
        "(a: u64, b: u64) { rcx = b; rdx = a; }",
    ),
    "operand_bits": (
        "(a: u8, b: u64) { rcx[7:0] = a; rdx = b; }",
        "(a: u8, b: u64) { rcx[15:8] = a; rdx = b; }",
    ),
    "extension": ("(a: u8) { rcx = a; }", "(a: u16) { rcx = a; }"),
    "sign": ("(a: s8) { rcx = a; }", "(a: u8) { rcx = a; }"),
    "stack_argument": (
        "(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u64)"
        " { rcx = a; rdx = b; r8 = c; r9 = d; r10 = e; r11 = f; r12 = g; r13 = h; }",
        "(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u16, h: u64)"
        " { rcx = a; rdx = b; r8 = c; r9 = d; r10 = e; r11 = f; r12 = g; r13 = h; }",
    ),
    "output": ("() -> (o: u64 = rcx) {}", "() -> (o: u64 = rdx) {}"),
    "width": ("() -> (o: u32 = rcx[31:0]) {}", "() -> (o: u64 = rcx) {}"),
    "condition": ("() -> (o: u64 = rcx on success) {}", "() -> (o: u64 = rcx on error) {}"),
    "order": (
        "() -> (o: u64 = rcx, p: u64 = rdx) {}",
        "() -> (o: u64 = rdx, p: u64 = rcx) {}",
    ),
    "kept": ("() -> (o: u64 = rcx) { keep; }", "() -> (o: u64 = rcx) {}"),
    "preload": ("() -> (o: u64 = rcx else 7) {}", "() -> (o: u64 = rcx) {}"),
    "attempts": ("() { retry 3 on BUSY; }", "() { retry 4 on BUSY; }"),
    "fewer_attempts": ("() { retry 3 on BUSY; }", "() { retry 2 on BUSY; }"),
    "resumption": (
        "(a: u64) -> (a: u64 = rcx) { rcx = a; resume 3 on BUSY { carry rcx; } }",
        "(a: u64) -> (a: u64 = rcx) { rcx = a; retry 3 on BUSY; }",
    ),
    "carry": ("() {}", "() { on carry return 6; }"),
    "fault": ("() {}", "() { on fault #GP return 6; }"),
    "trap": ("() { on fault #PF trap; }", "() {}"),
    "call": ("() { on carry call helper return 5; }", "() {}"),
    "other_call": (
        "() { on carry call helper return 5; on fault call panic return 6; }",
        "() { on carry call panic return 5; on fault call helper return 6; }",
    ),
    "check": ("(a: level) { rcx = a; check a else NO; }", "(a: level) { rcx = a; }"),
    "no_return": ("() { noreturn; }", "() {}"),
    "value": (
        "() -> (o: u64 = rcx) { deliver register; }",
        "() -> (o: u64 = rdx) { deliver register; }",
    ),
    "member": (
        "() -> (o: u64 = rcx, p: u64 = rdx) { deliver struct both; }",
        "() -> (p: u64 = rdx, o: u64 = rcx) { deliver struct other; }",
    ),
}


def compile_leaves(bodies: Sequence[tuple[str, str, str]]) -> Compilation:
    """Leaves from conduit, name and the rest."""
    leaves = [
        f"leaf {name} = {number} via {conduit} {body}\n"
        for number, (conduit, name, body) in enumerate(bodies)
    ]
    program = seamir.load_text(SMALL + "".join(leaves), "small.seam", allow_calls=CALLEES)
    return seamir.compile(program, target="linux-user", emit=("obj", "header"))


def test_an_object_of_another_description_is_found_out(tmp_path: Path, runtime: Runtime) -> None:
    command = compiler_command("gcc")
    said = compile_leaves([("host", name, good) for name, (good, _) in DAMAGES.items()])
    other = compile_leaves([("host", name, bad) for name, (_, bad) in DAMAGES.items()])
    calls = all_calls(said.plans)
    assert play(build(tmp_path, said, runtime, command), calls) == [[] for _ in calls]
    damaged = tmp_path / "damaged.o"
    damaged.write_bytes(other.outputs["obj"].data)
    results = play(build(tmp_path, said, runtime, command, code=damaged), calls)
    found = {call.plan.symbol for call, result in zip(calls, results, strict=True) if result}
    assert found == set(DAMAGES)


# Wrappers in assembly, of a u32 (in edi) and one output (to where rsi points), and what is to be
# said of each.
MISDEEDS = {
    "none": ("{load}; {call}; {store}; ret", ""),
    "saved_rbx": ("mov %rsi, %rbx; {load}; {call}; mov %rcx, (%rbx); ret", "rbx is"),
    "saved_rbp": ("mov %rsi, %rbp; {load}; {call}; mov %rcx, (%rbp); ret", "rbp is"),
    "saved_r12": ("{load}; {call}; {store}; inc %r12; ret", "r12 is"),
    "saved_r13": ("{load}; {call}; {store}; inc %r13; ret", "r13 is"),
    "saved_r14": ("{load}; {call}; {store}; inc %r14; ret", "r14 is"),
    "saved_r15": ("{load}; {call}; {store}; inc %r15; ret", "r15 is"),
    "stack": ("{load}; {call}; {store}; ret $8", "rsp is off by 8 bytes"),
    "direction": ("{load}; {call}; {store}; std; ret", "the direction flag is set"),
    "early": ("{load}; movq $0, (%rsi); {call}; {store}; ret", "stores before the last attempt"),
    "twice": ("{load}; {call}; {load}; {call}; {store}; ret", "more than 1 attempts"),
    "never": ("movq $0, (%rsi); xor %eax, %eax; ret", "0 attempts instead of 1"),
    "extension": ("{load}; mov %rdi, %rcx; {call}; {store}; ret", "rcx at attempt 1 is"),
    "narrow": ("{load}; {call}; mov %ecx, (%rsi); ret", "the 4 bytes at"),
    "beside": ("{load}; {call}; {store}; notb 9(%rsi); ret", "is written"),
    "nothing": ("{load}; {call}; ret", "the 8 bytes at"),
    "status": ("{load}; {call}; {store}; mov %ecx, %eax; ret", "the status is"),
    "trap": ("{load}; {call}; ud2", "it traps"),
    "fixup": (
        '{load}; 1: {call}; 2: {store}; ret; .pushsection seamir_ex_table, "a"; .balign 4;'
        " .long 1b - .; .long 2b - .; .long 2; .popsection",
        "the escaped fault is nothing",
    ),
}
# These end the program.
CRASHES = {
    "destroyed": "mov %rsi, %r8; {load}; {call}; mov %rcx, (%r8); ret",
    "nowhere": "{load}; {call}; mov %rcx, 0; ret",
    "other_instruction": "{load}; .byte 0x66, 0x0f, 0x01, 0xcf; ret",
    "bad_return": "push %rdi; ret",
}


def build_assembly(
    folder: Path, runtime: Runtime, command: str, bodies: Mapping[str, str]
) -> tuple[Call, ...]:
    """Builds folder/program with functions in assembly; returns the calls they are meant for."""
    rest = "(a: u32) -> (o: u64 = rcx) { rcx = a; }"
    meant = compile_leaves([("guest", name, rest) for name in bodies])
    lines = ['.section .note.GNU-stack, "", @progbits', ".text"]
    for number, (name, body) in enumerate(bodies.items()):
        load = f"mov %edi, %ecx; mov ${number}, %eax"
        call, store = ".byte 0x66, 0x0f, 0x01, 0xcc", "mov %rcx, (%rsi)"
        lines += [f".globl {name}", f".type {name}, @function", f"{name}:"]
        lines.append(body.format(load=load, call=call, store=store))
    assembly = folder / "small.s"
    assembly.write_text("\n".join([*lines, ""]))
    build(folder, meant, runtime, command, code=assembly)
    return all_calls(meant.plans, repeat=1)


def test_misdeeds_in_assembly_are_found_out(tmp_path: Path, runtime: Runtime) -> None:
    command = compiler_command("gcc")
    bodies = {name: body for name, (body, _) in MISDEEDS.items()}
    calls = build_assembly(tmp_path, runtime, command, bodies)
    said: dict[str, list[str]] = {name: [] for name in MISDEEDS}
    for call, result in zip(calls, play(tmp_path / "program", calls), strict=True):
        said[call.plan.symbol] += result
    for name, (_, wanted) in MISDEEDS.items():
        if wanted:
            assert any(wanted in text for text in said[name]), (name, said[name])
        else:
            assert said[name] == []


@pytest.mark.parametrize("name", CRASHES)
def test_an_unknown_signal_ends_the_program(tmp_path: Path, runtime: Runtime, name: str) -> None:
    command = compiler_command("gcc")
    calls = build_assembly(tmp_path, runtime, command, {name: CRASHES[name]})
    script = write_script(calls)
    died = run(tmp_path / "program", data=script, status=UNKNOWN_SIGNAL)
    assert died.stderr.startswith(f"{name}: signal ")
