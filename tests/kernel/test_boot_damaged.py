"""Damaged wrappers in a running kernel are found out, and so is a kernel that dies of one.

All are in one boot: what the last module does is the kernel's end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fake_module import Play, Played, boot_plays, build_plays, calls_of
from kernels import Kernel
from native_program import Call
from tools import run

import seamir
from seamir.compiler import Compilation
from seamir.emulate.script import Fault

HOST = 'import "tdx/conduits.seam"; import "tdx/types.seam";\n'
LEAF = """
leaf {name} = {number} via seamcall (a: u64) -> (o: u64 = rcx) {{ rcx = a; rdx = 7; {more} }}
"""
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
FIXUP_SECTIONS = ("__ex_table", ".rela__ex_table")


def compilation(stem: str, names: Mapping[str, int], more: str = "") -> Compilation:
    """Leaves of these names and numbers; `more` is for the body of each."""
    leaves = (LEAF.format(name=name, number=number, more=more) for name, number in names.items())
    program = seamir.load_text(HOST + "".join(leaves), f"{stem}.seam")
    return seamir.compile(program, emit=("kbuild", "asm", "manifest"), export="none")


def calls(result: Compilation) -> list[Call]:
    """Calls of all wrappers; those that fault come last."""
    return sorted(calls_of(result, 1), key=faults)


def faults(call: Call) -> bool:
    return any(isinstance(outcome, Fault) for outcome in call.outcomes)


def object_of(result: Compilation) -> bytes:
    return result.outputs["shipped"].data


def with_changes(folder: Path, result: Compilation, change: Callable[[str], str]) -> bytes:
    """The object of the assembly after a change."""
    source, made = folder / "changed.s", folder / "changed.o"
    source.write_text(change(result.outputs["asm"].text))
    run("gcc", "-c", source, "-o", made)
    return made.read_bytes()


def increment_saved(assembly: str) -> str:
    """Lets each function begin by changing the register that it is called after."""
    for name in SAVED:
        begin = rf"(?m)(^saved_{name}:(?:.*\n)*?\s*endbr64\n)"
        assembly, count = re.subn(begin, rf"\1\tincq %{name}\n", assembly, count=1)
        assert count == 1
    return assembly


def without_fixups(folder: Path, result: Compilation) -> bytes:
    """The object with its part of the exception table stripped."""
    path = folder / "stripped.o"
    path.write_bytes(object_of(result))
    run("objcopy", *(f"--remove-section={name}" for name in FIXUP_SECTIONS), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Play]:
    """By name, each with calls that the undamaged wrappers would pass."""
    folder = tmp_path_factory.mktemp("objects")
    said = compilation("number", {"right_number": 11, "wrong_number": 12})
    other = compilation("number", {"right_number": 11, "wrong_number": 13})
    saved = compilation("saved", {f"saved_{name}": number for number, name in enumerate(SAVED)})
    twice, thrice = (
        compilation("attempts", {"attempts": 11}, f"retry {times} on TDX_OPERAND_BUSY(*);")
        for times in (2, 3)
    )
    stripped = compilation("stripped", {"stripped": 11})
    changed = with_changes(folder, saved, increment_saved)
    made = (
        Play("play_number", said, calls(said), object_of(other)),
        Play("play_attempts", twice, calls(twice), object_of(thrice)),
        Play("play_saved", saved, calls(saved), changed),
        Play("play_stripped", stripped, calls(stripped), without_fixups(folder, stripped)),
    )
    return {play.name: play for play in made}


@pytest.fixture(scope="module")
def played(
    kernel: Kernel, plays: Mapping[str, Play], tmp_path_factory: pytest.TempPathFactory
) -> Played:
    folder = tmp_path_factory.mktemp("damaged")
    made = tuple(plays.values())
    built = build_plays(kernel, folder, made)
    assert built.status == 0, built.output
    return boot_plays(kernel, folder, made)


def test_a_wrong_leaf_number_is_found_out(played: Played, plays: Mapping[str, Play]) -> None:
    found = played.differences(plays["play_number"])
    assert len(found) == len(plays["play_number"].calls) / 2
    assert all(text.startswith("wrong_number, ") for text in found)
    assert all("rax at attempt 1 is 0xd instead of 0xc" in text for text in found)


def test_a_changed_register_is_found_out(played: Played, plays: Mapping[str, Play]) -> None:
    found = played.differences(plays["play_saved"])
    assert len(found) == len(plays["play_saved"].calls)
    for name in SAVED:
        own = [text for text in found if text.startswith(f"saved_{name}, ")]
        assert own and all(f"{name} is 0x" in text and "at return and was" in text for text in own)


def test_an_attempt_too_many_is_found_out(played: Played, plays: Mapping[str, Play]) -> None:
    found = played.differences(plays["play_attempts"])
    assert any(text.endswith("more than 3 attempts") for text in found)


def test_a_missing_fixup_is_found_out(played: Played, plays: Mapping[str, Play]) -> None:
    play = plays["play_stripped"]
    (number, *_) = (number for number, call in enumerate(play.calls) if faults(call))
    found = played.differences(play)
    assert found == [f"{number} calls were reported and not {len(play.calls)}"]


def test_a_kernel_that_dies_is_found_out(played: Played) -> None:
    complaints = "\n".join(played.booted.complaints())
    assert re.search(r"Oops: invalid opcode|invalid opcode: 0000", complaints)
    assert "Call Trace" in complaints
    assert "Kernel panic - not syncing: Fatal exception" in complaints
    assert "the log does not end as it should" in complaints
    assert "play_stripped: died in a call of stripped" in played.booted.log
