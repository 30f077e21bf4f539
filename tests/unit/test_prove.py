"""`seamir.prove`: what it takes, what comes back, what it keeps, and the processes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from assembled import CALL, KERNEL, assemble, fixup
from command_line import LEAVES, environment
from plans import edges, plan, returning
from tools import need, run

import seamir
from seamir.ir.leaf import Plan
from seamir.objects.reading import read_object
from seamir.proving import verification as proving
from seamir.proving import workers
from seamir.proving.keys import Meaning
from seamir.proving.report import assumption_lines
from seamir.proving.work import Prover, Work

SYMBOLS = ["test_remove", "test_read", "test_track"]
PROGRAM = seamir.load_text(LEAVES)
TRACK = seamir.load_text(LEAVES, leaves=["TEST.TRACK"])
# The same but for one leaf number.
OTHER = LEAVES.replace("TEST.TRACK = 38", "TEST.TRACK = 39")
OBJECT = seamir.compile(PROGRAM).outputs["obj"].data


def cached(result: seamir.Verification) -> list[str]:
    """The wrappers that were proved before."""
    return [proof.symbol for proof in result.proofs if proof.is_cached]


def plan_of(text: str) -> Plan:
    """The plan of TEST.TRACK in a description."""
    (plan,) = seamir.compile(seamir.load_text(text, leaves=["TEST.TRACK"]), emit=()).plans
    return plan


# -- what comes back


def test_what_is_proved() -> None:
    result = seamir.prove(PROGRAM)
    assert result.is_proved
    assert result.diagnostics == ()
    assert [proof.symbol for proof in result.proofs] == SYMBOLS
    assert [plan.symbol for plan in result.plans] == SYMBOLS
    for proof in result.proofs:
        assert proof.verdict is seamir.Verdict.PROVED
        assert proof.paths and proof.obligations and not proof.failures


def test_assumptions_are_told() -> None:
    result = seamir.prove(TRACK)
    assert assumption_lines(result) == []
    (proof,) = result.proofs
    assuming = replace(proof, assumptions=("one and two do not overlap",))
    lines = assumption_lines(replace(result, proofs=(assuming,)))
    assert lines == ["test_track assumes that one and two do not overlap"]


def test_what_is_not_proved_is_an_error_at_its_place() -> None:
    result = seamir.prove(seamir.load_text(OTHER), object=OBJECT)
    assert not result.is_proved
    verdicts = [proof.verdict.value for proof in result.proofs]
    assert verdicts == ["proved", "proved", "refuted"]
    (error,) = result.diagnostics
    assert error.code == "E0813"
    message = "test_track: rax, a selector, at the instruction: 0x26 instead of 0x27"
    assert error.message == message
    assert error.span is not None and error.span.text == "rax[15:0] = leaf;"
    (failure,) = result.proofs[2].failures
    assert (failure.found, failure.wanted) == (0x26, 0x27)
    assert failure.counterexample is not None


def test_it_takes_what_compile_takes(tmp_path: Path) -> None:
    how: Any = {"target": "linux-user", "deliver": "struct", "symbol_prefix": "my_"}
    compiled = seamir.compile(PROGRAM, features=["+ibt"], **how)
    path = tmp_path / "leaves.o"
    path.write_bytes(compiled.outputs["obj"].data)
    for given in (None, path, str(path), path.read_bytes()):
        result = seamir.prove(PROGRAM, features=["+ibt"], object=given, **how)
        assert result.is_proved
        assert [proof.symbol for proof in result.proofs] == [f"my_{name}" for name in SYMBOLS]
        assert result.target == compiled.target


def test_a_warning_of_the_description_is_there() -> None:
    text = LEAVES.replace("retry 9", "retry 20000")
    result = seamir.prove(seamir.load_text(text))
    assert result.is_proved
    assert [warning.code for warning in result.diagnostics] == ["W0503"]


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    seamir.prove(PROGRAM, progress=lambda *words: told.append(words))
    assert told[-3:] == [(f"proving {PROGRAM.main.name}", n, 3) for n in (1, 2, 3)]


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_none(timeout: float) -> None:
    with pytest.raises(seamir.SeamError, match="E0809") as caught:
        seamir.prove(PROGRAM, timeout=timeout)
    assert "more than 0" in str(caught.value)


@pytest.mark.parametrize("jobs", [0, -2])
def test_a_number_of_processes_that_is_none(jobs: int) -> None:
    with pytest.raises(seamir.SeamError, match=rf"E0809.*: {jobs} processes to prove in"):
        seamir.prove(PROGRAM, jobs=jobs)


def test_an_error_in_the_description() -> None:
    with pytest.raises(seamir.SeamError, match="E0201"):
        seamir.prove(seamir.load_text("type page = address;"))


# -- time


def test_what_was_proved_until_the_time_was_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three wrappers the one with a loop asks z3, and that is where time is looked at."""
    result = seamir.prove(PROGRAM, timeout=0.001, jobs=1)
    verdicts = [proof.verdict.value for proof in result.proofs]
    assert verdicts == ["proved", "proved", "undecided"]
    (error,) = result.diagnostics
    assert (error.code, error.message) == ("E0814", "test_track: the time is over")
    assert seamir.prove(PROGRAM, timeout=600).is_proved


# -- what is kept


def test_what_was_proved_is_not_proved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = seamir.prove(PROGRAM, cache=tmp_path)
    assert cached(first) == []
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(proving, "Prover", None)  # nobody needs one
    second = seamir.prove(PROGRAM, cache=tmp_path)
    assert cached(second) == SYMBOLS
    unlike = [replace(proof, seconds=0.0) for proof in first.proofs]
    assert list(second.proofs) == unlike


def test_only_what_changed_is_proved_again(tmp_path: Path) -> None:
    seamir.prove(PROGRAM, cache=tmp_path)
    assert cached(seamir.prove(seamir.load_text(OTHER), cache=tmp_path)) == SYMBOLS[:2]
    moved = seamir.load_text(f"// A line more.\n\n{LEAVES}", "elsewhere.seam")
    assert cached(seamir.prove(moved, cache=tmp_path)) == SYMBOLS
    assert cached(seamir.prove(PROGRAM, cache=tmp_path, target="linux-user")) == []
    # The same code, held against something else.
    assert cached(seamir.prove(seamir.load_text(OTHER), object=OBJECT, cache=tmp_path)) == [
        *SYMBOLS[:2]
    ]


def test_what_is_not_proved_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        result = seamir.prove(seamir.load_text(OTHER), object=OBJECT, cache=tmp_path)
        assert not result.is_proved
    assert len(list(tmp_path.iterdir())) == 2


READ = """
	.globl test_read
	.type test_read, @function
test_read:
	mov %rdi, %rdx
	mov $11, %eax
1:	.byte 0x66, 0x0f, 0x01, 0xcf
	jc 3f
	jmp rest
2:	mov $0x8000ff0000000000, %rcx
	or %rcx, %rax
	movq $0, (%rsi)
	ret
3:	mov $0x8000ff0000000000, %rax
	movq $0, (%rsi)
	ret
	.size test_read, . - test_read
rest:	mov %{}, (%rsi)
	ret
	.section __ex_table, "a"
	.long 1b - ., 2b - ., 2
"""


def test_a_function_that_goes_on_elsewhere_is_kept_for_its_object(tmp_path: Path) -> None:
    """Of two objects the functions have the same bytes; where they go on is not the same."""
    need("as")
    read = seamir.load_text(LEAVES, leaves=["TEST.READ"])
    objects = []
    for register in ("r8", "r9"):
        (tmp_path / "x.s").write_text(READ.format(register))
        run("as", "x.s", "-o", "x.o", cwd=tmp_path)
        objects.append((tmp_path / "x.o").read_bytes())
    first, second = (read_object(data).function("test_read") for data in objects)
    assert first is not None and first == second
    for proved_before in (False, True):
        verdicts = []
        for data in objects:
            features = ["-ibt", "-rethunk"]
            result = seamir.prove(read, features=features, object=data, cache=tmp_path / "cache")
            verdicts.append(result.proofs[0].verdict.value)
            assert result.proofs[0].is_cached == (proved_before and data is objects[0])
        assert verdicts == ["proved", "refuted"]


def test_another_prover_proves_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seamir.prove(PROGRAM, cache=tmp_path)
    monkeypatch.setattr("seamir.proving.keys.prover_key", lambda: b"another")
    assert cached(seamir.prove(PROGRAM, cache=tmp_path)) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "folder", "swapped"])
def test_a_damaged_file_is_not_there(tmp_path: Path, damage: str) -> None:
    seamir.prove(PROGRAM, cache=tmp_path)
    files = sorted(tmp_path.iterdir())
    contents = [path.read_bytes() for path in files]
    for index, path in enumerate(files):
        data = contents[index]
        path.unlink()
        match damage:
            case "cut":
                path.write_bytes(data[:-7])
            case "flipped":
                path.write_bytes(data[:-7] + bytes([data[-7] ^ 1]) + data[-6:])
            case "empty":
                path.write_bytes(b"")
            case "folder":
                path.mkdir()
            case "swapped":
                path.write_bytes(contents[index - 1])
    result = seamir.prove(PROGRAM, cache=tmp_path)
    assert result.is_proved
    assert cached(result) == []
    if damage != "folder":
        assert cached(seamir.prove(PROGRAM, cache=tmp_path)) == SYMBOLS  # it was mended


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = seamir.prove(PROGRAM, cache=tmp_path / "file" / "proofs")
    assert result.is_proved
    (warning,) = result.diagnostics
    assert warning.code == "W0811"
    assert "cannot make" in warning.message


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    seamir.prove(PROGRAM, cache=tmp_path)
    tmp_path.chmod(0o777)
    result = seamir.prove(PROGRAM, cache=tmp_path)
    assert cached(result) == []
    assert [warning.code for warning in result.diagnostics] == ["W0811"]
    assert "others can put proofs" in result.diagnostics[0].message


def test_meaning_has_no_places() -> None:
    """Plans of the same text elsewhere mean the same, and each change of the text another thing."""
    plans = [
        plan_of(before + LEAVES.replace("= 38", f"= {number}").replace("page: u64", kind))
        for before in ("", "// comment\n")
        for number in (1, 2)
        for kind in ("page: u64", "page: u32")
    ]
    hashes = [Meaning().of(plan) for plan in plans]
    assert hashes[:4] == hashes[4:]
    assert len(set(hashes)) == 4


# -- processes


def test_processes_prove_the_same() -> None:
    here, there = (seamir.prove(PROGRAM, jobs=jobs) for jobs in (1, 2))
    for one, other in zip(here.proofs, there.proofs, strict=True):
        assert replace(one, seconds=0.0) == replace(other, seconds=0.0)


def test_failures_come_back_from_processes() -> None:
    result = seamir.prove(seamir.load_text(OTHER), object=OBJECT, jobs=2)
    assert [error.code for error in result.diagnostics] == ["E0813"]
    assert "rax[15:0] = leaf" in result.diagnostics[0].render()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended with SIGKILL"),
        ("raise SystemExit", "ended with status 0"),
        ("raise SystemExit(3)", "ended with status 3"),
    ],
)
def test_a_process_that_ends_is_an_error(
    monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(workers, "_PROGRAM", program)
    with pytest.raises(seamir.SeamError, match=rf"E0815.*{message}"):
        seamir.prove(PROGRAM, jobs=2)


def test_a_defect_in_a_process_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PROGRAM", "raise ValueError('no such state')")
    with pytest.raises(workers.WorkerError, match=r"^ValueError: no such state$"):
        seamir.prove(PROGRAM, jobs=2)


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(seamir.SeamError, match=r"E0815.*no process can be started"):
        seamir.prove(PROGRAM, jobs=2)


def test_an_interrupt_leaves_no_process_and_keeps_what_was_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **how: object) -> None:
            super().__init__(*arguments, **how)  # type: ignore[call-overload]
            started.append(self)

    def interrupt(stage: str, done: int, count: int) -> None:
        if stage.startswith("proving") and done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(KeyboardInterrupt):
        seamir.prove(PROGRAM, jobs=2, cache=tmp_path, progress=interrupt)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_program_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    """As multiprocessing would: the processes have nothing to do with the main module."""
    script = tmp_path / "script.py"
    script.write_text(
        "import seamir\n"
        "print('once')\n"
        f"program = seamir.load_text({LEAVES!r})\n"
        "print(seamir.prove(program, jobs=2).is_proved)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("once\nTrue\n", "")


def test_no_function_stands_alone_whose_faults_lead_out_of_it() -> None:
    data = assemble(f"mov $29, %eax; 771: {CALL}; ret; 772: mov $9, %eax; ret", fixup())
    wrapper = plan(on=edges(on_carry=None, on_fault=returning(9)))
    assert Prover(Work(data, (wrapper,), KERNEL, None)).prove(0).is_alone
    out = '.section .text.cold, "ax"; 772: mov $8, %eax; ret;'
    code = f"mov $29, %eax; 771: {CALL}; ret; 772: mov $9, %eax; ret"
    data = assemble(code, fixup() + out + fixup())
    result = Prover(Work(data, (wrapper,), KERNEL, None)).prove(0)
    assert not result.is_alone
    assert "has 2 rows for the instruction" in result.proof.failures[0].text
