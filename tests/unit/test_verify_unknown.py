"""What the prover makes of fixup tables, of code it does not know, and of code nobody runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from assembled import CALL, KERNEL, STORING, STORING_CODE, assemble, fixup
from plans import (
    U32,
    edges,
    plan,
    returning,
    trapping,
    value,
)
from proved_code import SIMPLE, SIMPLE_CODE, prove, refute

from seamir.verify.prover import prove_object
from seamir.verify.result import Verdict
from seamir.verify.walk import Event, Path, Walker

# -- the fixup table


@pytest.mark.parametrize(("rows", "count"), [("", 0), (fixup() * 2, 2)])
def test_the_instruction_has_one_row(rows: str, count: int) -> None:
    (proof,) = prove_object(assemble(STORING_CODE, rows), [STORING], KERNEL)
    assert proof.verdict is Verdict.REFUTED
    failure = proof.failures[0]
    assert f"the fixup table, __ex_table, has {count} row" in failure.text
    assert (failure.offset, failure.instruction) == (11, "seamcall")


def test_a_row_without_a_fault_edge_is_one_too_many() -> None:
    code = SIMPLE_CODE.replace(CALL, f"771: {CALL}; 772:")
    assert "the plan no edge for a fault" in prove(SIMPLE, code).failures[0].text
    assert prove(SIMPLE, SIMPLE_CODE).is_proved


@pytest.mark.parametrize("kind", [0, 13, 0x101])
def test_a_row_of_a_type_that_is_not_known_proves_nothing(kind: int) -> None:
    """A kernel may do anything for it: nothing at all, or change a register."""
    wrapper = plan(on=edges(on_carry=returning(7), on_fault=returning(9)))
    code = f"""
        mov $29, %eax
        771: {CALL}
        jc 1f; ret
        1: mov $7, %eax; ret
        772: mov $9, %eax; ret
    """
    for known in (1, 2):
        (proof,) = prove_object(assemble(code, fixup(kind=known)), [wrapper], KERNEL)
        assert proof.is_proved, proof.failures
    (proof,) = prove_object(assemble(code, fixup(kind=kind)), [wrapper], KERNEL)
    assert proof.verdict is Verdict.UNDECIDED
    failure = proof.failures[0]
    assert (
        failure.text
        == f"the row of the fixup table is of type {kind:#x}, which the prover does not know"
    )
    assert (failure.offset, failure.instruction) == (5, "seamcall")


def test_paths_that_fail_alike_are_told_of_once() -> None:
    code = STORING_CODE.replace("mov %edi, %ecx", "mov %edi, %ecx; xor %ebp, %ebp")
    (failure,) = refute(STORING, code, "rbp, which a function preserves, at return").failures
    assert failure.wanted != failure.found == 0


# -- what the prover does not know is never passed over


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (f"vzeroupper; {SIMPLE_CODE}", "`vzeroupper` is no instruction that the prover knows"),
        (f"rdtsc; {SIMPLE_CODE}", "`rdtsc` is no instruction that the prover knows"),
        (f"jmp 1f; mov $1, %eax; 1: {SIMPLE_CODE}", "nothing leads to `mov eax, 0x1`"),
    ],
)
def test_what_is_not_known_is_undecided(code: str, text: str) -> None:
    proof = prove(SIMPLE, code)
    assert proof.verdict is Verdict.UNDECIDED
    assert text in proof.failures[0].text
    assert proof.failures[0].counterexample is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (f"cpuid; {SIMPLE_CODE}", "`cpuid` is no instruction that the prover knows"),
        ("jmp *%rdi", "jumps to an address that it computes"),
        ("1: jmp 1b", "no end after"),
    ],
)
def test_what_is_not_known_and_goes_wrong_is_refuted(code: str, text: str) -> None:
    refute(SIMPLE, code, text)


def test_code_that_never_runs_has_a_reason() -> None:
    code = f"xor %ecx, %ecx; je 2f; mov $1, %ecx; 2: {SIMPLE_CODE}; int3; int3"
    proof = prove(SIMPLE, code)
    assert proof.is_proved, proof.failures
    assert [reason for _, reason in proof.unreachable] == [
        "the branch at +0x2 always goes",
        "int3, which stops speculation",
        "int3, which stops speculation",
    ]


def test_an_object_without_the_function_is_undecided() -> None:
    (proof,) = prove_object(assemble(SIMPLE_CODE), [plan(symbol="other")], KERNEL)
    assert proof.verdict is Verdict.UNDECIDED
    assert proof.failures[0].text == "the object has no function other"


def test_time_that_is_over_is_told() -> None:
    proof = prove(SIMPLE, "1: jmp 1b", timeout=0.0)
    assert proof.verdict is Verdict.UNDECIDED
    assert proof.failures[0].text == "the time is over"


def test_a_proof_of_nothing_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_walker: Walker, _start: Path) -> Iterator[tuple[Path, Event]]:
        return iter(())

    monkeypatch.setattr(Walker, "walk", nowhere)
    proof = prove(SIMPLE, "")
    assert proof.verdict is Verdict.UNDECIDED
    assert [failure.text for failure in proof.failures] == ["nothing was there to be shown"]


def test_a_function_without_the_instruction_is_refuted() -> None:
    refute(SIMPLE, "mov $7, %eax; ret", "it ends without an attempt")


def test_code_that_must_not_be_instrumented_is_in_its_section() -> None:
    wrapper = replace(SIMPLE, section=".noinstr.text")
    proof = prove(wrapper, SIMPLE_CODE)
    assert proof.verdict is Verdict.REFUTED
    assert "in section .text, and has to be in .noinstr.text" in proof.failures[0].text


def test_code_stays_in_sections_that_are_run() -> None:
    assert prove(SIMPLE, f"jmp 5f; 5: {SIMPLE_CODE}").is_proved
    for section, verdict in [
        ('.text.cold, "ax"', Verdict.PROVED),
        (".rodata", Verdict.REFUTED),
        ('.text.patched, "awx"', Verdict.REFUTED),
    ]:
        data = assemble("jmp 5f", f".section {section}; 5: {SIMPLE_CODE}")
        (proof,) = prove_object(data, [SIMPLE], KERNEL)
        assert proof.verdict is verdict
        assert proof.is_proved or proof.failures[0].text == "it goes on where there is no code"


def test_what_a_linker_puts_behind_a_section_is_not_known() -> None:
    assert SIMPLE_CODE.endswith("; ret")
    data = assemble(SIMPLE_CODE.removesuffix("; ret"), '.section .text.next, "ax"; ret')
    (proof,) = prove_object(data, [SIMPLE], KERNEL)
    assert proof.verdict is Verdict.REFUTED
    assert proof.failures[0].text == "it goes on behind the end of its code"


def test_a_loop_that_an_argument_counts_is_given_up_soon() -> None:
    wrapper = plan(value("n", U32), loads=[], on=edges(on_carry=returning(7), on_fault=None))
    proof = prove(wrapper, f"2: dec %edi; jnz 2b; {SIMPLE_CODE}")
    assert proof.verdict is Verdict.UNDECIDED
    assert "branches on one path" in proof.failures[0].text


def test_ud2_with_a_row_of_the_fixup_table_is_no_trap() -> None:
    wrapper = plan(on=edges(on_carry=trapping(), on_fault=None))
    code = f"mov $29, %eax; {CALL}; jc 771f; ret"
    cold = '.section .text.cold, "ax"; 771: ud2; 772: ret'
    assert prove_object(assemble(code, cold), [wrapper], KERNEL)[0].is_proved
    (proof,) = prove_object(assemble(code, cold + fixup()), [wrapper], KERNEL)
    assert proof.failures[0].text == "runs into `ud2`"


def test_a_fault_may_go_on_in_a_cold_part_of_the_function() -> None:
    edge = STORING_CODE[STORING_CODE.index("772:") :]
    hot = STORING_CODE.replace(edge, "")
    cold = f"""
        .section .text.unlikely,"ax"
        .type wrapper.cold,@function
        wrapper.cold: {edge}
        .size wrapper.cold, . - wrapper.cold
    """
    for part in (cold, cold.replace(".type wrapper.cold,@function", "")):
        (proof,) = prove_object(assemble(hot, part + fixup()), [STORING], KERNEL)
        assert proof.is_proved, proof.failures
    wrong = cold.replace("0x8000ff00", "0x8000fe00")
    (proof,) = prove_object(assemble(hot, wrong + fixup()), [STORING], KERNEL)
    assert proof.verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (SIMPLE_CODE.removesuffix("; ret"), "it goes on behind the end of its code"),
        (f".byte 0x06; {SIMPLE_CODE}", "the bytes here are no instruction"),
    ],
)
def test_where_there_is_no_instruction_is_told(code: str, text: str) -> None:
    refute(SIMPLE, code, text)


def test_an_instruction_is_shown_with_its_symbols() -> None:
    code = SIMPLE_CODE.replace("1: mov $7, %eax; ret", "1: mov elsewhere(%rip), %eax; ret")
    failure = refute(SIMPLE, code, "`mov eax, [rip+elsewhere]` reads 4 bytes").failures[0]
    assert failure.instruction == "mov eax, [rip+elsewhere]"


def test_a_call_by_another_instruction_is_refuted() -> None:
    code = SIMPLE_CODE.replace("ret; 1:", ".byte 0x66, 0x0f, 0x01, 0xcc; ret; 1:")
    refute(SIMPLE, code, "executes tdcall, and the plan calls by seamcall")
