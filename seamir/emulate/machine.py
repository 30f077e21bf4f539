"""Runs the machine code of wrappers in unicorn against a scripted other side.

Takes the bytes of an object and its target; `Machine.call` calls one wrapper as C would and
returns everything that could be observed, as `interpreter.interpret` does for the plan. What the
other side may change it does change, with junk where the script says nothing, so that code which
trusts a destroyed register or flag is found out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seamir.emulate.image import PAGE, UD2, lay_out
from seamir.emulate.junk import Junk
from seamir.emulate.processor import (
    GENERAL,
    RAX,
    RDX,
    RFLAGS,
    RIP,
    RSP,
    VECTOR_SIZE,
    VECTORS,
    Processor,
)
from seamir.emulate.script import (
    Carry,
    Completed,
    Fault,
    OtherSide,
    Write,
    check_outcome,
)
from seamir.ir.leaf import Plan, Returns
from seamir.objects.reading import read_object
from seamir.targets import Target

DATA_START = 0x7E00_1000_0000  # the caller's memory, above 4 GiB; every region is within it
DATA_SIZE = 16 * PAGE  # bytes
_STACK_START = 0x7FF0_0000_0000
_STACK_SIZE = 16 * PAGE  # bytes
_ENTRY_RSP = _STACK_START + _STACK_SIZE - PAGE - 8  # as after a call: 8 below a multiple of 16
_INDEX = {name: index for index, name in enumerate(GENERAL)}
_RED_ZONE = 128  # bytes below RSP
_CARRY_FLAG, _DIRECTION_FLAG = 1 << 0, 1 << 10
_SLOT = 8  # bytes of a stack slot
_STATUS_FLAGS = 0x8D5  # CF, PF, AF, ZF, SF, OF
_FLAGS_AT_ENTRY = 0x202  # interrupts on, and the bit that is always 1
UNKNOWN_INSTRUCTION = "an unknown instruction"  # of unicorn's, which may know less than others
_INSTRUCTIONS_PER_ATTEMPT = 1000  # no wrapper comes near


@dataclass(frozen=True, slots=True)
class Execution:
    """What could be observed of one call; the fields that Run has too mean the same.

    `attempts` has all general-purpose registers but RSP at each execution of the instruction;
    `value` is all of RDX for a wrapper that returns an output. `problems` says what no wrapper
    may do: leave a register of the caller changed, reach for memory that it was not given, store
    before the last attempt is over, never end.
    """

    attempts: tuple[Mapping[str, int], ...]
    status: int | None = None
    value: int | None = None
    trapped: bool = False
    called: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    escaped_fault: int | None = None
    problems: tuple[str, ...] = ()


@dataclass
class _Call:
    """One call under way."""

    plan: Plan
    regions: Mapping[int, bytes]
    other_side: OtherSide
    junk: Junk
    caller_stack: int  # first address above the stack arguments
    without_return: frozenset[str]  # symbols whose call is the end
    attempts: list[dict[str, int]] = field(default_factory=list)
    writes: list[tuple[int, Write]] = field(default_factory=list)  # attempts made before it
    called: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trapped: bool = False
    escaped_fault: int | None = None
    stopped: bool = False


class Machine:
    """An object loaded into one processor, for any number of calls, one after the other.

    Raises SeamError if unicorn is missing, ObjectError or LinkError if the object cannot be
    loaded.
    """

    def __init__(self, data: bytes, target: Target) -> None:
        self._target = target
        self._convention = convention = target.convention
        self._preserved = [n for n in GENERAL if n in convention.preserved and n != "rsp"]
        self._scratch = [name for name in GENERAL if name not in convention.preserved]
        self._shadow_start = _ENTRY_RSP + _SLOT
        self._shadow_end = self._shadow_start + convention.shadow_bytes
        self._image = lay_out(read_object(data), target)
        self._processor = processor = Processor()
        self._call: _Call | None = None
        self._junk_vectors = "simd" in target.features
        processor.map(self._image.base, self._image.data, executable=True)
        processor.map(DATA_START, bytes(DATA_SIZE))
        processor.map(_STACK_START, Junk(0).bytes(_STACK_SIZE))
        processor.on_invalid(self._at_unknown_instruction)
        processor.on_interrupt(lambda vector: self._fail(f"exception {vector}"))
        processor.on_access(DATA_START, DATA_START + DATA_SIZE - 1, self._at_data)
        processor.on_access(_ENTRY_RSP, _STACK_START + _STACK_SIZE - 1, self._at_caller_stack)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The functions that can be called."""
        return tuple(self._image.functions)

    def call(
        self,
        plan: Plan,
        arguments: Mapping[str, int],
        regions: Mapping[int, bytes],
        other_side: OtherSide,
        *,
        seed: int = 0,
        registers: Mapping[str, int] | None = None,
    ) -> Execution:
        """Calls the wrapper of a plan by the calling convention of the target.

        `arguments` has the 64 bits of each argument's slot, `regions` the memory that pointers
        may lead to (address -> bytes, within DATA_START and DATA_SIZE). Registers that carry no
        argument hold junk made from `seed`, or what `registers` says. Raises ValueError if the
        script or the request makes no sense.
        """
        junk = Junk(seed)
        stack = self._prepare_memory(plan, arguments, regions)
        self._call = call = _Call(plan, regions, other_side, junk, stack, plan.calls_without_return)
        entry = self._entry_registers(plan, arguments, junk, registers or {})
        self._processor.write_registers(entry)
        vectors = [junk.bytes(VECTOR_SIZE) for _ in range(VECTORS)] if self._junk_vectors else []
        self._processor.write_vectors(vectors)
        limit = _INSTRUCTIONS_PER_ATTEMPT * (plan.bound + 1)
        failure = self._processor.run(entry[RIP], self._image.return_address, limit)
        final = self._processor.read_registers()
        if failure is not None:
            call.problems.append(f"{failure} at {self._place(final[RIP])}")
        elif not call.stopped and final[RIP] != self._image.return_address:
            call.problems.append(f"no end after {limit} instructions")
        elif not call.stopped:
            call.problems += self._changed_vectors(vectors)
            return self._returned(call, entry, final)
        return _execution(call, None, None)

    # -- entry and return

    def _prepare_memory(
        self, plan: Plan, arguments: Mapping[str, int], regions: Mapping[int, bytes]
    ) -> int:
        """Writes regions, return address and stack arguments; returns where those end."""
        for start, content in regions.items():
            if not DATA_START <= start <= start + len(content) <= DATA_START + DATA_SIZE:
                raise ValueError(f"region {start:#x} is not within the caller's memory")
            self._processor.write_memory(start, content)
        words = [arguments[a.name] for a in plan.arguments[len(self._convention.arguments) :]]
        stack = b"".join(word.to_bytes(_SLOT, "little") for word in words)
        return_address = self._image.return_address.to_bytes(_SLOT, "little")
        self._processor.write_memory(_ENTRY_RSP, return_address)
        self._processor.write_memory(self._shadow_end, stack)
        return self._shadow_end + len(stack)

    def _entry_registers(
        self,
        plan: Plan,
        arguments: Mapping[str, int],
        junk: Junk,
        chosen: Mapping[str, int],
    ) -> list[int]:
        if plan.symbol not in self._image.functions:
            raise ValueError(f"the object has no function {plan.symbol}")
        values = list(junk.words(len(GENERAL)))
        for name, value in chosen.items():
            values[_INDEX[name]] = value
        for register, argument in zip(self._convention.arguments, plan.arguments, strict=False):
            values[_INDEX[register]] = arguments[argument.name]
        values[RSP] = _ENTRY_RSP
        flags = _FLAGS_AT_ENTRY | junk.word() & _STATUS_FLAGS
        return [*values, self._image.functions[plan.symbol], flags]

    def _returned(self, call: _Call, entry: list[int], final: list[int]) -> Execution:
        for name in self._preserved:
            before, after = entry[_INDEX[name]], final[_INDEX[name]]
            if before != after:
                call.problems.append(f"{name} is {after:#x} at return and was {before:#x}")
        if final[RSP] != _ENTRY_RSP + 8:
            call.problems.append(f"rsp is off by {final[RSP] - _ENTRY_RSP - 8} bytes at return")
        if final[RFLAGS] & _DIRECTION_FLAG:
            call.problems.append("the direction flag is set at return")
        if call.plan.returns is Returns.NOTHING:
            call.problems.append("it returned and must not")
        returns = call.plan.returns
        if call.plan.scrub:
            call.problems += _unscrubbed(call, entry, final, self._scratch)
        status = None if returns in (Returns.VALUE, Returns.NO_STATUS) else final[RAX]
        value = {Returns.STATUS_AND_VALUE: final[RDX], Returns.VALUE: final[RAX]}.get(returns)
        return _execution(call, status, value)

    def _changed_vectors(self, before: Sequence[bytes]) -> list[str]:
        """The vector registers that a function preserves and that do not hold what they held."""
        numbers = self._convention.preserved_vectors if before else ()
        after = self._processor.read_vectors() if numbers else []
        return [
            f"xmm{number} is {after[number].hex()} at return and was {before[number].hex()}"
            for number in numbers
            if before[number] != after[number]
        ]

    # -- hooks

    def _current(self) -> _Call:
        if self._call is None:
            raise RuntimeError("a hook ran outside a call")
        return self._call

    def _at_unknown_instruction(self) -> None:
        call = self._current()
        values = self._processor.read_registers()
        address = values[RIP]
        code = call.plan.instruction.code
        if self._image.bytes_at(address, len(code)) == code:
            self._attempt(call, values)
        elif address in self._image.stubs:
            self._call_symbol(call, values, self._image.stubs[address])
        elif self._image.bytes_at(address, len(UD2)) == UD2:
            call.trapped = True
            self._stop()
        else:
            self._fail(f"{UNKNOWN_INSTRUCTION} at {self._place(address)}")

    def _attempt(self, call: _Call, values: list[int]) -> None:
        """The instruction: what the other side does to registers and memory."""
        plan = call.plan
        if len(call.attempts) >= plan.bound:
            self._fail(f"more than {plan.bound} attempts")
            return
        if not _is_in_stack(values[RSP]):
            self._fail(f"rsp is {values[RSP]:#x} at the instruction, outside the stack")
            return
        registers = {name: values[_INDEX[name]] for name in GENERAL if name != "rsp"}
        call.attempts.append(registers)
        outcome = call.other_side(len(call.attempts) - 1, dict(registers))
        check_outcome(plan, outcome)
        if "redzone" not in self._target.features:  # an interrupt may come at any time
            self._processor.write_memory(values[RSP] - _RED_ZONE, call.junk.bytes(_RED_ZONE))
        match outcome:
            case Fault(vector):
                self._fault(call, values, vector)
                return
            case Completed(known, memory, flag):
                for write in memory:
                    self._processor.write_memory(write.address, write.data)
                carry = None if plan.edges.carry is None else False
                carry = flag if plan.returns_carry else carry
                self._destroy(call, values, plan.destroyed, carry)
                for name, value in known.items():
                    values[_INDEX[name]] = value
            case Carry():
                self._destroy(call, values, plan.destroyed - {"rax"}, True)
        if plan.destroys_simd and self._junk_vectors:
            self._destroy_vectors(call, ())
        values[RIP] += len(plan.instruction.code)
        self._processor.write_registers(values)

    def _fault(self, call: _Call, values: list[int], vector: int) -> None:
        """What the kernel does about a fault: it looks for the instruction in the table."""
        rows = self._image.fixups.get(values[RIP])
        if not rows:
            call.escaped_fault = vector
            self._stop()
            return
        values[RIP], kind = rows[-1]  # a kernel takes any of several
        if kind == self._target.fixup_type:
            values[RAX] = vector
        self._processor.write_registers(values)

    def _call_symbol(self, call: _Call, values: list[int], symbol: str) -> None:
        """A function of somebody else: it keeps the calling convention and nothing more."""
        if not _is_in_stack(values[RSP]):
            self._fail(f"rsp is {values[RSP]:#x} at the call of {symbol}, outside the stack")
            return
        call.called.append(symbol)
        if (values[RSP] + _SLOT) % self._target.stack_alignment:
            call.problems.append(f"the stack is not aligned at the call of {symbol}")
        if values[RFLAGS] & _DIRECTION_FLAG:
            call.problems.append(f"the direction flag is set at the call of {symbol}")
        if symbol in call.without_return:
            call.trapped = True
            self._stop()
            return
        self._destroy(call, values, self._scratch, None)
        shadow = call.junk.bytes(self._convention.shadow_bytes)
        self._processor.write_memory(values[RSP] + _SLOT, shadow)
        if self._junk_vectors:
            self._destroy_vectors(call, self._convention.preserved_vectors)
        values[RIP] += len(UD2)
        self._processor.write_registers(values)

    def _destroy_vectors(self, call: _Call, kept: Sequence[int]) -> None:
        """Junk into all vector registers but those whose numbers are kept."""
        before = self._processor.read_vectors()
        after = [call.junk.bytes(len(value)) for value in before]
        for number in kept:
            after[number] = before[number]
        self._processor.write_vectors(after)

    def _destroy(
        self,
        call: _Call,
        values: list[int],
        names: Sequence[str] | frozenset[str],
        carry: bool | None,
    ) -> None:
        """Junk into registers and status flags; CF as told unless that is None."""
        for name, word in zip(sorted(names), call.junk.words(len(names)), strict=True):
            values[_INDEX[name]] = word
        flags = call.junk.word() & _STATUS_FLAGS
        if carry is not None:
            flags = flags & ~_CARRY_FLAG | (_CARRY_FLAG if carry else 0)
        values[RFLAGS] = values[RFLAGS] & ~_STATUS_FLAGS | flags

    def _at_data(self, is_write: bool, address: int, size: int, value: int) -> None:
        call = self._current()
        regions = call.regions.items()
        if not any(a <= address and address + size <= a + len(c) for a, c in regions):
            verb = "writes" if is_write else "reads"
            call.problems.append(f"{verb} {size} bytes at {address:#x}, outside all regions")
        if is_write:
            data = value.to_bytes(size, "little")
            call.writes.append((len(call.attempts), Write(address, data)))

    def _at_caller_stack(self, is_write: bool, address: int, size: int, value: int) -> None:
        call = self._current()
        if self._shadow_start <= address <= address + size <= self._shadow_end:
            return
        if is_write:
            place = address - _ENTRY_RSP
            call.problems.append(f"writes {value:#x} to the caller's stack at rsp+{place:#x}")
        elif address + size > call.caller_stack:
            call.problems.append("reads the caller's stack past the arguments")

    # -- ends

    def _stop(self) -> None:
        self._current().stopped = True
        self._processor.stop()

    def _fail(self, problem: str) -> None:
        self._current().problems.append(problem)
        self._stop()

    def _place(self, address: int) -> str:
        """An address as `symbol+offset`."""
        below = [(start, name) for name, start in self._image.functions.items() if start <= address]
        if not below:
            return hex(address)
        start, name = max(below)
        return f"{name}+{address - start:#x}"


def _is_in_stack(rsp: int) -> bool:
    """Whether there is memory below and above, as much as others may write there."""
    return _STACK_START + PAGE <= rsp < _STACK_START + _STACK_SIZE - PAGE // 2


def _execution(call: _Call, status: int | None, value: int | None) -> Execution:
    early = [write.address for made, write in call.writes if made < len(call.attempts)]
    problems = [f"stores at {address:#x} before the last attempt" for address in early]
    return Execution(
        attempts=tuple(call.attempts),
        status=status,
        value=value,
        trapped=call.trapped,
        called=tuple(call.called),
        writes=tuple(write for _, write in call.writes),
        escaped_fault=call.escaped_fault,
        problems=(*call.problems, *problems),
    )


def _unscrubbed(
    call: _Call, entry: list[int], final: list[int], scratch: Sequence[str]
) -> list[str]:
    """Registers that hold at return neither 0 nor what the caller had there.

    Only those of `scratch`, which callers do not expect back: for others a difference is a
    problem anyway. What a function that was called left behind is not from the other side.
    """
    returned = {"rax"}
    if call.plan.returns is Returns.STATUS_AND_VALUE:
        returned.add("rdx")
    if call.called:
        returned |= set(scratch) - call.plan.destroyed
    return [
        f"{name} is {final[_INDEX[name]]:#x} at return and should be scrubbed"
        for name in scratch
        if name not in returned and final[_INDEX[name]] not in (0, entry[_INDEX[name]])
    ]
