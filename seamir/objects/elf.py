"""Reading back an x86-64 ELF relocatable object from bytes in memory.

The structures are read directly with `struct`, every access checked against the bounds of the
data: pyelftools takes longer for an object than LLVM for making it.
"""

import struct
from bisect import bisect_left
from functools import partial
from typing import NamedTuple

from elftools.elf.constants import SH_FLAGS
from elftools.elf.enums import ENUM_RELOC_TYPE_x64

from seamir.objects.contents import (
    FixupRow,
    Function,
    ObjectError,
    ObjectFile,
    Relocation,
    Section,
    bytes_at,
    text_at,
)
from seamir.objects.lines import Lines
from seamir.objects.sections import elf_sections

_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")
_SYMTAB, _STRTAB, _RELA, _NOBITS, _REL = 2, 3, 4, 8, 9
_BOOKKEEPING = frozenset({0, _SYMTAB, _STRTAB, _RELA})  # section types that carry no content
_SYMBOL_FUNCTION, _SYMBOL_SECTION, _SYMBOL_FILE = 2, 3, 4
_FIRST_RESERVED_INDEX, _EXTENDED_INDEX = 0xFF00, 0xFFFF
_R_64, _R_PC32, _R_32, _R_32S = 1, 2, 10, 11
_KIND_NAMES = {n: name for name, n in ENUM_RELOC_TYPE_x64.items() if isinstance(n, int)}
_TYPE_ID = "__cfi_"  # names the id of the function that is called the rest
_FIXUP_ROW = struct.Struct("<iii")  # the type is a C int, as in the kernel


class _Symbol(NamedTuple):
    name: str
    type: int
    section: int  # index in the section header table
    value: int
    size: int


class _Rela(NamedTuple):
    offset: int
    kind: int
    symbol: int
    addend: int


class _Image:
    """The section headers, symbols and relocations of an object, by ELF's own indices."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.headers = elf_sections(data)
        self.symbols = self._symbols()
        self.relocations = self._relocations()

    def content(self, index: int) -> bytes:
        header = self.headers[index]
        if header.type == _NOBITS:
            return b""
        return bytes_at(self.data, header.offset, header.size, f"section {index}")

    def named(self, name: str) -> list[int]:
        return [index for index, header in enumerate(self.headers) if header.name == name]

    def symbol_name(self, symbol: _Symbol) -> str:
        return self.headers[symbol.section].name if symbol.type == _SYMBOL_SECTION else symbol.name

    def named_relocations(self, index: int, start: int, end: int) -> tuple[Relocation, ...]:
        """The relocations at the section's bytes start to end, with offsets from start."""
        entries = self.relocations.get(index, [])
        first = bisect_left(entries, start, key=lambda entry: entry.offset)
        last = bisect_left(entries, end, key=lambda entry: entry.offset)
        return tuple(
            Relocation(
                entry.offset - start,
                _KIND_NAMES.get(entry.kind, f"R_X86_64_{entry.kind}"),
                self.symbol_name(self.symbols[entry.symbol]),
                entry.addend,
            )
            for entry in entries[first:last]
        )

    def pointed_at(self, index: int, place: int) -> tuple[int, int]:
        """(section, offset) of what the `.long x - .` at the section's byte `place` refers to."""
        entries = self.relocations.get(index, [])
        for entry in entries[bisect_left(entries, place, key=lambda entry: entry.offset) :][:1]:
            symbol = self.symbols[entry.symbol]
            if (entry.offset, entry.kind) == (place, _R_PC32):
                return symbol.section, symbol.value + entry.addend
        raise ObjectError(f"no PC32 relocation at {self.headers[index].name}+{place:#x}")

    def place(self, section: int, offset: int) -> tuple[str, int]:
        """A place by the section's name, which is "" for what lies in no section."""
        is_here = 0 < section < len(self.headers)
        return self.headers[section].name if is_here else "", offset

    def relocated(self, name: str) -> bytes | None:
        """A debug section by its name, relocated as objects/lines.py wants it."""
        for index in self.named(name):
            if self.headers[index].flags & SH_FLAGS.SHF_COMPRESSED:
                raise ObjectError(f"{name} is compressed")
            data = bytearray(self.content(index))
            for offset, kind, number, addend in self.relocations.get(index, ()):
                symbol = self.symbols[number]
                width = {_R_64: 8, _R_32: 4, _R_32S: 4}.get(kind, 0)
                base = symbol.section << 32 if width == 8 else 0
                value = (base + symbol.value + addend) % (1 << 8 * width)
                data[offset : offset + width] = value.to_bytes(width, "little")
            return bytes(data)
        return None

    def _table(self, index: int, row: struct.Struct) -> bytes:
        content = self.content(index)
        if len(content) % row.size:
            raise ObjectError(f"section {index} is not a whole number of {row.size}-byte rows")
        return content

    def _symbols(self) -> tuple[_Symbol, ...]:
        tables = [i for i, header in enumerate(self.headers) if header.type == _SYMTAB]
        if len(tables) != 1:
            raise ObjectError(f"{len(tables)} symbol tables where one is needed")
        names_index = self.headers[tables[0]].link
        if not names_index < len(self.headers):
            raise ObjectError("the symbol table has no string table")
        names = self.content(names_index)
        return tuple(
            self._symbol(number, row, names)
            for number, row in enumerate(_SYMBOL.iter_unpack(self._table(tables[0], _SYMBOL)))
        )

    def _symbol(self, number: int, row: tuple[int, ...], names: bytes) -> _Symbol:
        name, info, _, section, value, size = row
        reserved = _FIRST_RESERVED_INDEX <= section < _EXTENDED_INDEX
        if not (section < len(self.headers) or reserved):
            raise ObjectError(f"symbol {number} is in section {section}, which does not exist")
        if info & 0xF == _SYMBOL_SECTION and reserved:
            raise ObjectError(f"section symbol {number} is in no section")
        return _Symbol(text_at(names, name, f"symbol {number}"), info & 0xF, section, value, size)

    def _relocations(self) -> dict[int, list[_Rela]]:
        found: dict[int, list[_Rela]] = {}
        for index, header in enumerate(self.headers):
            if header.type == _REL:
                raise ObjectError(f"section {index} holds REL relocations; x86-64 has RELA only")
            if header.type != _RELA:
                continue
            if not header.info < len(self.headers):
                raise ObjectError(f"section {index} relocates section {header.info}, which is none")
            entries = found.setdefault(header.info, [])
            for offset, kind, symbol, addend in _RELOCATION.iter_unpack(
                self._table(index, _RELOCATION)
            ):
                if not (offset < self.headers[header.info].size and symbol < len(self.symbols)):
                    raise ObjectError(f"section {index} holds a relocation out of bounds")
                entries.append(_Rela(offset, kind, symbol, addend))
        for entries in found.values():
            entries.sort(key=lambda entry: entry.offset)
        return found


def _fixups(image: _Image, section_name: str) -> tuple[FixupRow, ...]:
    """Resolve rows of `.long from - .; .long to - .; .long kind` to places in sections."""
    rows: list[FixupRow] = []
    for index in image.named(section_name):
        content = image.content(index)
        if len(content) % _FIXUP_ROW.size:
            raise ObjectError(f"{section_name} is not a whole number of rows")
        for number, (_, _, kind) in enumerate(_FIXUP_ROW.iter_unpack(content)):
            start = image.pointed_at(index, number * _FIXUP_ROW.size)
            target = image.pointed_at(index, number * _FIXUP_ROW.size + 4)
            rows.append(FixupRow(image.place(*start), image.place(*target), kind))
    return tuple(rows)


def read_elf(data: bytes) -> ObjectFile:
    """Read an x86-64 ELF relocatable object; raises ObjectError, and nothing else, otherwise."""
    image = _Image(data)
    symbols = [symbol for symbol in image.symbols if symbol.type == _SYMBOL_FUNCTION]
    defined = [symbol for symbol in symbols if 0 < symbol.section < _FIRST_RESERVED_INDEX]
    ids = _type_ids(defined)
    defined = [symbol for symbol in defined if symbol not in ids.values()]
    defined.sort(key=lambda symbol: (symbol.section, symbol.value))
    undefined = {symbol.name for symbol in image.symbols if not symbol.section and symbol.name}
    others = {symbol.name for symbol in image.symbols if _is_other(symbol)}
    others |= {symbol.name for symbol in ids.values()}
    kept = [i for i, header in enumerate(image.headers) if header.type not in _BOOKKEEPING]
    return ObjectFile(
        tuple(_section(image, index) for index in kept),
        _functions(image, defined, ids),
        tuple(sorted(undefined)),
        tuple(sorted(others)),
        partial(_fixups, image),
    )


def _type_ids(functions: list[_Symbol]) -> dict[_Symbol, _Symbol]:
    """The type ids before functions by function; compilers call them functions too."""
    named: dict[tuple[int, str], list[_Symbol]] = {}
    for symbol in functions:
        named.setdefault((symbol.section, symbol.name), []).append(symbol)
    found: dict[_Symbol, _Symbol] = {}
    for function in functions:
        ids = named.get((function.section, f"{_TYPE_ID}{function.name}"), [])
        before = [symbol for symbol in ids if symbol.value < function.value]
        if before:
            found[function] = max(before, key=lambda symbol: symbol.value)
    return found


def _is_other(symbol: _Symbol) -> bool:
    """Whether it names something in the object that is no function and no section or file."""
    kinds = (_SYMBOL_FUNCTION, _SYMBOL_SECTION, _SYMBOL_FILE)
    return bool(symbol.section and symbol.name) and symbol.type not in kinds


def _section(image: _Image, index: int) -> Section:
    header = image.headers[index]
    return Section(
        name=header.name,
        data=image.content(index),
        alignment=header.alignment,
        flags=header.flags,
        loaded=bool(header.flags & SH_FLAGS.SHF_ALLOC),
        writable=bool(header.flags & SH_FLAGS.SHF_WRITE),
        executable=bool(header.flags & SH_FLAGS.SHF_EXECINSTR),
        relocations=image.named_relocations(index, 0, header.size),
    )


def _functions(
    image: _Image, symbols: list[_Symbol], ids: dict[_Symbol, _Symbol]
) -> tuple[Function, ...]:
    lines = Lines(image.relocated)
    contents = {index: image.content(index) for index in {symbol.section for symbol in symbols}}
    return tuple(
        Function(
            symbol.name,
            image.headers[symbol.section].name,
            symbol.value,
            bytes_at(contents[symbol.section], symbol.value, symbol.size, symbol.name),
            image.named_relocations(symbol.section, symbol.value, symbol.value + symbol.size),
            partial(lines.between, symbol.section, symbol.value, symbol.value + symbol.size),
            _type_id(contents[symbol.section][ids[symbol].value : symbol.value])
            if symbol in ids
            else None,
        )
        for symbol in symbols
    )


def _type_id(before: bytes) -> int:
    """The ID of the `mov eax, ID` before a function, which has NOPs before or behind it."""
    return int.from_bytes(before.lstrip(b"\x90")[1:5], "little")
