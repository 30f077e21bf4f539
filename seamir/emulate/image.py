"""An emitted object laid out in memory: sections placed, relocations applied, stubs for the rest.

Takes what `objects.reading` read and gives bytes to map at given addresses. Every undefined symbol
gets a stub: a `ret` for the return thunk, and for other functions `ud2; ret`, so that whoever
runs the code sees the call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seamir.objects.contents import ObjectFile, Relocation, Section
from seamir.targets import Target

PAGE = 0x1000
KERNEL_BASE = 0xFFFF_FFFF_8100_0000  # the top 2 GiB, which 32-bit signed addresses reach
USER_BASE = 0x40_0000
RETURN_THUNK = "__x86_return_thunk"
UD2 = b"\x0f\x0b"
RET = b"\xc3"
INT3 = b"\xcc"
# Where functions may be patched. No code reads it, and every function may have one of its own.
_PATCHABLE = "__patchable_function_entries"
_LARGEST = 1 << 28  # bytes of an image
_STUB_SIZE = 16  # bytes
_SLOT_SIZE = 8  # bytes of an entry of the global offset table
_RELATIVE = {"R_X86_64_PC32", "R_X86_64_PLT32", "IMAGE_REL_AMD64_REL32"}
_FROM_BASE = "IMAGE_REL_AMD64_ADDR32NB"  # a distance from the start of the image
_THROUGH_TABLE = {"R_X86_64_GOTPCREL", "R_X86_64_GOTPCRELX", "R_X86_64_REX_GOTPCRELX"}
_ABSOLUTE_BYTES = {"R_X86_64_64": 8, "R_X86_64_32": 4, "R_X86_64_32S": 4}


class LinkError(Exception):
    """The object has a relocation that cannot be applied."""


@dataclass(frozen=True)
class Image:
    """The laid-out object.

    `data` starts at `base` and is a whole number of pages; `functions` and `stubs` have the
    addresses of defined functions, if nothing else has their name, and of stubs for called symbols;
    a call that returns to `return_address` is over. `return_thunk` is the stub that functions jump
    to in order to return, None if none does. `fixups` maps the address of an instruction that may
    fault to the address where execution goes on and the type of the row, of each row about it.
    `constant` are ranges of addresses, as (start, end), whose bytes nothing changes, and `code`
    those of them that are run.
    """

    base: int
    data: bytes
    functions: Mapping[str, int]
    stubs: Mapping[int, str]
    return_address: int
    return_thunk: int | None
    fixups: Mapping[int, Sequence[tuple[int, int]]]
    constant: tuple[tuple[int, int], ...]
    code: tuple[tuple[int, int], ...]

    def bytes_at(self, address: int, size: int) -> bytes:
        """The bytes at an address, fewer (or none) where the image ends."""
        offset = address - self.base
        return self.data[offset : offset + size] if offset >= 0 else b""


def lay_out(contents: ObjectFile, target: Target) -> Image:
    """Links the object alone; raises LinkError if it cannot be."""
    base = KERNEL_BASE if target.code_model == "kernel" else USER_BASE
    sections = [s for s in contents.sections if s.loaded and s.name != _PATCHABLE]
    addresses, end = _place_sections(sections, base)
    shared = _shared_names(contents, addresses)
    stubs, end = _place_rows(contents.undefined_symbols, end, _STUB_SIZE)
    lost = next((f for f in contents.functions if f.section not in addresses), None)
    if lost is not None:
        raise LinkError(f"{lost.name} is in {lost.section}, which is not loaded")
    functions = {
        f.name: addresses[f.section] + f.offset for f in contents.functions if f.name not in shared
    }
    symbols = {**addresses, **functions, **stubs}
    symbols = {name: address for name, address in symbols.items() if name not in shared}
    slots, end = _place_rows(symbols, end, _SLOT_SIZE)
    if end - base > _LARGEST:
        raise LinkError(f"laid out, it takes more than {_LARGEST >> 20} MiB")
    return_address = end
    parts = {
        addresses[s.name]: _relocate(s, addresses[s.name], base, symbols, slots) for s in sections
    }
    parts |= {at: RET if name == RETURN_THUNK else UD2 + RET for name, at in stubs.items()}
    parts |= {at: symbols[name].to_bytes(_SLOT_SIZE, "little") for name, at in slots.items()}
    data = bytearray(INT3 * _round_up(end + 1 - base, PAGE))
    constant = [section for section in sections if not section.writable]
    ranges = {s.name: (addresses[s.name], addresses[s.name] + len(s.data)) for s in constant}
    for start, part in parts.items():
        data[start - base : start - base + len(part)] = part
    return Image(
        base=base,
        data=bytes(data),
        functions=functions,
        stubs={address: name for name, address in stubs.items() if name != RETURN_THUNK},
        return_address=return_address,
        return_thunk=stubs.get(RETURN_THUNK),
        fixups=_fixups(contents, target, addresses),
        constant=(
            *(ranges[s.name] for s in constant),
            *((at, at + _SLOT_SIZE) for at in slots.values()),
        ),
        code=tuple(ranges[s.name] for s in constant if s.executable),
    )


def _round_up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _place_sections(sections: Sequence[Section], base: int) -> tuple[dict[str, int], int]:
    """The address of each section, and where the last one ends.

    There is a byte behind each, for nobody knows which one a linker puts next: code that runs off
    the end of its section is found out.
    """
    addresses: dict[str, int] = {}
    end = base
    for section in sections:
        if section.name in addresses:
            raise LinkError(f"two sections are called {section.name}")
        addresses[section.name] = _round_up(end, max(section.alignment, 1))
        end = addresses[section.name] + len(section.data) + 1
    return addresses, end


def _shared_names(contents: ObjectFile, sections: Iterable[str]) -> set[str]:
    """The names of more than one thing that a relocation, which goes by name, may mean."""
    functions = [function.name for function in contents.functions]
    names = Counter(
        [*sections, *functions, *set(contents.other_symbols), *set(contents.undefined_symbols)]
    )
    return {name for name, times in names.items() if times > 1}


def _place_rows(names: Iterable[str], start: int, size: int) -> tuple[dict[str, int], int]:
    """An address for each name, rows of `size` bytes, and where the last one ends."""
    first = _round_up(start, size)
    rows = {name: first + size * index for index, name in enumerate(names)}
    return rows, first + size * len(rows)


def _fixups(
    contents: ObjectFile, target: Target, addresses: Mapping[str, int]
) -> dict[int, list[tuple[int, int]]]:
    """Where each address of the fixup table goes on, and the row's type; rows in their order."""
    found: dict[int, list[tuple[int, int]]] = {}
    for row in contents.fixup_rows(target.fixup_section):
        for section, _ in (row.start, row.target):
            if section not in addresses:
                raise LinkError(f"{target.fixup_section} is about code that is not loaded")
        (section, start), (target_section, goes_on) = row.start, row.target
        place = addresses[target_section] + goes_on, row.kind
        found.setdefault(addresses[section] + start, []).append(place)
    return found


def _relocate(
    section: Section,
    start: int,
    base: int,
    symbols: Mapping[str, int],
    slots: Mapping[str, int],
) -> bytes:
    """The section's bytes as they are at address `start` of an image at `base`."""
    data = bytearray(section.data)
    for relocation in section.relocations:
        if relocation.symbol not in symbols:
            raise LinkError(f"{section.name}: nothing alone is called {relocation.symbol}")
        value = _value(relocation, start + relocation.offset, base, symbols, slots)
        data[relocation.offset : relocation.offset + len(value)] = value
    return bytes(data)


def _value(
    relocation: Relocation,
    place: int,
    base: int,
    symbols: Mapping[str, int],
    slots: Mapping[str, int],
) -> bytes:
    """What a relocation writes at the address `place`.

    System V psABI, table 4.9; PE Format, "Type Indicators" of x64.
    """
    kind = relocation.kind
    value = symbols[relocation.symbol] + relocation.addend
    if kind in _RELATIVE:
        return _fit(relocation, value - place, 4, signed=True)
    if kind == _FROM_BASE:
        return _fit(relocation, value - base, 4, signed=False)
    if kind in _THROUGH_TABLE:
        value = slots[relocation.symbol] + relocation.addend
        return _fit(relocation, value - place, 4, signed=True)
    if kind == "R_X86_64_32S":
        signed = value - (1 << 64) if value >> 63 else value
        return _fit(relocation, signed, 4, signed=True)
    if kind in _ABSOLUTE_BYTES:
        return _fit(relocation, value, _ABSOLUTE_BYTES[kind], signed=False)
    raise LinkError(f"relocation {kind} of {relocation.symbol} is not known")


def _fit(relocation: Relocation, value: int, size: int, *, signed: bool) -> bytes:
    try:
        return value.to_bytes(size, "little", signed=signed)
    except OverflowError:
        message = f"{relocation.kind} of {relocation.symbol} does not reach {value:#x}"
        raise LinkError(message) from None
