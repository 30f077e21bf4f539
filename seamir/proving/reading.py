"""Reads the object that is to be proved: somebody's file, which may be anything.

Gives an object in which each plan has its one function, or raises SeamError with all that is wrong.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Sequence

from seamir.diagnostics import Diagnostics, fail
from seamir.emulate.image import LinkError
from seamir.ir.leaf import Plan
from seamir.model.scope import suggest
from seamir.objects.contents import ObjectError, ObjectFile
from seamir.objects.sections import COFF_MACHINE
from seamir.targets import Target
from seamir.verify.code import LaidOut

Given = bytes | str | os.PathLike[str]

_ELF_MAGIC = b"\x7fELF"
_ARCHIVES = (b"!<arch>\n", b"!<thin>\n")
_PROGRAM_OF_WINDOWS = b"MZ"
_BITCODE = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
_LTO_OF_GCC = ".gnu.lto_"  # begins the names of sections with code that is yet to be compiled
_WITHOUT_LTO = "it was compiled for LTO: compile it without -flto"
_ELF_TYPE = struct.Struct("<16xHH")  # of an object that is little-endian: type and processor
_ELF_TYPES = {2: "an executable", 3: "a shared library or an executable", 4: "a core dump"}
_ELF_RELOCATABLE, _X86_64 = 1, 62
_ELF_PROCESSORS = {3: "x86 of 32 bits", 40: "Arm", 183: "AArch64", 243: "RISC-V"}
_COFF_PROCESSORS = {b"\x4c\x01": "x86 of 32 bits", b"\x64\xaa": "AArch64", b"\xc0\x01": "Arm"}
_CHOOSE = "choose the wrappers that it has: --leaf, in the API leaves="
_AS_FOR_LINKERS = "give an object as compilers and `ld -r` write it"


def read_bytes(given: Given) -> tuple[bytes, str]:
    """The bytes of an object, and what messages call it; SeamError if it cannot be read."""
    if isinstance(given, bytes):
        return given, "the object"
    name = os.fspath(given)
    try:
        with open(name, "rb") as stream:
            return stream.read(), f"`{name}`"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E0101", f"cannot read `{name}`: {reason}") from error


def read_for(data: bytes, name: str, target: Target) -> LaidOut:
    """The object for a target, laid out; `name` is what messages call it.

    Raises SeamError if it is no x86-64 object in the target's format, or cannot be laid out.
    """
    _check_kind(data, name, target)
    try:
        return LaidOut.of(data, target)
    except (ObjectError, LinkError) as error:
        raise fail("E0811", f"{name} cannot be read: {error}", help=_AS_FOR_LINKERS) from error


def _check_kind(data: bytes, name: str, target: Target) -> None:
    """Raises SeamError for what is no object of the kind that the target has."""
    if not data:
        raise fail("E0811", f"{name} is empty", help=_AS_FOR_LINKERS)
    if data.startswith(_ARCHIVES):
        help = "take the object out of it: `ar x`"
        raise fail("E0811", f"{name} is an archive of objects", help=help)
    if data.startswith(_BITCODE):
        raise fail("E0811", f"{name} is bitcode of LLVM", help=_WITHOUT_LTO)
    if data.startswith(_PROGRAM_OF_WINDOWS):
        raise fail("E0811", f"{name} is a linked program or library", help=_AS_FOR_LINKERS)
    is_elf = data.startswith(_ELF_MAGIC)
    processor = _COFF_PROCESSORS.get(data[:2], "")
    if is_elf and len(data) >= _ELF_TYPE.size:
        kind, number = _ELF_TYPE.unpack_from(data)
        if kind != _ELF_RELOCATABLE and kind in _ELF_TYPES:
            raise fail("E0811", f"{name} is {_ELF_TYPES[kind]}", help=_AS_FOR_LINKERS)
        if number != _X86_64:
            processor = _ELF_PROCESSORS.get(number, f"processor {number}")
    if processor:
        message = f"{name} is for {processor}, and {target.name} is x86-64"
        raise fail("E0811", message)
    is_coff = data.startswith(COFF_MACHINE)
    if (is_elf or is_coff) and is_coff != (target.object_format == "coff"):
        found, wanted = ("COFF", "ELF") if is_coff else ("ELF", "COFF")
        message = f"{name} is in {found} format, and objects for {target.name} are {wanted}"
        raise fail("E0811", message, help="choose the target that it is for: --target")


def check_functions(contents: ObjectFile, plans: Sequence[Plan], name: str) -> None:
    """Raises SeamError unless each plan has its function in the object, once."""
    sink = Diagnostics()
    counts = Counter(function.name for function in contents.functions)
    if not counts:
        is_lto = any(section.name.startswith(_LTO_OF_GCC) for section in contents.sections)
        way = _WITHOUT_LTO if is_lto else "give an object whose symbols were not stripped"
        raise fail("E0812", f"{name} names no function", help=way)
    missing: list[Plan] = []
    for plan in plans:
        wrong = _what_is_wrong(contents, counts, plan.symbol, name)
        if wrong is not None:
            message, help = wrong
            sink.report("E0812", message, plan.span, help=help)
        elif not counts[plan.symbol]:
            missing.append(plan)
    if missing:
        first = missing[0]
        more = f", and {len(missing) - 1} others are missing too" if missing[1:] else ""
        message = f"{name} has no function `{first.symbol}`{more}"
        help = suggest(first.symbol, sink, counts) or _CHOOSE
        sink.report("E0812", message, first.span, help=help)
    sink.stop_on_errors()


def _what_is_wrong(
    contents: ObjectFile, counts: Counter[str], symbol: str, name: str
) -> tuple[str, str | None] | None:
    """A message and perhaps help; None if the function is there once, or nothing of its name."""
    if counts[symbol] > 1:
        return f"{name} has {counts[symbol]} functions `{symbol}`", "keep one of them"
    function = contents.function(symbol)
    if function is not None and not function.code:
        help = f"assembly says it by `.size {symbol}, . - {symbol}`"
        return f"{name} does not say how long `{symbol}` is", help
    if symbol in contents.other_symbols:
        help = f"assembly says that it is one by `.type {symbol}, @function`"
        return f"`{symbol}` in {name} is not a function", help
    if symbol in contents.undefined_symbols:
        return f"{name} calls `{symbol}`, and does not have it", None
    return None
