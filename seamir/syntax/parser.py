"""From text to syntax tree, by lark: with lexer.py the only file that knows it.

Takes a Source, returns an ast.File; everything wrong with the text, up to MAXIMUM_ERRORS, goes
into one SeamError. Time and memory are bounded by the limits in files.py, nesting.py and below.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import cast

from lark import (
    Lark,
    Token,
    Tree,
    UnexpectedCharacters,
    UnexpectedEOF,
    UnexpectedInput,
    UnexpectedToken,
)

from seamir.diagnostics import Diagnostics
from seamir.source import Source, Span
from seamir.syntax import ast
from seamir.syntax.builder import Builder
from seamir.syntax.children import Child, is_token
from seamir.syntax.errors import ITEMS, Failure, report
from seamir.syntax.lexer import Lexer
from seamir.syntax.nesting import MAXIMUM_NESTING, too_deep
from seamir.version import VERSION

MAXIMUM_ERRORS = 20  # syntax errors reported per file

# Where to go on after an error: a line that begins like an item.
_ITEM = re.compile(rf"^[ \t]*(?:{'|'.join(ITEMS)})[ \t]+[^\s:=,;()\[{{]", re.MULTILINE)


def parse(source: Source) -> ast.File:
    """Parses a file.

    Raises SeamError with all syntax errors: after an error the parser goes on at the next item.
    """
    sink = Diagnostics()
    place = too_deep(source.text)
    if place is not None:
        message = f"an expression nests more than {MAXIMUM_NESTING} deep"
        sink.report("E0105", message, Span(source, *place))
    sink.stop_on_errors()
    text = source.text
    items: tuple[ast.Item, ...] = ()
    begin = 0
    for _ in range(MAXIMUM_ERRORS):
        try:
            items = _parse_text(text, source, sink)
            break
        except UnexpectedInput as error:
            failure = _failure(error, source)
            report(failure, sink)
            begin = len(text) if failure.kind == "$END" else max(begin + 1, failure.span.start)
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
    return re.sub(r"[^\n]+", lambda line: " " * len(line[0]), text[:end]) + text[end:]


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
        _plugins={"ContextualLexer": Lexer},
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
    return str(folder / f"grammar-{VERSION}-{sys.implementation.cache_tag}.cache")


def _failure(error: UnexpectedInput, source: Source) -> Failure:
    """What lark knows about a syntax error, without lark's types."""
    token = error.token if isinstance(error, UnexpectedToken | UnexpectedEOF) else None
    if isinstance(error, UnexpectedCharacters):
        kind, start = "", error.pos_in_stream or 0
        end = start + 1
    elif token is None or token.type == "$END" or token.start_pos is None:
        kind, end = "$END", len(source.text.rstrip())
        start = max(0, end - 1)
    else:
        kind, start = token.type, token.start_pos
        end = token.end_pos or start + 1
    stack = _open_values(error)
    last = _last_token(error, stack)
    bracket = next((t for t in reversed(stack) if is_token(t, "LBRACE", "LPAR")), None)
    nodes = [value for value in stack if isinstance(value, ast.Output)]
    parser, _ = _parser()
    return Failure(
        Span(source, start, end),
        kind,
        _accepted(error),
        {terminal.name: terminal.pattern.value for terminal in parser.terminals},
        None if last is None else Span(source, last.start_pos, last.end_pos),
        is_token(last, "DOC"),
        None if bracket is None else Span(source, bracket.start_pos, bracket.end_pos),
        bool(nodes) and nodes[-1].condition is not None,
    )


def _accepted(error: UnexpectedInput) -> frozenset[str]:
    """Kinds of tokens with which the parser could have gone on."""
    parser = getattr(error, "interactive_parser", None)
    if parser is not None:
        return frozenset(parser.accepts())
    return frozenset(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())


def _open_values(error: UnexpectedInput) -> list[Child]:
    """What the parser has read of the items that are not complete, lists written out."""
    parser = getattr(error, "interactive_parser", None)
    values: list[Child] = []
    for value in parser.parser_state.value_stack if parser is not None else ():
        values += value.children if isinstance(value, Tree) else [value]
    return values


def _last_token(error: UnexpectedInput, stack: list[Child]) -> Child | None:
    """The token before the error; None if there is none."""
    history = getattr(error, "token_history", None)
    last = history[-1] if history else stack[-1] if stack else None
    return last if isinstance(last, Token) else None
