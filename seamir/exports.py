"""Whom a kernel module exports its functions to: what `--export` may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from seamir.diagnostics import fail


@dataclass(frozen=True, slots=True)
class Export:
    """A way to export: one of EXPORTS, and the namespace or the modules that it names, or ""."""

    kind: str
    names: str = ""


# The ways, with what each does. After a colon those in _NAMES name somebody.
EXPORTS: Mapping[str, str] = {
    "gpl": "to all modules under the GPL",
    "namespace": "to those of them that import namespace NAME: namespace:NAME",
    "modules": "to those of that name, where the kernel can do it: modules:NAME,...",
    "none": "to nobody; the functions are for the module they are linked into",
}

# What a namespace may be called: before Linux 6.13 it is a token of C. A name of a module may end
# in a star. Neither can end the string that it becomes.
_NAMES = {
    "namespace": (re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}"), "namespace:TDX"),
    "modules": (
        re.compile(r"[A-Za-z0-9_-]{1,55}\*?(,[A-Za-z0-9_-]{1,55}\*?){0,31}"),
        "modules:kvm-intel,tdx-host",
    ),
}

DEFAULT_EXPORT = "gpl"
GPL = Export(DEFAULT_EXPORT)


def select_export(text: str) -> Export:
    """The way to export that a word such as "gpl" or "namespace:TDX" names.

    Raises SeamError (E0809) if there is none.
    """
    kind, colon, names = text.partition(":")
    if kind not in EXPORTS:
        ways = ", ".join(f"{kind}:..." if kind in _NAMES else kind for kind in EXPORTS)
        raise fail("E0809", f"there is no export `{text}`", help=f"exports are {ways}")
    if kind not in _NAMES:
        if colon:
            raise fail("E0809", f"export `{kind}` names nobody", help=f"write --export {kind}")
        return Export(kind)
    pattern, example = _NAMES[kind]
    if not pattern.fullmatch(names):
        message = f"`{names}` cannot name {'a namespace' if kind == 'namespace' else 'modules'}"
        raise fail("E0809", message, help=f"for example {example}")
    return Export(kind, names)
