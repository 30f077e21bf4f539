"""What an object has in it, whichever format it was read from: elf.py and coff.py return this."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property


class ObjectError(ValueError):
    """The bytes are not a well-formed x86-64 relocatable object, or not a readable one."""


@dataclass(frozen=True)
class Relocation:
    """A relocation; `offset` in bytes from the start of the function or section that holds it.

    `addend` counts from the relocated field, as ELF has it, also for COFF, whose own count of
    relative ones starts behind the field. A relocation against a section symbol names the section.
    """

    offset: int
    kind: str
    symbol: str
    addend: int


@dataclass(frozen=True)
class Section:
    """A section with content; `data` is empty for one without bytes in the file (.bss).

    `alignment` is in bytes, `flags` is sh_flags in ELF and Characteristics in COFF. A section that
    is not `loaded` is for linkers and debuggers; one that is not `writable` keeps its bytes, and
    only what is `executable` may be run.
    """

    name: str
    data: bytes
    alignment: int
    flags: int
    loaded: bool
    writable: bool
    executable: bool
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
class FixupRow:
    """A row of a fixup table, which may lead from one function into another.

    A fault at `start` goes on at `target`: each is a section and bytes from its start.
    """

    start: tuple[str, int]
    target: tuple[str, int]
    kind: int


@dataclass(frozen=True)
class Function:
    """A function symbol and its code; `offset` in bytes from the start of its section.

    `type_id` is the 32-bit id of its C type that stands before it, None without one.
    """

    name: str
    section: str
    offset: int
    code: bytes
    relocations: tuple[Relocation, ...]
    line_source: Callable[[], tuple[LineEntry, ...]] = field(
        default=tuple, repr=False, compare=False
    )
    type_id: int | None = None

    @cached_property
    def lines(self) -> tuple[LineEntry, ...]:
        """The source lines by ascending offset, read at the first use; ObjectError if damaged."""
        return self.line_source()

    def holds(self, place: tuple[str, int]) -> bool:
        """Whether the function has the byte at a place, a section and an offset in it."""
        section, offset = place
        return section == self.section and 0 <= offset - self.offset < len(self.code)


@dataclass(frozen=True)
class ObjectFile:
    """What an object defines: functions by section and offset, undefined symbols by name.

    `other_symbols` are the names that it gives to anything but functions and sections.
    """

    sections: tuple[Section, ...]
    functions: tuple[Function, ...]
    undefined_symbols: tuple[str, ...]
    other_symbols: tuple[str, ...]
    fixup_source: Callable[[str], tuple[FixupRow, ...]] = field(repr=False, compare=False)

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def function(self, name: str) -> Function | None:
        """The first function of that name."""
        return next((function for function in self.functions if function.name == name), None)

    def fixup_rows(self, section_name: str) -> tuple[FixupRow, ...]:
        """The rows of the fixup tables of that name, in order; none if there is no such section.

        Raises ObjectError on a table that cannot be read.
        """
        return self.fixup_source(section_name)

    def fixups(self, section_name: str) -> tuple[FixupEntry, ...]:
        """The same rows by function; raises ObjectError if one is not within one function too."""
        entries = []
        for number, row in enumerate(self.fixup_rows(section_name)):
            function = next((one for one in self.functions if one.holds(row.start)), None)
            if function is None or not function.holds(row.target):
                raise ObjectError(f"row {number} of {section_name} is not within one function")
            offsets = row.start[1] - function.offset, row.target[1] - function.offset
            entries.append(FixupEntry(*offsets, function.name, row.kind))
        return tuple(entries)


def bytes_at(data: bytes, offset: int, size: int, what: str) -> bytes:
    """`size` bytes from `offset` on; raises ObjectError, naming `what`, if there are fewer."""
    if offset + size > len(data):
        raise ObjectError(f"{what} extends past the end of its container")
    return data[offset : offset + size]


def text_at(strings: bytes, offset: int, what: str) -> str:
    """The text that a zero byte ends; raises ObjectError, naming `what`, if it is none."""
    end = strings.find(b"\0", offset)
    if end < 0:
        raise ObjectError(f"the name of {what} is outside its string table")
    try:
        return strings[offset:end].decode()
    except UnicodeDecodeError:
        raise ObjectError(f"the name of {what} is not UTF-8") from None
