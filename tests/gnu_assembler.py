"""Assembles what seamir writes for GNU as, and what it writes for a tree of Linux."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tools import need, run

from seamir.objects.contents import Function, ObjectFile
from seamir.objects.reading import read_object

MACROS = Path(__file__).parent / "data" / "kernel_macros"
# What a kernel is configured with, by the feature that objects for it have.
OPTIONS = {
    "ibt": "CONFIG_X86_KERNEL_IBT",
    "rethunk": "CONFIG_MITIGATION_RETHUNK",
    "sls": "CONFIG_MITIGATION_SLS",
    "patchable-prefix": "CONFIG_CALL_PADDING",
    "kcfi": "CONFIG_CFI",
}


def assemble(text: str, folder: Path, command: tuple[str, ...] = ("as",)) -> ObjectFile:
    """The object that GNU as makes, without a word."""
    return _object(text, folder / "made.s", command)


def assemble_for_linux(
    text: str, folder: Path, features: Iterable[str], functions: Iterable[Function] = ()
) -> ObjectFile:
    """The object that gcc makes of a .S file, without a word, with our own copy of few macros.

    The kernel is one that is configured for the features. `functions` have the type ids that clang
    defines where C takes their addresses.
    """
    need("gcc")
    defined = (f"-D{OPTIONS[feature]}" for feature in features if feature in OPTIONS)
    ids = (
        f"-Wa,--defsym,__kcfi_typeid_{function.name}={function.type_id}"
        for function in functions
        if function.type_id is not None
    )
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wa,--fatal-warnings")
    command = ("gcc", "-c", *warnings, f"-I{MACROS}", *defined, *ids)
    return _object(text, folder / "made.S", command)


def _object(text: str, source: Path, command: tuple[str, ...]) -> ObjectFile:
    source.write_text(text, encoding="utf-8")
    made = source.with_suffix(".o")
    done = run(*command, "-o", made, source)
    assert (done.stdout, done.stderr) == ("", "")
    return read_object(made.read_bytes())


def facts(contents: ObjectFile, fixup_section: str) -> list[object]:
    """What two objects of the same code have in common."""
    functions = [
        (one.section, one.offset, one.name, one.type_id, one.code, one.relocations)
        for one in contents.functions
    ]
    return [functions, contents.fixups(fixup_section), contents.undefined_symbols]
