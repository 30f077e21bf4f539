"""Source text and places in it.

A Source is one file (or string) held in memory; a Span is a half-open range of its characters.
Every node and every diagnostic carries a Span, so a message can always show its place.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


@dataclass(frozen=True, eq=False)
class Source:
    """One description held in memory.

    `name` is the path as the user gave it and as diagnostics print it; `logical_name` is the
    relative name that goes into generated files, so that they do not depend on the machine.
    """

    name: str
    text: str = field(repr=False)
    logical_name: str = ""
    path: str | None = None

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of each line."""
        starts = [0]
        find = self.text.find
        position = find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = find("\n", position + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both counted from 1, of a character offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """Text of a line (counted from 1) without its line end."""
        start = self.line_starts[line - 1]
        end = self.text.find("\n", start)
        return (self.text[start:] if end < 0 else self.text[start:end]).rstrip("\r")


class Span(NamedTuple):
    """Characters `start` (included) to `end` (excluded) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, counted from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, counted from 1."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]


def mapped_name(name: str, prefixes: Sequence[tuple[str, str]]) -> str:
    """A file's name as debug data has it, after `--debug-prefix-map`: Unicode text.

    Of the pairs (OLD, NEW) the last one counts whose OLD the name begins with. `name` is one that
    is readable already; the pairs may be of any bytes.
    """
    for old, new in reversed(prefixes):
        readable = readable_name(old)
        if name.startswith(readable):
            return readable_name(new) + name[len(readable) :]
    return name


def readable_name(name: str) -> str:
    """A file's name as Unicode text, the same whatever the locale; other bytes become U+FFFD."""
    try:
        return os.fsencode(name).decode("utf-8", "replace")
    except UnicodeEncodeError:  # not a name that this system could give to a file
        return name.encode("utf-8", "replace").decode("utf-8")
