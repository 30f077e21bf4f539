"""The descriptions and programs that the documents show."""

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


def code_blocks(page: Path, language: str) -> list[str]:
    """The texts of a page's blocks in a language, of those that are not indented."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BLOCKS = blocks()
WHOLE = [(where, text) for where, words, text in BLOCKS if words != "fragment"]
