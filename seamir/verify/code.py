"""The machine code of one function, where it lies once its object is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

from iced_x86 import Decoder, Instruction

from seamir.emulate.image import RET, Image, lay_out
from seamir.objects.contents import Function, ObjectError, ObjectFile
from seamir.objects.disassembly import instruction_text
from seamir.objects.reading import read_object
from seamir.targets import Target

_LONGEST = 15  # bytes of an instruction


@dataclass(frozen=True)
class LaidOut:
    """An object laid out: its bytes, what is in it, and where that lies."""

    data: bytes
    contents: ObjectFile
    image: Image

    @staticmethod
    def of(data: bytes, target: Target) -> LaidOut:
        """Lays an object out; raises ObjectError or LinkError if it cannot be."""
        contents = read_object(data)
        return LaidOut(data, contents, lay_out(contents, target))


@dataclass
class Code:
    """A function of an object that is laid out.

    `start` is its address.
    """

    function: Function
    image: Image
    start: int
    _decoded: dict[int, Instruction | None] = field(default_factory=dict)

    @staticmethod
    def of(laid_out: LaidOut, symbol: str) -> Code | None:
        """The code of a function; None if the object has none of that name, or several."""
        function = laid_out.contents.function(symbol)
        if function is None or symbol not in laid_out.image.functions:
            return None
        return Code(function, laid_out.image, laid_out.image.functions[symbol])

    def at(self, address: int) -> Instruction | None:
        """The instruction at an address; None if there is none."""
        if address not in self._decoded:
            self._decoded[address] = self._decode(address)
        return self._decoded[address]

    def text(self, address: int) -> str | None:
        """The instruction at an address in words, with symbols as its object has them.

        None if there is none.
        """
        instruction = self.at(address)
        if instruction is None:
            return None
        offset = self.offset(address)
        return str(instruction) if offset is None else instruction_text(self.function, offset)

    def _decode(self, address: int) -> Instruction | None:
        data = self.image.bytes_at(address, min(_LONGEST, self._code_from(address)))
        if not data:
            return None
        instruction = Decoder(64, data, ip=address).decode()
        return None if instruction.is_invalid else instruction

    def _code_from(self, address: int) -> int:
        """How many bytes of code there are from an address on, to the end of its section."""
        if address == self.image.return_thunk:
            return len(RET)
        return next((end - address for start, end in self.image.code if start <= address < end), 0)

    def starts(self, address: int, code: bytes) -> bool:
        """Whether these bytes of code begin at an address."""
        found = self.image.bytes_at(address, len(code))
        return found == code and len(code) <= self._code_from(address)

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
