"""Where in the file of an object the code of its functions, its relocations and fixup rows lie.

What is read here is where to write, so that a test can change an object in place: the size of the
file stays what it was, and so does every byte that is not named.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from seamir.objects.contents import Function, ObjectFile
from seamir.objects.reading import read_object
from seamir.objects.sections import (
    COFF_MACHINE,
    COFF_SYMBOL,
    ElfSection,
    coff_tables,
    elf_sections,
)
from seamir.targets import Target

_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QIIq")  # offset, kind, symbol, addend
_COFF_RELOCATION = struct.Struct("<IIH")  # offset, symbol, kind
_SYMTAB, _RELA_TYPE = 2, 4
_SECTION_TABLE, _SECTION_HEADER_SIZE, _SIZE_FIELD = 40, 64, 32  # of ELF's headers, in bytes
_ROW_SIZE = 12  # bytes of a fixup row: instruction, edge, type
_FIELD_SIZE = 4  # bytes of its fields, and of a relative relocation's


class Patch(NamedTuple):
    """Bytes that take the place of those at a place in the file."""

    place: int
    data: bytes


class Record(NamedTuple):
    """A relocation: where in the file its record and the relocated field lie.

    `offset` counts from the start of the section, `symbol` is a number in the symbol table.
    """

    place: int
    field: int
    offset: int
    kind: int
    symbol: int
    addend: int


class Row(NamedTuple):
    """A row of the fixup table: the relocations of its two addresses, and its type's place."""

    function: str
    from_offset: int
    to_offset: int
    source: Record
    target: Record
    kind: int
    kind_place: int


def patched(data: bytes, patches: Iterable[Patch]) -> bytes:
    """The file with patches applied; none may reach past its end."""
    result = bytearray(data)
    for place, new in patches:
        assert place + len(new) <= len(data)
        result[place : place + len(new)] = new
    return bytes(result)


@dataclass(frozen=True)
class Places:
    """An object that seamir emitted for a target, and where its parts lie in the file."""

    data: bytes
    target: Target

    @cached_property
    def contents(self) -> ObjectFile:
        """What the object has in it."""
        return read_object(self.data)

    @property
    def is_coff(self) -> bool:
        """Whether it is COFF; else it is ELF."""
        return self.data.startswith(COFF_MACHINE)

    def code(self, function: Function) -> int:
        """The first byte of a function's code."""
        return self._start(function.section) + function.offset

    def records(self, function: Function) -> list[Record]:
        """The relocations of a function's code."""
        end = function.offset + len(function.code)
        return [r for r in self._records(function.section) if function.offset <= r.offset < end]

    @cached_property
    def symbols(self) -> dict[int, str]:
        """Names of symbols by their number, those of sections too."""
        return dict(self._coff_symbols() if self.is_coff else self._elf_symbols())

    # -- relocations changed

    def with_symbol(self, record: Record, number: int) -> Patch:
        """The relocation against another symbol."""
        changed = record._replace(symbol=number)
        return Patch(record.place, self._packed(changed))

    def with_offset(self, record: Record, offset: int) -> Patch:
        """The relocation of another field of its section."""
        changed = record._replace(offset=offset)
        return Patch(record.place, self._packed(changed))

    def with_addend(self, record: Record, addend: int) -> Patch:
        """The relocation with another addend, which COFF has in the field itself."""
        if self.is_coff:
            return Patch(record.field, addend.to_bytes(_FIELD_SIZE, "little", signed=True))
        return Patch(record.place, self._packed(record._replace(addend=addend)))

    def _packed(self, record: Record) -> bytes:
        if self.is_coff:
            return _COFF_RELOCATION.pack(record.offset, record.symbol, record.kind)
        return _RELA.pack(record.offset, record.kind, record.symbol, record.addend)

    # -- the fixup table

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the fixup table, in order; COFF objects have none."""
        name = self.target.fixup_section
        entries = self.contents.fixups(name)
        if not entries:
            return []
        start, records = self._start(name), {one.offset: one for one in self._records(name)}
        return [
            Row(
                entry.function,
                entry.from_offset,
                entry.to_offset,
                records[_ROW_SIZE * number],
                records[_ROW_SIZE * number + _FIELD_SIZE],
                entry.kind,
                start + _ROW_SIZE * number + 2 * _FIELD_SIZE,
            )
            for number, entry in enumerate(entries)
        ]

    def without_row(self, number: int) -> list[Patch]:
        """The table with one row less: those after it move up, its sections get shorter."""
        index, table = self._elf_section(self.target.fixup_section)
        records = [r for r in self._records(table.name) if r.offset // _ROW_SIZE != number]
        content = self.data[table.offset : table.offset + table.size]
        first = _ROW_SIZE * number
        moved = [
            r._replace(offset=r.offset - _ROW_SIZE) if r.offset > first else r for r in records
        ]
        relocations = self._relocations_of(index)
        return [
            Patch(table.offset, content[:first] + content[first + _ROW_SIZE :]),
            Patch(
                self._elf[relocations].offset, b"".join(self._packed(record) for record in moved)
            ),
            self._with_size(index, table.size - _ROW_SIZE),
            self._with_size(relocations, len(moved) * _RELA.size),
        ]

    def _with_size(self, index: int, size: int) -> Patch:
        """The header of an ELF section with another size."""
        (table,) = struct.unpack_from("<Q", self.data, _SECTION_TABLE)
        place = table + index * _SECTION_HEADER_SIZE + _SIZE_FIELD
        return Patch(place, size.to_bytes(8, "little"))

    # -- reading the two formats

    @cached_property
    def _elf(self) -> tuple[ElfSection, ...]:
        return elf_sections(self.data)

    def _elf_section(self, name: str) -> tuple[int, ElfSection]:
        return next((i, one) for i, one in enumerate(self._elf) if one.name == name)

    def _relocations_of(self, index: int) -> int:
        """The section with the relocations of a section, both by number."""
        return next(
            i for i, one in enumerate(self._elf) if one.type == _RELA_TYPE and one.info == index
        )

    def _start(self, section: str) -> int:
        """Where the content of a section begins."""
        if not self.is_coff:
            return self._elf_section(section)[1].offset
        return next(s.offset for s in coff_tables(self.data).sections if s.name == section)

    def _records(self, section: str) -> Iterator[Record]:
        return self._coff_records(section) if self.is_coff else self._elf_records(section)

    def _elf_records(self, section: str) -> Iterator[Record]:
        index, header = self._elf_section(section)
        found = [s for s in self._elf if s.type == _RELA_TYPE and s.info == index]
        for place in (p for s in found for p in range(s.offset, s.offset + s.size, _RELA.size)):
            offset, kind, symbol, addend = _RELA.unpack_from(self.data, place)
            yield Record(place, header.offset + offset, offset, kind, symbol, addend)

    def _coff_records(self, section: str) -> Iterator[Record]:
        header = next(s for s in coff_tables(self.data).sections if s.name == section)
        for number in range(header.relocation_count):
            place = header.relocations + number * _COFF_RELOCATION.size
            offset, symbol, kind = _COFF_RELOCATION.unpack_from(self.data, place)
            field = header.offset + offset
            content = self.data[field : field + _FIELD_SIZE]
            addend = int.from_bytes(content, "little", signed=True)
            yield Record(place, field, offset, kind, symbol, addend)

    def _elf_symbols(self) -> Iterator[tuple[int, str]]:
        table = next(section for section in self._elf if section.type == _SYMTAB)
        names = self._elf[table.link]
        content = self.data[table.offset : table.offset + table.size]
        for number, row in enumerate(_SYMBOL.iter_unpack(content)):
            name, section = names.offset + row[0], row[3]
            text = self.data[name : self.data.index(b"\0", name)].decode()
            if not text and 0 < section < len(self._elf):
                text = self._elf[section].name
            if text:
                yield number, text

    def _coff_symbols(self) -> Iterator[tuple[int, str]]:
        tables, number = coff_tables(self.data), 0
        rows = list(COFF_SYMBOL.iter_unpack(tables.symbols))
        while number < len(rows):
            name, *_, auxiliary = rows[number]
            strings, place = name, 0
            if name[:4] == bytes(4):
                strings, place = tables.strings, int.from_bytes(name[4:], "little")
            yield number, strings[place:].split(b"\0")[0].decode()
            number += 1 + auxiliary
