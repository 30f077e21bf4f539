"""Writes the tables of docs/verification.md from what was recorded.

    python tests/verification_tables.py

`make verify-all` makes the records in tests/data, and calls this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fuzz_code_mutants
from compiler_errors import TABLE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/verification.md"
DATA = ROOT / "tests/data"
_MOST_LISTED = 12  # mutants of a list

Row = tuple[str, ...]


def tables() -> dict[str, str]:
    """The text of each part of the page, by the name in its comment."""
    return {
        "library": library(read("proofs")),
        "instructions": instructions(read("fuzz_instructions")),
        "mutants": mutants(read("code_mutants")),
        "errors": errors(),
        "leaves": leaves(read("fuzz_proofs")),
    }


def read(name: str) -> Any:
    """A record."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def replaced(page: str, parts: Mapping[str, str]) -> str:
    """The page with its parts as they are to be."""
    for name, text in parts.items():
        start, end = f"<!-- {name} -->", "<!-- end -->"
        pattern = re.compile(rf"{re.escape(start)}\n.*?{re.escape(end)}", re.S)
        # A backslash in the text is that character, and no group of the pattern.
        page, count = pattern.subn(f"{start}\n{text}{end}".replace("\\", r"\\"), page)
        if count != 1:
            raise ValueError(f"{PAGE.name} has {count} parts called {name}")
    return page


def library(record: Mapping[str, Any]) -> str:
    """The proofs of the library."""
    head = ("", "objects", "wrappers", "proved", "paths", "obligations", "asked z3", "seconds")
    rows = [_sums("all", record["all"])]
    rows += [_sums(f"target {name}", sums) for name, sums in record["targets"].items()]
    rows += [_sums(f"`tdx/{name}.seam`", sums) for name, sums in record["files"].items()]
    reasons = ", ".join(f"{name} ({count:,})" for name, count in record["unreachable"].items())
    assumptions = ", ".join(record["assumptions"]) or "none"
    return (
        f"Every file, target and delivery, with the cautious and the preserving conduit, in the "
        f"object and after `ld -r`. Seconds are of the processor; it took "
        f"{record['elapsed_seconds']:,} by the clock in {record['jobs']} processes.\n\n"
        + _command(record)
        + _table(head, rows)
        + f"\nInstructions that never run: {reasons or 'none'}. Assumptions on overlap: "
        f"{assumptions}.\n"
    )


def _sums(name: str, sums: Mapping[str, int]) -> Row:
    keys = ("objects", "wrappers", "proved", "paths", "obligations", "queries", "processor_seconds")
    return (name, *(f"{sums[key]:,}" for key in keys))


def instructions(record: Mapping[str, Any]) -> str:
    """The comparison of instructions with a processor."""
    rows = [
        ("forms", f"{record['forms']:,}"),
        ("random states of each form, at least", f"{record['states of each form']:,}"),
        ("states", f"{record['states']:,}"),
        ("encodings", f"{record['encodings']:,}"),
        ("differences", f"{record['differences']:,}"),
        ("seconds by the clock", f"{record['seconds']:,} in {record['jobs']} processes"),
        ("versions", _versions(record)),
    ]
    return _command({"command": "python tests/fuzz_instructions.py --states 10000"}) + _table(
        ("", ""), rows
    )


def mutants(record: Mapping[str, Any]) -> str:
    """What became of the mutants."""
    shown = f"{record['counterexamples shown']:,}"
    text = (
        _command({"command": "python tests/fuzz_code_mutants.py"})
        + fuzz_code_mutants.table(dict(record))
        + f"\n{record['mutants']:,} mutants of {record['objects']:,} objects, "
        f"{record['calls']:,} calls, {record['processor seconds']:,} seconds of processor time; "
        f"{_versions(record)}. Of {shown} the counterexample was executed and goes wrong.\n"
    )
    by_reason: dict[str, int] = {}
    for one in record["equivalent"]:
        by_reason[one["reason"]] = by_reason.get(one["reason"], 0) + 1
    rows = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    text += "\nWhat behaves the same and is proved is the same, because\n\n"
    text += _table(("reason", "mutants"), [(reason, f"{count:,}") for reason, count in rows])
    alone = record["found by proof alone"]
    text += f"\n{len(alone):,} that no execution told apart are not proved, such as\n\n"
    rows_alone = [(_cell(one["mutant"]), _cell(one["failure"])) for one in alone[:_MOST_LISTED]]
    return text + _table(("mutant", "the prover"), rows_alone)


def errors() -> str:
    """The deliberate errors in the compiler."""
    rows = [(error.name, error.wrong) for error in TABLE]
    command = "pytest tests/unit/test_verify_compiler_errors.py"
    return (
        f"{len(TABLE)} errors, none proved.\n\n"
        + _command({"command": command})
        + _table(("error", "what is wrong"), rows)
    )


def leaves(runs: list[Mapping[str, Any]]) -> str:
    """The proofs of random leaves."""
    rows: list[Row] = []
    for key in runs[0]:
        values = [run[key] for run in runs]
        if all(isinstance(value, int) for value in values):
            rows.append((key, f"{sum(values):,}"))
    rows.append(("versions", _versions(runs[-1])))
    return _command({"command": "python tests/fuzz_proofs.py --leaves 40 --timeout 20"}) + _table(
        ("", ""), rows
    )


def _versions(record: Mapping[str, Any]) -> str:
    found = record.get("versions", {})
    if isinstance(found, Mapping):
        return ", ".join(f"{name} {number}" for name, number in found.items())
    return ", ".join(found)


def _command(record: Mapping[str, Any]) -> str:
    versions = f"\n\nVersions: {_versions(record)}." if "versions" in record else ""
    return f"    {record['command']}{versions}\n\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(head: Row, rows: list[Row] | list[tuple[str, str]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), tables()), encoding="utf-8")


if __name__ == "__main__":
    main()
