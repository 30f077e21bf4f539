"""Assembles what seamir writes for GNU as, and what it writes for a tree of Linux."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tools import need, run

from seamir.objects.contents import ObjectFile
from seamir.objects.reading import read_object

MACROS = Path(__file__).parent / "data" / "kernel_macros"
# What a kernel is configured with, by the feature that objects for it have.
OPTIONS = {
    "ibt": "CONFIG_X86_KERNEL_IBT",
    "rethunk": "CONFIG_MITIGATION_RETHUNK",
    "sls": "CONFIG_MITIGATION_SLS",
}


def assemble(text: str, folder: Path, command: tuple[str, ...] = ("as",)) -> ObjectFile:
    """The object that GNU as makes, without a word."""
    return _object(text, folder / "made.s", command)


def assemble_for_linux(text: str, folder: Path, features: Iterable[str]) -> ObjectFile:
    """The object that gcc makes of a .S file, without a word, with our own copy of few macros.

    The kernel is one that is configured for the features.
    """
    need("gcc")
    defined = (f"-D{OPTIONS[feature]}" for feature in features if feature in OPTIONS)
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wa,--fatal-warnings")
    return _object(text, folder / "made.S", ("gcc", "-c", *warnings, f"-I{MACROS}", *defined))


def _object(text: str, source: Path, command: tuple[str, ...]) -> ObjectFile:
    source.write_text(text, encoding="utf-8")
    made = source.with_suffix(".o")
    done = run(*command, "-o", made, source)
    assert (done.stdout, done.stderr) == ("", "")
    return read_object(made.read_bytes())


def facts(contents: ObjectFile, fixup_section: str) -> list[object]:
    """What two objects of the same code have in common."""
    functions = [
        (function.section, function.offset, function.name, function.code, function.relocations)
        for function in contents.functions
    ]
    return [functions, contents.fixups(fixup_section), contents.undefined_symbols]
