"""The machine code of one function, where it lies once its object is laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iced_x86 import Decoder, Instruction

from seamir.emulate.image import Image, lay_out
from seamir.objects.contents import FixupEntry, Function, ObjectError, ObjectFile
from seamir.objects.reading import read_object
from seamir.targets import Target

_LONGEST = 15  # bytes of an instruction


@dataclass(frozen=True)
class LaidOut:
    """An object laid out: its bytes, what is in it, and the rows of its fixup table."""

    data: bytes
    contents: ObjectFile
    image: Image
    rows: tuple[FixupEntry, ...]

    @staticmethod
    def of(data: bytes, target: Target) -> LaidOut:
        """Lays an object out; raises ObjectError or LinkError if it cannot be."""
        contents = read_object(data)
        image = lay_out(contents, target)
        return LaidOut(data, contents, image, contents.fixups(target.fixup_section))


@dataclass
class Code:
    """A function of an object that is laid out.

    `start` is its address; `fixups` are the targets (address, type of the row) of each address
    that the fixup table names.
    """

    function: Function
    image: Image
    start: int
    fixups: Mapping[int, Sequence[tuple[int, int]]]
    _decoded: dict[int, Instruction | None] = field(default_factory=dict)

    @staticmethod
    def of(laid_out: LaidOut, symbol: str) -> Code | None:
        """The code of a function; None if the object has none of that name."""
        function = laid_out.contents.function(symbol)
        if function is None:
            return None
        functions = laid_out.image.functions
        fixups: dict[int, list[tuple[int, int]]] = {}
        for row in laid_out.rows:
            base = functions[row.function]
            target = base + row.to_offset, row.kind
            fixups.setdefault(base + row.from_offset, []).append(target)
        return Code(function, laid_out.image, functions[symbol], fixups)

    def at(self, address: int) -> Instruction | None:
        """The instruction at an address; None if there is none."""
        if address not in self._decoded:
            self._decoded[address] = self._decode(address)
        return self._decoded[address]

    def _decode(self, address: int) -> Instruction | None:
        data = self.image.bytes_at(address, _LONGEST)
        is_code = any(start <= address < end for start, end in self.image.constant)
        if not data or not (is_code or address in self.image.stubs or self._is_thunk(address)):
            return None
        instruction = Decoder(64, data, ip=address).decode()
        return None if instruction.is_invalid else instruction

    def _is_thunk(self, address: int) -> bool:
        return address == self.image.return_thunk

    def starts(self, address: int, code: bytes) -> bool:
        """Whether these bytes begin at an address."""
        return self.image.bytes_at(address, len(code)) == code

    @property
    def end(self) -> int:
        """The address behind the function's last byte."""
        return self.start + len(self.function.code)

    def offset(self, address: int) -> int | None:
        """Bytes from the function's start; None for an address outside it."""
        return address - self.start if self.start <= address < self.end else None

    def line(self, offset: int) -> tuple[str, int] | None:
        """File and line of the code at an offset, where the object names them."""
        try:
            lines = self.function.lines
        except ObjectError:  # damaged, or compressed: proofs do without
            return None
        found = [entry for entry in lines if entry.offset <= offset]
        return (found[-1].file, found[-1].line) if found and found[-1].line else None
