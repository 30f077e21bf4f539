"""What the styles of assembly share: LLVM's text as lines, and words for the comments in it.

The lines have a place for every instruction, and each instruction that a description calls is one
`.byte` with its name. Nothing of a description reaches the words but through `plain`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seamir.emit.contract import leaf_words, operand_table
from seamir.emit.text import plain
from seamir.ir.leaf import Plan
from seamir.source import Source, mapped_name

LOCATION = re.compile(r"\t\.loc\t(\d+) (\d+) (\d+)")
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
FILE = re.compile(rf"\t\.file\t(\d+) {_QUOTED}(?: {_QUOTED})?")  # number, folder, name
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
LABEL = re.compile(r"([A-Za-z_.][A-Za-z0-9_.$]*):")
_IMMEDIATE = re.compile(r"(\t[a-z]+([bwlq])\t\$)(-?\d+)(?=,)")
_WIDTHS = {"b": 8, "w": 16, "l": 32, "q": 64}  # bits of an operand, by suffix of the mnemonic
_SMALL = 0xFFFF  # what is larger is printed in hexadecimal


def read_lines(text: str, plans: Sequence[Plan], comment: str) -> list[str]:
    """The lines of LLVM's assembly; `comment` is a format for the names of instructions."""
    return _join_bytes(_replace_line_0(text.split("\n")), plans, comment)


def heading(plan: Plan) -> list[str]:
    """Lines of text that say what a function is, and its operand table."""
    rows = (f"  {row}".rstrip() for row in operand_table(plan))
    return [f"{plan.symbol}: {leaf_words(plan)}", "", *rows]


def in_hexadecimal(line: str) -> str:
    """The line with a large immediate as the operand's bits; small ones stay as they are."""
    return _IMMEDIATE.sub(_hexadecimal, line)


class SourceLines:
    """The lines of the description that the places in an assembly text stand for, in its order."""

    def __init__(
        self, lines: Sequence[str], plans: Sequence[Plan], prefixes: Sequence[tuple[str, str]]
    ) -> None:
        """`prefixes` map the names of files in the line table, see `mapped_name`."""
        sources = _sources(plans, prefixes)
        self._files: dict[str, Source | None] = {}
        self._shown: tuple[str, str] | None = None
        for file in filter(None, map(FILE.match, lines)):
            path = b"/".join(_unquote(part) for part in file.groups()[1:] if part is not None)
            self._files[file.group(1)] = sources.get(path)

    def begin_function(self) -> None:
        """Lets the next place be shown, whatever was shown before."""
        self._shown = None

    def next(self, location: re.Match[str]) -> tuple[str, str, int] | None:
        """Of a place its name, its line of text and its column; None if that was shown last."""
        file, line, column = location.groups()
        source = self._files.get(file)
        if source is None or self._shown == (file, line):
            return None
        self._shown = (file, line)
        name = plain(source.logical_name or source.name)
        return f"{name}:{line}", source.line_text(int(line)), int(column)


def shorten(text: str, column: int, columns: int) -> str:
    """A source line; of a long one, the part from a column (counted from 1, 0 for none) on."""
    shown = plain(text)
    if len(shown) <= columns:
        return shown
    start = max(column - 1, 0) if column - 1 + columns <= len(text) else len(text) - columns
    part = text[start : start + columns]
    return ("..." if start else "") + plain(part) + ("..." if start + columns < len(text) else "")


def _hexadecimal(immediate: re.Match[str]) -> str:
    before, suffix, digits = immediate.groups()
    value = int(digits)
    if abs(value) <= _SMALL:
        return immediate.group()
    return f"{before}{value & ((1 << _WIDTHS[suffix]) - 1):#x}"


def _sources(plans: Sequence[Plan], prefixes: Sequence[tuple[str, str]]) -> dict[bytes, Source]:
    """Every source that some part of a plan comes from, by the name in the line table."""
    found: dict[bytes, Source] = {}
    for plan in plans:
        spans = [plan.span, *(action.span for action in plan.edges.actions)]
        spans += [load.span for load in plan.loads] + [d.span for d in plan.deliveries]
        spans += [item.span for item in plan.inputs] + [check.span for check in plan.checks]
        spans += [clause.span for clause in plan.again]
        spans += [step.span for clause in plan.again for step in clause.steps]
        for span in spans:
            name = span.source.logical_name or span.source.name
            found.setdefault(mapped_name(name, prefixes).encode(), span.source)
    return found


def _unquote(text: str) -> bytes:
    """The bytes that LLVM prints as the inside of a quoted string."""

    def replaced(escape: re.Match[bytes]) -> bytes:
        word = escape.group(1)
        return bytes([int(word, 8)]) if len(word) == 3 else _ESCAPES.get(word, word)

    return _ESCAPED.sub(replaced, text.encode("ascii"))


def _replace_line_0(lines: Sequence[str]) -> list[str]:
    """The lines with a place for every instruction, as objects/linetable.py has it for objects."""
    result: list[str] = []
    following: int | None = None  # of the place after the present line, in the same function
    for line in reversed(lines):
        location = LOCATION.match(line)
        if location is None:
            result.append(line)
            if LABEL.fullmatch(line) and not line.startswith(".L"):
                following = None  # what is above is another function
        elif location.group(2) != "0":
            following = len(result)
            result.append(line)
        elif following is not None:
            result.append(result.pop(following))
            following = len(result) - 1
    return result[::-1]


def _join_bytes(lines: Sequence[str], plans: Sequence[Plan], comment: str) -> list[str]:
    """Runs of `.byte` that are an instruction of some plan, on one line with its name."""
    names = {plan.instruction.code: plan.instruction.name for plan in plans}
    result: list[str] = []
    run: list[int] = []
    for line in [*lines, ""]:
        byte = re.fullmatch(r"\t\.byte\t(\d+)", line)
        if byte:
            run.append(int(byte.group(1)))
            continue
        if run:
            code = bytes(run)
            words = f"\t{comment.format(names[code])}" if code in names else ""
            result.append("\t.byte\t" + ",".join(f"{b:#04x}" for b in code) + words)
            run = []
        result.append(line)
    return result[:-1]
