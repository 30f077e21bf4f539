"""Bounds the depth of every expression before any recursive function sees it."""

from __future__ import annotations

import re

MAXIMUM_NESTING = 256  # parentheses, or operators, in one expression

_DEPTH = re.compile(r'//[^\n]*|"[^"\n]*"|[()|+;{},]|<<|>>|-(?!>)')


def too_deep(text: str) -> tuple[int, int] | None:
    """Where an expression becomes too deep, as offsets of the token; None: nowhere."""
    depth = operators = 0
    for match in _DEPTH.finditer(text):
        word = match.group()
        if word in (";", "{", "}", ","):
            depth = operators = 0
        elif word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif word in ("|", "+", "-", "<<", ">>"):
            operators += 1
        if depth > MAXIMUM_NESTING or operators > MAXIMUM_NESTING:
            return match.span()
    return None
