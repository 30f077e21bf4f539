"""The shipped library with mistakes: its files cut, doubled, mixed and changed, made from a seed.

`mutant` is the entry. Changes are of characters, words, numbers, lines and whole parts, and most
mutants have few of them, so that many get far: about one in five is still a valid description.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import seamir

FOLDER = Path(seamir.__file__).parent / "leaves"
TOKEN = re.compile(r'///?[^\n]*|"[^"\n]*"|[A-Za-z0-9_]+|\s+|.', re.DOTALL)
NUMBER = re.compile(r"\b(?:0x[0-9a-fA-F_]+|[0-9][0-9_]*)\b")
ITEM = re.compile(r"\n\n+(?=\S)")
IMPORTS = re.compile(r"^import [^\n]*\n", re.MULTILINE)
CHARACTERS = "\0\x1b\t\r\n \"'{}()[];:,.=|+-<>*#/\\@09azAZ_é\u202e\u200b\ufeff\u0410\U0001f600"
NUMBERS = (
    *(0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256, 4096, 65_535, 65_536, 1 << 32),
    *(1 << 63, (1 << 64) - 1, 1 << 64, 10**30),
)


@dataclass(frozen=True)
class Mutant:
    """`data` stands in for the library's file `name`."""

    name: str
    data: bytes


@cache
def library() -> dict[str, str]:
    """The texts of the library by library path."""
    files = sorted(FOLDER.rglob("*.seam"))
    return {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in files}


@cache
def _words() -> tuple[str, ...]:
    found = {token for text in library().values() for token in TOKEN.findall(text)}
    return tuple(sorted(token for token in found if not token.startswith("//")))


def mutant(seed: int) -> Mutant:
    """The mutant of a seed."""
    random = Random(f"mutant {seed}")
    name = random.choice(sorted(library()))
    text = library()[name]
    if random.random() < 0.8:
        text = _some_items(text, random)
    for _ in range(random.choice([1, 1, 1, 2, 2, 3, 8])):
        text = random.choice(CHANGES)(text, random)
    data = text.encode("utf-8")
    if random.random() < 0.03:
        place = random.randrange(len(data) + 1)
        data = data[:place] + random.randbytes(random.choice([1, 1, 4])) + data[place:]
    return Mutant(name, data)


def _some_items(text: str, random: Random) -> str:
    """A few items of a file, with its imports."""
    items = ITEM.split(IMPORTS.sub("", text))
    chosen = sorted(random.sample(range(len(items)), min(len(items), random.choice([1, 2, 4, 9]))))
    return "".join(IMPORTS.findall(text)) + "\n\n".join(items[index] for index in chosen) + "\n"


# -- changes, each from text to text


def _span(text: str, random: Random, longest: int) -> tuple[int, int]:
    start = random.randrange(len(text) + 1)
    return start, min(len(text), start + random.randint(1, longest))


def _character(text: str, random: Random) -> str:
    start, end = _span(text, random, 1)
    new = random.choice(CHARACTERS)
    return random.choice([text[:start] + new + text[start:], text[:start] + new + text[end:]])


def _cut(text: str, random: Random) -> str:
    start, end = _span(text, random, random.choice([1, 1, 10, 1000]))
    return text[:start] + text[end:]


def _double(text: str, random: Random) -> str:
    start, end = _span(text, random, random.choice([1, 10, 300]))
    return text[:start] + text[start:end] * random.choice([2, 2, 3, 300]) + text[end:]


def _truncate(text: str, random: Random) -> str:
    place = random.randrange(len(text) + 1)
    return random.choice([text[:place], text[:place], text[place:]])


def _words_changed(text: str, random: Random) -> str:
    """A word lost, doubled, exchanged for another of its kind, or for any."""
    tokens = TOKEN.findall(text)
    shown = [i for i, token in enumerate(tokens) if not token.isspace() and token[:2] != "//"]
    if not shown:
        return text
    here, there = random.choice(shown), random.choice(shown)
    how = random.randrange(6)
    if how == 0:
        tokens[here] = ""
    elif how == 1:
        tokens[here] += f" {tokens[here]}"
    elif how == 2:
        tokens[here], tokens[there] = tokens[there], tokens[here]
    elif how == 3:
        tokens[here] = random.choice(_words())
    else:
        alike = [tokens[i] for i in shown if _kind(tokens[i]) == _kind(tokens[here])]
        tokens[here] = random.choice(alike)
    return "".join(tokens)


def _kind(token: str) -> str:
    """What a word can be exchanged for without an error of syntax, most of the time."""
    if re.fullmatch(r"r[0-9a-d][0-9x]?|r[sdb][ip]", token):
        return "register"
    if token[:1].isalpha():
        return "upper" if token[0].isupper() else "lower"
    return "number" if token[:1].isdigit() else token[:1]


def _number(text: str, random: Random) -> str:
    places = list(NUMBER.finditer(text))
    if not places:
        return text
    place = random.choice(places)
    value = int(place[0].replace("_", ""), 0) if place[0][:2] == "0x" else int(place[0], 10)
    new = random.choice([value + 1, abs(value - 1), value ^ 1 << random.randrange(64), value * 2])
    new = random.choice([new, random.choice(NUMBERS)])
    return text[: place.start()] + random.choice([str(new), f"{new:#x}"]) + text[place.end() :]


def _lines(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    here, there = random.randrange(len(lines)), random.randrange(len(lines))
    how = random.randrange(4)
    if how == 0:
        del lines[here]
    elif how == 1:
        lines.insert(there, lines[here])
    elif how == 2:
        lines[here], lines[there] = lines[there], lines[here]
    else:
        lines[here] = random.choice(random.choice(list(library().values())).splitlines(True))
    return "".join(lines)


def _splice(text: str, random: Random) -> str:
    """The beginning of one file and the end of another, or an item of another in between."""
    other = random.choice(list(library().values()))
    place, cut = random.randrange(len(text) + 1), random.randrange(len(other) + 1)
    if random.random() < 0.3:
        return text[:place] + other[cut : cut + 3000]
    return text + "\n" + random.choice(ITEM.split(other)) + "\n"


CHANGES: tuple[Callable[[str, Random], str], ...] = (
    *(_character, _cut, _double, _truncate, _lines, _lines, _splice),
    *(_words_changed,) * 6,
    *(_number,) * 3,
)
