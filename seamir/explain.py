"""What `seamir explain` says, as text or as data for JSON."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import takewhile
from typing import Any

from seamir.compiler import Compilation
from seamir.diagnostics import fail, printable
from seamir.emit.contract import (
    argument_doc,
    contract_sentences,
    leaf_words,
    operand_cells,
    operand_table,
    outcome_lines,
    promise_words,
)
from seamir.emit.header import declaration
from seamir.emit.text import paragraphs, wrap, wrap_paragraph
from seamir.ir.leaf import Argument, Plan
from seamir.listing import align, show_argument
from seamir.objects.contents import Function
from seamir.objects.disassembly import DecodedInstruction, disassemble, labels
from seamir.source import Source
from seamir.syntax.loader import Unit

_SHOWN = 100  # characters of a source line
# An instruction that writes its first operand, a register; and registers by their parts.
_WRITES = re.compile(r"(?:mov|movzx|movsx|movsxd|movabs|lea|xor|or|and|add|sub|shl|shr) (\w+),")
_FULL_NAMES = {
    **{f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp")},
    **{f"r{number}d": f"r{number}" for number in range(8, 16)},
}

_CODE = re.compile(r"[EW][0-9]{4}")


def is_code(text: str) -> bool:
    """Whether the text looks like the code of a diagnostic, such as E0304."""
    return _CODE.fullmatch(text.upper()) is not None


def explain_code(code: str) -> str:
    """The page of a diagnostic's code; raises SeamError if there is none."""
    page = files("seamir") / "errors" / f"{code.upper()}.md"
    if not is_code(code) or not page.is_file():
        message = f"no error or warning is called {printable(code)}"
        raise fail("E0806", message, help="codes look like E0304 and stand in every message")
    return page.read_text(encoding="utf-8")


def explain_code_data(code: str) -> dict[str, Any]:
    """The same as data; the page is Markdown."""
    page = explain_code(code)
    title = page.partition("\n")[0].partition(": ")[2]
    return {"code": code.upper(), "title": title, "page": page}


def name_leaves(name: str, plans: Sequence[Plan]) -> str:
    """What to say to somebody who names a file and none of its leaves."""
    table = align([(plan.leaf, plan.symbol) for plan in plans])
    lines = "".join(f"  {line}\n" for line in table.splitlines())
    return f"which leaf or symbol of {printable(name)}?\n{lines}".rstrip()


def explain_plan(plan: Plan, compilation: Compilation) -> str:
    """Prototype, operand table, contract in words, outcomes and attempts, and the instructions.

    The instructions are those of the object in `compilation`, if it has one.
    """
    target = compilation.target
    sections = [f"{plan.symbol}: {leaf_words(plan)}"]
    sections += ["\n".join(wrap_paragraph(text)) for text in paragraphs(plan.documentation.doc)]
    prototype = [line.expandtabs() for line in declaration(plan, target)]
    sections.append(_section("In C", prototype))
    if plan.arguments:
        rows = [(show_argument(argument), *words) for argument, *words in _arguments(plan)]
        sections.append(_section("Arguments", align(rows).splitlines()))
    sections.append(_section("Operands and outputs", operand_table(plan)))
    contract = contract_sentences(plan, target)
    if contract:
        sections.append(_section("Contract", _wrapped(contract)))
    sections.append(_section("Outcomes", _wrapped(outcome_lines(plan, target))))
    if "obj" in compilation.outputs:
        sections.append(_code_section(plan, compilation))
    return "\n\n".join(sections) + "\n"


def explain_data(compilation: Compilation) -> dict[str, Any]:
    """The same of all plans as data: the manifest, what it does not have, and warnings.

    The compilation has a manifest, and if there are to be instructions an object.
    """
    return {
        "manifest": json.loads(compilation.outputs["manifest"].text),
        "explanations": [_explanation(plan, compilation) for plan in compilation.plans],
        "warnings": [warning.to_json() for warning in compilation.diagnostics],
    }


def _explanation(plan: Plan, compilation: Compilation) -> dict[str, Any]:
    target = compilation.target
    return {
        "symbol": plan.symbol,
        "summary": leaf_words(plan),
        "prototype": "\n".join(line.expandtabs() for line in declaration(plan, target)),
        "arguments": [
            {"name": argument.name, "promise": promise, "doc": doc}
            for argument, promise, doc in _arguments(plan)
        ],
        "operands": [
            {"way": way, "place": place, "value": value, "note": note}
            for way, place, value, note in operand_cells(plan)
        ],
        "contract": list(contract_sentences(plan, target)),
        "outcomes": list(outcome_lines(plan, target)),
        "code": _code_data(plan, compilation) if "obj" in compilation.outputs else None,
    }


def _arguments(plan: Plan) -> list[tuple[Argument, str, str]]:
    """Each argument with what its type promises and what is said of it."""
    rows = []
    for argument in plan.arguments:
        promises = [item.promise for item in plan.inputs if item.argument == argument.name]
        promise = promise_words(promises[0] if promises else argument.type)
        optional = "may be NULL; " if argument.optional else ""
        doc = optional + argument_doc(plan, argument)
        rows.append((argument, promise, doc))
    return rows


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"    {line}".rstrip() for line in lines)])


def _wrapped(sentences: Sequence[str]) -> list[str]:
    """The sentences, each on a line of its own, long ones with a hanging indent."""
    return [line for sentence in sentences for line in wrap(sentence, "", "  ")]


@dataclass(frozen=True)
class _Line:
    """An instruction, its label or "", and the line it comes from ("", 0 if unknown)."""

    instruction: DecodedInstruction
    label: str
    file: str
    line: int
    source: str


@dataclass(frozen=True)
class _Code:
    """The code of a wrapper; `faults` are where one happens and the label where it goes on."""

    function: Function
    lines: tuple[_Line, ...]
    faults: tuple[tuple[int, str], ...]


def _code_of(plan: Plan, compilation: Compilation) -> _Code:
    contents = compilation.object_file
    function = contents.function(plan.symbol)
    assert function is not None  # each plan becomes a function
    fixups = contents.fixups(compilation.target.fixup_section)
    own = [entry for entry in fixups if entry.function == plan.symbol]
    sources = {_logical(unit): unit.source for unit in compilation.program.units}
    names = labels(function, own)
    faults = [(entry.from_offset, names.get(entry.to_offset, "?")) for entry in own]
    lines = _lines(plan, function, disassemble(function, own), names, sources)
    return _Code(function, tuple(lines), tuple(faults))


def _logical(unit: Unit) -> str:
    return unit.source.logical_name or unit.source.name


def _lines(
    plan: Plan,
    function: Function,
    instructions: Sequence[DecodedInstruction],
    names: Mapping[int, str],
    sources: Mapping[str, Source],
) -> Iterator[_Line]:
    """Each instruction with the place in the description that it comes from."""
    starts = [entry.offset for entry in function.lines]
    loads = _loads(plan, instructions)
    for instruction in instructions:
        offset = instruction.offset
        entry = function.lines[bisect_right(starts, offset) - 1]
        file, line = loads.get(offset, (entry.file, entry.line))
        source = _source_line(file, line, sources)
        yield _Line(instruction, names.get(offset, ""), printable(file), line, source)


def _code_section(plan: Plan, compilation: Compilation) -> str:
    code = _code_of(plan, compilation)
    title = f"Instructions in {code.function.section}, {len(code.function.code)} bytes"
    if code.function.type_id is not None:
        title += f", type id {code.function.type_id:#010x}"
    faults = [f"a fault at {offset:04x} goes on at {label}" for offset, label in code.faults]
    return _section(title, [*_instructions(code), *faults])


def _instructions(code: _Code) -> list[str]:
    """Lines of text; a source line is shown where it is not that of the instruction above."""
    rows: list[tuple[str, str, str]] = []
    above = ("", 0)
    for one in code.lines:
        if one.label:
            rows.append((f"{one.label}:", "", ""))
            above = ("", 0)
        place = (one.file, one.line)
        words = f"  {one.instruction.offset:04x}  {one.instruction.text}"
        shown = "" if place == above else one.source
        rows.append((words, f"{one.file}:{one.line}" if one.line else "", shown))
        above = place
    return align(rows).splitlines()


def _code_data(plan: Plan, compilation: Compilation) -> dict[str, Any]:
    code = _code_of(plan, compilation)
    return {
        "section": code.function.section,
        "bytes": len(code.function.code),
        "type_id": code.function.type_id,
        "instructions": [
            {
                "label": one.label or None,
                "offset": one.instruction.offset,
                "bytes": one.instruction.code.hex(),
                "text": one.instruction.text,
                "file": one.file or None,
                "line": one.line or None,
                "source": one.source,
            }
            for one in code.lines
        ],
        "faults": [{"offset": offset, "goes_on_at": label} for offset, label in code.faults],
    }


def _loads(plan: Plan, instructions: Sequence[DecodedInstruction]) -> dict[int, tuple[str, int]]:
    """File and line of the instructions that put an operand into its register, by offset.

    LLVM counts such moves to the call itself.
    """
    own = (plan.span.source.logical_name or plan.span.source.name, plan.span.line)
    found = {0: own} if instructions[0].text == "endbr64" else {}
    before = list(takewhile(lambda one: one.code != plan.instruction.code, instructions))
    for load in plan.loads:
        for instruction in reversed(before):
            written = _WRITES.match(instruction.text)
            if written and _FULL_NAMES.get(written.group(1), written.group(1)) == load.register:
                source = load.span.source
                found[instruction.offset] = (
                    source.logical_name or source.name,
                    load.span.line,
                )
                break
    return found


def _source_line(file: str, line: int, sources: Mapping[str, Source]) -> str:
    source = sources.get(file)
    if source is None or not line:
        return ""
    text = source.line_text(line).strip()
    return printable(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
