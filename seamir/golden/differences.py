"""Differences between a kept text and the text made now, for a person who decides on them.

Takes two texts and returns lines: a unified difference, of listings function by function, each with
its size before and after.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import unified_diff

MAXIMUM_SHOWN = 400  # lines of the difference of one file

_HEADER = re.compile(
    r"(?P<name>\S+): (?P<section>.+), "
    r"(?P<bytes>\d{1,9}) bytes, (?P<instructions>\d{1,9}) instructions(?P<type_id>, type id \S+)?"
)


@dataclass
class _Function:
    """A function of a listing: its header and what that says, and its other lines."""

    header: str = ""
    section: str = ""
    bytes: int = 0
    instructions: int = 0
    type_id: str | None = None
    lines: list[str] = field(default_factory=list)


def difference(label: str, kept: str, made: str) -> list[str]:
    """The unified difference from what is kept to what is made, none if they are the same.

    `label` is how the file is called. A long difference is cut.
    """
    if kept == made:
        return []
    hunks = list(unified_diff(kept.splitlines(), made.splitlines(), lineterm=""))[2:]
    return [*_title(label), *_cut(hunks or ["only the ends of lines differ"])]


def listing_difference(label: str, kept: str, made: str) -> list[str]:
    """The same for listings: function by function, with sizes in place of line numbers."""
    before, after = _functions(kept), _functions(made)
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if not changed:  # the same functions, in another order or with other lines between them
        return difference(label, kept, made)
    total = len({*before, *after})
    old, new = (sum(one.bytes for one in functions.values()) for functions in (before, after))
    words = f"{len(changed)} of {total} functions differ, {_change(old, new, 'bytes')} in all"
    hunks = [line for name in changed for line in _hunks(name, before.get(name), after.get(name))]
    return [words, *_title(label), *_cut(hunks)]


def _functions(text: str) -> dict[str, _Function]:
    """The functions of a listing by name; lines before the first one are at the empty name."""
    functions: dict[str, _Function] = {}
    name = ""
    for line in filter(None, text.splitlines()):
        header = _HEADER.fullmatch(line)
        if header:
            name = header["name"]
            sizes = int(header["bytes"]), int(header["instructions"])
            functions[name] = _Function(line, header["section"], *sizes, header["type_id"])
        else:
            functions.setdefault(name, _Function()).lines.append(line)
    return functions


def _hunks(name: str, before: _Function | None, after: _Function | None) -> list[str]:
    """What differs in a function, each part of it below the name and the size."""
    old, new = before or _Function(), after or _Function()
    size = f"{_change(old.bytes, new.bytes, 'bytes')}, "
    size += _change(old.instructions, new.instructions, "instructions")
    if before is None or after is None:
        only = old if after is None else new
        word = "gone" if after is None else "new"
        size = f"{word}, {only.bytes} bytes, {only.instructions} instructions"
    heading = f"@@ {name or 'before the first function'}: {size} @@"
    # The heading says what the header does, but for the section and the type id.
    is_as_before = (old.section, old.type_id) == (new.section, new.type_id)
    if is_as_before and old.lines != new.lines:
        lines = unified_diff(old.lines, new.lines, lineterm="")
    else:
        lines = unified_diff(_whole(before), _whole(after), lineterm="")
    return [heading if line.startswith("@@") else line for line in list(lines)[2:]]


def _whole(function: _Function | None) -> list[str]:
    """A function's lines with its header."""
    return [] if function is None else [function.header, *function.lines]


def _change(before: int, after: int, unit: str) -> str:
    return f"{before} {unit}" if before == after else f"{before} -> {after} {unit}"


def _title(label: str) -> list[str]:
    return [f"--- {label}", f"+++ {label} (made now)"]


def _cut(lines: Sequence[str]) -> list[str]:
    """The lines, or the first of them and how many there are besides."""
    if len(lines) <= MAXIMUM_SHOWN:
        return list(lines)
    return [*lines[:MAXIMUM_SHOWN], f"... and {len(lines) - MAXIMUM_SHOWN} more lines"]
