"""The targets, one row each, and the features that may be switched for them.

A target says how code is laid out and linked; nothing in the language depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from seamir.conventions import MICROSOFT_X64, SYSTEM_V, Convention
from seamir.diagnostics import fail


@dataclass(frozen=True, slots=True)
class Target:
    """A place that emitted code is for.

    `triple` is LLVM's name of processor and system, and `object_format` what its objects are:
    "elf" or "coff". `stack_alignment` (bytes) is what RSP is a multiple of before a call.
    `fixup_section` holds the table that maps a faulting instruction to its fault edge: rows of
    three 32-bit words, instruction and edge relative to the word, and a type (`fixup_type`, in
    Linux EX_TYPE_FAULT of asm/extable_fixup_types.h, which puts the vector into RAX). `c_word` is
    the C integer of 64 bits that u64 and s64 are made of: "long" or "long long". `features` are
    the names of FEATURES that are on; `fixed` are those that stay as they are, each with the
    reason. `kbuild`: what is emitted can be built by Linux's Kbuild.
    """

    name: str
    summary: str
    triple: str
    object_format: str
    convention: Convention
    stack_alignment: int
    noinstr_section: str
    fixup_section: str
    fixup_type: int
    c_word: str
    features: frozenset[str]
    fixed: tuple[tuple[str, str], ...] = ()
    kbuild: bool = False

    @property
    def code_model(self) -> str:
        """Where code lies, as LLVM calls it: "kernel" is the top 2 GiB, "small" the lowest."""
        return "kernel" if "kernel-model" in self.features else "small"

    @property
    def padding(self) -> int:
        """Bytes of NOPs directly before each function: a type id before them takes 5 of the 16."""
        if "patchable-prefix" not in self.features:
            return 0
        return _PREFIX_BYTES - _TYPE_ID_BYTES if "kcfi" in self.features else _PREFIX_BYTES

    @property
    def relocation_model(self) -> str:
        """Whether code runs at any address ("pic") or where it was linked ("static")."""
        return "static" if self.code_model == "kernel" else "pic"


# What `--feature` knows, with what it does.
FEATURES: dict[str, str] = {
    "ibt": "functions begin with ENDBR64 (indirect branch tracking)",
    "rethunk": "functions return through __x86_return_thunk",
    "sls": "int3 after every return and indirect jump (straight-line speculation)",
    "fixup": "a fault at the instruction takes the fault edge through a fixup table",
    "simd": "the compiler may use SSE and x87 registers",
    "redzone": "the 128 bytes below RSP may be used",
    "frame-pointer": "functions keep a frame pointer in RBP",
    "kcfi": "a type id before functions, which indirect calls check (clang -fsanitize=kcfi)",
    "kcfi-normalize": "type ids by the widths of integers, not their C types (kernels with Rust)",
    "patchable-prefix": "16 bytes before functions to be patched, a type id among them",
    "kernel-model": "code is linked into the top 2 GiB of addresses (code model kernel)",
}

# What a kernel patches before a function, which keeps the function aligned, and what of it
# `mov eax, ID` takes: CONFIG_FUNCTION_ALIGNMENT and CONFIG_FUNCTION_PADDING_CFI of Linux.
_PREFIX_BYTES, _TYPE_ID_BYTES = 16, 5
# A C identifier, so that the linker defines __start_ and __stop_ symbols for it.
_OWN_FIXUP_SECTION = "seamir_ex_table"
_FIXUP_TYPE = 2

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="linux-kernel",
            summary="kernel modules and the kernel itself",
            triple="x86_64-unknown-linux-gnu",
            object_format="elf",
            convention=SYSTEM_V,
            stack_alignment=8,  # as the kernel is compiled: -mpreferred-stack-boundary=3
            noinstr_section=".noinstr.text",
            fixup_section="__ex_table",
            fixup_type=_FIXUP_TYPE,
            c_word="long long",  # asm-generic/int-ll64.h
            features=frozenset({"ibt", "rethunk", "sls", "fixup", "kernel-model"}),
            kbuild=True,
        ),
        Target(
            name="linux-user",
            summary="user-space programs: tests and tools that play the other side",
            triple="x86_64-unknown-linux-gnu",
            object_format="elf",
            convention=SYSTEM_V,
            stack_alignment=16,
            noinstr_section=".text",
            fixup_section=_OWN_FIXUP_SECTION,
            fixup_type=_FIXUP_TYPE,
            c_word="long",
            features=frozenset({"fixup", "simd", "redzone"}),
        ),
        Target(
            name="freestanding",
            summary="firmware, paravisors and kernels that are not Linux",
            triple="x86_64-unknown-none-elf",
            object_format="elf",
            convention=SYSTEM_V,
            stack_alignment=16,
            noinstr_section=".text",
            fixup_section=_OWN_FIXUP_SECTION,
            fixup_type=_FIXUP_TYPE,
            c_word="long",
            features=frozenset(),
        ),
        Target(
            name="uefi",
            summary="UEFI drivers and applications: COFF objects, Microsoft x64 convention",
            triple="x86_64-unknown-uefi",
            object_format="coff",
            convention=MICROSOFT_X64,
            stack_alignment=16,
            noinstr_section=".text",
            fixup_section=_OWN_FIXUP_SECTION,
            fixup_type=_FIXUP_TYPE,
            c_word="long long",
            features=frozenset({"simd"}),
            fixed=(
                ("fixup", "nothing in UEFI reads a fault table"),
                ("kcfi", "no caller in UEFI checks a type id"),
                ("kcfi-normalize", "no caller in UEFI checks a type id"),
                ("kernel-model", "COFF has the small code model only"),
                ("patchable-prefix", "nothing in UEFI patches functions"),
                ("redzone", "Microsoft x64 has no red zone"),
                ("rethunk", "there is no __x86_return_thunk"),
                ("simd", "functions preserve XMM6 to XMM15"),
            ),
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

    Raises SeamError if one is no feature, or one that the target fixes.
    """
    chosen, fixed = set(target.features), dict(target.fixed)
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
        if word in fixed and (sign == "+") != (word in target.features):
            message = f"target {target.name} cannot have `{feature}`"
            raise fail("E0802", message, help=fixed[word])
        (chosen.add if sign == "+" else chosen.discard)(word)
    return replace(target, features=frozenset(chosen))
