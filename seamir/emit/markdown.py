"""The parts of a page of Markdown: tables, lists, and headings with the anchors that links need.

Takes lines that are Markdown already (see `markdown` and `code_span` in text.py) and returns blocks
of lines. Tables are those of GitHub, and so are the anchors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from seamir.emit.text import code_span

_BAR = re.compile(r"(?<!\\)\|")  # of a span of code: other text has none without a backslash


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, or none if it has no rows; columns that are empty in all rows are left out.

    The first column stays.
    """
    if not rows:
        return []
    columns = [i for i in range(len(head)) if not i or any(row[i] for row in rows)]
    lines = [_row([head[i] for i in columns]), f"|{'---|' * len(columns)}"]
    return lines + [_row([row[i] for i in columns]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    shown = [_BAR.sub(r"\\|", cell) for cell in cells]
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in shown)}|"


def bullets(items: Sequence[str | Sequence[str]]) -> list[str]:
    """Lines of a list; a sequence is a list within the item before it."""
    lines: list[str] = []
    for item in items:
        if isinstance(item, str):
            lines.append(f"- {item}")
        else:
            lines += [f"  - {inner}" for inner in item]
    return lines


class Headings:
    """The headings of a page, and the anchors that GitHub gives them.

    `titles` are, in the order of the page, what each heading is called here and its text without
    markup.
    """

    def __init__(self, titles: Iterable[tuple[str, str]]) -> None:
        self._anchors: dict[str, str] = {}
        used: dict[str, int] = {}
        for key, title in titles:
            word = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            count = used.get(word, 0)
            used[word] = count + 1
            self._anchors[key] = f"{word}-{count}" if count else word

    def anchor(self, key: str) -> str:
        """The anchor of a heading, for a link to `#` and it."""
        return self._anchors[key]

    def link(self, key: str, name: str) -> str:
        """A link to a heading that shows the name as code."""
        return f"[{code_span(name)}](#{self._anchors[key]})"
