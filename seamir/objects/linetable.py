"""Gives every instruction a line: mends the line table of an object in place.

LLVM gives line 0 to what it puts at the beginning of a block for no single line, such as a
constant or a value that comes back from the stack. Here it gets the line of what follows it in
the function, at the end of a function that of what precedes it. The table only gets shorter by
that, so what is left over is filled up and no other byte of the object changes.

DWARF 5, section 6.2.5, has the opcodes of a line program.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from seamir.objects.sections import section_place

_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN, _NEGATE_STMT = 1, 2, 3, 4, 5, 6
_SET_BASIC_BLOCK, _CONST_ADD_PC, _PROLOGUE_END, _EPILOGUE_BEGIN = 7, 8, 10, 11
_END_SEQUENCE = b"\x00\x01\x01"


@dataclass(slots=True)
class _Row:
    """A row: what it adds to line and address of the one before, and all else that it sets.

    `lasting` are the opcodes of `settings` that hold beyond the row; others do nothing there.
    """

    settings: bytes
    lasting: bytes
    begins_function: bool
    line: int  # of the row itself
    line_advance: int
    address_advance: int


@dataclass(frozen=True, slots=True)
class _Encoding:
    """The parameters of a unit's special opcodes."""

    line_base: int
    line_range: int
    opcode_base: int

    @property
    def constant_advance(self) -> int:
        """What DW_LNS_const_add_pc adds to the address."""
        return (255 - self.opcode_base) // self.line_range


def place_all(data: bytes) -> bytes:
    """The object with a line for every instruction; one without line table as it is.

    Raises ValueError if it is no object, or has a table that LLVM would not make.
    """
    start, end = section_place(data, ".debug_line")
    result = bytearray(data)
    while start < end:
        (length,) = struct.unpack_from("<I", data, start)
        _place_unit(result, start, start + 4 + length)
        start += 4 + length
    return bytes(result)


# -- one unit


def _place_unit(data: bytearray, start: int, end: int) -> None:
    version, header_length = struct.unpack_from("<H2xI", data, start + 4)
    if version != 5:
        raise ValueError(f"a line table of DWARF {version}")
    base, span, first = struct.unpack_from("<bBB", data, start + 15)
    encoding = _Encoding(base, span, first)
    place = start + 12 + header_length
    while place < end:
        place = _place_sequence(data, place, encoding)


def _place_sequence(data: bytearray, start: int, encoding: _Encoding) -> int:
    """Mends one sequence, which begins at byte `start`, and returns where the next one does."""
    reader = _Reader(data, start, encoding)
    reader.read()
    end = reader.end
    if all(row.line for row in reader.rows):
        return end
    kept, moved = _without_line_0(reader.rows)
    code = b"".join(_encode(row, encoding) for row in kept)
    code += _advance(reader.rest + moved)
    room = end - start - len(code) - len(_END_SEQUENCE)
    if room < 0:
        raise ValueError("a line table has grown")
    # Opcodes that say nothing about any row.
    data[start:end] = code + bytes([_SET_BASIC_BLOCK]) * room + _END_SEQUENCE
    return end


def _without_line_0(rows: list[_Row]) -> tuple[list[_Row], int]:
    """The rows that have a line; also by how much the last one ends later."""
    kept: list[_Row] = []
    pending: _Row | None = None  # of line 0, or what such rows came to
    moved = 0  # by how much the address lies before that of the row to come
    for row in rows:
        row.address_advance, moved = row.address_advance + moved, 0
        if pending is not None:
            row.settings = pending.lasting + row.settings
            row.lasting = pending.lasting + row.lasting
            row.line_advance += pending.line_advance
            if row.begins_function:
                row.address_advance += pending.address_advance
            else:
                row.address_advance, moved = pending.address_advance, row.address_advance
        pending = None if row.line else row
        if row.line:
            kept.append(row)
    return kept, moved + (pending.address_advance if pending is not None else 0)


# -- opcodes


class _Reader:
    """Reads the rows of one sequence; `end` is where it ends, `rest` the advance to there."""

    def __init__(self, data: bytearray, start: int, encoding: _Encoding) -> None:
        self._data, self.end, self._encoding = data, start, encoding
        self.rows: list[_Row] = []
        self._column, self._line, self._line_before = 0, 1, 1
        self._begin_row()

    def _begin_row(self) -> None:
        self.rest = 0
        self._settings, self._lasting = bytearray(), bytearray()
        self._line_before, self._is_body = self._line, False

    def read(self) -> None:
        """Reads them all."""
        while not self._data.startswith(_END_SEQUENCE, self.end):
            begin, opcode = self.end, self._data[self.end]
            self.end += 1
            if opcode >= self._encoding.opcode_base:
                self._add_special(opcode)
            elif opcode == _COPY:
                self._add_row()
            elif opcode in (_ADVANCE_PC, _CONST_ADD_PC, _ADVANCE_LINE):
                self._add_advance(opcode)
            else:
                self._add_setting(opcode, begin)
        self.end += len(_END_SEQUENCE)

    def _add_special(self, opcode: int) -> None:
        steps, more = divmod(opcode - self._encoding.opcode_base, self._encoding.line_range)
        self.rest += steps
        self._line += self._encoding.line_base + more
        self._add_row()

    def _add_row(self) -> None:
        # The row of a function's entry has no column, unless it is where the body begins.
        entry = self._line != 0 and (self._column == 0 or self._is_body)
        settings, lasting = bytes(self._settings), bytes(self._lasting)
        advance = self._line - self._line_before
        self.rows.append(_Row(settings, lasting, entry, self._line, advance, self.rest))
        self._begin_row()

    def _add_advance(self, opcode: int) -> None:
        if opcode == _CONST_ADD_PC:
            self.rest += self._encoding.constant_advance
        elif opcode == _ADVANCE_PC:
            steps, self.end = _unsigned(self._data, self.end)
            self.rest += steps
        else:
            more, self.end = _signed(self._data, self.end)
            self._line += more

    def _add_setting(self, opcode: int, begin: int) -> None:
        if opcode in (_PROLOGUE_END, _EPILOGUE_BEGIN):
            self._is_body |= opcode == _PROLOGUE_END
            self._settings.append(opcode)
            self._lasting.append(_SET_BASIC_BLOCK)  # as long: the address stays in its place
            return
        if opcode == 0:  # an address
            length, self.end = _unsigned(self._data, self.end)
            self.end += length
        elif opcode in (_SET_FILE, _SET_COLUMN):
            value, self.end = _unsigned(self._data, self.end)
            self._column = value if opcode == _SET_COLUMN else self._column
        elif opcode not in (_NEGATE_STMT, _SET_BASIC_BLOCK):
            raise ValueError(f"opcode {opcode} in a line table")
        self._settings += self._data[begin : self.end]
        self._lasting += self._data[begin : self.end]


def _encode(row: _Row, encoding: _Encoding) -> bytes:
    """The opcodes that make a row, no more than LLVM needs for it."""
    code = bytearray(row.settings)
    line, address = row.line_advance, row.address_advance
    if not 0 <= line - encoding.line_base < encoding.line_range:
        code.append(_ADVANCE_LINE)
        code += _signed_bytes(line)
        line = 0
        if address == 0:
            return bytes([*code, _COPY])
    elif line == 0 and address == 0:
        return bytes([*code, _COPY])
    special = line - encoding.line_base + encoding.opcode_base
    most = (255 - special) // encoding.line_range
    if address <= most:
        return bytes([*code, special + address * encoding.line_range])
    rest = address - encoding.constant_advance
    if 0 <= rest <= most:
        return bytes([*code, _CONST_ADD_PC, special + rest * encoding.line_range])
    last = _COPY if line == 0 else special
    return bytes([*code, *_advance(address), last])


def _advance(address: int) -> bytes:
    """The opcode that advances the address, none for 0."""
    return b"" if address == 0 else bytes([_ADVANCE_PC]) + _unsigned_bytes(address)


def _unsigned(data: bytearray, place: int) -> tuple[int, int]:
    """A number in ULEB128, and the byte after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            return value, place


def _signed(data: bytearray, place: int) -> tuple[int, int]:
    """A number in SLEB128, and the byte after it."""
    value, end = _unsigned(data, place)
    bits = 7 * (end - place)
    return value - (1 << bits) if value >> (bits - 1) else value, end


def _unsigned_bytes(value: int) -> bytes:
    code = bytearray()
    while value > 0x7F:
        code.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*code, value])


def _signed_bytes(value: int) -> bytes:
    code = bytearray()
    while not -0x40 <= value < 0x40:
        code.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*code, value & 0x7F])
