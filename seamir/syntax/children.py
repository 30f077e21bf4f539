"""Finding the children of a rule by kind, and the small results that only the builder sees.

Lark hands over tokens (a subclass of str, with kind and place) and what the rules below returned.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast

from seamir.diagnostics import Diagnostics
from seamir.source import Source, Span
from seamir.syntax import ast

MAXIMUM_INTEGER = 0xFFFF_FFFF_FFFF_FFFF

Node = TypeVar("Node")

_NUMBER = re.compile(r"0x_*[0-9a-fA-F][0-9a-fA-F_]*|[1-9][0-9_]*|0_*")
_SUFFIXED = r"(0x[0-9a-f]+|0|[1-9][0-9]*)[ul]+"


class Token(Protocol):
    """What is used of lark's token: a str with its kind and place."""

    type: str
    start_pos: int
    end_pos: int


Child = Any  # a token of the lexer or an ast node; lark is untyped here
Children = Sequence[Child]


class _Current(threading.local):
    """The file that this thread is parsing."""

    source: Source
    sink: Diagnostics


class ChildFinder:
    """Reads children; `begin` says which file they belong to."""

    def __init__(self) -> None:
        self._current = _Current()

    def begin(self, source: Source, sink: Diagnostics) -> None:
        """Makes `source` the file that spans of this thread refer to."""
        self._current.source = source
        self._current.sink = sink

    # -- finding children

    def span_of(self, children: Children) -> Span:
        """The characters of all children, documentation aside."""
        first = next(c for c in children if not is_token(c, "DOC"))  # it comes before all else
        return Span(self._current.source, start_of(first), end_of(children[-1]))

    def make_name(self, token: Token) -> ast.Name:
        """A name of a token."""
        return ast.Name(str(token), Span(self._current.source, token.start_pos, token.end_pos))

    def names(self, children: Children, *kinds: str) -> list[ast.Name]:
        """The tokens of these kinds, as names."""
        return [self.make_name(c) for c in children if is_token(c, *kinds)]

    def make_text(self, token: Token) -> ast.Text:
        """A quoted string without its quotes."""
        span = Span(self._current.source, token.start_pos, token.end_pos)
        return ast.Text(str(token)[1:-1], span)

    def texts(self, children: Children) -> list[ast.Text]:
        """The quoted strings."""
        return [self.make_text(c) for c in children if is_token(c, "STRING")]

    def make_integer(self, token: Token) -> ast.Integer:
        """A number; 0 after reporting one that is none or has more than 64 bits."""
        span = Span(self._current.source, token.start_pos, token.end_pos)
        text = str(token)
        digits = text.replace("_", "")
        value = 0
        if _NUMBER.fullmatch(text) is None:
            message = f"`{text}` is not a number"
            self._current.sink.report("E0108", message, span, help=_number_help(digits))
        elif len(digits.removeprefix("0x").lstrip("0")) > 20 or int(digits, 0) > MAXIMUM_INTEGER:
            help = "the largest is 0xffff_ffff_ffff_ffff"
            message = "this number needs more than 64 bits"
            self._current.sink.report("E0108", message, span, help=help)
        else:
            value = int(digits, 0)
        return ast.Integer(value, span)

    def integers(self, children: Children) -> list[ast.Integer]:
        """The numbers."""
        return [self.make_integer(c) for c in children if is_token(c, "INT")]

    @staticmethod
    def documentation(children: Children) -> str:
        """The lines of documentation without their slashes."""
        lines = [str(c)[3:].rstrip() for c in children if is_token(c, "DOC")]
        return "\n".join(line[1:] if line.startswith(" ") else line for line in lines)


class Body:
    """What stands between the braces of an item."""

    def __init__(self, clauses: tuple[ast.Clause, ...], start: int, end: int) -> None:
        self.clauses, self.start_pos, self.end_pos = clauses, start, end


class Listed:
    """The members of a list such as the parameters."""

    def __init__(self, children: Children) -> None:
        self.members = tuple(c for c in children if not isinstance(c, str))


class Preload:
    """The `else` of an output."""

    def __init__(self, value: ast.Expr, start: int, end: int) -> None:
        self.value, self.start_pos, self.end_pos = value, start, end


class Detail:
    """What stands in the parentheses of a pattern."""

    def __init__(self, value: ast.Name | ast.Integer | str) -> None:
        self.value = value


class Edge:
    """The edge of an outcome: carry, fault with its vector, or refused with how to tell."""

    def __init__(
        self, kind: str, vector: ast.Name | None = None, refusal: ast.Refusal | None = None
    ) -> None:
        self.kind, self.vector, self.refusal = kind, vector, refusal


class Version:
    """The version of a leaf: a number, or the parameter that carries it."""

    def __init__(self, value: ast.Integer | ast.Name, start: int, end: int) -> None:
        self.number = value if isinstance(value, ast.Integer) else None
        self.parameter = value if isinstance(value, ast.Name) else None
        self.start_pos, self.end_pos = start, end


class Delivery:
    """What follows `deliver`, and the name of the structure."""

    def __init__(self, kind: str, struct: ast.Name | None) -> None:
        self.kind, self.struct = kind, struct


EXPRESSIONS = (ast.NameExpr, ast.LiteralExpr, ast.BinaryExpr)


def _number_help(digits: str) -> str:
    """How to write what somebody used to C may have meant."""
    suffixed = re.fullmatch(_SUFFIXED, digits.lower())
    if suffixed is not None:
        return f"write `{suffixed[1]}`: there are no suffixes, all arithmetic has 64 bits"
    if digits.isdecimal():
        return "there are no octal numbers; leave out the leading 0"
    return "numbers are decimal, or hexadecimal after 0x"


def is_token(child: Child, *kinds: str) -> bool:
    """Whether a child is a token of one of these kinds."""
    return isinstance(child, str) and getattr(child, "type", None) in kinds


def start_of(child: Child) -> int:
    """The offset of the first character."""
    return cast(int, child.span.start if hasattr(child, "span") else child.start_pos)


def end_of(child: Child) -> int:
    """The offset after the last character."""
    return cast(int, child.span.end if hasattr(child, "span") else child.end_pos)


def all_of(children: Children, kind: type[Node]) -> list[Node]:
    """The nodes of that kind."""
    return [c for c in children if isinstance(c, kind)]


def one_of(children: Children, kind: type[Node]) -> Node:
    """The first node of that kind, which the rule promises."""
    return next(c for c in children if isinstance(c, kind))


def maybe(children: Children, kind: type[Node]) -> Node | None:
    """The first node of that kind, if there is one."""
    return next((c for c in children if isinstance(c, kind)), None)


def tuple_of(children: Children, kind: type[Node]) -> tuple[Node, ...] | None:
    """The members of the list of that kind of node; None if the list is not there."""
    for child in children:
        if isinstance(child, Listed) and all(isinstance(m, kind) for m in child.members):
            return cast("tuple[Node, ...]", child.members)
    return None


def expression_of(children: Children) -> ast.Expr:
    """The expression among the children."""
    return next(c for c in children if isinstance(c, EXPRESSIONS))
