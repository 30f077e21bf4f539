"""What a person sees: colour and tables on a terminal, and on anything else plain text.

Takes the text that a pipe gets, so a terminal shows the same words; each stream decides for
itself. Text is never read as markup, and what is given here has no control characters (see
`printable` and `plain`), so no description can drive the terminal. rich is imported for a terminal
only: a pipe does not wait for it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Container, Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

COLUMNS = 80  # of a terminal that does not say how wide it is
MINIMUM_LAST = 24  # columns of the last column of a table; with fewer there is no table
GAP = 2  # columns between two columns of a table
INDENT = 4  # columns before the lines of a paragraph but the first

# What is coloured in a text: expressions whose groups are called as the styles below.
_REGISTER = r"\b(?P<register>[re](?:[abcd]x|[sd]i|[bs]p)|r(?:8|9|1[0-5])d?)\b"
_STATUS = r"\b(?P<status>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?:\(\w+\))?)"
_SEVERITIES = (("error", r"error\[E\d{4}\]"), ("warning", r"warning\[W\d{4}\]"), ("note", "note"))
DIAGNOSTICS = (
    *(
        rf"(?m)^(?P<message>(?:.+:\d+:\d+|seamir): (?P<{style}>{words}:).*)$"
        for style, words in _SEVERITIES
    ),
    *(
        rf"(?m)^.+:\d+:\d+: {words}: .*\n +\d+ \|.*\n +\| *(?P<{style}>\^+)$"
        for style, words in _SEVERITIES
    ),
    r"(?m)^(?P<gutter> *\d+ \|)",
    r"(?m)^(?P<gutter> +\|) *\^+$",
    r"(?m)^  (?P<help>help:)",
)
EXPLANATION = (
    _REGISTER,
    _STATUS,
    r"(?m)^(?P<heading>\w+(?=: .*, by \w+$))",
    r"(?m)^(?P<heading>[A-Z].*)\n {4}",
    r"(?m)^ {6}(?P<offset>[0-9a-f]{4})  ",
    r"(?m)^ {6}[0-9a-f]{4}  .*?(?P<offset>\S+:\d+)(?:  +(?P<comment>\S.*))?$",
)
RUN = (
    _STATUS,
    r"(?m)^ {4}(?P<register>\w+)  ",
    r"\A(?P<heading>\w+(?=\())",
    r"(?m)^(?P<heading>attempts? \d.*)$",
    r"(?m)^  => (?P<error>carry|fault .*|refused(?=:))",
    r"(?m)^  => completed: .*, (?P<success>success)$",
    r"(?m)^  => completed: .*, (?P<warning>an error)$",
    r"(?m)^  (?P<note>again|no attempt is left):",
    r"(?m)^(?P<error>THE CODE DOES NOT DO WHAT ITS PLAN MEANS:)$",
)
PAGE = (r"\A(?P<heading># .*)", r"(?m)^(?P<comment>```[^`]*```)$", r"(?P<status>`[^`\n]+`)")

# The sixteen colours that people choose themselves, for their terminal.
STYLES = {
    "message": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "help": "bold green",
    "success": "green",
    "gutter": "blue",
    "heading": "bold",
    "symbol": "bold",
    "register": "cyan",
    "status": "magenta",
    "offset": "bright_black",
    "comment": "green",
}


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sees what is written there, on a terminal that can do more than text."""
    if stream is None or not stream.isatty():
        return False
    return os.environ.get("TERM", "") not in ("", "dumb")


def make_console(stream: TextIO, file: IO[str] | None = None) -> Console:
    """A console of rich for a stream that is a terminal; `file` takes what is for the stream.

    It leaves the cursor alone, since a process that is killed could not show it again.
    """
    from rich.console import Console
    from rich.theme import Theme

    class Screen(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    return Screen(
        file=file or stream,
        force_terminal=True,
        force_jupyter=False,
        force_interactive=True,
        color_system="standard" if _has_colours() else None,
        width=_columns(stream),
        theme=Theme(STYLES),
        legacy_windows=False,
    )


def show(text: str, kind: Sequence[str] = (), *, err: bool = False) -> None:
    """Prints lines of text, on a terminal with the colours of `kind`, a constant of this module.

    With `err` they go to the standard error.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None or not is_terminal(stream) or not _has_colours():
        click.echo(text, err=err, nl=False)
        return
    from rich.text import Text

    shown = Text(text)
    for expression in kind:
        shown.highlight_regex(expression)
    # The terminal breaks long lines itself: what is copied from it has no breaks then.
    _print(stream, [shown], err=err, soft_wrap=True, end="")


def show_table(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> None:
    """Prints rows, the first of them the head, with the columns in `right` to the right.

    On a terminal the last column is folded. If it would be narrower than `MINIMUM_LAST` each row
    becomes a paragraph. Nothing is ever cut off.
    """
    if sys.stdout is None or not is_terminal(sys.stdout):
        from seamir.listing import align

        click.echo(align(rows, right), nl=False)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    needed = sum(widths[:-1]) + GAP * len(widths[:-1]) + min(widths[-1], MINIMUM_LAST)
    fits = needed <= _columns(sys.stdout)
    _print(sys.stdout, [_table(rows, right)] if fits else _paragraphs(rows))


def _table(rows: Sequence[Sequence[str]], right: Container[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="heading")
    last = len(rows[0]) - 1
    for index, name in enumerate(rows[0]):
        table.add_column(
            Text(name),
            justify="right" if index in right else "left",
            style="" if index else "symbol",
            no_wrap=index != last,
            overflow="fold",
        )
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _paragraphs(rows: Sequence[Sequence[str]]) -> list[RenderableType]:
    """For each row its first cell, then the others, the last one on a line of its own."""
    from rich.padding import Padding
    from rich.text import Text

    names = [name.lower() for name in rows[0]]
    shown: list[RenderableType] = []
    for row in rows[1:]:
        cells = [f"{name} {cell}" for name, cell in zip(names, row, strict=True)]
        shown.append(Text(row[0], style="symbol", overflow="fold"))
        for line in (", ".join(cells[1:-1]), cells[-1]):
            shown.append(Padding(Text(line, overflow="fold"), (0, 0, 0, INDENT)))
    return shown


def _print(
    stream: TextIO, shown: Iterable[RenderableType], *, err: bool = False, **how: Any
) -> None:
    """Writes as `click` does, so that what goes wrong is said in the same words.

    `how` are parameters of rich's `print`.
    """
    text = io.StringIO()
    console = make_console(stream, text)
    for one in shown:
        console.print(one, **how)
    click.echo(text.getvalue(), err=err, nl=False, color=True)


def _has_colours() -> bool:
    """See no-color.org: colours are given up whatever the variable's value, unless it is empty."""
    return not os.environ.get("NO_COLOR")


def _columns(stream: TextIO) -> int:
    """Columns of the terminal that a stream writes to."""
    return os.get_terminal_size(stream.fileno()).columns or COLUMNS
