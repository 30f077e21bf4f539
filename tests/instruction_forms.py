"""Instructions on a processor (unicorn) and in the prover's model, on numbers: all must agree.

Compared are all registers, XMM0 to XMM15, memory, the direction flag, the status flags but those
that the manual leaves undefined, and where control goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random

from iced_x86 import Instruction, Mnemonic, OpKind
from instruction_encodings import (
    CODE,
    CODE_NAMES,
    CODE_SIZE,
    NO_ACCESS,
    PAGE,
    PAGE_SIZE,
    SLOT,
    STACK_USERS,
    STRINGS,
    WIDE,
    has_memory,
    place_in,
    place_operand,
    random_instruction,
    random_target,
)
from undefined_flags import undefined_flags

from seamir.emulate.processor import GENERAL, RFLAGS, RIP, RSP, VECTOR_SIZE, VECTORS, Processor
from seamir.model.registers import ALL_BITS
from seamir.verify.instructions import Flow, Stop, execute
from seamir.verify.state import State
from seamir.verify.terms import Term, Word

FLAG_BITS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "df": 10, "of": 11}
_ALWAYS_SET = 2  # bit 1 of RFLAGS
_FLAG_SETS = [
    dict(zip(FLAG_BITS, bits, strict=True)) for bits in product((0, 1), repeat=len(FLAG_BITS))
]
_STATES = 50  # of one encoding, at most
_INVALID_OPCODE = 6
_INTERESTING = (
    *(0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF),
    *(0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
)


class MisalignedError(Exception):
    """An address that the instruction wants aligned and is not."""


class PageMemory:
    """The page at PAGE; no other address may be read or written."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = bytearray(data)

    def read(self, _state: State, address: Word, size: int) -> Word:
        """The number there."""
        start = self._offset(address, size)
        return int.from_bytes(self.data[start : start + size], "little")

    def write(self, _state: State, address: Word, size: int, value: Word) -> None:
        """Puts a number there."""
        start = self._offset(address, size)
        assert isinstance(value, int)
        self.data[start : start + size] = value.to_bytes(size, "little")

    def require_aligned(self, address: Word, size: int) -> None:
        """Raises MisalignedError if the address is no multiple of the size."""
        assert isinstance(address, int)
        if address % size:
            raise MisalignedError

    def copy(self) -> PageMemory:
        """The same bytes."""
        return PageMemory(self.data)

    @staticmethod
    def _offset(address: Word, size: int) -> int:
        assert isinstance(address, int)
        start = address - PAGE
        assert 0 <= start <= PAGE_SIZE - size, hex(address)
        return start


@dataclass(frozen=True, slots=True)
class Vectors:
    """What XMM0 to XMM15 hold, as the processor takes it and as the model does."""

    data: list[bytes]
    numbers: dict[int, int]

    @staticmethod
    def random(random: Random) -> Vectors:
        """Anything."""
        data = [random.randbytes(VECTOR_SIZE) for _ in range(VECTORS)]
        return Vectors(data, {n: int.from_bytes(one, "little") for n, one in enumerate(data)})


@dataclass(frozen=True, slots=True)
class Content:
    """What a processor holds before an instruction; the registers in the order of GENERAL."""

    registers: list[int]
    flags: dict[str, int]
    vectors: Vectors
    memory: bytes  # of the page

    def state(self) -> State:
        """The same for the model."""
        return State(
            dict(zip(GENERAL, self.registers, strict=True)),
            dict(self.flags),
            dict(self.vectors.numbers),
            PageMemory(self.memory),
        )


class Contents:
    """Random contents in which one instruction can run."""

    def __init__(self, instruction: Instruction, random: Random) -> None:
        self._instruction, self._random = instruction, random
        self._numbers = [random.getrandbits(64) for _ in range(128)]
        self._numbers += random.choices(_INTERESTING, k=128)
        self._bytes = random.randbytes(2 * PAGE_SIZE)
        self._vectors = [Vectors.random(random) for _ in range(8)]
        self._uses_stack = instruction.mnemonic in STACK_USERS
        self._is_placed = has_memory(instruction) and instruction.mnemonic not in NO_ACCESS

    def content(self) -> Content:
        """One of them."""
        random, one = self._random, self._instruction
        registers = [self._numbers[index] for index in random.randbytes(len(GENERAL))]
        start = random.randrange(PAGE_SIZE)
        memory = bytearray(self._bytes[start : start + PAGE_SIZE])
        if self._uses_stack:
            registers[RSP] = PAGE + random.randrange(8, PAGE_SIZE - 8)
        if one.mnemonic == Mnemonic.LEAVE:
            registers[GENERAL.index("rbp")] = PAGE + random.randrange(PAGE_SIZE - 8)
        if one.mnemonic in STRINGS:
            registers[GENERAL.index("rdi")] = PAGE + random.randrange(512, PAGE_SIZE - 512)
            registers[GENERAL.index("rcx")] = random.randrange(32)
        if self._is_placed:
            for register, value in (place_operand(one, random) or {}).items():
                registers[WIDE.index(register)] = value
        self._set_target(registers, memory)
        flags, vectors = random.choice(_FLAG_SETS), random.choice(self._vectors)
        return Content(registers, flags, vectors, bytes(memory))

    def _set_target(self, registers: list[int], memory: bytearray) -> None:
        """Puts an address of code where the instruction takes its target from."""
        one = self._instruction
        if one.mnemonic not in (Mnemonic.RET, Mnemonic.JMP, Mnemonic.CALL):
            return
        target = random_target(self._random)
        if one.mnemonic == Mnemonic.RET:
            address = registers[RSP]
        elif one.op0_kind == OpKind.REGISTER:
            registers[WIDE.index(one.op0_register)] = target
            return
        elif one.op0_kind == OpKind.MEMORY:
            address = address_of(one, registers)
        else:
            return
        memory[address - PAGE : address - PAGE + 8] = target.to_bytes(8, "little")


def address_of(instruction: Instruction, registers: Sequence[int]) -> int:
    """The address of the operand in memory."""
    address: int = instruction.memory_displacement  # RIP is added to it already
    for register, scale in (
        (instruction.memory_base, 1),
        (instruction.memory_index, instruction.memory_index_scale),
    ):
        if register in WIDE:
            address += scale * registers[WIDE.index(register)]
    return address & ALL_BITS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is there after an instruction; `target` is where control goes."""

    registers: list[int]
    flags: int
    vectors: list[bytes]
    memory: bytes
    target: int | Stop


class Bench:
    """A unicorn processor that runs single instructions, each at a place of its own."""

    def __init__(self) -> None:
        self._stopped: Stop | None = None
        self._next = CODE + CODE_SIZE
        self._processor = _fresh_processor(self)

    def place(self, random: Random) -> int:
        """Where the next instruction is to be."""
        if self._next + 3 * SLOT > CODE + CODE_SIZE:
            self._next, self._processor = CODE, _fresh_processor(self)
        self._next += SLOT
        return place_in(self._next, random)

    def load(self, place: int, data: bytes) -> None:
        """Puts an instruction there."""
        self._processor.write_memory(place, data)

    def stop(self, vector: int) -> None:
        """The instruction raised that exception."""
        self._stopped = Stop(vector)
        self._processor.stop()

    def run(self, instruction: Instruction, before: Content) -> Outcome:
        """Executes that instruction, which is loaded."""
        place = instruction.ip
        until, limit = (instruction.next_ip, 0) if instruction.has_rep_prefix else (0, 1)
        processor, self._stopped = self._processor, None
        flags = _ALWAYS_SET | sum(before.flags[name] << bit for name, bit in FLAG_BITS.items())
        processor.write_registers([*before.registers, place, flags])
        processor.write_vectors(before.vectors.data)
        processor.write_memory(PAGE, before.memory)
        problem = processor.run(place, until, limit)
        assert problem is None, problem
        values = processor.read_registers()
        return Outcome(
            values[: len(GENERAL)],
            values[RFLAGS],
            processor.read_vectors(),
            processor.read_memory(PAGE, PAGE_SIZE),
            self._stopped or values[RIP],
        )


class _ReadableProcessor(Processor):
    def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))


def _fresh_processor(bench: Bench) -> _ReadableProcessor:
    processor = _ReadableProcessor()
    processor.map(CODE, b"\xc3" * CODE_SIZE, executable=True)  # ret: nothing is read on from there
    processor.map(PAGE, bytes(PAGE_SIZE))
    processor.on_interrupt(bench.stop)
    processor.on_invalid(lambda: bench.stop(_INVALID_OPCODE))
    return processor


def target_of(flow: Flow, instruction: Instruction) -> int | Stop:
    """Where control goes, of what the model says on numbers."""
    if isinstance(flow, Stop):
        return flow
    if flow is None or not flow.condition:
        return int(instruction.next_ip)
    assert isinstance(flow.target, int) and isinstance(flow.condition, int)
    return flow.target


def differences(
    instruction: Instruction, before: Content, state: State, flow: Flow, actual: Outcome
) -> Iterator[str]:
    """What differs between the model's state after the instruction and the processor's."""
    if list(state.registers.values()) != actual.registers:
        for name, value in zip(GENERAL, actual.registers, strict=True):
            if state.registers[name] != value:
                yield f"{name} is {state.registers[name]:#x}, on the processor {value:#x}"
    undefined = {name for name, value in state.flags.items() if isinstance(value, Term)}
    expected = _undefined(instruction, before)
    if undefined != expected:
        yield f"undefined is {sorted(undefined)}, in the manual {sorted(expected)}"
    for name, bit in FLAG_BITS.items():
        if name not in undefined and state.flags[name] != actual.flags >> bit & 1:
            yield f"{name} is {state.flags[name]}, not so on the processor"
    if state.vectors != before.vectors.numbers or actual.vectors != before.vectors.data:
        for number, data in enumerate(actual.vectors):
            if state.vectors[number] != int.from_bytes(data, "little"):
                yield f"xmm{number} is {state.vectors[number]:#x}, on the processor {data.hex()}"
    assert isinstance(state.memory, PageMemory)
    if state.memory.data != actual.memory:
        pairs = enumerate(zip(state.memory.data, actual.memory, strict=True))
        first = next(at for at, (one, other) in pairs if one != other)
        yield f"memory differs from {PAGE + first:#x} on"
    target = target_of(flow, instruction)
    if target != actual.target:
        yield f"control goes to {target}, on the processor to {actual.target}"


def _undefined(instruction: Instruction, before: Content) -> set[str]:
    last, count = instruction.op_count - 1, 0
    if last > 0 and instruction.op_kind(last) == OpKind.IMMEDIATE8:
        count = instruction.immediate(last)
    elif last > 0 and instruction.op_kind(last) == OpKind.REGISTER:
        count = before.registers[GENERAL.index("rcx")] & 0xFF  # of a shift: no other register
    return undefined_flags(instruction, count)


@dataclass
class FormResult:
    """What came of one form."""

    name: str
    states: int = 0
    encodings: int = 0
    differences: list[str] = field(default_factory=list)


def compare_form(bench: Bench, code: int, states: int, seed: int) -> FormResult:
    """Runs random instructions of a form from that many random states."""
    result = FormResult(CODE_NAMES[code])
    random = Random(f"{seed} {result.name}")
    per_encoding = max(1, min(_STATES, states // 20))
    while result.states < states:
        instruction, data = random_instruction(code, bench.place(random), random)
        count = min(per_encoding, states - result.states)
        result.encodings += 1
        result.states += count
        result.differences += compare_instruction(bench, instruction, data, count, random)
    return result


def compare_instruction(
    bench: Bench, instruction: Instruction, data: bytes, states: int, random: Random
) -> Iterator[str]:
    """What differs with one instruction, run from that many random states."""
    bench.load(instruction.ip, data)
    contents = Contents(instruction, random)
    for _ in range(states):
        before = contents.content()
        state = before.state()
        flow = execute(instruction, state)
        actual = bench.run(instruction, before)
        for one in differences(instruction, before, state, flow, actual):
            yield f"{instruction} ({data.hex()}): {one}, before {before.registers}"
