"""The keys of proofs that are kept: a hash of all that a proof depends on.

That is the code, what the plan means, the target, and whatever proves: all sources of seamir, z3
and the decoder. Places in descriptions do not count, so a line more above a leaf changes no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seamir.ir.leaf import Plan
from seamir.source import Span
from seamir.targets import Target
from seamir.verify.code import LaidOut
from seamir.version import VERSION

_TOOLS = ("z3-solver", "iced-x86")


class Meaning:
    """Hashes values by what they mean: equal ones are equal, whatever places they come from.

    Parts that many plans share, such as tables of statuses, are looked at once.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, bytes]] = {}  # the value keeps its id from another

    def of(self, value: Any) -> bytes:
        """The hash of a plan, a target, or anything in one."""
        if isinstance(value, Span):
            return b""
        if isinstance(value, Enum):
            return _hash(type(value).__name__, value.name)
        if isinstance(value, bool | int | str | bytes | None):
            return _hash(type(value).__name__, repr(value))
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = value, self._of_parts(value)
        return known[1]

    def _of_parts(self, value: Any) -> bytes:
        if is_dataclass(value):
            parts = [self.of(getattr(value, one.name)) for one in fields(value) if one.compare]
            return _hash(type(value).__name__, *parts)
        if isinstance(value, Mapping):
            return _hash("mapping", *sorted(self.of(k) + self.of(v) for k, v in value.items()))
        if isinstance(value, frozenset):
            return _hash("set", *sorted(map(self.of, value)))
        if isinstance(value, tuple):
            return _hash("tuple", *map(self.of, value))
        raise TypeError(f"nothing is known of the meaning of {type(value).__name__}")


def _hash(*parts: str | bytes) -> bytes:
    found = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.digest()


def content_key(laid_out: LaidOut) -> bytes:
    """The hash of all in an object that can matter to a proof."""
    contents = laid_out.contents
    meaning = Meaning()
    sections = tuple(section for section in contents.sections if section.loaded)
    functions = tuple((f.name, f.section, f.offset, len(f.code)) for f in contents.functions)
    fixups = tuple(sorted((at, tuple(rows)) for at, rows in laid_out.image.fixups.items()))
    parts = (sections, functions, contents.undefined_symbols, fixups)
    return meaning.of(parts)


def proof_key(content: bytes, plan: Plan, target: Target, meaning: Meaning) -> str:
    """What a proof is kept under: 64 hexadecimal digits."""
    return _hash(prover_key(), content, meaning.of(target), meaning.of(plan)).hex()


@cache
def prover_key() -> bytes:
    """The hash of what proves: the sources of seamir, and the versions of what they use."""
    package = Path(__file__).parents[1]
    parts: list[str | bytes] = [VERSION, *map(_version, _TOOLS)]
    for path in sorted(package.rglob("*.py")):
        parts += [path.relative_to(package).as_posix(), path.read_bytes()]
    return _hash(*parts)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # installed by other means than packages
        return "unknown"
