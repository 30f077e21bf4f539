"""Code generation: what all machine code has in common, and what features and clauses change."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from golden_cases import case_names, compile_case
from iced_x86 import (
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    Mnemonic,
    OpKind,
    Register,
    RegisterExt,
)
from llvmlite import binding
from tools import run

import seamir
from seamir.emulate.interpreter import interpret, keeps_promise
from seamir.emulate.machine import Machine
from seamir.emulate.script import Completed, Memory, Script
from seamir.model.registers import ALL_BITS
from seamir.model.types import extend
from seamir.objects.contents import Function
from seamir.objects.disassembly import branch_target, decode

HOST = "tdx/host.seam"
NAMES = (*case_names(), HOST)
TARGETS = tuple(seamir.TARGETS)
OUTPUTS = ("obj", "asm", "llvm-ir", "bitcode", "header", "manifest")
COMMON = """
statuses s { success bits [63:62] == 0; OK = 0; BUSY = 0x8000020000000000; }
conduit c {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in s;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return BUSY;
    on fault return BUSY | trapnr;
}
conduit keeping extends c { preserves r8..r11; }
conduit quiet { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax in s; clobbers rcx; }
"""


@cache
def compiled(name: str, target: str = "linux-kernel") -> seamir.Compilation:
    if name == HOST:
        return seamir.compile(seamir.load(HOST), target=target)
    return compile_case(name, target)


@cache
def compiled_text(
    description: str,
    target: str = "linux-kernel",
    features: tuple[str, ...] = (),
    emit: tuple[str, ...] = ("obj",),
    deliver: str = "pointers",
) -> seamir.Compilation:
    program = seamir.load_text(COMMON + description, allow_calls=["f"])
    return seamir.compile(program, target=target, features=features, emit=emit, deliver=deliver)


def code_of(description: str, *features: str, target: str = "linux-kernel") -> Function:
    """The one function of a description."""
    (function,) = compiled_text(description, target, features).object_file.functions
    return function


def texts(function: Function) -> list[str]:
    """The instructions of a function as text."""
    return [f"{instruction:i}" for instruction in decode(function.code)]


def mnemonics(function: Function) -> list[str]:
    return [text.split()[0] for text in texts(function)]


def functions(target: str) -> Iterator[tuple[str, Function]]:
    for name in NAMES:
        for function in compiled(name, target).object_file.functions:
            yield f"{name} {function.name}", function


def hot_path(function: Function) -> list[Instruction]:
    """The instructions of a call that completes at once: no conditional branch is taken."""
    by_offset = {instruction.ip: instruction for instruction in decode(function.code)}
    path: list[Instruction] = []
    offset = 0
    while offset in by_offset and len(path) < 1000:
        instruction = by_offset[offset]
        path.append(instruction)
        target = branch_target(instruction, function.relocations)
        if instruction.mnemonic in (Mnemonic.RET, Mnemonic.UD2):
            return path
        if instruction.mnemonic == Mnemonic.JMP and target is None:
            return path
        jumps = instruction.mnemonic == Mnemonic.JMP and target is not None
        offset = target if jumps and target is not None else instruction.next_ip
    raise AssertionError(f"{function.name} does not end")


# -- the same bytes, however they are made


@pytest.mark.parametrize("name", ["resume", "wrappers", "check", HOST])
def test_each_emission_starts_from_a_fresh_module(name: str) -> None:
    program = seamir.load(HOST) if name == HOST else compiled(name).program
    for debug in (True, False):
        alone = {
            kind: seamir.compile(program, emit=(kind,), debug=debug).outputs[kind].data
            for kind in OUTPUTS
        }
        for kinds in (("asm", "obj"), ("obj", "asm"), OUTPUTS, tuple(reversed(OUTPUTS))):
            together = seamir.compile(program, emit=kinds, debug=debug).outputs
            assert {kind: together[kind].data for kind in kinds} == {k: alone[k] for k in kinds}


def test_each_emission_parses_a_module_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code generation changes the module, even where that does not show in the code."""
    parsed: list[str] = []

    def parse(text: str, context: object) -> object:
        parsed.append(text)
        return original(text, context)

    program, original = compiled("resume").program, binding.parse_assembly
    monkeypatch.setattr(binding, "parse_assembly", parse)
    seamir.compile(program, emit=("obj", "asm", "manifest"), debug=False)
    assert len(parsed) == 2
    assert parsed[0] == parsed[1]


def test_all_outputs_are_repeatable() -> None:
    program = seamir.load(HOST)
    first, again = (seamir.compile(program, emit=OUTPUTS) for _ in range(2))
    for kind in OUTPUTS:
        assert first.outputs[kind].data == again.outputs[kind].data, kind


PRINT_HASHES = """
import hashlib, sys, seamir
made = seamir.compile(seamir.load("tdx/host.seam"), emit=sys.argv[1:])
print(*(hashlib.sha256(made.outputs[kind].data).hexdigest() for kind in sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4242", "LC_ALL": "C", "TZ": "Asia/Kolkata", "HOME": "/nonexistent"},
    ],
)
def test_outputs_do_not_depend_on_the_process(environment: dict[str, str], tmp_path: Path) -> None:
    root = str(Path(seamir.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root, **environment}
    done = run(sys.executable, "-c", PRINT_HASHES, *OUTPUTS, env=env, cwd=tmp_path)
    here = seamir.compile(seamir.load(HOST), emit=OUTPUTS)
    hashes = [hashlib.sha256(here.outputs[kind].data).hexdigest() for kind in OUTPUTS]
    assert done.stdout.split() == hashes


def test_eight_threads_make_the_same_bytes() -> None:
    def compile_all(_: int) -> list[bytes]:
        program = seamir.load(HOST)
        made = seamir.compile(program, emit=OUTPUTS)
        return [made.outputs[kind].data for kind in OUTPUTS]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(compile_all, range(16)))
    assert all(result == results[0] for result in results)
    assert compile_all(0) == results[0]


# -- every function


@pytest.mark.parametrize("target", TARGETS)
def test_there_is_one_instruction(target: str) -> None:
    """Neither retries nor edges duplicate it: the other side counts calls."""
    for name in NAMES:
        made = compiled(name, target)
        for plan in made.plans:
            code = made.code(plan.symbol)
            found = [code[i.ip : i.next_ip] for i in decode(code)]
            assert found.count(plan.instruction.code) == 1, f"{name} {plan.symbol}"


def test_the_kernel_gets_no_vector_or_float_registers() -> None:
    facts = InstructionInfoFactory()
    for name, function in functions("linux-kernel"):
        for instruction in decode(function.code):
            for used in facts.info(instruction).used_registers():
                full = RegisterExt.full_register(used.register)
                allowed = RegisterExt.is_gpr64(full) or full == Register.RIP
                # PVALIDATE and the like have implicit segment registers.
                assert allowed or RegisterExt.is_segment_register(full), (name, f"{instruction}")


def below_stack(function: Function) -> list[str]:
    """Accesses to memory below RSP."""
    return [
        f"{instruction}"
        for instruction in decode(function.code)
        if OpKind.MEMORY in (instruction.op_kind(n) for n in range(instruction.op_count))
        and instruction.memory_base == Register.RSP
        and instruction.memory_displacement >> 63
    ]


def test_the_kernel_has_no_red_zone() -> None:
    for name, function in functions("linux-kernel"):
        assert not below_stack(function), name


def test_endbr_stands_at_the_entry_only() -> None:
    for name in NAMES:
        ibt = "ibt" in compiled(name).target.features
        for function in compiled(name).object_file.functions:
            found = [i.ip for i in decode(function.code) if i.mnemonic == Mnemonic.ENDBR64]
            assert found == ([0] if ibt else []), f"{name} {function.name}"


def test_all_code_decodes() -> None:
    for target in TARGETS:
        for name, function in functions(target):
            assert not any(instruction.is_invalid for instruction in decode(function.code)), name


def test_without_debug_there_are_no_lines() -> None:
    program = seamir.load_text(COMMON + "leaf A = 1 via c (a: u64) { rcx = a; }")
    made = seamir.compile(program, debug=False).object_file
    assert not any(section.name.startswith(".debug") for section in made.sections)
    assert made.functions[0].code == seamir.compile(program).object_file.functions[0].code


# -- arguments


WIDTHS = {
    "u8": ("movzx ecx, dil",),
    "u16": ("movzx ecx, di",),
    "u32": ("mov ecx, edi",),
    "u64": ("mov rcx, rdi",),
    "s8": ("movsx rcx, dil",),
    "s16": ("movsx rcx, di",),
    "s32": ("movsxd rcx, edi",),
    "s64": ("mov rcx, rdi",),
    "bool": ("movzx ecx, dil",),
    "ptr": ("mov rcx, rdi",),
}


@pytest.mark.parametrize(("kind", "wanted"), WIDTHS.items())
def test_an_argument_is_extended_by_its_type(kind: str, wanted: tuple[str, ...]) -> None:
    found = texts(code_of(f"leaf A = 1 via c (a: {kind}) {{ rcx = a; }}"))
    at_call = found.index("seamcall")
    assert [text for text in found[1:at_call] if "eax" not in text] == [
        text.replace(", ", ",") for text in wanted
    ]


def test_arguments_beyond_the_sixth_are_read_from_the_stack() -> None:
    found = texts(
        code_of(
            "leaf A = 1 via c (a: u64, b: u64, d: u64, e: u64, f: u64, g: u64, h: u64, i: u8)"
            " { rcx = a; rdx = b; r8 = d; r9 = e; r10 = f; r11 = g; r12 = h; r13 = i; }"
        )
    )
    assert "mov r12,[rsp+18h]" in found  # the return address and two saved registers lie before it
    assert "movzx r13d,byte ptr [rsp+20h]" in found


# -- parking


def test_pointers_wait_in_registers_that_the_call_leaves_alone() -> None:
    for count, spare in ((1, "c"), (2, "c"), (6, "keeping")):
        outputs = ", ".join(f"r{n}: u64 = rcx" for n in range(count))
        function = code_of(f"leaf A = 1 via {spare} () -> ({outputs});")
        assert not {"push", "pop"} & set(mnemonics(function)), count


def test_what_finds_no_spare_register_is_saved() -> None:
    outputs = ", ".join(f"r{n}: u64 = rcx" for n in range(3))
    found = Counter(mnemonics(code_of(f"leaf A = 1 via c () -> ({outputs});")))
    assert found["push"] == 1


def test_a_pointer_that_waits_where_it_arrived_is_not_moved() -> None:
    found = texts(code_of("leaf A = 1 via c (a: u64) -> (r: u64 = rcx) { rcx = a; }"))
    assert found[: found.index("seamcall")] == ["endbr64", "mov rcx,rdi", "mov eax,1"]


# -- retries


RETRIED = "leaf A = 1 via c (a: u64, b: u64) -> (r: u64 = rcx) {{ rcx = a; rdx = b; {} }}"
KEEPING = {"push", "pop", "mov", "xor"}


@pytest.mark.parametrize(
    "clauses",
    [
        "retry 1 on BUSY;",
        "retry 65534 on BUSY;",
        "retry 9 on BUSY; resume 20 on LATER { rdx = 1; }",
    ],
)
def test_a_retry_costs_one_test_and_keeping_the_operands(clauses: str) -> None:
    family = COMMON.replace("OK = 0;", "OK = 0; LATER = 0x8000030000000000;")
    plain, retried = (
        seamir.compile(seamir.load_text(family + RETRIED.format(text))).object_file.functions[0]
        for text in ("", clauses)
    )
    before = Counter(f"{i:i}".split()[0] for i in hot_path(plain))
    after = Counter(f"{i:i}".split()[0] for i in hot_path(retried))
    extra = after - before
    assert {name: extra.pop(name) for name in ("test", "js")} == {"test": 1, "js": 1}
    assert set(extra) <= KEEPING
    assert not before - after - Counter({"mov": 10})
    assert mnemonics(retried).count("seamcall") == 1
    assert len(retried.code) < 250


def test_the_golden_retry_costs_one_test_too() -> None:
    plain = compiled("page_remove").object_file.functions[0]
    retried = compiled("page_remove_retry").object_file.functions[0]
    extra = Counter(f"{i:i}".split()[0] for i in hot_path(retried))
    extra -= Counter(f"{i:i}".split()[0] for i in hot_path(plain))
    assert {name: extra.pop(name) for name in ("test", "js")} == {"test": 1, "js": 1}
    assert set(extra) <= KEEPING
    pairs = [f"{i:i}" for i in hot_path(retried)]
    assert pairs[pairs.index("test rax,rax") + 1].startswith("js ")


def test_operands_are_loaded_anew_before_each_attempt() -> None:
    found = texts(code_of(RETRIED.format("retry 3 on BUSY;")))
    begin = found.index("mov eax,1")
    assert begin < found.index("seamcall")
    assert [text.split(",")[0] for text in found[begin : found.index("seamcall")]] == [
        "mov eax",
        "mov rcx",
        "mov rdx",
    ]


def test_a_guard_without_sign_needs_no_register() -> None:
    family = COMMON.replace("OK = 0;", "OK = 0; STRANGE = 0x1234567800000000;")
    program = seamir.load_text(family + RETRIED.format("retry 3 on STRANGE, OK;"))
    path = hot_path(seamir.compile(program).object_file.functions[0])
    assert not [i for i in path if i.mnemonic == Mnemonic.MOV and i.op1_kind == OpKind.IMMEDIATE64]


# -- deliveries


def test_one_test_serves_a_structure_that_may_be_absent() -> None:
    leaf = "leaf A = 1 via c () -> (r: u64 = rcx, s: u64 = rdx, t: u64 = r8)"
    function = code_of(leaf + " { deliver struct optional; }")
    found = [f"{instruction:i}" for instruction in hot_path(function)]
    assert found.count("test rdi,rdi") == 1
    each = code_of(leaf + " { deliver pointers optional; }")
    assert sum(text.startswith("test ") for text in texts(each)) == 6


def test_stores_are_in_order() -> None:
    function = code_of("leaf A = 1 via c () -> (r: u64 = rdx, s: u8 = rcx[7:0], t: u64 = r8);")
    stores = [f"{i:i}" for i in hot_path(function) if i.op0_kind == OpKind.MEMORY]
    assert [text.split(",")[1] for text in stores] == ["rdx", "cl", "r8"]


# -- checks


WIDE = ("u64", "s64")
PROMISES = {
    "s8 in -5..5": ("s8", "s16", "s64"),
    "s8 in -128..5": ("s8", "s64"),
    "s16 in 3..32767": ("s16", "s32"),
    "u32 in 3..9": ("u32", "s32", *WIDE),
    "u32 in 0..4": ("u32", "s32", *WIDE),
    "u32 in 7..0xffffffff": ("u32", *WIDE),
    "u32[31:1] in 2..1000": ("u32", "s32", *WIDE),
    "u32[31:12]": ("u32", "u64"),
    "u64[51:12]": ("u64", "s64"),
    "u16 in 0..0": ("u16", "s16"),
    "bool in 1..1": ("bool",),
}
EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 126, 127, 128, 129, 255, 256, 998, 1000, 1001, 1002, 4096)
VALUES = sorted(
    {base + sign * edge & ALL_BITS for edge in EDGES for sign in (1, -1)
     for base in (0, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 52, 1 << 63)}
)  # fmt: skip


@pytest.mark.parametrize(
    ("promise", "given", "constant"),
    [(p, g, c) for p, kinds in PROMISES.items() for g in kinds for c in (False, True)],
)
def test_a_check_refuses_what_breaks_the_promise(promise: str, given: str, constant: bool) -> None:
    if constant and promise.startswith("bool"):
        pytest.skip("a bool has no other values")
    changed = "" if promise.startswith(given + " ") else f"(a: {given})"
    description = f"""
    const OTHER = 0x80;
    type promised = {promise};
    type allowed = promised {"| OTHER" if constant else ""};
    leaf A = 1 via c (a: allowed) {{ rcx = a; check a else BUSY; }}
    wrapper checked = A {changed};
    """
    made = compiled_text(description)
    (plan,) = made.plans
    machine = Machine(made.outputs["obj"].data, made.target)
    outcome = Script([Completed({"rax": 0x1234})])
    verdicts = set()
    for value in VALUES:
        run = interpret(plan, {"a": value}, Memory({}), outcome)
        execution = machine.call(plan, {"a": value}, {}, outcome)
        assert (execution.status, execution.problems) == (run.status, ()), hex(value)
        assert len(execution.attempts) == len(run.attempts), hex(value)
        verdicts.add(bool(run.attempts))
    assert verdicts == {True, False}
    other = extend(0x80, plan.checks[0].promise.width, plan.checks[0].promise.signed)
    assert keeps_promise(plan.checks[0].promise, other) or not constant


def test_a_check_is_one_comparison_where_one_is_enough() -> None:
    for promise in ("u32 in 0..4", "u32 in 3..9", "s8 in -5..5", "u64[51:12]"):
        description = (
            f"type p = {promise}; leaf A = 1 via c (a: p) {{ rcx = a; check a else trap; }}"
        )
        found = texts(code_of(description))
        branches = [text for text in found[: found.index("seamcall")] if text.startswith("j")]
        assert len(branches) == 1, promise


# -- features


PLAIN = "leaf A = 1 via c (a: u64) -> (r: u64 = rcx) { rcx = a; }"


def test_ibt() -> None:
    on, off = code_of(PLAIN), code_of(PLAIN, "-ibt")
    assert mnemonics(on)[0] == "endbr64"
    assert "endbr64" not in mnemonics(off)
    assert on.code[4:] == off.code
    assert compiled_text(PLAIN).object_file.section(".note.gnu.property") is not None
    without = compiled_text(PLAIN, "linux-kernel", ("-ibt",)).object_file
    assert without.section(".note.gnu.property") is None
    assert mnemonics(code_of(PLAIN, "+ibt", target="linux-user"))[0] == "endbr64"


def test_rethunk() -> None:
    on, off = code_of(PLAIN), code_of(PLAIN, "-rethunk")
    assert {r.symbol for r in on.relocations} == {"__x86_return_thunk"}
    assert "ret" not in mnemonics(on)
    assert not off.relocations
    assert mnemonics(off).count("ret") == 3


def test_sls() -> None:
    on, off = code_of(PLAIN, "-rethunk"), code_of(PLAIN, "-rethunk", "-sls")
    after = {following for first, following in zip(mnemonics(on), [*mnemonics(on)[1:], ""],
                                                   strict=True) if first == "ret"}  # fmt: skip
    assert after == {"int3"}
    assert "int3" not in mnemonics(off)
    assert "int3" in mnemonics(code_of(PLAIN, "+sls", target="linux-user"))


def test_fixup() -> None:
    for target, section in (("linux-kernel", "__ex_table"), ("linux-user", "seamir_ex_table")):
        on = compiled_text(PLAIN, target).object_file
        (entry,) = on.fixups(section)
        starts = {i.ip: i.mnemonic for i in decode(on.functions[0].code)}
        assert starts[entry.from_offset] == Mnemonic.SEAMCALL
        assert entry.to_offset in starts
        assert entry.kind == 2
        off = compiled_text(PLAIN, target, ("-fixup",)).object_file
        assert off.section(section) is None
        assert len(off.functions[0].code) < len(on.functions[0].code)
        assert "jb" in mnemonics(off.functions[0])


def test_simd() -> None:
    pair = "leaf A = 1 via c () -> (r: u64 = rcx, s: u64 = rdx) { deliver struct; }"

    def uses_vectors(function: Function) -> bool:
        return any("xmm" in text for text in texts(function))

    assert uses_vectors(code_of(pair, target="linux-user"))
    assert not uses_vectors(code_of(pair, "-simd", target="linux-user"))
    assert not uses_vectors(code_of(pair))
    assert uses_vectors(code_of(pair, "+simd"))


def test_vector_registers_that_a_call_destroys_are_said_to_be() -> None:
    leaf = "leaf A = 1 via c () { clobbers simd; }"
    for target, wanted in (("linux-user", True), ("linux-kernel", False)):
        text = compiled_text(leaf, target, emit=("llvm-ir",)).outputs["llvm-ir"].text
        assert ("~{xmm0}" in text, "~{xmm15}" in text) == (wanted, wanted)
    plain = compiled_text(PLAIN, "linux-user", emit=("llvm-ir",)).outputs["llvm-ir"].text
    assert "~{xmm" not in plain


def test_redzone() -> None:
    full = (
        "leaf A = 1 via c (a: u64) -> (r: u64 = rcx) { rsi = a; rdi = a; r12 = a; r13 = a;"
        " r14 = a; r15 = a; rbx = a; rbp = a; allow rbp; }"
    )
    assert below_stack(code_of(full, target="linux-user"))
    assert not below_stack(code_of(full, "-redzone", target="linux-user"))
    assert not below_stack(code_of(full))
    assert below_stack(code_of(full, "+redzone"))


def test_frame_pointer() -> None:
    assert texts(code_of(PLAIN, "+frame-pointer"))[1:3] == ["push rbp", "mov rbp,rsp"]
    assert "push" not in mnemonics(code_of(PLAIN))


@pytest.mark.parametrize(
    "leaf",
    [
        "leaf A = 1 via c (a: u64) -> (r: u64 = rbp) { rbp = a; allow rbp; }",
        "leaf A = 1 via c (a: u64) -> (r: u64 = rcx) { rbp = a; allow rbp; }",
        "leaf A = 1 via c () -> (r: u64 = rbp) { allow rbp; }",
    ],
)
def test_a_leaf_that_uses_rbp_has_no_frame_pointer(leaf: str) -> None:
    """LLVM would restore RBP before it is read, and branch to the edges with RSP off."""
    assert code_of(leaf, "+frame-pointer") == code_of(leaf)


def test_the_kernel_stack_is_aligned_to_8_bytes() -> None:
    """As the kernel is compiled, so a call on an edge needs no padding."""
    leaf = "leaf A = 1 via quiet (a: u64) { rcx = a; on fault call f return 0; }"
    assert "push" not in mnemonics(code_of(leaf))
    assert "push" in mnemonics(code_of(leaf, target="linux-user"))


def test_sections() -> None:
    leaf = "leaf A = 1 via c () { noinstr; }"
    assert code_of(leaf).section == ".noinstr.text"
    assert code_of(leaf, target="linux-user").section == ".text"
    assert code_of("leaf A = 1 via c ();").section == ".text"


# -- what LLVM sees


def test_no_word_of_the_user_reaches_llvm() -> None:
    """Comments, documentation, notes and names of parameters that are not needed stay out."""
    words = "ZZTOP"
    description = f"""
    /// {words}
    leaf A.{words} = 1 via c (
        /// {words}
        a: u64) -> (r: u64 = rcx) {{ rcx = a; note "{words}"; since "{words}"; requires {words}; }}
    wrapper plain = A.{words} {{ deprecated "{words}"; }}
    // {words}
    """
    made = compiled_text(description, emit=("llvm-ir", "obj"))
    assert words not in made.outputs["llvm-ir"].text
    assert words.encode() not in made.outputs["obj"].data


def test_the_assembly_is_ours_alone() -> None:
    made = compiled_text(PLAIN, emit=("llvm-ir",)).outputs["llvm-ir"].text
    call, empty = re.findall(r'asm sideeffect "([^"]*)", "([^"]*)"', made)
    assert call[0].replace("\\0A", "\n").replace("\\22", '"').splitlines() == [
        "771:",
        ".byte 0x66,0x0f,0x01,0xcf",
        '.pushsection __ex_table,"a"',
        ".balign 4",
        ".long 771b - .",
        ".long ${7:l} - .",
        ".long 2",
        ".popsection",
        "jc ${6:l}",
    ]
    clobbers = "~{rdx},~{r8},~{r9},~{r10},~{r11},~{memory},~{flags}"
    assert call[1] == f"={{rax}},={{rcx}},={{rsi}},{{rax}},{{rcx}},{{rsi}},!i,!i,{clobbers}"
    assert empty == ("", "=r,0")  # gives a constant its line


def test_memory_sizes_are_those_of_the_types() -> None:
    leaf = "leaf A = 1 via c () -> (r: u8 = rcx[7:0], s: u16 = rdx[15:0], t: u32 = r8[31:0]);"
    stores = [
        MemorySizeExt.size(instruction.memory_size)
        for instruction in hot_path(code_of(leaf))
        if instruction.op0_kind == OpKind.MEMORY
    ]
    assert stores == [1, 2, 4]


CROWDED = """
statuses low {
    detail [7:0] of ids;
    LOW_S0 = 0x140000;
    LOW_S2 = 0x80160000, 0x80170000;
    success bits [31:30] == 0;
}
operands ids { ID = 31; }
layout layout0 { rbx @552; r14 @224; r13 @232; r12 @672; rcx @784; r9 @80; }
conduit c0 {
    clobbers r14, rsi, r13, rax, rdi, rdx, rbx, r12, r10, r9;
    status rax[63:32] in low;
    instruction seamcall "66 0f 01 cf";
    r11[15:0] = leaf;
}
leaf F3 = 0x67 via c0 (a0: u16, a1: u16) -> (
    o0: u16 = r11 on success or LOW_S2(*),
    o2: layout0 = {r14, r13, rbx, r9, rcx, r12} optional,
    a0 = rdi,
    o11: s8 = carry on error,
    o12: s64 = rbp[63:56],
    o13: bool = carry
) {
    allow rbp;
    r14[40:0] = a1 | 396222136320;
    r14[56:41] = a0;
    clobbers r11, rdx, r15, r14, r13;
}
"""


# The call leaves RAX alone, but a fault does not.
ONLY_RAX = """
conduit c {
    instruction pvalidate "f2 0f 01 ff";
    status none;
    clobbers rcx, rdx, rbx, rsi, rdi, r8..r15;
    on fault trap;
}
leaf L via c (a: u64) -> (x: u64 = rcx, flag: bool = carry) { rdx = a; clobbers rbp; }
"""


@pytest.mark.parametrize("text", [CROWDED, ONLY_RAX])
@pytest.mark.parametrize("target", TARGETS)
def test_the_last_register_left_is_found_for_the_carry_flag(target: str, text: str) -> None:
    """LLVM, which ends the process when it finds none, does so for these very leaves."""
    program = (
        "import seamir, sys; seamir.compile(seamir.load_text(sys.argv[1]), target=sys.argv[2])"
    )
    run(sys.executable, "-c", program, text, target)
