"""An instruction on symbols, whose values are put in afterwards: the same as on the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from iced_x86 import Instruction
from instruction_encodings import PAGE, PAGE_SIZE, STRINGS
from instruction_forms import Content, MisalignedError, PageMemory, target_of

from seamir.emulate.processor import GENERAL
from seamir.verify.evaluation import evaluate, symbols_of
from seamir.verify.instructions import Flow, Jump, execute
from seamir.verify.state import STATUS_FLAGS, VECTORS, State
from seamir.verify.terms import Term, Word, concat, extract, symbol

_NAME = "before"


@dataclass
class SymbolMemory:
    """The page with a symbol for each byte; an address is where its value leads.

    A byte that is read gets its place among the values.
    """

    content: bytes
    values: dict[str, int]
    written: dict[int, Word] = field(default_factory=dict)

    def read(self, _state: State, address: Word, size: int) -> Word:
        """The bytes there as one word."""
        start = self._offset(address, size)
        result = self.byte(start)
        for index in range(1, size):
            result = concat(self.byte(start + index), 8, result, 8 * index)
        return result

    def write(self, _state: State, address: Word, size: int, value: Word) -> None:
        """Puts a word there."""
        start = self._offset(address, size)
        for index in range(size):
            self.written[start + index] = extract(value, 8 * index, 8)

    def require_aligned(self, address: Word, size: int) -> None:
        """Raises MisalignedError if the address is no multiple of the size."""
        if evaluate(address, self.values) % size:
            raise MisalignedError

    def copy(self) -> SymbolMemory:
        """The same bytes."""
        return SymbolMemory(self.content, self.values, dict(self.written))

    def byte(self, offset: int) -> Word:
        """The byte at an offset in the page."""
        if offset in self.written:
            return self.written[offset]
        name = f"{_NAME}.byte{offset}"
        self.values[name] = self.content[offset]
        return symbol(name, 8)

    def _offset(self, address: Word, size: int) -> int:
        start = evaluate(address, self.values) - PAGE
        assert 0 <= start <= PAGE_SIZE - size, hex(start)
        return start


def _values_of(content: Content) -> dict[str, int]:
    """The values of the symbols that State.unknown uses."""
    state = content.state()
    named: dict[str, Word] = {
        **{name: state.registers[name] for name in GENERAL},
        **{name: state.flags[name] for name in STATUS_FLAGS},
        **{f"xmm{number}": state.vectors[number] for number in range(VECTORS)},
    }
    return {f"{_NAME}.{name}": evaluate(value, {}) for name, value in named.items()}


def symbolic_differences(instruction: Instruction, content: Content) -> Iterator[str]:
    """What differs between the instruction on numbers and on symbols with those values."""
    numbers, values = content.state(), _values_of(content)
    symbols = State.unknown(_NAME, SymbolMemory(content.memory, values))
    symbols.flags["df"] = numbers.flags["df"]
    if instruction.mnemonic in STRINGS:  # the model wants to know how often
        symbols.registers["rcx"] = numbers.registers["rcx"]
    expected, flow = execute(instruction, numbers), execute(instruction, symbols)
    for name, word in symbols.registers.items():
        if evaluate(word, values) != numbers.registers[name]:
            yield f"{name} is {word}"
    for number, word in symbols.vectors.items():
        if evaluate(word, values) != numbers.vectors[number]:
            yield f"xmm{number} is {word}"
    for name, word in symbols.flags.items():
        both = {evaluate(word, {**values, **undefined}) for undefined in _undefined(word)}
        flag = numbers.flags[name]
        if both != ({0, 1} if isinstance(flag, Term) else {flag}):
            yield f"{name} is {word}, on numbers {flag}"
    assert isinstance(numbers.memory, PageMemory) and isinstance(symbols.memory, SymbolMemory)
    data = bytearray(content.memory)
    for offset, word in symbols.memory.written.items():
        data[offset] = evaluate(word, values)
    if data != numbers.memory.data:
        yield f"memory has {symbols.memory.written}"
    if target_of(_evaluated(flow, values), instruction) != target_of(expected, instruction):
        yield f"control goes to {flow}, on numbers {expected}"


def _undefined(word: Word) -> Iterator[Mapping[str, int]]:
    """All zeros, and all ones, for what the manual leaves undefined in a flag."""
    names = [one.name for one in symbols_of(word) if "undefined" in one.name]
    yield from (dict.fromkeys(names, bit) for bit in (0, 1))


def _evaluated(flow: Flow, values: Mapping[str, int]) -> Flow:
    if not isinstance(flow, Jump):
        return flow
    return Jump(evaluate(flow.target, values), evaluate(flow.condition, values))
