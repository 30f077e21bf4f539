"""Numbers and names as one writes them on the command line, and the tokens around them.

Takes text with its place; gives tokens and 64-bit values. What is wrong is reported with a caret
under the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seamir.diagnostics import Diagnostics
from seamir.model.registers import ALL_BITS
from seamir.model.scope import suggest
from seamir.model.statuses import StatusCode, StatusFamily
from seamir.model.types import Field, Type
from seamir.source import Source, Span

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>-?(?:0[xX][0-9a-fA-F](?:_?[0-9a-fA-F])*|[0-9](?:_?[0-9])*)(?!\w))"
    r"|(?P<name>[A-Za-z_]\w*(?:\[[0-9]+\]|\.[A-Za-z_]\w*)*)"
    r"|(?P<fault>\#\w*)"
    r"|(?P<mark>[;(){},=*])"
    r"|(?P<other>-?\w+|.)",
    re.ASCII | re.DOTALL,
)
_WORDS = {"true": 1, "false": 0}
_END = "end"
_LONGEST = 200  # characters of a number, leading zeros included


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text; `kind` is number, name, fault, mark, other, or end behind the last one."""

    kind: str
    span: Span

    @property
    def text(self) -> str:
        """The characters."""
        return self.span.text

    @property
    def shown(self) -> str:
        """The token as a message names it."""
        return "the end" if self.kind == _END else f"`{self.text}`"


def tokens_of(source: Source, start: int, end: int) -> list[Token]:
    """The tokens of a part of a text, and one for its end."""
    found = []
    for match in _TOKEN.finditer(source.text, start, end):
        if match.lastgroup and match.lastgroup != "space":
            found.append(Token(match.lastgroup, Span(source, match.start(), match.end())))
    last = found[-1].span.end if found else start
    return [*found, Token(_END, Span(source, last, last))]


@dataclass(frozen=True)
class Vocabulary:
    """What names stand for: constants of the description, and statuses of the conduit.

    Values come back as integers that may be negative; None: it is wrong, and was reported.
    """

    constants: dict[str, int]
    families: tuple[StatusFamily, ...]

    def status_code(self, name: str) -> tuple[StatusFamily, StatusCode] | None:
        """The status of that name in the first family that has it."""
        for family in self.families:
            if name in family.codes:
                return family, family.codes[name]
        return None

    def names(self) -> list[str]:
        """All names that have a value."""
        return [*self.constants, *(name for family in self.families for name in family.codes)]

    def read(self, tokens: Sequence[Token], code: str, sink: Diagnostics) -> int | None:
        """The value of a number, a constant or a status, from the tokens of just that.

        `code` is that of the diagnostic if it is none.
        """
        first = tokens[0]
        if first.kind == "number":
            value = _number(first, code, sink)
            rest = tokens[1:]
        elif first.kind == "name":
            value, rest = self._named(tokens, code, sink)
        else:
            message = "a value is missing" if first.kind == _END else f"{first.shown} is no value"
            sink.report(code, message, first.span, help=_HELP)
            return None
        if value is not None and rest and rest[0].kind != _END:
            sink.report(code, f"{rest[0].shown} is not expected after a value", rest[0].span)
            return None
        return value

    def _named(
        self, tokens: Sequence[Token], code: str, sink: Diagnostics
    ) -> tuple[int | None, Sequence[Token]]:
        name = tokens[0]
        if name.text in _WORDS:
            return _WORDS[name.text], tokens[1:]
        if self.status_code(name.text) is None and name.text in self.constants:
            return self.constants[name.text], tokens[1:]
        return self.status(tokens, code, sink)

    def status(
        self, tokens: Sequence[Token], code: str, sink: Diagnostics
    ) -> tuple[int | None, Sequence[Token]]:
        """A status by its name, `X`, `X(ID)` or `X(0x12)`, and the tokens after it."""
        name = tokens[0]
        found = self.status_code(name.text)
        if found is None:
            help = suggest(name.text, sink, self.names())
            sink.report(code, f"nothing here is called {name.shown}", name.span, help=help)
            return None, tokens
        family, status = found
        if len(tokens) < 2 or tokens[1].text != "(":
            return status.values[0], tokens[1:]
        if len(tokens) < 4 or tokens[3].text != ")":
            before = tokens[2] if len(tokens) > 2 and tokens[2].kind != _END else tokens[1]
            message = f"`)` is missing after {before.shown}"
            sink.report(code, message, before.span, help=f"write {name.text}(ID)")
            return None, tokens
        detail = _detail(family, tokens[2], code, sink)
        if detail is None:
            return None, tokens
        return status.values[0] | detail << family.detail_low, tokens[4:]


_HELP = "a value is a number, a constant or a status"


def number_of(token: Token, limit: int = ALL_BITS) -> int | None:
    """The value of a number that is not above a limit, nor too negative for 64 bits."""
    digits = token.text.replace("_", "").lower()
    if len(digits) > _LONGEST:
        return None
    value = int(digits, 16 if "x" in digits else 10)
    return value if -(1 << 63) <= value <= limit else None


def _number(token: Token, code: str, sink: Diagnostics) -> int | None:
    value = number_of(token)
    if value is None:
        sink.report(code, f"{token.shown} has more than 64 bits", token.span)
    return value


def _detail(family: StatusFamily, token: Token, code: str, sink: Diagnostics) -> int | None:
    """The value of detail bits, given by name or number."""
    if not family.detail:
        message = f"statuses of {family.name} have no detail bits"
        sink.report(code, message, token.span)
        return None
    if token.kind == "number":
        value = _number(token, code, sink)
        limit = family.detail >> family.detail_low
        if value is not None and not 0 <= value <= limit:
            message = f"{token.shown} does not fit the detail bits of {family.name}"
            sink.report(code, message, token.span, help=f"they hold 0 to {limit:#x}")
            return None
        return value
    ids = family.operands.codes if family.operands else {}
    if token.kind == "name" and token.text in ids:
        return ids[token.text].values[0]
    help = suggest(token.text, sink, ids) or "it is a name of the operands, or a number"
    sink.report(code, f"no detail is called {token.shown}", token.span, help=help)
    return None


def fits(value: int, width: int, *, signed: bool) -> bool:
    """Whether a number can be written to that many bits: the bits themselves, or signed."""
    return value < 1 << width and (value >= -(1 << (width - 1)) if signed else value >= 0)


def field_of(kinds: Sequence[Type], name: str) -> Field | None:
    """The field of that name in the first of the types that has fields."""
    return next((f for kind in kinds for f in kind.fields if f.name == name), None)


def name_of_status(families: Sequence[StatusFamily], status: int) -> str:
    """A status as the language writes it: X, X(ID), X(0x12); "" if it has no name."""
    for family in families:
        for code in family.codes.values():
            if any(value & ~family.ignored == status & ~family.ignored for value in code.values):
                return code.name
    for family in families:
        for code in family.codes.values():
            known = status & ~family.ignored & ~family.detail
            if family.detail and known in {value & ~family.ignored for value in code.values}:
                return f"{code.name}({_detail_words(family, status)})"
    return ""


def _detail_words(family: StatusFamily, status: int) -> str:
    detail = (status & family.detail) >> family.detail_low
    codes = family.operands.codes.values() if family.operands else ()
    return next((code.name for code in codes if detail in code.values), f"{detail:#x}")
