"""Running machine code: what the machine does, and that it finds each kind of bad code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
from assembled import CALL, STORING, STORING_CODE, assemble, fixup
from plans import (
    U8,
    U32,
    again,
    bits,
    calling,
    deliver,
    edges,
    exactly,
    in_out,
    load,
    out,
    plan,
    returning,
    trapping,
    value,
)

from seamir.diagnostics import SeamError
from seamir.emulate.compare import compare
from seamir.emulate.image import KERNEL_BASE, LinkError, lay_out
from seamir.emulate.interpreter import interpret
from seamir.emulate.machine import DATA_START, Execution, Machine
from seamir.emulate.processor import GENERAL
from seamir.emulate.script import Carry, Completed, Fault, Memory, Outcome, Script, Write
from seamir.ir.leaf import Plan, Returns
from seamir.model.registers import ALL_BITS
from seamir.objects.reading import read_object
from seamir.targets import TARGETS, Target, select_target

KERNEL, USER, UEFI = TARGETS["linux-kernel"], TARGETS["linux-user"], TARGETS["uefi"]
OUT, OUT2 = DATA_START + 0x100, DATA_START + 0x200
REGIONS = {OUT: b"\xaa" * 8, OUT2: b"\xbb" * 8}
FAULT = 0x8000_FF00_0000_0000
BUSY = 0x8000_0200_0000_0000
DONE = Completed({"rax": 5, "rcx": 0x1111_2222_3333_4444, "rdx": 6})


def execute(
    wrapper: Plan,
    body: str,
    *outcomes: Outcome,
    rest: str = "",
    target: Target = KERNEL,
    seed: int = 1,
    registers: Mapping[str, int] | None = None,
    named: Mapping[str, int] | None = None,
    **arguments: int,
) -> Execution:
    machine = Machine(assemble(body, rest), target)
    script = Script(outcomes or (DONE,))
    arguments.update(named or {})
    return machine.call(wrapper, arguments, REGIONS, script, seed=seed, registers=registers)


SIMPLE = plan()
SIMPLE_CODE = f"mov $29, %eax; {CALL}; ret"


# -- what the machine does


def test_a_call_from_arguments_to_return() -> None:
    arguments = {"a": 0xDEAD_BEEF_1234_5678, "page": OUT}
    execution = execute(STORING, STORING_CODE, named=arguments)
    assert execution.attempts[0]["rax"] == 29
    assert execution.attempts[0]["rcx"] == 0x1234_5678
    assert execution.status == 5
    assert execution.value is None
    assert execution.writes == (Write(OUT, bytes.fromhex("4444333322221111")),)
    assert execution.problems == ()
    assert not execution.trapped


def test_carry_and_fault_reach_their_edges() -> None:
    cases: list[tuple[Outcome, int]] = [(Carry(), 7), (Fault(13), 0x8000_FF00_0000_000D)]
    for outcome, status in cases:
        execution = execute(STORING, STORING_CODE, outcome, rest=fixup(), a=1, page=OUT)
        assert (execution.status, execution.problems) == (status, ())
        assert execution.writes == (Write(OUT, bytes(8)),)
    execution = execute(STORING, STORING_CODE, Fault(13), a=1, page=OUT)
    assert (execution.escaped_fault, execution.status) == (13, None)


def test_the_user_table_is_another_section() -> None:
    for section_of, escaped in [(USER, None), (KERNEL, 6)]:
        execution = execute(
            STORING, STORING_CODE, Fault(6), rest=fixup(section_of), target=USER, a=1, page=OUT
        )
        assert execution.escaped_fault == escaped


def test_only_the_targets_type_of_entry_brings_the_vector() -> None:
    rest = fixup(kind=1)
    execution = execute(STORING, STORING_CODE, Fault(13), rest=rest, a=1, page=OUT)
    assert execution.status == 0x8000_FF00_0000_0000 | 29


def test_seven_arguments_and_more_come_on_the_stack() -> None:
    names = "abcdefgh"
    wrapper = plan(*(value(n) for n in names), loads=[load("rcx", "g"), load("rdx", "h")])
    code = f"mov 8(%rsp), %rcx; mov 16(%rsp), %rdx; mov $29, %eax; {CALL}; ret"
    arguments = {name: 1 << 60 | ord(name) for name in names}
    execution = execute(wrapper, code, named=arguments)
    assert execution.problems == ()
    assert execution.attempts[0]["rcx"] == arguments["g"]
    assert execution.attempts[0]["rdx"] == arguments["h"]
    code = code.replace("16(", "24(")
    assert execute(wrapper, code, named=arguments).problems == (
        "reads the caller's stack past the arguments",
    )


def test_arguments_go_where_the_convention_says() -> None:
    names = "abcdef"
    wrapper = plan(*(value(name) for name in names))
    execution = execute(wrapper, SIMPLE_CODE, named={name: ord(name) for name in names})
    registers = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
    assert [chr(execution.attempts[0][r]) for r in registers] == list(names)


def test_the_value_is_rdx() -> None:
    wrapper = plan(
        returns=Returns.STATUS_AND_VALUE, deliveries=[deliver("a", bits("rdx"), U8, to=None)]
    )
    execution = execute(wrapper, SIMPLE_CODE, Completed({"rax": 1, "rdx": 0x1234}))
    assert (execution.status, execution.value) == (1, 0x1234)


def test_the_loop_of_a_retry() -> None:
    wrapper = plan(clauses=[again(9, exactly(BUSY))])
    code = (
        f"movabs ${BUSY}, %r9; mov %r9, %rsi; 1: mov $29, %eax; {CALL}; cmp %rsi, %rax; je 1b; ret"
    )
    busy = Completed({"rax": BUSY})
    execution = execute(wrapper, code, busy, busy, Completed({"rax": 1}))
    assert (len(execution.attempts), execution.status, execution.problems) == (3, 1, ())


def test_ud2_is_a_trap() -> None:
    execution = execute(SIMPLE, f"{CALL}; ud2")
    assert (execution.trapped, execution.status, execution.problems) == (True, None, ())


def test_calls_of_symbols_are_recorded_and_destroy_registers() -> None:
    wrapper = plan(on=edges(v6=calling("helper", 1)))
    code = f"push %rdi; {CALL}; mov $1, %ecx; call helper; mov %rcx, %rax; pop %rcx; ret"
    execution = execute(wrapper, code)
    assert (execution.called, execution.problems) == (("helper",), ())
    assert execution.status not in (1, None)
    code = f"push %rdi; {CALL}; call helper@PLT; mov $4, %eax; pop %rcx; ret"
    assert execute(wrapper, code, target=USER).status == 4


def test_a_call_that_does_not_return_ends_the_run() -> None:
    wrapper = plan(on=edges(on_carry=calling("panic", None)))
    execution = execute(wrapper, f"push %rdi; {CALL}; call panic", Carry())
    assert (execution.called, execution.trapped, execution.problems) == (("panic",), True, ())


def test_the_return_thunk_returns_and_is_no_call() -> None:
    execution = execute(SIMPLE, f"mov $29, %eax; {CALL}; jmp __x86_return_thunk; int3")
    assert (execution.status, execution.called, execution.problems) == (5, (), ())


@pytest.mark.parametrize("instruction", ["seamcall", "tdcall", "pvalidate"])
def test_every_instruction_reaches_the_other_side(instruction: str) -> None:
    wrapper = plan(instruction=instruction, on=edges(None, None))
    code = ",".join(hex(byte) for byte in wrapper.instruction.code)
    execution = execute(wrapper, f"mov $29, %eax; .byte {code}; ret")
    assert (execution.status, len(execution.attempts)) == (5, 1)


def test_two_runs_with_one_seed_are_equal() -> None:
    machine = Machine(assemble(SIMPLE_CODE), KERNEL)
    first, second, other = (
        machine.call(SIMPLE, {}, {}, Script([DONE]), seed=seed) for seed in (3, 3, 4)
    )
    assert first == second
    assert first.attempts != other.attempts


def test_registers_can_be_chosen() -> None:
    execution = execute(SIMPLE, SIMPLE_CODE, registers={"r14": 77})
    assert execution.attempts[0]["r14"] == 77


# -- what the other side destroys


def test_destroyed_registers_never_survive() -> None:
    for name in sorted(SIMPLE.destroyed - {"rax", "rcx", "rdx"}):
        execution = execute(SIMPLE, f"mov $77, %{name}; {CALL}; mov %{name}, %rax; ret")
        assert execution.status != 77, name
    for name in sorted(set(GENERAL) - SIMPLE.destroyed - {"rsp"}):
        code = f"push %{name}; mov $77, %{name}; {CALL}; mov %{name}, %rax; pop %{name}; ret"
        assert execute(SIMPLE, code).status == 77, name


def test_carry_destroys_all_but_rax() -> None:
    execution = execute(SIMPLE, f"mov $1, %eax; mov $2, %r8; {CALL}; ret", Carry())
    assert execution.status == 1
    execution = execute(SIMPLE, f"mov $2, %r8; {CALL}; mov %r8, %rax; ret", Carry())
    assert execution.status != 2


def flags_after(wrapper: Plan, outcome: Outcome) -> set[tuple[str, bool]]:
    """Each (condition, whether it held) that was seen after the instruction."""
    seen = set()
    for letter in "czsop":
        for seed in range(20):
            code = f"xor %esi, %esi; {CALL}; set{letter} %sil; mov %rsi, %rax; ret"
            status = execute(wrapper, code, outcome, seed=seed).status
            seen.add((letter, bool(status)))
    return seen


def test_status_flags_are_junk_but_for_the_carry_that_counts() -> None:
    both = {(letter, held) for letter in "zsop" for held in (False, True)}
    assert flags_after(SIMPLE, DONE) == both | {("c", False)}
    assert flags_after(SIMPLE, Carry()) == both | {("c", True)}
    without_edge = plan(on=edges(on_carry=None))
    assert flags_after(without_edge, DONE) == both | {("c", False), ("c", True)}


def test_the_red_zone_is_used_by_interrupts() -> None:
    code = f"movq $1, -8(%rsp); movq $2, -128(%rsp); {CALL}; mov -8(%rsp), %rax; ret"
    assert execute(SIMPLE, code).status != 1
    assert execute(SIMPLE, code.replace("mov -8", "mov -128")).status != 2
    assert execute(SIMPLE, code, target=USER).status == 1
    careful = select_target("linux-user", ("-redzone",))
    assert execute(SIMPLE, code, target=careful).status != 1


def test_the_other_side_writes_memory() -> None:
    wrapper = plan(in_out("a"), loads=[load("rcx", "a")])
    outcome = Completed({"rax": 0}, (Write(OUT, b"\x07"),))
    code = f"mov (%rdi), %rcx; {CALL}; mov (%rdi), %rax; ret"
    execution = execute(wrapper, code, outcome, a=OUT)
    assert execution.attempts[0]["rcx"] == 0xAAAA_AAAA_AAAA_AAAA
    assert execution.status == 0xAAAA_AAAA_AAAA_AA07
    assert execution.writes == ()


# -- bad code


PRESERVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")


@pytest.mark.parametrize("name", PRESERVED)
def test_a_callee_saved_register_is_missed(name: str) -> None:
    (problem,) = execute(SIMPLE, f"{CALL}; mov $9, %{name}; ret").problems
    assert problem.startswith(f"{name} is 0x9 at return and was 0x")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("ret $8", "rsp is off by 8 bytes at return"),
        ("std; ret", "the direction flag is set at return"),
        ("movq $1, 8(%rsi); ret", f"writes 8 bytes at {OUT + 8:#x}, outside all regions"),
        ("movb 8(%rsi), %al; ret", f"reads 1 bytes at {OUT + 8:#x}, outside all regions"),
        ("movl $1, 6(%rsi); ret", f"writes 4 bytes at {OUT + 6:#x}, outside all regions"),
        ("movq $1, 8(%rsp); ret", "writes 0x1 to the caller's stack at rsp+0x8"),
        ("1: jmp 1b", "no end after 2000 instructions"),
        ("int3", "exception 3"),
    ],
)
def test_bad_code_is_found(code: str, problem: str) -> None:
    wrapper = plan(value("a", U32), out("page"))
    assert execute(wrapper, f"{CALL}; {code}", a=1, page=OUT).problems == (problem,)


@pytest.mark.parametrize("code", ["mov (%rdi), %rcx", "mov %rcx, (%rdi)", "jmp *%rdi"])
def test_null_is_nowhere(code: str) -> None:
    (problem,) = execute(plan(value("a")), code, a=0).problems
    assert "UNMAPPED" in problem


@pytest.mark.parametrize(
    ("code", "place"), [(CALL, "the instruction"), ("jmp helper", "the call of helper")]
)
def test_a_lost_stack_is_told(code: str, place: str) -> None:
    problems = execute(plan(value("a")), f"mov %rdi, %rsp; {code}", a=5).problems
    assert problems == (f"rsp is 0x5 at {place}, outside the stack",)


def test_code_cannot_be_written() -> None:
    (problem,) = execute(SIMPLE, "lea wrapper(%rip), %rcx; movb $0, (%rcx); ret").problems
    assert "UC_ERR_WRITE_PROT" in problem and "wrapper+0x7" in problem


def test_an_instruction_of_another_conduit_is_unknown() -> None:
    (problem,) = execute(SIMPLE, "nop; .byte 0x66, 0x0f, 0x01, 0xcc; ret").problems
    assert problem == "an unknown instruction at wrapper+0x1"


def test_more_attempts_than_the_bound() -> None:
    execution = execute(plan(clauses=[again(2, exactly(BUSY))]), f"1: {CALL}; jmp 1b")
    assert execution.problems == ("more than 3 attempts",)


def test_a_store_before_the_last_attempt() -> None:
    code = f"mov %rsi, %rbp; movq $0, (%rsi); {CALL}; ret"
    wrapper = plan(value("a", U32), out("page"))
    assert (
        f"stores at {OUT:#x} before the last attempt"
        in execute(wrapper, f"movq $0, (%rsi); {CALL}; ret", a=1, page=OUT).problems
    )
    assert len(execute(wrapper, code, a=1, page=OUT).problems) == 2


def test_a_return_of_a_wrapper_that_must_not() -> None:
    assert execute(plan(returns=Returns.NOTHING), f"{CALL}; ret").problems == (
        "it returned and must not",
    )


def test_an_unaligned_call_matters_where_sse_is_used() -> None:
    wrapper, code = plan(on=edges(v6=calling("helper", 1))), f"{CALL}; call helper; ret"
    assert execute(wrapper, code, target=USER).problems == (
        "the stack is not aligned at the call of helper",
    )
    assert execute(wrapper, code, target=KERNEL).problems == ()


# -- comparison with the plan


def differences(wrapper: Plan, code: str, *outcomes: Outcome, **arguments: int) -> list[str]:
    script = Script(outcomes or (DONE,))
    run = interpret(wrapper, arguments, Memory(REGIONS), script)
    machine = Machine(assemble(code, fixup() if "772:" in code else ""), KERNEL)
    return compare(wrapper, run, machine.call(wrapper, arguments, REGIONS, script))


def test_good_code_has_no_differences() -> None:
    for outcome in (DONE, Carry(), Fault(6), Fault(13)):
        assert differences(STORING, STORING_CODE, outcome, a=1 << 40 | 3, page=OUT) == []


@pytest.mark.parametrize(
    ("old", "new", "outcome", "difference"),
    [
        ("$29", "$28", DONE, "rax at attempt 1 is 0x1c instead of 0x1d"),
        ("edi, %ecx", "rdi, %rcx", DONE, "rcx at attempt 1 is 0x10000000003 instead of 0x3"),
        (
            "mov %rcx, (%rbx)",
            "mov %ecx, (%rbx)",
            DONE,
            f"the 4 bytes at {OUT + 4:#x} are not written",
        ),
        ("mov %rcx, (%rbx)", "nop", DONE, f"the 8 bytes at {OUT:#x} are not written"),
        (
            "%rcx, (%rbx)",
            "%rdx, (%rbx)",
            DONE,
            f"the 8 bytes at {OUT:#x} are 06 {'00 ' * 7}instead of 44 44 33 33 22 22 11 11",
        ),
        ("1: movq $0, (%rbx)", "1: nop", Carry(), f"the 8 bytes at {OUT:#x} are not written"),
        ("mov $7, %eax", "nop", Carry(), "the status is 0x1d instead of 0x7"),
        ("jc 1f", "nop", Carry(), "the status is 0x1d instead of 0x7"),
        ("or %rcx", "mov %rcx", Fault(6), f"the status is {FAULT:#x} instead of {FAULT | 6:#x}"),
        ("jc 1f", f"{CALL}; jc 1f", DONE, "more than 1 attempts"),
        ("jc 1f", "ud2", DONE, "it traps"),
        ("jc 1f", "ud2", DONE, "the status is nothing instead of 0x5"),
    ],
)
def test_each_departure_is_named(old: str, new: str, outcome: Outcome, difference: str) -> None:
    assert old in STORING_CODE
    code = STORING_CODE.replace(old, new)
    assert difference in differences(STORING, code, outcome, a=1 << 40 | 3, page=OUT)


def test_other_departures_are_named() -> None:
    assert differences(SIMPLE, f"mov $29, %eax; {CALL}; ud2") == [
        "the status is nothing instead of 0x5",
        "it traps",
    ]
    trap = plan(on=edges(on_carry=trapping()))
    assert "it does not trap" in differences(trap, SIMPLE_CODE, Carry())
    assert differences(SIMPLE, "mov $5, %eax; ret") == ["0 attempts instead of 1"]
    assert differences(
        SIMPLE, f"mov $29, %eax; push %rcx; {CALL}; call memset; pop %rcx; mov $5, %eax; ret"
    ) == ["it calls memset instead of nothing"]
    assert differences(SIMPLE, f"mov $29, %eax; {CALL}; ret", Fault(3)) == [
        "the status is nothing instead of 0x8000ff0000000003",
        "the escaped fault is 0x3 instead of nothing",
    ]
    keep = plan(
        out("a"),
        deliveries=[deliver("a", bits("rcx"), U8, keep=True)],
        on=edges(on_carry=returning(ALL_BITS)),
    )
    code = f"mov $29, %eax; mov %rdi, %rsi; {CALL}; movb $1, (%rsi); movabs $-1, %rax; ret"
    assert differences(keep, code, Carry(), a=OUT) == [f"the byte at {OUT:#x} is written"]


def test_a_returned_value_counts_in_the_width_of_its_type() -> None:
    wrapper = plan(
        returns=Returns.STATUS_AND_VALUE, deliveries=[deliver("a", bits("rdx"), U8, to=None)]
    )
    outcome = Completed({"rax": 1, "rdx": 0x1234})
    assert differences(wrapper, SIMPLE_CODE, outcome) == []
    assert differences(wrapper, f"mov $29, %eax; {CALL}; mov $0x35, %edx; ret", outcome) == [
        "the value is 0x35 instead of 0x34"
    ]


# -- loading


def test_relocations_of_all_kinds() -> None:
    body = """
        lea table(%rip), %rcx
        mov table(%rip), %rax
        movslq table+8(%rip), %rdx
        cmp %rdx, %rax
        jne 1f
        mov other@GOTPCREL(%rip), %rdx
        cmp %rdx, %rax
        jne 1f
        cmp $other, %rax
        jne 1f
        call other
        ret
        1: ud2
    """
    rest = """
        .type other,@function
        other: mov $3, %eax; ret
        .size other, . - other
        .section .rodata,"a"
        table: .quad other
        .long other
    """
    small = select_target("linux-kernel", ["-kernel-model"])
    assert execute(SIMPLE, body, rest=rest, target=small).status == 3
    contents = read_object(assemble(body, rest))
    kinds = {r.kind for section in contents.sections for r in section.relocations}
    assert {"R_X86_64_PC32", "R_X86_64_64", "R_X86_64_32", "R_X86_64_32S"} <= kinds
    with pytest.raises(LinkError, match=r"R_X86_64_32 of .* does not reach 0xffffffff81"):
        lay_out(contents, KERNEL)


@pytest.mark.parametrize(
    "other",
    [
        ".globl wrapqer; .type wrapqer,@function; wrapqer: ret; .size wrapqer, . - wrapqer",
        "jmp wrapqer",
    ],
    ids=["function", "undefined"],
)
def test_what_shares_its_name_is_nothing_that_code_may_refer_to(other: str) -> None:
    data = assemble("ret", f"{other}; jmp wrapper@PLT")
    assert "wrapper" in lay_out(read_object(data), KERNEL).functions
    shared = read_object(data.replace(b"wrapqer\0", b"wrapper\0"))
    with pytest.raises(LinkError, match="nothing alone is called wrapper"):
        lay_out(shared, KERNEL)


def test_signed_32_bit_addresses_reach_the_kernel() -> None:
    image = lay_out(read_object(assemble("mov $wrapper, %rax; ret")), KERNEL)
    assert image.functions["wrapper"] == KERNEL_BASE
    assert image.data[3:7] == (KERNEL_BASE & 0xFFFF_FFFF).to_bytes(4, "little")


def test_requests_that_make_no_sense() -> None:
    machine = Machine(assemble(SIMPLE_CODE), KERNEL)
    assert machine.symbols == ("wrapper",)
    with pytest.raises(ValueError, match="the object has no function other"):
        machine.call(plan(symbol="other"), {}, {}, Script([DONE]))
    with pytest.raises(ValueError, match="is not within the caller's memory"):
        machine.call(SIMPLE, {}, {DATA_START - 1: b"12"}, Script([DONE]))
    with pytest.raises(ValueError, match="the other side preserves r12"):
        machine.call(SIMPLE, {}, {}, Script([Completed({"r12": 1})]))
    assert machine.call(SIMPLE, {}, {}, Script([DONE])).status == 5  # still fit for use


def test_a_missing_unicorn_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(SeamError) as error:
        Machine(assemble(SIMPLE_CODE), KERNEL)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E0804"
    assert diagnostic.message == "running needs the extra `seamir[emulate]`"


# -- the Microsoft x64 convention


def test_arguments_come_by_the_microsoft_convention() -> None:
    names = "abcdef"
    wrapper = plan(*(value(n) for n in names), loads=[load("r10", "e"), load("r11", "f")])
    code = f"mov 40(%rsp), %r10; mov 48(%rsp), %r11; mov $29, %eax; {CALL}; ret"
    execution = execute(wrapper, code, target=UEFI, named={name: ord(name) for name in names})
    registers = ("rcx", "rdx", "r8", "r9", "r10", "r11")
    assert [chr(execution.attempts[0][r]) for r in registers] == list(names)
    assert execution.problems == ()
    code = code.replace("48(", "56(")
    execution = execute(wrapper, code, target=UEFI, named={name: ord(name) for name in names})
    assert execution.problems == ("reads the caller's stack past the arguments",)


def test_the_shadow_space_is_the_functions_own() -> None:
    code = f"mov %rax, 8(%rsp); mov %rax, 32(%rsp); {SIMPLE_CODE}"
    assert execute(SIMPLE, code, target=UEFI).problems == ()
    (problem,) = execute(SIMPLE, f"mov %eax, 40(%rsp); {SIMPLE_CODE}", target=UEFI).problems
    assert "to the caller's stack at rsp+0x28" in problem
    assert len(execute(SIMPLE, code, target=USER).problems) == 2


@pytest.mark.parametrize("name", ["rsi", "rdi"])
def test_more_registers_are_preserved(name: str) -> None:
    code = f"mov $1, %{name}; {SIMPLE_CODE}"
    (problem,) = execute(SIMPLE, code, target=UEFI).problems
    assert problem.startswith(f"{name} is 0x1 at return and was ")
    assert execute(SIMPLE, code, target=USER).problems == ()


@pytest.mark.parametrize("number", [6, 15])
def test_vector_registers_are_preserved(number: int) -> None:
    code = f"xorps %xmm{number}, %xmm{number}; {SIMPLE_CODE}"
    (problem,) = execute(SIMPLE, code, target=UEFI).problems
    assert problem.startswith(f"xmm{number} is {'0' * 32} at return and was ")
    assert execute(SIMPLE, f"xorps %xmm5, %xmm5; {SIMPLE_CODE}", target=UEFI).problems == ()
    assert execute(SIMPLE, code, target=USER).problems == ()


def test_vector_registers_that_the_other_side_destroys() -> None:
    wrapper = replace(SIMPLE, destroys_simd=True)
    numbers = range(6, 16)
    problems = execute(wrapper, SIMPLE_CODE, target=UEFI).problems
    assert [problem.split()[0] for problem in problems] == [f"xmm{number}" for number in numbers]
    save = "; ".join(f"movups %xmm{n}, {16 * (n - 6)}(%rsp)" for n in numbers)
    back = "; ".join(f"movups {16 * (n - 6)}(%rsp), %xmm{n}" for n in numbers)
    code = f"sub $168, %rsp; {save}; mov $29, %eax; {CALL}; {back}; add $168, %rsp; ret"
    assert execute(wrapper, code, target=UEFI).problems == ()


def test_a_called_function_uses_its_shadow_space() -> None:
    """It keeps XMM6 to XMM15, and takes the 32 bytes above its return address."""
    wrapper = plan(on=edges(on_carry=calling("helper", 1)))
    code = f"mov $29, %eax; {CALL}; sub $40, %rsp; call helper; add $40, %rsp; mov $1, %eax; ret"
    assert execute(wrapper, code, Carry(), target=UEFI).problems == ()
    code = f"push %rbx; push %rbx; mov $29, %eax; {CALL}; sub $24, %rsp; call helper"
    code += "; add $24, %rsp; pop %rbx; pop %rcx; ret"
    (problem,) = execute(wrapper, code, Carry(), target=UEFI).problems
    assert problem.startswith("rbx is ")
    assert execute(wrapper, code, Carry(), target=USER).problems == ()
