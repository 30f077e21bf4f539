"""Mutants of objects: made in place, the same for the same seed, and judged by execution."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product
from random import Random

import code_mutants
import pytest
from code_changes import CODE_CHANGES, NOP, Body
from code_mutants import CHUNK, KINDS, SUBJECTS, Mutant, Subject, edits, mutant
from descriptions import HARD, program_of
from mutant_behaviour import behaviour
from mutant_reasons import (
    DISJOINT,
    NEVER_EXECUTED,
    NO_VECTOR,
    NOT_READ,
    OTHER,
    OTHER_WAY,
    SAME_EFFECT,
    differing,
    reason,
)
from object_places import Patch, Places, patched
from table_changes import Edit

import seamir
from seamir.objects.contents import ObjectError, Relocation

SUBJECT = Subject("tdx/linux_compat.seam", ("linux-kernel", "-rethunk"), "pointers")
RELOCATION_KINDS = {
    "relocation's symbol changed": "symbol",
    "relocation's addend changed": "addend",
    "relocation moved": "offset",
}
REMOVE = "tdh_mem_page_remove"


@cache
def compilation() -> seamir.Compilation:
    program = seamir.load(SUBJECT.description, allow_calls=["kvm_spurious_fault"])
    return seamir.compile(program, features=SUBJECT.target[1:], emit=("obj",))


def places_of(made: seamir.Compilation) -> Places:
    return Places(made.outputs["obj"].data, made.target)


def places() -> Places:
    return places_of(compilation())


def all_edits(kind: str, where: Places | None = None, symbol: str = REMOVE) -> list[Edit]:
    groups = edits(kind, where or places(), symbol, Random(0))
    return [one for group in groups for one in group]


def the_edit(kind: str, before: str, after: str = "") -> Edit:
    """The first edit with these texts."""
    return next(e for e in all_edits(kind) if before in e.before and after in e.after)


def changed(kind: str, edit: Edit) -> Mutant:
    (plan,) = [plan for plan in compilation().plans if plan.symbol == REMOVE]
    return Mutant(0, kind, SUBJECT, plan, places(), edit)


# -- making them


def test_a_seed_is_a_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [mutant(seed) for seed in range(2)]
    monkeypatch.setattr(code_mutants, "_compiled", code_mutants._compiled.__wrapped__)
    assert [one.data for one in first] == [mutant(seed).data for seed in range(2)]
    assert len({str(one) for one in first}) == 2


def test_every_kind_and_every_format_occurs() -> None:
    found = [mutant(seed) for seed in range(6 * CHUNK)]
    assert {one.kind for one in found} == set(KINDS)
    assert {one.target.object_format for one in found} == {"elf", "coff"}
    assert all(len(one.data) == len(one.original) and one.data != one.original for one in found)
    assert {subject.target for subject in SUBJECTS} == set(code_mutants.TARGETS)


@pytest.mark.parametrize("kind", CODE_CHANGES)
def test_only_the_code_that_is_named_changes(kind: str) -> None:
    for edit in all_edits(kind)[:50]:
        data = patched(places().data, edit.patches)
        before, after = places().contents, Places(data, compilation().target).contents
        for old, new in zip(before.functions, after.functions, strict=True):
            assert (old.code == new.code) == (old.name != REMOVE)
            assert old.relocations == new.relocations
            if old.name == REMOVE:
                assert old.code[: edit.offset] == new.code[: edit.offset]
                assert all(one.code for one in Body(new).instructions)


def relocation_changed(where: Places, section: str, edit: Edit) -> tuple[Relocation, Relocation]:
    """The one relocation of a section that an edit changes, before and after."""
    after = Places(patched(where.data, edit.patches), where.target)
    old, new = (one.contents.section(section) for one in (where, after))
    assert old is not None and new is not None
    pairs = zip(old.relocations, new.relocations, strict=True)
    (changed,) = [pair for pair in pairs if pair[0] != pair[1]]
    return changed


@pytest.mark.parametrize("target", ["linux-kernel", "uefi"])
def test_relocations_change_as_they_are_told(target: str) -> None:
    made = seamir.compile(program_of(HARD), target=target, emit=("obj",))
    where = places_of(made)
    functions = [one for one in where.contents.functions if one.relocations][:5]
    for function, (kind, name) in product(functions, RELOCATION_KINDS.items()):
        (found,) = edits(kind, where, function.name, Random(0))
        for edit in found:
            old, new = relocation_changed(where, function.section, edit)
            ignored = {"addend": new.addend} if where.is_coff else {}  # where it is in the field
            assert getattr(old, name) != getattr(new, name)
            assert replace(old, **{name: getattr(new, name)} | ignored) == new
            assert abs(new.addend - old.addend) <= 8 or name == "offset"


def rows_after(edit: Edit) -> list[tuple[str, int, int, int]]:
    data = patched(places().data, edit.patches)
    rows = Places(data, compilation().target).rows
    return [(row.function, row.from_offset, row.to_offset, row.kind) for row in rows]


def test_rows_change_as_they_are_told() -> None:
    rows = [(r.function, r.from_offset, r.to_offset, r.kind) for r in places().rows]
    (mine,) = [row for row in rows if row[0] == REMOVE]
    (removed,) = all_edits("row removed")
    assert rows_after(removed) == [row for row in rows if row != mine]
    for kind, field in (("row moved", {1, 2}), ("row's type changed", {3})):
        found = all_edits(kind)
        assert len(found) == 4
        for edit in found:
            (new,) = set(rows_after(edit)) - set(rows)
            assert len(rows_after(edit)) == len(rows)
            assert new[0] == REMOVE
            assert {index for index in range(4) if new[index] != mine[index]} <= field
    taken, leading = all_edits("row of another function")
    assert set(rows_after(taken)) == set(rows) - {mine}
    with pytest.raises(ObjectError, match="is not within one function"):
        rows_after(leading)


# -- how they behave


@pytest.mark.parametrize(
    ("kind", "before", "after", "difference"),
    [
        ("instruction dropped", "seamcall", "", "0 attempts instead of 1"),
        ("instruction dropped", "pop rbx", "", " at 0x"),
        ("operands exchanged", "mov rcx,r14", "mov r14,rcx", "rcx at attempt 1 is "),
        ("constant changed", "mov eax,0x1d", "mov eax,0x1c", "rax at attempt 1 is 0x1c"),
        ("bound off by one", "cmp r8d,9", "cmp r8d,0xa", "attempts instead of "),
        ("condition inverted", "jb ", "jae ", "the status is "),
        ("displacement changed", "[rbx+8]", "[rbx+0x10]", "are not written"),
        ("width changed", "movsxd r14,edx", "", "rcx at attempt 1 is "),
        ("row removed", "fault at", "no row", "the status is nothing"),
        ("row's type changed", "type 2", "type 1", "the status is "),
        ("relocation's symbol changed", "kvm_spurious_fault", "", "Fault(vector=6): "),
        (
            "relocation's addend changed",
            "kvm_spurious_fault",
            "-0x8",
            "Fault(vector=6): ",
        ),
    ],
)
def test_execution_shows_mistakes(kind: str, before: str, after: str, difference: str) -> None:
    found = behaviour(changed(kind, the_edit(kind, before, after)))
    assert found.difference is not None and not found.is_refused
    assert difference in found.difference


def test_an_object_that_cannot_be_read_is_refused() -> None:
    machine = 18  # where an ELF file says which processor it is for
    edit = Edit(0, "x86-64", "AArch64", (Patch(machine, b"\xb7\x00"),))
    found = behaviour(changed("row moved", edit))
    assert found.is_refused and found.calls == 0


def test_execution_does_not_show_what_is_the_same() -> None:
    edit = the_edit("instruction dropped", "endbr64")
    found = behaviour(changed("instruction dropped", edit))
    assert found.difference is None and found.calls > 100


@pytest.mark.parametrize(
    ("before", "after", "is_foreign"),
    [
        ("xor r10d,r10d", "and r10d,r10d", True),  # the status
        ("xor r11d,r11d", "or r11d,r11d", True),  # an output
        ("xor r9d,r9d", "add r9d,r9d", False),  # the caller's, and the call leaves it alone
        ("xor edi,edi", "add edi,edi", False),  # an argument
    ],
)
def test_what_should_be_scrubbed_and_is_not_foreign_is_no_difference(
    before: str, after: str, is_foreign: bool
) -> None:
    program = seamir.load("tdx/tdvmcall.seam", leaves=["*.MapGPA"])
    made = seamir.compile(program, emit=("obj",))
    (plan,), kind = made.plans, "operation changed"
    found = all_edits(kind, places_of(made), plan.symbol)
    fitting = [one for one in found if (one.before, one.after) == (before, after)]
    edit = max(fitting, key=lambda one: one.offset)
    difference = behaviour(Mutant(0, kind, SUBJECT, plan, places_of(made), edit)).difference
    assert (difference is not None) == is_foreign
    assert difference is None or difference.endswith("should be scrubbed")


@pytest.mark.parametrize("first", [0, 7 * CHUNK])
def test_most_mutants_behave_differently(first: int) -> None:
    found = Counter(
        behaviour(mutant(seed)).difference is None for seed in range(first, first + CHUNK)
    )
    assert found[False] > found[True]


# -- why some are the same


@pytest.mark.parametrize(
    ("kind", "before", "after", "why"),
    [
        ("instruction dropped", "endbr64", "", SAME_EFFECT),
        ("instruction doubled", "ret; int3", "ret; ret", NEVER_EXECUTED),
        ("operation changed", "xor eax,eax", "sub eax,eax", SAME_EFFECT),
        ("operation changed", "or rax,rcx", "add rax,rcx", DISJOINT),
        ("operation changed", "cmp r8d,9", "sub r8d,9", NOT_READ),
        ("instruction dropped", "and r8d,0x1f", "", OTHER),
        ("branch target moved", "je 0x28", "je 0x26", OTHER_WAY),
        ("row's type changed", "type 2", "type 1", OTHER),
    ],
)
def test_reasons(kind: str, before: str, after: str, why: str) -> None:
    assert reason(changed(kind, the_edit(kind, before, after))) == why


def test_the_type_of_a_row_matters_to_who_reads_the_vector() -> None:
    made = seamir.compile(program_of(HARD), emit=("obj",))
    where, kind = places_of(made), "row's type changed"
    for symbol, why in (("stop", NO_VECTOR), ("fragile", OTHER)):
        (plan,) = [plan for plan in made.plans if plan.symbol == symbol]
        edit = all_edits(kind, where, symbol)[0]
        assert reason(Mutant(0, kind, SUBJECT, plan, where, edit)) == why


def test_pieces_of_code_that_differ() -> None:
    xor_ecx, sub_ecx, no_code = b"\x31\xc9", b"\x29\xc9", b""
    store, load, push = b"\x48\x89\x03", b"\x48\x8b\x03", b"\x53"
    flags = {"CF", "PF", "AF", "ZF", "SF", "OF"}
    assert differing(xor_ecx, sub_ecx) == set()
    assert differing(xor_ecx, no_code) == flags | {"rcx"}
    assert differing(store, no_code) == {"memory"}
    assert differing(store, load) == {"memory", "rax"}
    assert differing(load + NOP, NOP + load) == set()
    assert differing(push, NOP) == {"memory", "rsp"}
