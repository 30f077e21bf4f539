"""From text to syntax tree. The only file that knows lark.

Takes a Source, returns an ast.File; everything wrong with the text, up to MAXIMUM_ERRORS, goes
into one SeamError. Time and memory are bounded by the limits in seamir/files.py and below.
"""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import cast

from lark import Lark, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from seamir.diagnostics import Diagnostics
from seamir.source import Source, Span
from seamir.syntax import ast
from seamir.syntax.builder import Builder
from seamir.version import VERSION

MAXIMUM_NESTING = 256  # parentheses, or operators, in one expression
MAXIMUM_ERRORS = 20  # syntax errors reported per file

_ITEM = re.compile(
    r"^[ \t]*(?:import|type|const|bits|operands|statuses|conduit|leaf|wrapper)\b", re.MULTILINE
)
_DEPTH = re.compile(r'//[^\n]*|"[^"\n]*"|[()|+;{},]|<<|>>|-(?!>)')
_WORDS = {
    "NAME": "a name",
    "DOTTED": "a leaf name",
    "INT": "a number",
    "STRING": "a quoted string",
    "REGISTER": "a register",
    "FAULT": "a fault such as `#UD`",
    "DOC": "documentation",
    "$END": "the end of the file",
}


def parse(source: Source) -> ast.File:
    """Parses a file.

    Raises SeamError with all syntax errors: after an error the parser goes on at the next item.
    """
    sink = Diagnostics()
    _check_nesting(source, sink)
    sink.stop_on_errors()
    text, items = source.text, ()
    begin = 0
    for _ in range(MAXIMUM_ERRORS):
        try:
            items = _parse_text(text, source, sink)
            break
        except UnexpectedInput as error:
            begin = max(begin + 1, _report(error, source, sink))
            rest = _ITEM.search(text, begin) if begin <= len(text) else None
            if rest is None:
                break
            begin = rest.start()
            text = _blank(text, begin)
    sink.stop_on_errors()
    return ast.File(source, items)


def _parse_text(text: str, source: Source, sink: Diagnostics) -> tuple[ast.Item, ...]:
    parser, builder = _parser()
    builder.begin(source, sink)
    return cast("tuple[ast.Item, ...]", parser.parse(text))


def _blank(text: str, end: int) -> str:
    """The text with everything before `end` made blank, places unchanged."""
    return re.sub(r"[^\n]", " ", text[:end]) + text[end:]


@cache
def _parser() -> tuple[Lark, Builder]:
    grammar = (files("seamir.syntax") / "seam.lark").read_text(encoding="utf-8")
    builder = Builder()
    parser = Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        transformer=builder,
        keep_all_tokens=True,
        maybe_placeholders=False,
        cache=_cache_file() or False,
    )
    return parser, builder


def _cache_file() -> str | None:
    """Where the parse tables are kept between runs (it saves 0.1 s); None if there is no place.

    Lark itself checks that the file was made from this very grammar by this very lark.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "seamir"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, ValueError):
        return None
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or not os.access(folder, os.W_OK):
        return None  # somebody else could put tables there
    return str(folder / f"grammar-{VERSION}.cache")


def _check_nesting(source: Source, sink: Diagnostics) -> None:
    """Bounds the depth of every expression before any recursive function sees it."""
    depth = operators = 0
    for match in _DEPTH.finditer(source.text):
        token = match.group()
        if token in (";", "{", "}", ","):
            depth = operators = 0
        elif token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif token in ("|", "+", "-", "<<", ">>"):
            operators += 1
        if depth > MAXIMUM_NESTING or operators > MAXIMUM_NESTING:
            span = Span(source, match.start(), match.end())
            sink.report("E0105", f"an expression nests more than {MAXIMUM_NESTING} deep", span)
            return


def _report(error: UnexpectedInput, source: Source, sink: Diagnostics) -> int:
    """Reports a syntax error; returns the offset where it was found."""
    if isinstance(error, UnexpectedCharacters):
        offset = error.pos_in_stream or 0
        span = Span(source, offset, offset + 1)
        shown = source.text[offset]
        sink.report("E0107", f"`{shown}` does not belong here", span, help=_expected(error))
        return offset
    token = error.token if isinstance(error, UnexpectedToken | UnexpectedEOF) else None
    if token is None or token.type == "$END" or token.start_pos is None:
        end = len(source.text.rstrip())
        span = Span(source, max(0, end - 1), end)
        sink.report("E0106", "the file ends inside an item", span, help=_expected(error))
        return len(source.text)
    span = Span(source, token.start_pos, token.end_pos)
    previous = getattr(error, "token_history", None)
    if "SEMICOLON" in _accepted(error) and previous and previous[-1].end_line < token.line:
        last = previous[-1]
        place = Span(source, last.start_pos, last.end_pos)
        sink.report("E0106", f"`;` is missing after `{last}`", place)
    else:
        found = "a quoted string" if token.type == "STRING" else f"`{token}`"
        sink.report("E0106", f"{found} is not expected here", span, help=_expected(error))
    return int(token.start_pos)


def _accepted(error: UnexpectedInput) -> set[str]:
    return set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())


def _expected(error: UnexpectedInput) -> str | None:
    """What could have stood there, in the order of a dictionary, punctuation last."""
    terminals = _accepted(error) or set(getattr(error, "allowed", None) or ())
    terminals.discard("DOC")
    parser, _ = _parser()
    patterns = {terminal.name: terminal.pattern for terminal in parser.terminals}
    words = [
        _WORDS.get(name) or f"`{patterns[name].value}`"
        for name in terminals
        if name in _WORDS or name in patterns
    ]
    words.sort(key=lambda word: (not word.startswith("a "), not word[1:2].isalpha(), word))
    if not words:
        return None
    if len(words) > 12:
        words = [*words[:12], "..."]
    return "expected " + (words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1])
