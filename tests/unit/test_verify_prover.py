"""The prover on code that was written for it: what it proves and what it refutes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from assembled import CALL, STORING, STORING_CODE
from plans import (
    PTR,
    U8,
    U64,
    again,
    array,
    bits,
    calling,
    check,
    deliver,
    edges,
    exactly,
    in_out,
    load,
    out,
    plan,
    returning,
    struct,
    structure,
    value,
)
from proved_code import BUSY, SIMPLE, SIMPLE_CODE, USER, prove, refute

from seamir.emulate.script import Carry, Fault
from seamir.ir.leaf import Bound, Input, Plan
from seamir.verify.result import Verdict


def test_right_code_is_proved() -> None:
    proof = prove(STORING, STORING_CODE)
    assert proof.verdict is Verdict.PROVED
    assert (proof.paths, proof.sites, proof.failures) == (4, (11,), ())
    assert proof.instructions == 18
    assert proof.obligations > 20


WRONG = [
    ("mov %edi, %ecx", "mov %rdi, %rcx", "rcx, an operand, at the instruction"),
    ("mov %edi, %ecx", "movslq %edi, %rcx", "rcx, an operand, at the instruction"),
    ("mov $29, %eax", "mov $30, %eax", "rax, a selector, at the instruction"),
    ("mov %rcx, (%rbx); pop", "mov %rdx, (%rbx); pop", "output page where the call completed"),
    ("mov %rcx, (%rbx); pop", "mov %ecx, (%rbx); pop", "output page is not stored"),
    ("mov %rcx, (%rbx); pop", "pop", "output page is not stored where the call completed"),
    ("mov %rcx, (%rbx); pop", "mov %rcx, (%rbx); mov %rcx, 8(%rbx); pop", "past its end"),
    ("movq $0, (%rbx); mov $7", "mov $7", "output page is not stored where the call failed"),
    ("mov $7, %eax", "mov $8, %eax", "the status where the call failed with carry"),
    ("jc 1f", "jz 1f", "the status where the call failed with carry"),
    ("or %rcx, %rax", "and %rcx, %rax", "the status where a fault was raised"),
    ("jc 1f; mov %rcx, (%rbx); pop %rbx", "jc 1f; mov %rcx, (%rbx)", "not its caller's"),
    ("jc 1f; mov %rcx, (%rbx); pop %rbx", "jc 1f; mov %rcx, (%rbx); pop %rbp", "rbx, which"),
    ("mov %rsi, %rbx; mov %edi", "mov %rsi, %rbx; std; mov %edi", "the direction flag is set"),
    ("jc 1f; mov %rcx, (%rbx)", "jc 1f; mov %rcx, (%rbx); mov %rcx, 16(%rsp)", "caller's stack"),
    ("mov %rsi, %rbx;", "mov %esi, %ebx;", "no pointer argument plus a constant"),
    ("push %rbx; mov %rsi, %rbx", "push %rbx; mov %rsi, %rbx; movq $0, (%rbx)", "before the last"),
]


@pytest.mark.parametrize(("right", "wrong", "text"), WRONG)
def test_each_error_is_refuted(right: str, wrong: str, text: str) -> None:
    assert right in STORING_CODE
    refute(STORING, STORING_CODE.replace(right, wrong, 1), text)


def test_a_counterexample_has_numbers() -> None:
    proof = refute(STORING, STORING_CODE.replace("%edi, %ecx", "%rdi, %rcx"), "rcx, an operand")
    failure = proof.failures[0]
    assert failure.found is not None and failure.found >> 32
    assert failure.wanted == failure.found & 0xFFFF_FFFF
    assert failure.counterexample is not None
    assert failure.counterexample.arguments["a"] == failure.found
    assert (failure.offset, failure.instruction) == (12, "seamcall")


def test_the_outcome_that_goes_wrong_is_told() -> None:
    for wrong, right, kind in [("mov $8", "mov $7", Carry), ("and %rcx", "or %rcx", Fault)]:
        proof = prove(STORING, STORING_CODE.replace(right, wrong))
        example = proof.failures[0].counterexample
        assert example is not None
        assert isinstance(example.outcomes[0], kind)


# -- loops


def retrying(attempts: int, limit: int, *, wide: bool = False) -> tuple[Plan, str]:
    """A plan with so many further attempts, and code that makes up to `limit`."""
    wrapper = plan(
        value("a"),
        loads=[load("rcx", "a")],
        clauses=[again(attempts, exactly(BUSY))],
        on=edges(on_carry=returning(7), on_fault=None),
    )
    count = "%rsi" if wide else "%esi"
    code = f"""
        mov ${limit}, {count}
        2: mov %rdi, %rcx; mov $29, %eax; {CALL}
        jc 1f; movabs ${BUSY:#x}, %rcx; cmp %rcx, %rax; jne 3f
        test {count}, {count}; je 3f; dec {count}; jmp 2b
        1: mov $7, %eax
        3: ret
    """
    return wrapper, code


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("attempts", [1, 9, 65_534])
def test_a_loop_of_any_bound_takes_the_same_steps(attempts: int, wide: bool) -> None:
    proof = prove(*retrying(attempts, attempts, wide=wide))
    assert proof.is_proved, proof.failures
    assert proof.paths < 12


@pytest.mark.parametrize("attempts", [1, 9, 500])
@pytest.mark.parametrize("off_by", [-1, 1])
def test_a_loop_that_is_off_by_one_is_refuted(attempts: int, off_by: int) -> None:
    wrapper, code = retrying(attempts, attempts + off_by)
    text = "another attempt is due" if off_by < 0 else "nothing grants another attempt"
    proof = refute(wrapper, code, text)
    example = proof.failures[0].counterexample
    assert example is not None
    assert len(example.outcomes) == attempts + (1 if off_by < 0 else 2)


def test_an_operand_that_is_not_loaded_again_is_refuted() -> None:
    wrapper, code = retrying(3, 3)
    code = code.replace("2: mov %rdi, %rcx;", "mov %rdi, %rcx; 2:")
    refute(wrapper, code, "rcx, an operand, at the instruction")


# -- memory


def test_a_count_says_what_may_be_read() -> None:
    pages = array("pages", PTR, 2, "n")
    inputs = (
        Input("n", U8, U8, "n", None, pages.span),
        *(Input(f"p{i}", PTR, PTR, "pages", 8 * i, pages.span, Bound("n", i, 0)) for i in range(2)),
    )
    few = replace(U8, high=2)
    wrapper = plan(
        value("n", U8),
        pages,
        loads=[load("rcx", "p0"), load("rdx", "p1")],
        inputs=inputs,
        checks=[check("n", few, 3)],
        on=edges(on_carry=returning(7), on_fault=None),
    )
    code = f"""
        cmp $2, %dil; ja 4f
        xor %ecx, %ecx; xor %edx, %edx
        test %dil, %dil; je 2f; mov (%rsi), %rcx
        cmp $1, %dil; je 2f; mov 8(%rsi), %rdx
        2: mov $29, %eax; {CALL}; jc 1f; ret
        1: mov $7, %eax; ret
        4: mov $3, %eax; ret
    """
    assert prove(wrapper, code).is_proved
    refute(wrapper, code.replace("cmp $1, %dil; je 2f;", ""), "which need not be there")
    refute(wrapper, code.replace("cmp $2, %dil; ja 4f", ""), "which need not be there")


def test_outputs_may_overlap_if_they_are_stored_in_order() -> None:
    wrapper = plan(
        out("one"),
        out("two"),
        deliveries=[deliver("one", bits("rcx")), deliver("two", bits("rdx"))],
        on=edges(on_carry=None, on_fault=None),
    )
    stores = ["mov %rcx, (%rdi)", "mov %rdx, (%rsi)"]
    for order, assumptions in [(stores, ()), (stores[::-1], ("one and two do not overlap",))]:
        proof = prove(wrapper, f"mov $29, %eax; {CALL}; {'; '.join(order)}; ret")
        assert proof.is_proved
        assert proof.assumptions == assumptions


def test_members_of_a_structure_have_their_places_in_the_order() -> None:
    wrapper = plan(
        struct("all"),
        out("other"),
        deliveries=[
            deliver("first", bits("rcx"), to="all"),
            deliver("other", bits("rdx")),
            deliver("second", bits("r8"), to="all", offset=8),
        ],
        layout=structure(("first", U64, 0), ("second", U64, 8), size=16),
        on=edges(on_carry=None, on_fault=None),
    )
    stores = ["mov %rcx, (%rdi)", "mov %rdx, (%rsi)", "mov %r8, 8(%rdi)"]
    for order, assumptions in [
        (stores, ()),
        ([stores[2], *stores[:2]], ("all and other do not overlap",)),
        ([stores[0], *stores[:0:-1]], ("all and other do not overlap",)),
    ]:
        proof = prove(wrapper, f"mov $29, %eax; {CALL}; {'; '.join(order)}; ret")
        assert proof.is_proved
        assert proof.assumptions == assumptions


def test_memory_that_the_other_side_may_change_is_read_at_entry() -> None:
    wrapper = plan(
        in_out("page"),
        loads=[load("rcx", "page")],
        clauses=[again(1, exactly(BUSY))],
        deliveries=[deliver("page", bits("rdx"), keep=True)],
        on=edges(on_carry=None, on_fault=None),
    )
    loop = f"""
        {{}}; 2: {{}}; mov $29, %eax; {CALL}
        movabs ${BUSY:#x}, %r8; cmp %r8, %rax; jne 3f
        dec %esi; jns 2b
        3: mov %rdx, (%rdi); ret
    """
    assert prove(
        wrapper,
        loop.format("mov $1, %esi; push %rbx; mov (%rdi), %rbx", "mov %rbx, %rcx").replace(
            "(%rdi); ret", "(%rdi); pop %rbx; ret"
        ),
    ).is_proved
    again_read = loop.format("mov $1, %esi", "mov (%rdi), %rcx")
    refute(wrapper, again_read, "rcx, an operand, at the instruction")


def test_the_red_zone_is_the_targets() -> None:
    code = f"mov %rbx, -8(%rsp); {SIMPLE_CODE.replace('jc', 'mov -8(%rsp), %rbx; jc')}"
    assert prove(SIMPLE, code, USER).is_proved
    refute(SIMPLE, code, "below RSP, which an interrupt may overwrite")
    unused = f"mov %rbx, -8(%rsp); {SIMPLE_CODE}"  # no call shows that nobody reads it
    refute(SIMPLE, unused, "below RSP, which an interrupt may overwrite", shown=False)


@pytest.mark.parametrize(
    ("moves", "text"),
    [
        ("push %rdi; add $8, %rsp; sub $8, %rsp; pop %rcx", "rcx, an operand"),
        ("mov %rdi, %rcx; add $64, %rsp; sub $64, %rsp", "above the return address"),
        ("mov %rdi, %rcx; mov %rsp, %r8; xor %esp, %esp; mov %r8, %rsp", "RSP leaves the frame"),
        ("mov %rdi, %rcx; sub $4104, %rsp; add $4104, %rsp", "larger than 4096 bytes"),
    ],
)
def test_an_interrupt_may_come_at_any_time(moves: str, text: str) -> None:
    wrapper = plan(
        value("a"), loads=[load("rcx", "a")], on=edges(on_carry=returning(7), on_fault=None)
    )
    assert prove(wrapper, f"push %rdi; pop %rcx; {SIMPLE_CODE}").is_proved
    proof = prove(wrapper, f"{moves}; {SIMPLE_CODE}")
    assert not proof.is_proved
    assert text in proof.failures[0].text


def test_the_stack_stays_off_what_arguments_point_to() -> None:
    wrapper = plan(
        in_out("a"),
        loads=[load("rcx", "a")],
        deliveries=[deliver("a", bits("rcx"))],
        on=edges(on_carry=None, on_fault=None),
    )
    rest = f"mov $29, %eax; {CALL}; mov %rcx, (%rdi); ret"
    assert prove(wrapper, f"mov (%rdi), %rcx; {rest}").is_proved
    proof = prove(wrapper, f"mov %rsp, %r8; mov %rdi, %rsp; pop %rcx; mov %r8, %rsp; {rest}")
    assert "RSP leaves the frame" in proof.failures[0].text


def test_aligned_moves_need_an_aligned_frame() -> None:
    code = "sub ${}, %rsp; movaps %xmm0, (%rsp); add ${}, %rsp; " + SIMPLE_CODE
    assert prove(SIMPLE, code.format(24, 24), USER).is_proved
    proof = prove(SIMPLE, code.format(16, 16), USER)
    assert "is not certain" in proof.failures[0].text


# -- functions called


def test_a_call_needs_an_aligned_stack() -> None:
    wrapper = plan(on=edges(on_carry=calling("helper", 3), on_fault=None))
    edge = "sub $8, %rsp; call helper; mov $3, %eax; add $8, %rsp; ret"
    code = f"mov $29, %eax; {CALL}; jc 1f; ret; 1: {edge}"
    assert prove(wrapper, code, USER).is_proved
    off = code.replace("$8, %rsp", "$16, %rsp")
    refute(wrapper, off, "the stack is not aligned at the call of helper", USER)
    refute(wrapper, code.replace("call helper; ", ""), "it calls nothing and not helper", USER)
    twice = code.replace("call helper; ", "call helper; call helper; ")
    refute(wrapper, twice, "it calls helper, helper and not helper", USER)
    unsaved = code.replace("mov $3, %eax; add", "add")
    refute(wrapper, unsaved, "the status where the call failed with carry", USER)
