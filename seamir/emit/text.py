"""Words of strangers made harmless, and C comments laid out.

Documentation, notes and file names come from descriptions that nobody vouches for. `plain` makes
one line of such text fit for a comment in any language here: it cannot end the comment, splice
lines, reorder what a reader sees, or speak to kernel-doc. Everything from a description that
reaches a comment goes through `plain` or `paragraphs`; what reaches a page of Markdown goes
through `markdown` or `code_span`, which show the text and let it do nothing else.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from seamir.model.registers import REGISTERS

COLUMNS = 80  # of a line in a generated file
INSIDE = COLUMNS - len(" * ")  # columns of the text in a C comment

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_WHITE = "\t\n\r\v\f"
# kernel-doc takes these at the start of a line for a section or a parameter.
_SECTION = re.compile(r"(@[\w.]+|description|context|returns?|notes?|examples?)\s*:", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?](?=\s+[A-Z0-9`'\"(])")
_GLUE = "\0"
_PLAIN = re.compile(r"[\w.,:;()=|<>\[\]#'+-]+(?: [\w.,:;()=|<>\[\]#'+-]+)*", re.ASCII)

# Words of a line of Markdown: a place in a register, a status pattern, and others. What is between
# two of them is not empty, or two spans of code would become one.
_APART = r"\s\\`|<>\[\]{}*\"'()"
_WORD = re.compile(
    rf"[A-Za-z]\w*(?:\[\d+(?::\d+)?\]|\((?:\w+|\*)\))(?=[.,;:!?]*(?:[{_APART}]|$))|[^{_APART}]+"
)
# What a description calls code itself. It stands apart from words, which may become code too.
_QUOTED = re.compile(r"(?<![^\s(])`([^`\\\s](?:[^`\\]*[^`\\\s])?)`(?=[.,;:!?)]*(?:\s|$))")
_ACTIVE = re.compile(r"://|www\.|@|\$|mailto:|xmpp:", re.IGNORECASE)  # links and formulas
_RANGE = re.compile(r"r\d+\.\.r\d+")  # of registers
_MARKUP = re.compile(r"[\\`*\[\]{}<>|~&]|(?<![^\W_])_+|_+(?![^\W_])")
_BLOCK = re.compile(r"\d+(?=[.)](?:\s|$))|(?=[#+=-])")  # what begins an item, a heading or a rule


def plain(text: str) -> str:
    """One line of text that is safe inside a comment; white space is collapsed.

    Control, format (such as bidirectional) and private characters become `?`; what would end or
    begin a comment, trigraphs and line splices are broken up.
    """
    if _PLAIN.fullmatch(text):
        return text
    shown = "".join(
        " " if c in _WHITE else "?" if unicodedata.category(c) in _HIDDEN else c for c in text
    )
    line = " ".join(shown.split())
    line = re.sub(r"\\(?=\s|$)", r"\\.", line)
    line = re.sub(r"\*(?=/)", "* ", line)
    line = re.sub(r"/(?=\*)", "/ ", line)
    return re.sub(r"\?(?=\?)", "? ", line)


def markdown(text: str, links: Mapping[str, str] | None = None) -> str:
    """One line of Markdown that shows the text and is nothing but text, in a table too.

    Words that `links` has lead to these anchors of the page. Registers, symbols, what is between
    backticks, and what a renderer would make a link or a formula of become code.
    """
    parts = _QUOTED.split(plain(text))  # text and code in turn
    parts[::2] = [_words(part, links or {}) for part in parts[::2]]
    parts[1::2] = [_linked(part, links or {}) for part in parts[1::2]]
    return _inline("".join(parts))


def _inline(shown: str) -> str:
    """A line of Markdown that begins no block."""
    block = _BLOCK.match(shown)
    return shown if block is None else f"{shown[: block.end()]}\\{shown[block.end() :]}"


def _words(line: str, links: Mapping[str, str]) -> str:
    """A part of a line, whose words become links, code or text."""
    parts: list[str] = []
    last = 0
    for found in _WORD.finditer(line):
        word = found[0].rstrip(".,;:!?")
        if _ACTIVE.search(found[0]) and not _ACTIVE.search(word):
            word = found[0]
        if word in links or _is_code(word):
            parts += [_escape(line[last : found.start()]), _linked(word, links)]
            last = found.start() + len(word)
    return "".join([*parts, _escape(line[last:])])


def _linked(code: str, links: Mapping[str, str]) -> str:
    """A span of code, which is a link where `links` has it."""
    return f"[{code_span(code)}](#{links[code]})" if code in links else code_span(code)


def code_span(text: str) -> str:
    """The text as code of Markdown, for a line; `table` of markdown.py minds a `|` in it."""
    line = plain(text)
    if not line or "\\" in line:  # a backslash before a bar would not be one in a table
        return _inline(_words(line, {}))
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def _is_code(word: str) -> bool:
    """Whether a word is one of a language, or would not be left alone by a renderer."""
    if word in REGISTERS or _ACTIVE.search(word):
        return True
    if word.endswith("]") or _RANGE.fullmatch(word):
        return True
    return bool(re.search(r"[A-Za-z0-9]_\w", word) and re.fullmatch(r"\w+|\w+\(.*\)", word))


def _escape(text: str) -> str:
    return _MARKUP.sub(lambda found: "".join(f"\\{c}" for c in found[0]), text)


def paragraphs(doc: str) -> list[str]:
    """The paragraphs of a doc comment, each one harmless line; `- ` begins a list item."""
    found: list[list[str]] = [[]]
    for line in re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", doc):
        words = line.strip()
        if not words or words.startswith("- "):
            found.append([])
        found[-1].append(words)
    lines = (plain(" ".join(words)) for words in found)
    return [line for line in lines if line]


def split_summary(doc: str) -> tuple[str, list[str]]:
    """The first sentence of a doc comment without its full stop, and the paragraphs after it."""
    rest = paragraphs(doc)
    if not rest:
        return "", []
    end = _SENTENCE.search(rest[0])
    if end is None:
        return rest[0].removesuffix("."), rest[1:]
    after = rest[0][end.end() :].strip()
    return rest[0][: end.end()].removesuffix("."), [after, *rest[1:]]


def sentence(text: str) -> str:
    """The text with a full stop, if it ends without a mark; "" stays ""."""
    return text if not text or text[-1] in ".!?:;" else f"{text}."


def wrap(text: str, first: str = "", later: str | None = None, columns: int = INSIDE) -> list[str]:
    """Lines of at most `columns` columns, the first after `first`, others after `later`.

    No line of the text begins with what kernel-doc would take for a section or a parameter.
    """
    if not text:
        return [first.rstrip()] if first.strip() else []
    words = text.split(" ")
    for index in range(1, len(words)):
        if _SECTION.match(" ".join(words[index : index + 2])):
            words[index] = _GLUE + words[index]
    glued = " ".join(words).replace(f" {_GLUE}", _GLUE)
    lines = textwrap.wrap(
        _without_section(glued),
        width=columns,
        initial_indent=first,
        subsequent_indent=first if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_GLUE, " ") for line in lines]


def _without_section(text: str) -> str:
    """The text, its first colon gone where it would be a section of kernel-doc."""
    return re.sub(r"\s*:", " -", text, count=1) if _SECTION.match(text) else text


def wrap_paragraph(text: str) -> list[str]:
    """Lines of one of `paragraphs`, a list item with hanging indent."""
    return wrap(text, "", "  " if text.startswith("- ") else "")


def block_comment(blocks: Iterable[Sequence[str]], opening: str = "/*") -> list[str]:
    """A C comment of blocks of lines (without prefix) with empty lines between blocks."""
    lines = [opening]
    for block in blocks:
        if not block:
            continue
        if len(lines) > 1:
            lines.append(" *")
        lines += [f" * {line}".rstrip() for line in block]
    return [*lines, " */"]


def origin(source_name: str) -> list[list[str]]:
    """What a generated file says of itself first, as blocks of lines.

    `source_name` is the description's name as generated files show it.
    """
    return [
        wrap(f"Generated by seamir from {plain(source_name)}: change that, not this."),
        wrap("What seamir generates is its user's own, under any licence."),
    ]


def short_comment(text: str) -> list[str]:
    """A C comment of one paragraph: a single line where it fits."""
    if len(text) <= COLUMNS - len("/*  */"):
        return [f"/* {text} */"]
    return block_comment([wrap(text)])
