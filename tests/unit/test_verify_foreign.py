"""The prover on objects that seamir did not emit: the right ones proved, the wrong ones refuted."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from foreign import (
    BAD_BUILDS,
    BUILDS,
    ERRORS,
    LEAVES,
    LIKE_A_KERNEL,
    OWN,
    RIGHT,
    Build,
    Foreign,
    assembled,
    differences,
    twins_of,
)
from foreign_errors import KERNEL, Wrong

from seamir.verify.prover import prove_object
from seamir.verify.result import Proof, Verdict


def prove(foreign: Foreign) -> dict[str, Proof]:
    """The proof of each function, by symbol; each has looked at something."""
    proofs = prove_object(foreign.data, foreign.plans, foreign.target)
    assert [proof.symbol for proof in proofs] == [plan.symbol for plan in foreign.plans]
    assert all(proof.paths and proof.obligations for proof in proofs)
    return {proof.symbol: proof for proof in proofs}


def told(proofs: Iterable[Proof]) -> str:
    """What could not be proved, for a test that fails."""
    return "\n".join(
        f"{proof.symbol}: {failure.text} at {failure.offset}, {failure.instruction}"
        for proof in proofs
        for failure in proof.failures
    )


def prove_one(foreign: Foreign) -> Proof:
    """The proof of the only function."""
    (proof,) = prove(foreign).values()
    return proof


@pytest.mark.parametrize(("file", "target"), RIGHT)
def test_right_assembly_is_proved(file: str, target: str) -> None:
    proof = prove_one(assembled(file, target))
    assert proof.verdict is Verdict.PROVED, told([proof])
    assert proof.failures == ()


@pytest.mark.parametrize(("wrong", "target"), ERRORS, ids=str)
def test_errors_in_assembly_are_refuted(wrong: Wrong, target: str) -> None:
    proof = prove_one(assembled(wrong.file, target, wrong))
    is_wrong = target in wrong.targets
    assert proof.verdict is (Verdict.REFUTED if is_wrong else Verdict.PROVED), told([proof])
    assert bool(proof.failures) == is_wrong


UNKNOWN = (
    Wrong(
        "cache_probe",
        "rsp is not the same at each attempt",
        "Right, with a frame pointer; but where the frame is then, the prover does not see.",
        {
            "subq $16, %rsp": "pushq %rbp\n\tmovq %rsp, %rbp\n\tsubq $16, %rsp",
            "movl $3, 8(%rsp)": "movl $3, -8(%rbp)",
            "decl 8(%rsp)\n\tjnz .Lattempt": "decl -8(%rbp)\n\tpushq %rdx\n\tjnz .Lattempt",
            "addq $16, %rsp": "leave",
        },
    ),
    Wrong(
        "list_export",
        "is no instruction that the prover knows",
        "What is at GS, nobody has said.",
        {"movq (%rdi), %rcx": "movq %gs:(%rdi), %rcx"},
    ),
)


@pytest.mark.parametrize("case", UNKNOWN, ids=str)
def test_what_the_prover_does_not_follow_is_undecided(case: Wrong) -> None:
    proof = prove_one(assembled(case.file, KERNEL, case))
    assert proof.verdict is Verdict.UNDECIDED
    assert case.name in proof.failures[0].text


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_twins_are_proved(build: Build) -> None:
    proofs = prove(twins_of(OWN, build))
    expected = dict.fromkeys(proofs, Verdict.PROVED)
    if "clang" in build.compiler:  # takes for granted that callers extend u8, u16 and bool
        expected["page_mode"] = Verdict.REFUTED
    assert {s: proof.verdict for s, proof in proofs.items()} == expected, told(proofs.values())


@pytest.mark.parametrize("name", [name for name in LEAVES if name != OWN])
@pytest.mark.parametrize("build", LIKE_A_KERNEL, ids=str)
def test_twins_of_the_library_are_proved(build: Build, name: str) -> None:
    foreign = twins_of(name, build)
    for symbol, proof in prove(foreign).items():
        is_right = not differences(foreign, foreign.plan(symbol))
        assert proof.verdict is (Verdict.PROVED if is_right else Verdict.REFUTED), told([proof])


@pytest.mark.parametrize("build", BAD_BUILDS, ids=str)
def test_what_gcc_12_makes_of_asm_goto_is_refuted(build: Build) -> None:
    foreign = twins_of(OWN, build)
    for symbol, proof in prove(foreign).items():
        found = differences(foreign, foreign.plan(symbol))
        assert proof.verdict is (Verdict.REFUTED if found else Verdict.PROVED), told([proof])
        if any("Carry(): the status is" in text for text in found):
            assert any("carry" in failure.text for failure in proof.failures), told([proof])
