"""Why a mutant of an object does the same as the object, in words, as far as that can be derived.

What changed is executed on random states beside what was there before, and what differs then must
be a register or flag that nobody reads any more. Who says that a mutant does the same is a prover;
this only makes a reader see why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from code_mutants import Mutant
from iced_x86 import Decoder, FlowControl, Instruction, Mnemonic, Register
from machine_code import Code
from object_places import Places

from seamir.emulate.image import INT3, PAGE
from seamir.emulate.junk import Junk
from seamir.emulate.processor import GENERAL, RFLAGS, RIP, Processor
from seamir.ir.leaf import Returns
from seamir.model.registers import ALL_BITS
from seamir.objects.disassembly import branch_target

NEVER_EXECUTED = "never executed"
SAME_EFFECT = "the same effect in every state"
NOT_READ = "nobody reads the registers and flags that differ"
NO_VECTOR = "the edge does not read the vector"
OTHER_WAY = "another way to the same code"
DISJOINT = "no bit is 1 in both operands there"
OTHER = "the same for all values that occur there"
_SUMS = frozenset({Mnemonic.ADD, Mnemonic.OR, Mnemonic.XOR})
_STATES = 500
_CODE_START, _DATA_START = 0x1000, 0x7FFF_0000_0000  # far above 4 GiB, as addresses are
_DATA_SIZE = 16 * PAGE
_FLAGS = {"CF": 1 << 0, "PF": 1 << 2, "AF": 1 << 4, "ZF": 1 << 6, "SF": 1 << 7, "OF": 1 << 11}
_ICED_FLAGS = {"OF": 1, "SF": 2, "ZF": 4, "AF": 8, "CF": 16, "PF": 32}  # iced_x86.RflagsBits


def reason(mutant: Mutant) -> str:
    """Why a mutant that was proved does the same as its object."""
    code = _code(mutant, mutant.original)
    if mutant.kind == "row's type changed":
        row = next(row for row in code.fixups if row.from_offset == mutant.edit.offset)
        return OTHER if _is_read(code, row.to_offset, "rax") else NO_VECTOR
    changed = _code(mutant, mutant.data)
    if changed.function.code == code.function.code:
        return OTHER
    start, end = _region(code.function.code, changed.function.code)
    if not any(start <= offset < end for offset in _reached(code)):
        return NEVER_EXECUTED
    before, after = code.function.code[start:end], changed.function.code[start:end]
    if mutant.kind == "branch target moved":
        targets = [branch_target(Decoder(64, c, ip=start).decode(), ()) for c in (before, after)]
        start, end = sorted(target for target in targets if target is not None)
        before, after = code.function.code[start:end], b""
    if not (_is_straight(before) and _is_straight(after)):
        return OTHER_WAY
    found = differing(before, after)
    if not found:
        return SAME_EFFECT
    if "memory" in found or any(_is_read(code, end, name) for name in found):
        return DISJOINT if _are_sums(before, after) else OTHER
    return NOT_READ


def _code(mutant: Mutant, data: bytes) -> Code:
    places = Places(data, mutant.target)
    function = places.contents.function(mutant.plan.symbol)
    assert function is not None
    rows = places.contents.fixups(mutant.target.fixup_section)
    own = tuple(row for row in rows if row.function == function.name)
    return Code(mutant.plan, function, own, mutant.target.convention)


def _region(before: bytes, after: bytes) -> tuple[int, int]:
    """The first instruction that differs, and the first from which on both are the same."""
    starts = [{one.ip for one in Decoder(64, code)} | {len(code)} for code in (before, after)]
    common = sorted(starts[0] & starts[1])
    differing = [place for place in range(len(before)) if before[place] != after[place]]
    first = max(offset for offset in common if offset <= differing[0])
    return first, min(offset for offset in common if offset > differing[-1])


def _is_straight(code: bytes) -> bool:
    """Whether instructions follow one another to the end, and none is for the other side."""
    known = {FlowControl.NEXT}
    return all(one.flow_control in known and not one.is_privileged for one in Decoder(64, code))


def _are_sums(*codes: bytes) -> bool:
    """Whether all are operations that are one where no bit is 1 in both operands."""
    return all(Decoder(64, code).decode().mnemonic in _SUMS for code in codes)


# -- what is read later


def _reached(code: Code) -> set[int]:
    instructions, waiting, found = code.instructions(), [0], set[int]()
    while waiting:
        offset = waiting.pop()
        if offset not in found and offset in instructions:
            found.add(offset)
            waiting += code.successors(instructions[offset])
    return found


def _is_read(code: Code, offset: int, name: str) -> bool:
    """Whether a register or flag may be used, here or by the caller, before it is written."""
    instructions, waiting, seen = code.instructions(), [offset], set[int]()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        one = instructions.get(place)
        if one is None or name in _used(code, one):
            return True
        if name not in _set(code, one):
            waiting += code.successors(one)
    return False


def _used(code: Code, one: Instruction) -> set[str]:
    flags = {name for name, bit in _ICED_FLAGS.items() if one.rflags_read & bit}
    return code.read(one) | flags | (_returned(code) if code.returns(one) else set())


def _set(code: Code, one: Instruction) -> set[str]:
    if one.ip == code.call():
        return code.written(one) | set(_FLAGS)
    return code.written(one) | {n for n, bit in _ICED_FLAGS.items() if one.rflags_modified & bit}


def _returned(code: Code) -> set[str]:
    """The registers whose value counts at return; of scrubbed ones only where it came from."""
    pair = {"rdx"} if code.plan.returns is Returns.STATUS_AND_VALUE else set()
    return {*code.convention.preserved, "rax"} | pair


# -- execution on random states


@dataclass
class _Bench:
    """A processor for single instructions; `writes` has what they wrote, by address."""

    processor: Processor
    writes: dict[int, int]


def differing(before: bytes, after: bytes) -> set[str]:
    """The registers, flags and "memory" that two pieces of code leave different in some state."""
    random, found = Random(before + after), set[str]()
    addresses = {*_bases(before), *_bases(after), "rsp"}
    benches = [_bench(before), _bench(after)]
    for _ in range(_STATES):
        state = _state(random)
        for name in addresses:
            state[GENERAL.index(name)] = _DATA_START + random.randrange(1, 15) * PAGE
        flags = 0x202 | sum(bit for bit in _FLAGS.values() if random.random() < 0.5)
        ends = [
            _run(bench, code, [*state, _CODE_START, flags])
            for bench, code in zip(benches, (before, after), strict=True)
        ]
        found |= set(_unequal(*ends))
    return found


def _state(random: Random) -> list[int]:
    """Values of the registers; some depend on others, so that comparisons have both results."""
    found = [random.getrandbits(64)]
    for _ in GENERAL[1:]:
        other = random.choice(found)
        values = (random.getrandbits(64), 0, random.randrange(32), other, ~other + 1, other >> 32)
        found.append(random.choice(values) & ALL_BITS)
    return random.sample(found, len(found))


def _bases(code: bytes) -> Iterator[str]:
    names = {getattr(Register, name.upper()): name for name in GENERAL}
    for one in Decoder(64, code):
        yield from (names[r] for r in (one.memory_base, one.memory_index) if r in names)


def _bench(code: bytes) -> _Bench:
    bench = _Bench(Processor(), {})

    def at_access(is_write: bool, address: int, size: int, value: int) -> None:
        if is_write:
            content = value.to_bytes(size, "little")
            bench.writes.update((address + index, byte) for index, byte in enumerate(content))

    bench.processor.map(_CODE_START, code.ljust(PAGE, INT3), executable=True)
    bench.processor.map(_DATA_START, bytes(_DATA_SIZE))
    bench.processor.on_access(_DATA_START, _DATA_START + _DATA_SIZE - 1, at_access)
    return bench


def _run(bench: _Bench, code: bytes, state: list[int]) -> tuple[list[int], dict[int, int]]:
    """The registers at the end, and what was written where."""
    bench.processor.write_memory(_DATA_START, Junk(state[0]).bytes(_DATA_SIZE))
    bench.processor.write_registers(state)
    bench.writes.clear()
    problem = bench.processor.run(_CODE_START, _CODE_START + len(code), len(code)) if code else None
    end = bench.processor.read_registers()
    if problem is not None:
        end[RIP] = 0
    return end, dict(bench.writes)


def _unequal(
    first: tuple[list[int], dict[int, int]], second: tuple[list[int], dict[int, int]]
) -> Iterator[str]:
    if first[1] != second[1] or 0 in (first[0][RIP], second[0][RIP]):
        yield "memory"
    for index, name in enumerate(GENERAL):
        if first[0][index] != second[0][index]:
            yield name
    flags = first[0][RFLAGS] ^ second[0][RFLAGS]
    yield from (name for name, bit in _FLAGS.items() if flags & bit)
