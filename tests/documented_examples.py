"""The descriptions that the documents show."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# A block may be indented, as in a list.
BLOCK = re.compile(r"^(?P<indent> *)```seam(?P<words>[^\n]*)\n(?P<text>.*?)^ *```$", re.S | re.M)


def blocks() -> list[tuple[str, str, str]]:
    """(where, the words after `seam`, text) of every description in the documents."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            where = f"{page.relative_to(ROOT)}:{line}"
            found.append((where, match["words"].strip(), textwrap.dedent(match["text"])))
    return found


BLOCKS = blocks()
WHOLE = [(where, text) for where, words, text in BLOCKS if words != "fragment"]
