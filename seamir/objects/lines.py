"""The line table of an object: DWARF, which pyelftools decodes once lines are asked for."""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import cached_property
from io import BytesIO

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
from elftools.dwarf.lineprogram import LineProgram

from seamir.objects.contents import LineEntry, ObjectError

_DEBUG_SECTIONS = (
    *("info", "aranges", "abbrev", "frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames"),
    *("addr", "str_offsets", "line_str", "loclists", "rnglists", "sup", "types"),
)
_DWARF_FAILURES = (
    *(ELFError, DWARFError, ConstructError, LookupError, AttributeError, TypeError, ValueError),
    *(struct.error, AssertionError, ArithmeticError, NotImplementedError, RecursionError),
)


class Lines:
    """The rows of .debug_line by index of the text section they describe.

    Every text section of a relocatable object starts at address 0, so the debug sections are to
    be relocated as if section n were loaded at n << 32; a row's address then tells its section.
    `relocated` gives a section so by its name, None if there is none.
    """

    def __init__(self, relocated: Callable[[str], bytes | None]) -> None:
        self._relocated = relocated

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
        data = self._relocated(name)
        if data is None:
            return None
        return DebugSectionDescriptor(BytesIO(data), name, None, len(data), 0)


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
