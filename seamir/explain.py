"""What `seamir list` and `seamir explain` say, as text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from importlib.resources import files

from seamir.compiler import Compilation
from seamir.diagnostics import fail, printable
from seamir.emit.contract import contract_sentences, leaf_words, operand_table, outcome_lines
from seamir.emit.text import paragraphs
from seamir.ir.leaf import ArgumentKind, Plan
from seamir.objects.disassembly import disassemble, labels
from seamir.objects.elf import FixupEntry, Function
from seamir.source import Source
from seamir.syntax.loader import Unit

_CODE = re.compile(r"[EW]0[0-9]{3}")


def list_plans(plans: Sequence[Plan]) -> str:
    """One line a wrapper: symbol, leaf, number, version, conduit, arguments, attempts."""
    rows = [("SYMBOL", "LEAF", "NUMBER", "VERSION", "CONDUIT", "ARGUMENTS", "ATTEMPTS")]
    for plan in plans:
        rows.append(
            (
                plan.symbol,
                plan.leaf,
                "-" if plan.number is None else str(plan.number),
                str(plan.version),
                plan.conduit.name,
                ", ".join(_argument(a.name, a.kind) for a in plan.arguments) or "-",
                str(plan.bound),
            )
        )
    return align(rows)


def _argument(name: str, kind: ArgumentKind) -> str:
    return name if kind is ArgumentKind.VALUE else f"*{name}"


def align(rows: Sequence[Sequence[str]]) -> str:
    """The rows with their columns lined up, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def explain_code(code: str) -> str:
    """The page of an error code; raises SeamError if there is none."""
    page = files("seamir") / "errors" / f"{code}.md"
    if not _CODE.fullmatch(code) or not page.is_file():
        message = f"there is no error {code}"
        raise fail("E0806", message, help="codes look like E0304 and stand in every message")
    return page.read_text(encoding="utf-8")


def explain_plan(plan: Plan, compilation: Compilation) -> str:
    """The operand table, the contract in words, the attempt bound, and the instructions.

    `compilation` has the object with its line table.
    """
    sections = [f"{plan.symbol}: {leaf_words(plan)}"]
    doc = "\n\n".join(paragraphs(plan.documentation.doc))
    if doc:
        sections.append(doc)
    sections.append("Operands and outputs\n" + _indent(operand_table(plan)))
    sections.append("Contract\n" + _indent(contract_sentences(plan, compilation.target)))
    sections.append("Outcomes\n" + _indent(outcome_lines(plan, compilation.target)))
    times = "once" if plan.bound == 1 else f"up to {plan.bound} times"
    sections.append(f"Attempts\n    The instruction is executed {times}.")
    contents = compilation.object_file
    function = contents.function(plan.symbol)
    if function is not None:
        fixups = contents.fixups(compilation.target.fixup_section)
        own = [entry for entry in fixups if entry.function == plan.symbol]
        sources = {_logical(u): u.source for u in compilation.program.units}
        head = f"Instructions in {function.section}, {len(function.code)} bytes"
        sections.append(head + "\n" + _indent(_instructions(function, own, sources)))
    return "\n\n".join(sections) + "\n"


def _logical(unit: Unit) -> str:
    return unit.source.logical_name or unit.source.name


def _indent(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _instructions(
    function: Function, fixups: Sequence[FixupEntry], sources: dict[str, Source]
) -> list[str]:
    """Each instruction beside the line of the description that it comes from."""
    names = labels(function, fixups)
    places = _places(function)
    lines = []
    for instruction in disassemble(function, fixups):
        if instruction.offset in names:
            lines.append(f"{names[instruction.offset]}:")
        place = places[bisect_right([start for start, _, _ in places], instruction.offset) - 1]
        text = f"  {instruction.offset:04x}  {instruction.text}"
        lines.append(f"{text:<48}  {_line(place[1], place[2], sources)}")
    lines += [
        f"a fault at {entry.from_offset:04x} goes on at {names.get(entry.to_offset, '?')}"
        for entry in fixups
    ]
    return lines


def _places(function: Function) -> list[tuple[int, str, int]]:
    """Offset, file and line of each row of the line table.

    LLVM gives no line to constants that it moves into a branch; they take the line that follows.
    """
    places: list[tuple[int, str, int]] = []
    following = ("", 0)
    for entry in reversed(function.lines):
        if entry.line:
            following = (entry.file, entry.line)
        places.append((entry.offset, *following))
    return [(0, "", 0), *reversed(places)]


def _line(file: str, line: int, sources: dict[str, Source]) -> str:
    source = sources.get(file)
    if source is None or not line:
        return ""
    return printable(f"{file}:{line}: {source.line_text(line).strip()}")
