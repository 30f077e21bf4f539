"""The targets, one row each, and the features that may be switched for them.

A target says how code is laid out and linked; nothing in the language depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from seamir.diagnostics import fail


@dataclass(frozen=True, slots=True)
class Target:
    """A place that emitted code is for.

    `fixup_section` holds the table that maps a faulting instruction to its fault edge: rows of
    three 32-bit words, instruction and edge relative to the word, and a type (`fixup_type`, in
    Linux EX_TYPE_FAULT of asm/extable_fixup_types.h, which puts the vector into RAX).
    `features` are the names of FEATURES that are on.
    """

    name: str
    summary: str
    code_model: str
    relocation_model: str
    noinstr_section: str
    fixup_section: str
    fixup_type: int
    features: frozenset[str]
    register_pairs: bool = True  # the calling convention returns two words in registers


# What `--feature` knows, with what it does.
FEATURES: dict[str, str] = {
    "ibt": "functions begin with ENDBR64 (indirect branch tracking)",
    "rethunk": "functions return through __x86_return_thunk",
    "sls": "int3 after every return and indirect jump (straight-line speculation)",
    "fixup": "a fault at the instruction takes the fault edge through a fixup table",
    "simd": "the compiler may use SSE and x87 registers",
    "redzone": "the 128 bytes below RSP may be used",
    "frame-pointer": "functions keep a frame pointer in RBP",
}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="linux-kernel",
            summary="kernel modules and the kernel itself",
            code_model="kernel",
            relocation_model="static",
            noinstr_section=".noinstr.text",
            fixup_section="__ex_table",
            fixup_type=2,
            features=frozenset({"ibt", "rethunk", "sls", "fixup"}),
        ),
        Target(
            name="linux-user",
            summary="user-space programs: tests and tools that play the other side",
            code_model="small",
            relocation_model="pic",
            noinstr_section=".text",
            # A C identifier, so that the linker defines __start_ and __stop_ symbols for it.
            fixup_section="seamir_ex_table",
            fixup_type=2,
            features=frozenset({"fixup", "simd", "redzone"}),
        ),
    )
}

DEFAULT_TARGET = "linux-kernel"


def select_target(name: str, features: Sequence[str] = ()) -> Target:
    """The target of that name with features switched: "+ibt" or "-ibt".

    Raises SeamError if there is no such target or feature.
    """
    if name not in TARGETS:
        known = ", ".join(TARGETS)
        raise fail("E0801", f"there is no target `{name}`", help=f"targets are {known}")
    return switch_features(TARGETS[name], features)


def switch_features(target: Target, features: Sequence[str]) -> Target:
    """The target with features switched on ("+ibt") or off ("-ibt"), in that order.

    Raises SeamError if one is no feature.
    """
    chosen = set(target.features)
    for feature in features:
        sign, word = ("", feature) if feature[:1] not in ("+", "-") else (feature[0], feature[1:])
        if word not in FEATURES:
            close = get_close_matches(word[:64], FEATURES, n=1)
            help = f"did you mean `{sign}{close[0]}`?" if close else None
            help = help or f"features are {', '.join(FEATURES)}"
            raise fail("E0802", f"there is no feature `{word}`", help=help)
        if not sign:
            help = f"write +{word} or -{word}"
            raise fail("E0802", f"feature `{word}` has no sign before it", help=help)
        (chosen.add if sign == "+" else chosen.discard)(word)
    return replace(target, features=frozenset(chosen))
