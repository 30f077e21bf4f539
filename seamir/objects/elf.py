"""Reading back an x86-64 ELF relocatable object from bytes in memory.

The ELF structures are read directly with `struct`, every access checked against the bounds of
the data; pyelftools decodes the DWARF line programs only, and only when lines are asked for.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import BytesIO
from typing import NamedTuple

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
from elftools.dwarf.lineprogram import LineProgram
from elftools.elf.constants import SH_FLAGS
from elftools.elf.enums import ENUM_RELOC_TYPE_x64

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")
_IDENTITY = b"\x7fELF\x02\x01\x01"  # 64-bit, little-endian, version 1
_TYPE_RELOCATABLE, _MACHINE_X86_64 = 1, 62
_SYMTAB, _STRTAB, _RELA, _NOBITS, _REL = 2, 3, 4, 8, 9
_BOOKKEEPING = frozenset({0, _SYMTAB, _STRTAB, _RELA})  # section types that carry no content
_SYMBOL_FUNCTION, _SYMBOL_SECTION = 2, 3
_FIRST_RESERVED_INDEX, _EXTENDED_INDEX = 0xFF00, 0xFFFF
_R_64, _R_PC32, _R_32, _R_32S = 1, 2, 10, 11
_KIND_NAMES = {n: name for name, n in ENUM_RELOC_TYPE_x64.items() if isinstance(n, int)}
_FIXUP_ROW = struct.Struct("<iii")  # the type is a C int, as in the kernel
_DEBUG_SECTIONS = (
    *("info", "aranges", "abbrev", "frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames"),
    *("addr", "str_offsets", "line_str", "loclists", "rnglists", "sup", "types"),
)
_DWARF_FAILURES = (
    *(ELFError, DWARFError, ConstructError, LookupError, AttributeError, TypeError, ValueError),
    *(struct.error, AssertionError, ArithmeticError, NotImplementedError, RecursionError),
)


class ObjectError(ValueError):
    """The bytes are not a well-formed x86-64 ELF relocatable object, or not a readable one."""


@dataclass(frozen=True)
class Relocation:
    """One RELA entry; `offset` in bytes from the start of the function or section that holds it.

    A relocation against a section symbol names the section.
    """

    offset: int
    kind: str
    symbol: str
    addend: int


@dataclass(frozen=True)
class Section:
    """A section with content; `data` is empty for one without bytes in the file (.bss).

    `alignment` is in bytes, `flags` is ELF's sh_flags.
    """

    name: str
    data: bytes
    alignment: int
    flags: int
    relocations: tuple[Relocation, ...]


@dataclass(frozen=True)
class LineEntry:
    """From `offset` (bytes from the function's start) on, the code comes from `file`:`line`.

    Line 0 marks code that comes from no line; its file is empty where no table row covers it.
    """

    offset: int
    file: str
    line: int


@dataclass(frozen=True)
class FixupEntry:
    """A fault at `from_offset` continues at `to_offset`, both bytes from the function's start."""

    from_offset: int
    to_offset: int
    function: str
    kind: int


@dataclass(frozen=True)
class Function:
    """A function symbol and its code; `offset` in bytes from the start of its section."""

    name: str
    section: str
    offset: int
    code: bytes
    relocations: tuple[Relocation, ...]
    line_source: Callable[[], tuple[LineEntry, ...]] = field(
        default=tuple, repr=False, compare=False
    )

    @cached_property
    def lines(self) -> tuple[LineEntry, ...]:
        """The source lines by ascending offset, read at the first use; ObjectError if damaged."""
        return self.line_source()


@dataclass(frozen=True)
class ObjectFile:
    """What an object defines: functions by section and offset, undefined symbols by name."""

    sections: tuple[Section, ...]
    functions: tuple[Function, ...]
    undefined_symbols: tuple[str, ...]
    fixup_source: Callable[[str], tuple[FixupEntry, ...]] = field(repr=False, compare=False)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def function(self, name: str) -> Function | None:
        """The first function of that name."""
        return next((function for function in self.functions if function.name == name), None)

    def fixups(self, section_name: str) -> tuple[FixupEntry, ...]:
        """The rows of the fixup tables of that name, in order; none if there is no such section.

        Raises ObjectError on a table whose rows do not resolve to offsets inside one function.
        """
        return self.fixup_source(section_name)


class _Header(NamedTuple):
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


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


def _bytes_at(data: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(data):
        raise ObjectError(f"{what} extends past the end of its container")
    return data[offset : offset + size]


def _text_at(strings: bytes, offset: int, what: str) -> str:
    end = strings.find(b"\0", offset)
    if end < 0:
        raise ObjectError(f"the name of {what} is outside its string table")
    try:
        return strings[offset:end].decode()
    except UnicodeDecodeError:
        raise ObjectError(f"the name of {what} is not UTF-8") from None


class _Image:
    """The section headers, symbols and relocations of an object, by ELF's own indices."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.headers = self._headers()
        self.symbols = self._symbols()
        self.relocations = self._relocations()

    def content(self, index: int) -> bytes:
        header = self.headers[index]
        if header.type == _NOBITS:
            return b""
        return _bytes_at(self.data, header.offset, header.size, f"section {index}")

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

    def _headers(self) -> tuple[_Header, ...]:
        fields = _HEADER.unpack(_bytes_at(self.data, 0, _HEADER.size, "the ELF header"))
        if not fields[0].startswith(_IDENTITY):
            raise ObjectError("not a 64-bit little-endian ELF file")
        if fields[1:4] != (_TYPE_RELOCATABLE, _MACHINE_X86_64, 1):
            raise ObjectError("not an x86-64 ELF relocatable object")
        table_offset, entry_size, count, names_index = fields[6], *fields[11:14]
        if entry_size != _SECTION_HEADER.size or not names_index < count:
            raise ObjectError("the ELF header describes no section header table")
        table = _bytes_at(self.data, table_offset, count * entry_size, "the section header table")
        rows = list(_SECTION_HEADER.iter_unpack(table))
        offset, size = rows[names_index][4:6]
        names = _bytes_at(self.data, offset, size, "the section name table")
        return tuple(
            _Header(_text_at(names, row[0], f"section {index}"), *row[1:3], *row[4:9])
            for index, row in enumerate(rows)
        )

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
        return _Symbol(_text_at(names, name, f"symbol {number}"), info & 0xF, section, value, size)

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


class _Lines:
    """The rows of .debug_line by index of the text section they describe.

    Every text section of a relocatable object starts at address 0, so the debug sections are
    relocated as if section n were loaded at n << 32; a row's address then tells its section.
    """

    def __init__(self, image: _Image) -> None:
        self._image = image

    def between(self, section: int, start: int, end: int) -> tuple[LineEntry, ...]:
        """The rows in force in the section's bytes start to end, with offsets from start."""
        rows = self._rows.get(section, [])
        first = max(bisect_right(rows, start, key=lambda row: row[0]) - 1, 0)
        last = bisect_left(rows, end, key=lambda row: row[0])
        entries: list[LineEntry] = []
        before = ("", 0)
        for offset, file, line in rows[first:last]:
            if (file, line) != before:
                entries.append(LineEntry(max(offset - start, 0), file, line))
            before = (file, line)
        return tuple(entries)

    @cached_property
    def _rows(self) -> dict[int, list[tuple[int, str, int]]]:
        """(offset, file, line) by ascending offset by section; the last at an offset holds."""
        try:
            found = sorted(self._read(), key=lambda row: row[:3])
        except _DWARF_FAILURES as failure:
            raise ObjectError(f"the DWARF line table is not readable: {failure}") from failure
        latest = {row[:2]: row[3:] for row in found}
        rows: dict[int, list[tuple[int, str, int]]] = {}
        for (section, offset), (file, line) in latest.items():
            rows.setdefault(section, []).append((offset, file, line))
        return rows

    def _read(self) -> list[tuple[int, int, bool, str, int]]:
        """(section, offset, is not the end of a sequence, file, line) of every row."""
        names = (f"debug_{name}_sec" for name in _DEBUG_SECTIONS)
        dwarf = DWARFInfo(
            DwarfConfig(little_endian=True, machine_arch="x64", default_address_size=8),
            eh_frame_sec=None,
            gnu_debugaltlink_sec=None,
            **{name: self._descriptor(f".{name[:-4]}") for name in names},
        )
        rows = []
        for program in map(dwarf.line_program_for_CU, dwarf.iter_CUs()):
            for entry in program.get_entries() if program else ():
                state = entry.state
                if program and state:
                    live = not state.end_sequence
                    source = (_file_name(program, state.file), state.line) if live else ("", 0)
                    rows.append((state.address >> 32, state.address & 0xFFFFFFFF, live, *source))
        return rows

    def _descriptor(self, name: str) -> DebugSectionDescriptor | None:
        for index in self._image.named(name):
            if self._image.headers[index].flags & SH_FLAGS.SHF_COMPRESSED:
                raise ObjectError(f"{name} is compressed")
            data = self._relocated(index)
            return DebugSectionDescriptor(BytesIO(data), name, None, len(data), 0)
        return None

    def _relocated(self, index: int) -> bytes:
        data = bytearray(self._image.content(index))
        for offset, kind, number, addend in self._image.relocations.get(index, ()):
            symbol = self._image.symbols[number]
            width = {_R_64: 8, _R_32: 4, _R_32S: 4}.get(kind, 0)
            base = symbol.section << 32 if width == 8 else 0
            value = (base + symbol.value + addend) % (1 << 8 * width)
            data[offset : offset + width] = value.to_bytes(width, "little")
        return bytes(data)


def _file_name(program: LineProgram, number: int) -> str:
    """The file's name, below the compilation directory if it is relative."""
    first = 0 if program["version"] >= 5 else 1  # what DWARF 5 counts from 0 was counted from 1
    if number < first:
        raise ObjectError("a line table row names file 0")
    entry = program["file_entry"][number - first]
    name: str = entry.name.decode()
    if not entry.dir_index:  # the compilation directory itself
        return name
    directory: str = program["include_directory"][entry.dir_index - first].decode()
    return f"{directory.rstrip('/')}/{name}"


def _fixups(image: _Image, functions: list[_Symbol], section_name: str) -> tuple[FixupEntry, ...]:
    """Resolve rows of `.long from - .; .long to - .; .long kind` to offsets in functions."""
    entries: list[FixupEntry] = []
    for index in image.named(section_name):
        content = image.content(index)
        if len(content) % _FIXUP_ROW.size:
            raise ObjectError(f"{section_name} is not a whole number of rows")
        for place, (_, _, kind) in enumerate(_FIXUP_ROW.iter_unpack(content)):
            start = image.pointed_at(index, place * _FIXUP_ROW.size)
            target = image.pointed_at(index, place * _FIXUP_ROW.size + 4)
            function = next((symbol for symbol in functions if _holds(symbol, start)), None)
            if function is None or not _holds(function, target):
                raise ObjectError(f"row {place} of {section_name} is not within one function")
            offsets = start[1] - function.value, target[1] - function.value
            entries.append(FixupEntry(*offsets, function.name, kind))
    return tuple(entries)


def _holds(function: _Symbol, place: tuple[int, int]) -> bool:
    section, offset = place
    return section == function.section and 0 <= offset - function.value < function.size


def read_object(data: bytes) -> ObjectFile:
    """Read an x86-64 ELF relocatable object; raises ObjectError, and nothing else, otherwise."""
    image = _Image(data)
    symbols = [symbol for symbol in image.symbols if symbol.type == _SYMBOL_FUNCTION]
    defined = [symbol for symbol in symbols if 0 < symbol.section < _FIRST_RESERVED_INDEX]
    defined.sort(key=lambda symbol: (symbol.section, symbol.value))
    undefined = {symbol.name for symbol in image.symbols if not symbol.section and symbol.name}
    kept = [i for i, header in enumerate(image.headers) if header.type not in _BOOKKEEPING]
    return ObjectFile(
        tuple(_section(image, index) for index in kept),
        _functions(image, defined),
        tuple(sorted(undefined)),
        partial(_fixups, image, defined),
    )


def _section(image: _Image, index: int) -> Section:
    header = image.headers[index]
    relocations = image.named_relocations(index, 0, header.size)
    return Section(header.name, image.content(index), header.alignment, header.flags, relocations)


def _functions(image: _Image, symbols: list[_Symbol]) -> tuple[Function, ...]:
    lines = _Lines(image)
    contents = {index: image.content(index) for index in {symbol.section for symbol in symbols}}
    return tuple(
        Function(
            symbol.name,
            image.headers[symbol.section].name,
            symbol.value,
            _bytes_at(contents[symbol.section], symbol.value, symbol.size, symbol.name),
            image.named_relocations(symbol.section, symbol.value, symbol.value + symbol.size),
            partial(lines.between, symbol.section, symbol.value, symbol.value + symbol.size),
        )
        for symbol in symbols
    )
