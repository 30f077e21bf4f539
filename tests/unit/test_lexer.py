"""The lexer finds what lark's contextual lexer finds, in texts right and wrong."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest
from lark import Lark

from seamir.diagnostics import SeamError
from seamir.syntax import parser
from seamir.syntax.builder import Builder
from seamir.syntax.files import make_source

TESTS = Path(__file__).parents[1]
LIBRARY = Path(str(files("seamir") / "leaves" / "tdx"))
NEGATIVE = sorted((TESTS / "negative").glob("*/input.seam"))
# Words of the language as names, names that begin like words and registers, and what is in no word.
WORDS = (
    *("leaf", "in", "into", "optional", "optionally", "none", "rcx", "rcx_", "rcxé", "R8", "as"),
    *("TDH.X", "TDH.x", "T.", "0x1F", "1ULL", "..", ".", "...", "/", "//", "///", "#UD", "#ud"),
    *('"', "é", "<<", "<", "<=", "->", "-", "\n", " ", "{", ")", "struct", "carry", "@"),
)


@cache
def larks_own() -> tuple[Lark, Builder]:
    """The parser with lark's own lexer."""
    grammar = (files("seamir.syntax") / "seam.lark").read_text(encoding="utf-8")
    builder = Builder()
    options = {"keep_all_tokens": True, "maybe_placeholders": False}
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=builder, **options), builder


def outcome(text: str) -> object:
    """The items of a text with their places, or all that is wrong with it."""
    try:
        source = make_source(text.encode(), "text.seam", "text.seam")
        return repr(parser.parse(source).items)
    except SeamError as error:
        return [diagnostic.render() for diagnostic in error.diagnostics]


def assert_alike(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outcome(text)
    with monkeypatch.context() as patch:
        patch.setattr(parser, "_parser", larks_own)
        assert outcome(text) == ours


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.seam")), ids=lambda path: path.stem)
def test_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_alike(path.read_text(encoding="utf-8"), monkeypatch)


def test_wrong_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in NEGATIVE:
        assert_alike(path.read_bytes().decode("utf-8", "replace"), monkeypatch)


def test_words_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    lines = (TESTS / "data" / "execution.seam").read_text(encoding="utf-8").splitlines()
    for _ in range(400):
        start = random.randrange(len(lines) - 12)
        text = "\n".join(lines[start : start + 12])
        for _ in range(random.randrange(1, 4)):
            place = random.randrange(len(text))
            end = place + random.choice((0, 0, 1, 3, 8))
            text = text[:place] + random.choice(("", " ", *WORDS)) + text[end:]
        assert_alike(text, monkeypatch)
