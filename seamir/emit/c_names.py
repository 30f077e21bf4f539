"""C spellings of types, and the names that a header takes.

A header has one pool of names at file scope: macros, types, structure tags and functions, beside
the parameters and members inside them, which a macro or a type of the same name would break.
Names collects them and reports every clash as E0612.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import Enum

from seamir.diagnostics import Diagnostics
from seamir.emit.text import plain
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.source import Span

_C_BASE = {"ptr": "void *"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABELS = 40  # columns of a prototype before its parameters, beyond which two tabs indent


class Kind(Enum):
    """What a name stands for in C."""

    MACRO = "macro"
    TYPE = "type"
    TAG = "structure"
    FUNCTION = "function"
    LOCAL = "parameter or member"


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Kind
    meaning: str
    what: str
    span: Span | None


class Names:
    """The names a header has taken; clashes go to the sink."""

    def __init__(self, sink: Diagnostics) -> None:
        self._sink = sink
        self._taken: dict[str, list[_Entry]] = {}

    def take(self, name: str, kind: Kind, what: str, span: Span | None, meaning: str = "") -> bool:
        """Takes a name for `what` ("the function f"); False if it has that meaning already.

        Two uses of a name agree only if kind and `meaning` are equal and `meaning` is not "".
        A LOCAL clashes with macros and types only. Reports E0612.
        """
        if not _IDENTIFIER.fullmatch(name):
            message = f"`{plain(name)}` cannot be the name of {what}: it is no C identifier"
            self._sink.report("E0612", message, span)
            return False
        entry = _Entry(kind, meaning, what, span)
        others = self._taken.setdefault(name, [])
        for other in others:
            if other.kind is kind and meaning and other.meaning == meaning:
                return False
            if _clash(kind, other.kind):
                self._report(name, entry, other)
                return False
        others.append(entry)
        return True

    def once(
        self, stem: str, meaning: object, what: str, span: Span, lines: list[str]
    ) -> list[str]:
        """Lines that a second header of the same `meaning` may repeat, and of another may not.

        `meaning` is anything whose repr says what the lines define; documentation is not part of
        it. `what` is for messages.
        """
        guard = f"SEAMIR_{stem}".upper()
        self.take(guard, Kind.MACRO, what, span)
        checksum = f"{zlib.crc32(repr(meaning).encode()):#010x}"
        return [
            f"#ifndef {guard}",
            f"#define {guard} {checksum}",
            "",
            *lines,
            "",
            f"#elif {guard} != {checksum}",
            f'#error "two headers differ in {what}"',
            "#endif",
        ]

    def _report(self, name: str, entry: _Entry, other: _Entry) -> None:
        notes = [(f"{other.what} is here", other.span)] if other.span is not None else []
        if entry.span is None:
            notes, entry, other = [], other, entry
        message = f"in C, `{name}` would name both {entry.what} and {other.what}"
        self._sink.report("E0612", message, entry.span, notes=notes, help="rename one of them")


def _clash(a: Kind, b: Kind) -> bool:
    pair = {a, b}
    if Kind.LOCAL in pair:
        return bool(pair & {Kind.MACRO, Kind.TYPE})
    return pair != {Kind.TAG, Kind.FUNCTION}


def include_guard(stem: str) -> str:
    """The macro that keeps a header from being read twice; different stems get different ones."""
    word = re.sub(r"[^A-Z0-9]", "_", stem.upper())
    # What is lost in the spelling comes back as a checksum.
    lost = "" if word.lower() == stem else f"_{zlib.crc32(stem.encode('utf-8', 'replace')):08X}"
    return f"SEAMIR_{word}{lost}_H"


def c_base(kind: Type) -> str:
    """The C type that a type is made of: "u64", "bool", "void *"."""
    root = BUILTIN_TYPES[kind.c_base].name
    return _C_BASE.get(root, root)


def c_type(kind: Type) -> str:
    """The C type of a value: its own name if it has one."""
    return kind.c_name or c_base(kind)


def declare(spelling: str, name: str) -> str:
    """A declaration such as `u64 data`, `void *page` or, for spelling "u64 *", `u64 *data`."""
    return f"{spelling}{name}" if spelling.endswith("*") else f"{spelling} {name}"


def pointer_to(spelling: str) -> str:
    """The pointer type to a C type: "u64 *", "void **"."""
    return f"{spelling}*" if spelling.endswith("*") else f"{spelling} *"


def accessor_stem(kind: Type) -> str:
    """What the accessors of a `bits` type begin with: its C name less `_t`, or its own name."""
    return (kind.c_name or kind.name).removesuffix("_t").lower()


def prototype(head: str, parameters: list[str], tail: str, columns: int = 80) -> list[str]:
    """A prototype, wrapped below its opening parenthesis with tabs as kernel style has it."""
    if not parameters:
        return [f"{head}(void){tail}"]
    indent = len(head) + 1 if len(head) < _LABELS else 16
    start = "\t" * (indent // 8) + " " * (indent % 8)
    pieces = [f"{parameter}," for parameter in parameters[:-1]] + [f"{parameters[-1]}){tail}"]
    lines, line, used = [], f"{head}(", len(head) + 1
    for index, piece in enumerate(pieces):
        gap = " " if index else ""
        if used + len(gap) + len(piece) <= columns or (not index and indent == used):
            line, used = line + gap + piece, used + len(gap) + len(piece)
            continue
        lines.append(line)
        line, used = start + piece, indent + len(piece)
    return [*lines, line]
