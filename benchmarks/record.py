"""Tables, and their places in benchmarks/README.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

README = Path(__file__).with_name("README.md")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns lined up; all but the first hold numbers."""
    every = [headings, *rows]
    widths = [max(len(row[index]) for row in every) for index in range(len(headings))]
    lines = [_line(headings, widths)]
    rules = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines.append(f"| {' | '.join(rules)} |")
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [c.rjust(width) for c, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"


def record(name: str, text: str) -> None:
    """Replaces what stands between the marks of that name in the README."""
    marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{marks[0]}.*?{marks[1]}", re.DOTALL)
    content = README.read_text(encoding="utf-8")
    fresh = f"{marks[0]}\n{text}\n{marks[1]}"
    README.write_text(pattern.sub(lambda _: fresh, content), encoding="utf-8")
