"""The tables of docs/verification.md say what was recorded, and the records what was asked for."""

from __future__ import annotations

import pytest
from compiler_errors import TABLE
from mutant_verdicts import PROVED
from verification_tables import PAGE, read, replaced, tables

from seamir.targets import TARGETS
from seamir.verify.instructions import FORMS


def test_the_page_has_what_was_recorded() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == replaced(page, tables()), "run python tests/verification_tables.py"


def test_a_part_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 parts called library"):
        replaced("no parts", {"library": ""})


def test_all_of_the_library_was_proved() -> None:
    record = read("proofs")
    assert set(record["targets"]) == set(TARGETS)
    for sums in (record["all"], *record["targets"].values(), *record["files"].values()):
        assert sums["wrappers"] == sums["proved"] > 0
    assert record["assumptions"] == []


def test_all_forms_were_compared() -> None:
    record = read("fuzz_instructions")
    assert record["forms"] == len(FORMS)
    assert record["states"] >= 10_000 * len(FORMS)
    assert record["differences"] == 0


def test_enough_mutants_were_refuted() -> None:
    record = read("code_mutants")
    differing = record["behave differently"]
    assert sum(differing.values()) >= 1000
    assert not differing.get(PROVED)
    assert record["problems"] == 0


def test_there_are_enough_errors() -> None:
    assert len(TABLE) >= 25
