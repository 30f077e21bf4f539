"""Says what is wrong where a parse failed: what stands there, what could, and the likely slip.

Takes a Failure, which the parser makes, and reports one diagnostic. Knows the words of the
grammar and nothing of lark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from seamir.diagnostics import Diagnostics
from seamir.source import Source, Span

ITEMS = [
    *("import", "type", "const", "bits", "layout", "operands", "statuses", "conduit"),
    *("leaf", "wrapper"),
]

_WORDS = {
    "NAME": "a name",
    "DOTTED": "a leaf name",
    "INT": "a number",
    "STRING": "a quoted string",
    "REGISTER": "a register",
    "FAULT": "a fault such as `#UD`",
    "OPTIONAL": "`optional`",
    "EXTERN": "`extern`",
    "NONE": "`none`",
    "$END": "the end of the file",
}
_TYPE_NEEDS_NAME = "give this type a name first: `type NAME = u64[51:12];`"
_LIST_IN_BRACES = "several registers stand in braces: `{rdx, r8}`"
_OPERATORS = "the operators are |, +, -, << and >>"
_HINTS = {
    "/": "a remark begins with `//`",
    "#": "there is no preprocessor: see `import` and `const`",
    "'": 'a string is written with `"`',
    "%": "a register has no `%` before its name",
    **dict.fromkeys("&*^~!", _OPERATORS),
}

# Registers that no operand can be in, by how their names look.
_OTHER_REGISTERS = (
    (r"[re]?ip", "is the instruction pointer"),
    (r"e?sp|spl", "is the stack pointer"),
    (r"[cdefgs]s", "is a segment register"),
    (r"[re]?flags", "is the flags register"),
    (r"cr\d+|dr\d+|[gil]dtr|tr|msr", "is a system register"),
    (r"[xyzt]?mm\d+|k[0-7]|st\d?|mxcsr", "is no general-purpose register"),
)
_PART = r"e?([abcd])x|([abcd])([lh])|e?(si|di|bp)|(si|di|bp)l|(r\d+)([dwb])"


@dataclass(frozen=True)
class Failure:
    """Where and in what state a parse failed.

    `kind` is the grammar's name of the token that `span` covers, "" if no token begins there,
    "$END" at the end of the file. `accepted` are the kinds that could have stood there,
    `spellings` their patterns. `previous` is the token before, `documentation` whether that is
    documentation, `bracket` the innermost one that is open.
    """

    span: Span
    kind: str
    accepted: frozenset[str]
    spellings: Mapping[str, str]
    previous: Span | None
    documentation: bool
    bracket: Span | None
    condition: bool

    @property
    def source(self) -> Source:
        """The file."""
        return self.span.source

    @property
    def expected(self) -> str | None:
        """What could have stood there, things first, then words, then punctuation."""
        words = [self._word(kind) for kind in self.accepted - {"DOC"}]
        words.sort(key=lambda word: (not word.startswith("a "), not word[1:2].isalpha(), word))
        if not words:
            return None
        return "expected " + " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))

    @property
    def is_known(self) -> bool:
        """Whether what stands there has a meaning elsewhere, unlike a name or a misspelt word."""
        return self.kind not in ("", "NAME") or self.span.text in self.spellings.values()

    def _word(self, kind: str) -> str:
        return _WORDS.get(kind) or f"`{self.spellings.get(kind, kind)}`"


def report(failure: Failure, sink: Diagnostics) -> None:
    """Reports the failure."""
    if failure.span.text in ITEMS and failure.bracket is not None and failure.bracket.text == "{":
        message = f"`}}` is missing before `{failure.span.text}`"
        notes = [("it is open since here", failure.bracket)]
        sink.report("E0106", message, failure.span, notes=notes)
    elif failure.kind == "DOC" or (failure.documentation and failure.is_known):
        _report_documentation(failure, sink)
    elif failure.kind == "$END":
        _report_end(failure, sink)
    elif failure.kind == "":
        _report_character(failure, sink)
    elif _misses_semicolon(failure):
        assert failure.previous is not None
        message = f"`;` is missing after `{failure.previous.text}`"
        sink.report("E0106", message, failure.previous)
    elif "REGISTER" in failure.accepted and failure.kind in ("NAME", "INT"):
        _report_register(failure, sink)
    else:
        found = "a quoted string" if failure.kind == "STRING" else f"`{failure.span.text}`"
        help = _slip(failure) or failure.expected
        sink.report("E0106", f"{found} is not expected here", failure.span, help=help)


def _report_documentation(failure: Failure, sink: Diagnostics) -> None:
    place = failure.span if failure.kind == "DOC" else failure.previous
    help = "`///` comes before what it documents; a remark begins with `//`"
    sink.report("E0106", "this documentation belongs to nothing", place, help=help)


def _report_end(failure: Failure, sink: Diagnostics) -> None:
    notes = [("this is not closed", failure.bracket)] if failure.bracket else []
    message = "the file ends inside an item"
    sink.report("E0106", message, failure.span, notes=notes, help=failure.expected)


def _report_character(failure: Failure, sink: Diagnostics) -> None:
    text, start = failure.source.text, failure.span.start
    character = text[start]
    if character == '"':
        end = text.find("\n", start)
        line = Span(failure.source, start, len(text) if end < 0 else end)
        where = 'a string ends with `"` on the line on which it begins'
        sink.report("E0112", "this string does not end", line, help=where)
        return
    shown = f"`{character}`"
    if not character.isascii():
        name = unicodedata.name(character, "a character without a name").lower()
        shown = f"`{character}`, U+{ord(character):04X} {name},"
        help: str | None = "outside of strings and remarks there are ASCII characters only"
    elif character == "%" and "REGISTER" not in failure.accepted:
        help = _OPERATORS
    else:
        help = failure.expected if "FAULT" in failure.accepted else _HINTS.get(character)
    message = f"{shown} does not belong here"
    sink.report("E0107", message, failure.span, help=help or failure.expected)


def _misses_semicolon(failure: Failure) -> bool:
    if "SEMICOLON" not in failure.accepted or "LBRACE" in failure.accepted:
        return False
    if failure.previous is None:
        return False
    return failure.kind == "RBRACE" or failure.previous.line < failure.span.line


def _report_register(failure: Failure, sink: Diagnostics) -> None:
    """A word where a register is expected: maybe one that no operand can be in."""
    text = failure.span.text
    word = text.lower()
    help = failure.expected
    if re.fullmatch(failure.spellings["REGISTER"], word):
        help = f"registers are written in lower case: `{word}`"
    elif (part := re.fullmatch(_PART, word)) is not None:
        register, bits = _whole(part)
        message = f"`{text}` is a part of {register}"
        help = f"write `{register}[{bits}]`, or `{register}` in a list of registers"
        sink.report("E0401", message, failure.span, help=help)
        return
    else:
        for pattern, what in _OTHER_REGISTERS:
            if re.fullmatch(pattern, word):
                message = f"`{text}` {what} and cannot carry an operand"
                help = "operands are in rax, rbx, rcx, rdx, rsi, rdi, rbp and r8 to r15"
                sink.report("E0401", message, failure.span, help=help)
                return
        help = _slip(failure) or failure.expected
    sink.report("E0106", f"`{text}` is not expected here", failure.span, help=help)


def _whole(part: re.Match[str]) -> tuple[str, str]:
    """The 64-bit register that a name is a part of, and the bits that it has."""
    text = part.group()
    if part[2]:
        return f"r{part[2]}x", "15:8" if part[3] == "h" else "7:0"
    if part[6]:
        return part[6], {"d": "31:0", "w": "15:0", "b": "7:0"}[part[7]]
    name = part[1] + "x" if part[1] else part[4] or part[5]
    return f"r{name}", "7:0" if part[5] else "31:0" if text.startswith("e") else "15:0"


def _follows(failure: Failure, pattern: str) -> bool:
    """Whether what stands before the failure ends so; R in the pattern stands for a register."""
    before = failure.source.text[max(0, failure.span.start - 100) : failure.span.start]
    wanted = pattern.replace("R", rf"\b{failure.spellings['REGISTER']}")
    return re.search(rf"{wanted}\s*$", before) is not None


def _slip(failure: Failure) -> str | None:
    """A help line for slips that are common."""
    text, accepted, previous = failure.span.text, failure.accepted, failure.previous
    if failure.kind == "NAME":
        words = [failure.spellings[kind] for kind in accepted if kind in failure.spellings]
        close = get_close_matches(text.lower()[:40], [w for w in words if w.isalpha()], n=1)
        return f"did you mean `{close[0]}`?" if close else None
    if text == "." and previous is not None:
        return "each part of a dotted name begins with a capital: TDH.MEM.PAGE.ADD"
    if text == "[" and accepted & {"VBAR", "RPAR", "COMMA"}:
        if "VBAR" in accepted:
            return "values have no slices and no elements; registers have slices: `rcx[11:0] = ...`"
        if _follows(failure, "R"):
            return "a list has whole registers"
        is_type = previous is not None and previous.text not in ("]", "carry")
        return _TYPE_NEEDS_NAME if is_type else None
    if text == ":" and accepted == {"RSQB"} and previous is not None:
        return _TYPE_NEEDS_NAME
    if text == "-" and "INT" in accepted:
        return "there are no negative values; -1 is 0xffff_ffff_ffff_ffff"
    if text == "*":
        return _OPERATORS
    if text == "," and "EQUAL" in accepted and _follows(failure, "R"):
        return _LIST_IN_BRACES
    if "COLON" in accepted and _follows(failure, r"=\s*R(\s*,\s*R)+"):
        return _LIST_IN_BRACES
    if failure.condition and "COLON" in accepted and previous is not None:
        return f"if `{previous.text}` is a status: `on` lists statuses with `or` between them"
    return None
