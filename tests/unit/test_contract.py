"""The rows and sentences that header, manifest, assembly and `seamir explain` share."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import documented_plans as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamir.emit.contract import (
    action_words,
    again_words,
    attempt_sentence,
    check_sentence,
    context_sentences,
    contract_sentences,
    destroyed_registers,
    input_rows,
    leaf_words,
    no_carry_reason,
    no_fault_reason,
    note_words,
    operand_rows,
    operand_table,
    outcome_lines,
    output_rows,
    output_words,
    promise_words,
    status_words,
    uncaught_sentence,
)
from seamir.emit.text import paragraphs, plain, split_summary, wrap
from seamir.ir.leaf import Bits, CallSymbol, CarryRegister, LoadKind, Plan, SetBits, Trap
from seamir.model.entities import Operand
from seamir.model.expressions import Binary, Constant, Expression, show
from seamir.model.registers import ALL_BITS
from seamir.model.types import Type, possible_of
from seamir.targets import select_target

KERNEL = select_target("linux-kernel")
WITHOUT_TABLE = select_target("linux-kernel", ("-fixup",))


def rows_of(plan: Plan) -> list[tuple[str, str]]:
    return [(row.place, row.filled_by) for row in operand_rows(plan)]


# -- operands


def test_values_joined_in_a_register_are_a_row_each() -> None:
    assert rows_of(made.removal()) == [
        ("rax[23:16]", "0"),
        ("rax[15:0]", "0x1d"),
        ("rcx[51:12]", "gpa"),
        ("rcx[2:0]", "level"),
        ("rdx", "tdr"),
    ]


def test_a_flag_shifted_into_place_is_the_parameter_itself() -> None:
    row = next(row for row in operand_rows(made.described()) if "resume" in row.parameters)
    assert (row.place, row.filled_by, row.is_plain) == ("rcx[53]", show(row.value), True)


def test_arithmetic_is_shown() -> None:
    frame = Binary(">>", made.value("tdr", made.HPA), Constant(12))
    plan = replace(made.simple(), loads=(made.load("rcx", made.fill(frame, 0, 39)),))
    (row,) = operand_rows(plan)
    assert (row.place, row.filled_by, row.is_plain) == ("rcx[39:0]", show(frame), False)


def test_values_that_interleave_stay_one_row() -> None:
    even, odd = replace(made.U64, name="even"), replace(made.U64, name="odd")
    even = replace(even, possible=possible_of(0, 5, 5))
    odd = replace(odd, possible=possible_of(0, 2, 2))
    both = Binary("|", made.value("a", even), made.value("b", odd))
    plan = replace(made.simple(), loads=(made.load("rcx", made.fill(both)),))
    assert rows_of(plan) == [("rcx", "a | b")]


def test_rows_come_in_abi_order_and_say_what_kind_they_are() -> None:
    rows = operand_rows(made.export())
    assert [(row.register, row.kind) for row in rows] == [
        ("rax", LoadKind.SELECTOR),
        ("rax", LoadKind.SELECTOR),
        ("rcx", LoadKind.OPERAND),
        ("rdx", LoadKind.PRELOAD),
        ("r9", LoadKind.OPERAND),
        ("r10", LoadKind.OPERAND),
    ]
    assert rows[4].since == "1.5.16"
    assert [row.place for row in input_rows(made.export(), "stream")] == ["r10[15:0]"]


# -- outputs


def test_outputs_say_where_they_go_and_when_they_count() -> None:
    rows = {row.name: row for row in output_rows(made.removal())}
    assert [row.destination for row in rows.values()] == ["*page", "*entry", "*info"]
    assert output_words(rows["page"]) == "on success, else 0"
    assert output_words(rows["info"]) == "untouched if the call did not complete"
    assert rows["info"].optional and not rows["page"].optional


def test_an_in_out_argument_is_untouched_and_a_preload_is_told() -> None:
    rows = {row.name: row for row in output_rows(made.export())}
    assert rows["list"].in_out and rows["list"].otherwise == "untouched"
    assert output_words(rows["pages"]) == "on success, else 0; 0 if left unwritten"


def test_destinations_in_a_structure_and_a_register() -> None:
    assert [row.destination for row in output_rows(made.structured())] == [
        "out->entry",
        "out->level",
    ]
    assert [row.destination for row in output_rows(made.paired())] == [".value"]


def test_the_table_in_columns() -> None:
    assert operand_table(made.removal()) == (
        "in   rax[23:16]  0",
        "in   rax[15:0]   0x1d",
        "in   rcx[51:12]  gpa",
        "in   rcx[2:0]    level",
        "in   rdx         tdr",
        "out  rcx         *page   on success, else 0",
        "out  rcx         *entry  on error, else 0",
        "out  rdx         *info   untouched if the call did not complete",
        "out  rax         status",
    )


def test_the_table_says_what_selectors_are_made_of() -> None:
    def selector(low: int, high: int, value: Expression) -> Operand:
        return Operand(Bits("rax", low, high, made.SPAN), value, None, "", made.SPAN)

    leaf, version = made.value("leaf", made.U64), made.value("version", made.U64)
    conduit = replace(made.SEAMCALL, selectors=(selector(0, 15, leaf), selector(16, 23, version)))
    assert operand_table(replace(made.removal(), conduit=conduit))[:3] == (
        "in   rax[23:16]  0 (version)",
        "in   rax[15:0]   0x1d (leaf)",
        "in   rcx[51:12]  gpa",
    )
    one = selector(0, 63, Binary("|", leaf, Constant(1 << 63)))
    fill = made.fill(Constant(29 | 1 << 63))
    plan = replace(made.removal(), conduit=replace(conduit, selectors=(one,)))
    plan = replace(plan, loads=(made.load("rax", fill, kind=LoadKind.SELECTOR),))
    assert operand_table(plan)[0].split("  ")[-1] == (
        "0x800000000000001d (leaf | 0x8000000000000000)"
    )


# -- promises


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (made.U64, ""),
        (made.HPA, "bits 51:12"),
        (made.LEVEL, "0 to 4"),
        (made.INFO, ""),
        (replace(made.HPA, constants=(ALL_BITS,)), "bits 51:12 or 0xffffffffffffffff"),
        (replace(made.HPA, low=4096, high=0x10000), "bits 51:12, 0x1000 to 0x10000"),
        (replace(made.U64, bits=8, high=8), "bit 3"),
        (replace(made.U64, bits=0xA, high=0xA), "bits of 0xa"),
        (made.ranged("small", made.S32, -2, 2), "-2 to 2"),
    ],
)
def test_promises_in_words(kind: Type, words: str) -> None:
    assert promise_words(kind) == words


# -- outcomes


def test_outcomes_of_a_call_that_retries() -> None:
    assert outcome_lines(made.removal(), KERNEL) == (
        "If the carry flag is set: returns TDX_SEAMCALL_VMFAILINVALID.",
        "On #UD: calls kvm_spurious_fault() and returns 0.",
        "On any other exception trapnr: returns TDX_SW_ERROR | trapnr.",
        "At most 170 attempts: retry 9 on TDX_RND_NO_ENTROPY; "
        "retry 16 on TDX_OPERAND_BUSY(SEPT_TREE).",
        "Once the call completed: returns the status in rax.",
    )


def test_outcomes_of_a_call_that_resumes_and_checks() -> None:
    plan = made.export()
    assert outcome_lines(plan, KERNEL)[0] == check_sentence(plan, plan.checks)
    assert check_sentence(plan, plan.checks) == (
        "Checked before any call: stream (0 to 511), else returns 0xc00001000000000a."
    )
    assert attempt_sentence(plan) == (
        "At most 1001 attempts: resume 1000 on TDX_INTERRUPTED_RESUMABLE(*) "
        "with r10[63] = 1, carry rcx."
    )


def test_several_checks_are_one_sentence() -> None:
    plan = made.export()
    trap = replace(plan.checks[0], input="list", promise=made.HPA, status=None)
    assert check_sentence(plan, (*plan.checks, trap)) == (
        "Checked before any call: stream (0 to 511), else returns 0xc00001000000000a; "
        "list (bits 51:12), else executes ud2."
    )
    assert check_sentence(plan, ()) == ""


def test_outcomes_without_a_fixup_table_and_without_return() -> None:
    assert outcome_lines(made.simple(), WITHOUT_TABLE) == (
        "If the carry flag is set: returns TDX_SEAMCALL_VMFAILINVALID.",
        "A fault is not caught: target linux-kernel is used without a fixup table.",
        "One attempt.",
        "Once the call completed: returns the status in rax.",
    )
    assert outcome_lines(made.fatal(), KERNEL)[-1] == (
        "Never returns: if the call comes back, executes ud2."
    )


def test_reasons_for_missing_edges() -> None:
    plan = made.simple(conduit=made.TDCALL)
    assert no_carry_reason(made.simple()) is None
    assert no_carry_reason(plan) == "tdcall does not report in the carry flag"
    assert no_fault_reason(plan, KERNEL) == "the description gives faults no meaning"
    assert no_fault_reason(made.simple(), KERNEL) is None


def test_actions_in_words() -> None:
    assert action_words(Trap(made.SPAN)) == "executes ud2"
    assert action_words(CallSymbol("die", None, made.SPAN)) == "calls die(), which does not return"


def test_a_status_by_its_name() -> None:
    plan = made.simple()
    assert status_words(plan, 0) == "TDX_SUCCESS"
    assert status_words(plan, 0x8000020000000092) == ("TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT_TREE")
    assert status_words(plan, 0x8000020000000077) == "TDX_OPERAND_BUSY | 0x77"
    assert status_words(plan, 0x1234000000000000) == "0x1234000000000000"


def test_the_callers_duties() -> None:
    assert contract_sentences(made.removal(), KERNEL) == (
        "Preemption off.",
        "Hold the lock of the Secure EPT.",
        "Since 1.0.",
        "Requires TD_PRESERVING.",
    )
    assert contract_sentences(made.export(), KERNEL) == (
        "Deprecated: use version 2.",
        "Preemption off.",
        "Global effect.",
    )
    assert contract_sentences(made.fatal(), KERNEL) == ("The code is in .noinstr.text.",)
    assert context_sentences(made.removal(), KERNEL) == ("Preemption off.",)
    assert context_sentences(made.fatal(), KERNEL) == ("The code is in .noinstr.text.",)
    loses = replace(made.fatal(), destroys_simd=True, section=".text")
    assert context_sentences(loses, KERNEL) == ("The other side may change vector registers.",)


def test_what_is_said_of_faults_that_are_not_caught() -> None:
    plan = made.removal()
    assert uncaught_sentence(plan, KERNEL) == ""
    assert uncaught_sentence(plan, WITHOUT_TABLE) == (
        "An exception at the instruction is not caught."
    )
    some = replace(plan, edges=replace(plan.edges, fault=None))
    assert uncaught_sentence(some, KERNEL) == "Any other exception is not caught."
    safe = replace(plan, instruction=replace(plan.instruction, may_fault=False))
    assert uncaught_sentence(safe, WITHOUT_TABLE) == ""


def test_notes_become_sentences() -> None:
    notes = ("one at a time", "rcx stays", "_x is odd", "Done!", "*/", "")
    said = [note_words(note) for note in notes]
    assert said == ["One at a time.", "rcx stays.", "_x is odd.", "Done!", "* /.", ""]


def test_steps_in_words() -> None:
    steps = (
        CarryRegister("rcx", made.SPAN),
        CarryRegister("r8", made.SPAN),
        SetBits(Bits("r10", 63, 63, made.SPAN), Constant(1), made.SPAN),
        CarryRegister("r9", made.SPAN),
    )
    clause = replace(made.export().again[0], steps=steps)
    words = "resume 1000 on TDX_INTERRUPTED_RESUMABLE(*)"
    assert again_words(clause) == f"{words} with carry rcx, r8, r10[63] = 1, carry r9"


def test_the_leaf_in_words() -> None:
    assert leaf_words(made.simple()) == "TDH.MEM.TRACK, leaf 38, by seamcall"
    assert leaf_words(made.export()) == "TDH.EXPORT.MEM, leaf 68 version 1, by seamcall"
    assert leaf_words(replace(made.simple(), number=None)) == "TDH.MEM.TRACK, by seamcall"


def test_destroyed_registers_in_abi_order() -> None:
    expected = ("rax", "rcx", "rdx", "r8", "r9", "r10", "r11")
    assert destroyed_registers(made.simple()) == expected


# -- text of strangers


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("a */ b /* c **// d", "a * / b / * c ** // d"),
        ("what ??/ is ???", "what ? ?/ is ? ? ?"),
        ("splice \\\nhere \\", "splice \\. here \\."),
        ("bell \a, \u202eright to left\u202c, \ufeff", "bell ?, ?right to left?, ?"),
        ("  tabs\tand  spaces\u2028end ", "tabs and spaces?end"),
        ("Größe 大", "Größe 大"),
    ],
)
def test_text_is_made_harmless(text: str, harmless: str) -> None:
    assert plain(text) == harmless


@given(st.text(st.characters() | st.sampled_from("*/?\\\n @:")))
def test_no_text_leaves_its_comment(text: str) -> None:
    for line in (plain(text), *paragraphs(text)):
        assert not any(mark in line for mark in ("*/", "/*", "??", "\n", "\r", "\t", "\u2028"))
        assert not line.endswith("\\") and line == line.strip() and "  " not in line
        assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)
        for wrapped in wrap(line, columns=30):
            assert not wrapped.endswith("\\")
            assert not re.match(r"(?i)(@\w+|returns?|context|notes?)\s*:", wrapped)
        assert plain(line) == line


def test_paragraphs_and_summary() -> None:
    doc = "Does it. Then\nmore of it.\n\nSecond.\n- item\n  goes on\n- another\r\n"
    assert paragraphs(doc) == [
        "Does it. Then more of it.",
        "Second.",
        "- item goes on",
        "- another",
    ]
    assert split_summary(doc)[0] == "Does it"
    assert split_summary(doc)[1][0] == "Then more of it."
    assert split_summary("No end") == ("No end", [])
    assert split_summary("") == ("", [])


def test_lines_never_begin_with_what_kernel_doc_takes_for_a_section() -> None:
    words = "x " * 200 + "@evil: y Return: z note : w " + "v " * 100
    for columns in range(20, 60):
        for line in wrap(plain("Returns: " + words), columns=columns):
            assert not line.lower().startswith(("@evil", "return", "note")) or ":" not in line
    assert wrap("@evil: yes") == ["@evil - yes"]
    assert wrap("kept", "Return: ", "") == ["Return: kept"]
