"""Diagnostics: what is wrong with a description, where, and how to mend it.

A stage collects all its errors in a Diagnostics sink and calls `stop_on_errors()` at its end;
SeamError then carries them to the caller. Rendering to text or JSON is here too. Defects of the
compiler itself are ordinary exceptions and never diagnostics.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seamir.source import Span

MAXIMUM_SHOWN = 160  # characters of a source line that a message shows
MAXIMUM_MESSAGE = 1000  # characters of a message, which may quote a long name
MAXIMUM_EFFORT = 100_000  # names that are looked at for the help lines of a stage

# Controls, formats, surrogates, and separators of lines and paragraphs.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class Note:
    """A second place that explains the first, such as "rcx is already written here"."""

    message: str
    span: Span


@dataclass(frozen=True)
class Diagnostic:
    """One error (`E....`) or warning (`W....`).

    `span` is None only for what has no place in a file, such as an option of the command line.
    """

    code: str
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    help: str | None = None

    @property
    def severity(self) -> str:
        """Either "error" or "warning"."""
        return "warning" if self.code.startswith("W") else "error"

    def render(self) -> str:
        """The message as text: place, code, source line, caret, notes, help."""
        lines = [f"{_place(self.span)}{self.severity}[{self.code}]: {_shown(self.message)}"]
        if self.span is not None:
            lines += _excerpt(self.span)
        for note in self.notes:
            lines.append(f"{_place(note.span)}note: {_shown(note.message)}")
            lines += _excerpt(note.span)
        if self.help is not None:
            lines.append(f"  help: {_shown(self.help)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The message as data that `json.dumps` accepts; lines and columns count from 1."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "place": _json_place(self.span),
            "notes": [{"message": n.message, "place": _json_place(n.span)} for n in self.notes],
            "help": self.help,
        }


class SeamError(Exception):
    """A description (or a request) that cannot be compiled; `diagnostics` says why."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(render(self.diagnostics))


class Diagnostics:
    """Collects the diagnostics of a stage; each is kept once."""

    def __init__(self) -> None:
        self._entries: list[Diagnostic] = []
        self._seen: set[tuple[str, str, int, int]] = set()
        self._files: dict[int, int] = {}  # in the order of their first diagnostics
        self._effort = MAXIMUM_EFFORT

    def report(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        *,
        notes: Iterable[tuple[str, Span]] = (),
        help: str | None = None,
    ) -> None:
        """Adds a diagnostic, unless the same one is there already."""
        key = (
            code,
            message,
            id(span.source) if span else 0,
            span.start if span else 0,
        )
        if key in self._seen:
            return
        self._seen.add(key)
        if span is not None:
            self._files.setdefault(id(span.source), len(self._files))
        self._entries.append(
            Diagnostic(code, message, span, tuple(Note(m, s) for m, s in notes), help)
        )

    def afford(self, effort: int) -> bool:
        """Whether another help line may take that effort: a bound on the time for all of them."""
        self._effort -= effort
        return self._effort >= 0

    @property
    def entries(self) -> tuple[Diagnostic, ...]:
        """All diagnostics: those without a place, then those of each file in its order."""
        return tuple(sorted(self._entries, key=self._order))

    def _order(self, entry: Diagnostic) -> tuple[int, int]:
        if entry.span is None:
            return (-1, 0)
        return (self._files[id(entry.span.source)], entry.span.start)

    @property
    def has_errors(self) -> bool:
        """Whether any of the diagnostics is an error."""
        return any(entry.severity == "error" for entry in self._entries)

    def stop_on_errors(self) -> None:
        """Raises SeamError with everything collected if there is an error among it."""
        if self.has_errors:
            raise SeamError(self.entries)


def fail(
    code: str, message: str, span: Span | None = None, *, help: str | None = None
) -> SeamError:
    """An error that stops at once, for the caller to raise."""
    return SeamError([Diagnostic(code, message, span, (), help)])


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """All messages as text, one after the other."""
    return "\n".join(diagnostic.render() for diagnostic in diagnostics)


def _place(span: Span | None) -> str:
    if span is None:
        return "seamir: "
    return f"{printable(span.source.name)}:{span.line}:{span.column}: "


def _json_place(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }


def printable(text: str) -> str:
    """`text` with control characters replaced, so that a file cannot drive the terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if c == "\t" else "\ufffd" if unicodedata.category(c) in _UNPRINTABLE else c
        for c in text
    )


def _shown(message: str) -> str:
    """A message as a terminal may have it: without control characters, and of bounded length."""
    half = MAXIMUM_MESSAGE // 2
    if len(message) > MAXIMUM_MESSAGE:
        message = f"{message[:half]}...{message[-half:]}"
    return printable(message)


def _excerpt(span: Span) -> list[str]:
    line, column = span.source.position(span.start)
    text = span.source.line_text(line)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    first = max(0, column - 1 - MAXIMUM_SHOWN // 2) if len(text) > MAXIMUM_SHOWN else 0
    shown = printable(text[first : first + MAXIMUM_SHOWN])
    width = max(1, min(width, MAXIMUM_SHOWN - (column - 1 - first)))
    gutter = f"{line:>5} | "
    before = " " * _columns(shown[: column - 1 - first])
    marked = "^" * max(1, _columns(shown[column - 1 - first : column - 1 - first + width]))
    return [f"{gutter}{shown}".rstrip(), f"{' ' * (len(gutter) - 2)}| {before}{marked}"]


def _columns(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
