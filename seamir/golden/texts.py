"""What is kept of a compilation, one row a kind: the file's suffix, and the text in it.

A text depends on the description and its options, and on the code that was made of it; it does not
depend on versions, on the machine or on the order of things.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seamir.compiler import Compilation
from seamir.diagnostics import fail

_VERSIONS = re.compile(r'"versions": \{[^}]*\}')


@dataclass(frozen=True)
class KeptKind:
    """`suffix` of the file; `emit` are the outputs it needs; `text` makes it of them."""

    suffix: str
    emit: tuple[str, ...]
    text: Callable[[Compilation], str]


def _listings(compilation: Compilation) -> str:
    """The listings of all functions, in order of their symbols: sections come in any order."""
    from seamir.objects.disassembly import listing

    contents = compilation.object_file
    fixups = contents.fixups(compilation.target.fixup_section)
    functions = sorted(contents.functions, key=lambda function: function.name)
    return "\n".join(listing(function, fixups) for function in functions)


def _plans(compilation: Compilation) -> str:
    return "\n".join(str(plan) for plan in compilation.plans)


def _manifest(compilation: Compilation) -> str:
    # Versions change with every release, and nothing else should.
    return _VERSIONS.sub('"versions": {}', compilation.outputs["manifest"].text)


KEPT: dict[str, KeptKind] = {
    "listing": KeptKind(".lst", ("obj",), _listings),
    "plan": KeptKind(".plan", (), _plans),
    "header": KeptKind(".h", ("header",), lambda made: made.outputs["header"].text),
    "manifest": KeptKind(".json", ("manifest",), _manifest),
    "docs": KeptKind(".md", ("docs",), lambda made: made.outputs["docs"].text),
}


def emit_for(keep: str | Sequence[str]) -> list[str]:
    """The outputs that have to be made to keep these kinds; see `texts_of` for the errors."""
    return [output for kind in _kinds(keep) for output in KEPT[kind].emit]


def texts_of(
    compilation: Compilation, keep: str | Sequence[str], name: str | None = None
) -> dict[str, str]:
    """What is kept of a compilation, by the names of the files, NAME.TARGET.SUFFIX.

    `keep` are kinds of KEPT; `name` is the description's if it is not given. Raises SeamError if
    there is no such kind, none is asked for, or files cannot have that name.
    """
    stem = compilation.stem if name is None else name
    if not stem or "/" in stem or "\0" in stem:
        raise fail("E0809", f"golden files cannot be named `{stem}`", help="give a name, no path")
    rows = [KEPT[kind] for kind in _kinds(keep)]
    target = compilation.target.name
    return {f"{stem}.{target}{row.suffix}": row.text(compilation) for row in rows}


def _kinds(keep: str | Sequence[str]) -> list[str]:
    """The kinds that are asked for; a lone string is one kind."""
    kinds = [keep] if isinstance(keep, str) else list(keep)
    help = "what can be kept is " + ", ".join(KEPT)
    for kind in kinds:
        if kind not in KEPT:
            raise fail("E0809", f"nothing is kept as `{kind}`", help=help)
    if not kinds:
        raise fail("E0809", "nothing is to be kept", help=help)
    return kinds
