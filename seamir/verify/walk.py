"""Runs code on words along every path from one point to the next that matters.

Those points are the instruction that a plan is about, a return, a trap, and whatever the prover
does not know. A branch is followed where it can go; both ways, on paths of their own, if it can go
both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iced_x86 import FlowControl, Instruction, Mnemonic

from seamir.ir.leaf import Plan
from seamir.model.instructions import FAULT_VECTORS, INSTRUCTIONS
from seamir.model.registers import REGISTERS
from seamir.targets import Target
from seamir.verify.code import Code
from seamir.verify.instructions import Jump, Stop, execute, pop
from seamir.verify.memory import SLOT, AccessError, RegionMemory
from seamir.verify.operands import UnknownInstructionError
from seamir.verify.solver import Solver
from seamir.verify.specification import Attempts
from seamir.verify.state import STATUS_FLAGS, VECTOR_WIDTH, VECTORS, State
from seamir.verify.terms import Term, Word, bit_not, signed, split_sum, symbol

_LONGEST_PATH = 50_000  # instructions between two points
_MOST_BRANCHES = 256  # on one path that could have gone the other way
_MOST_PATHS = 5_000  # from one point
_LARGEST_FRAME = 4096  # bytes; larger ones may step over the page that guards a stack
RETURN_ADDRESS = symbol("entry.return_address")


@dataclass(frozen=True)
class Attempted:
    """What a path comes from: an attempt, and how it ended.

    `before` says where the attempts stood at it; `after` what registers and the carry flag hold
    once it completed; `vector` is that of a fault. `kind` is "completed", "carry" or "fault".
    It `is_exact` if nothing else can have come before it (see sites.py).
    """

    kind: str
    before: Attempts
    after: Mapping[str, Word]
    vector: Word | None
    is_exact: bool


@dataclass
class Path:
    """A way through the code: what the processor holds, and what is known to be so.

    `origin` is None for a path from the function's entry. `called` are the functions called since,
    and `writes_at_call` how many writes were made before the last of them. `place` is the address
    of the last instruction in the function itself, since it may return through a thunk.
    """

    state: State
    memory: RegionMemory
    address: int
    conditions: tuple[Word, ...]
    origin: Attempted | None
    called: tuple[str, ...] = ()
    writes_at_call: int | None = None
    steps: int = 0
    place: int = 0

    def fork(self, address: int, condition: Word) -> Path:
        """The same path, going on elsewhere where a condition holds."""
        state = self.state.copy()
        assert isinstance(state.memory, RegionMemory)
        conditions = (*self.conditions, condition)
        return replace(
            self, state=state, memory=state.memory, address=address, conditions=conditions
        )


@dataclass(frozen=True)
class Arrival:
    """The path reached the instruction."""


@dataclass(frozen=True)
class Return:
    """The function returned to its caller."""


@dataclass(frozen=True)
class Trap:
    """The path ends in `ud2`, or in a function that does not return."""


@dataclass(frozen=True)
class Lost:
    """The path leads to what nobody knows; with `is_wrong` no correct code goes there."""

    text: str
    is_wrong: bool


Event: TypeAlias = Arrival | Return | Trap | Lost
Require: TypeAlias = Callable[[Path, Word, str], None]


@dataclass
class Walker:
    """Walks the code of one wrapper; `require` is told what has to hold on the way.

    `covered` are the addresses of instructions that ran, `ways` of each conditional branch those
    that it can go.
    """

    plan: Plan
    code: Code
    target: Target
    solver: Solver
    require: Require
    covered: set[int] = field(default_factory=set)
    ways: dict[int, set[bool]] = field(default_factory=dict)

    def walk(self, start: Path) -> Iterator[tuple[Path, Event]]:
        """All paths from a point, each with the event at its end."""
        pending, count = [start], 0
        while pending:
            path = pending.pop()
            event = self._follow(path, pending)
            count += 1
            yield path, event
            if count > _MOST_PATHS:
                yield path, Lost(f"more than {_MOST_PATHS} paths", False)
                return

    def _follow(self, path: Path, pending: list[Path]) -> Event:
        """Runs a path to its end; what branches off goes to `pending`."""
        while True:
            event = self._step(path, pending)
            if event is not None:
                return event
            path.steps += 1
            if path.steps > _LONGEST_PATH:
                return Lost(f"no end after {_LONGEST_PATH} instructions", False)
            if not path.steps % 256:
                self.solver.check_time()

    def _step(self, path: Path, pending: list[Path]) -> Event | None:
        address, code = path.address, self.code
        if code.offset(address) is not None:
            path.place = address
        if code.starts(address, self.plan.instruction.code):
            self.covered.add(address)
            return Arrival()
        for other in INSTRUCTIONS.values():
            if code.starts(address, other.code):
                text = f"executes {other.name}, and the plan calls by {self.plan.instruction.name}"
                return Lost(text, True)
        if address in code.image.stubs:
            return self._call(path, code.image.stubs[address])
        instruction = code.at(address)
        if instruction is None:
            return Lost(self._nothing_at(address), True)
        self.covered.add(address)
        before = path.state.registers["rsp"]
        try:
            flow = execute(instruction, path.state)
        except UnknownInstructionError:
            text = f"`{code.text(address)}` is no instruction that the prover knows"
            return Lost(text, False)
        except AccessError as error:
            return Lost(f"`{code.text(address)}` {error}", True)
        self._require_demands(path)
        is_over = isinstance(flow, Jump) and flow.target is RETURN_ADDRESS
        if path.state.registers["rsp"] is not before and not is_over:
            lost = self._check_stack(path)
            if lost is not None:
                return lost
        match flow:
            case None:
                path.address = instruction.next_ip
            case Stop(vector):
                is_ud2 = vector == FAULT_VECTORS["#UD"] and address not in code.image.fixups
                return Trap() if is_ud2 else Lost(f"runs into `{code.text(address)}`", True)
            case Jump():
                return self._jump(path, pending, flow, instruction)
        return None

    def _check_stack(self, path: Path) -> Lost | None:
        """RSP stays in the frame: an interrupt may come at any time, and uses what is below it."""
        base, offset = split_sum(path.state.registers["rsp"])
        if base is not path.memory.around.frame:
            return Lost("RSP leaves the frame", False)
        offset = signed(offset, 64)
        if offset > 0:
            return Lost("RSP is above the return address, which an interrupt may overwrite", True)
        if offset < -_LARGEST_FRAME:
            return Lost(f"the frame is larger than {_LARGEST_FRAME} bytes", False)
        path.memory.forget_below_stack(path.state)
        return None

    def _nothing_at(self, address: int) -> str:
        """Why there is no instruction at an address."""
        if self.code.offset(address) is not None:
            return "the bytes here are no instruction"
        if address == self.code.end:
            return "it goes on behind the end of its code"
        return "it goes on where there is no code"

    def _require_demands(self, path: Path) -> None:
        demands, path.memory.demands = path.memory.demands, []
        for condition, text in demands:
            self.require(path, condition, text)

    def _jump(
        self, path: Path, pending: list[Path], jump: Jump, instruction: Instruction
    ) -> Event | None:
        target, condition = jump.target, jump.condition
        if target is RETURN_ADDRESS:
            return Return()
        if isinstance(target, Term):
            if instruction.mnemonic == Mnemonic.RET:
                return Lost("returns to an address that is not its caller's", True)
            return Lost("jumps to an address that it computes", False)
        ways = self._ways(path, condition)
        if instruction.flow_control == FlowControl.CONDITIONAL_BRANCH:
            self.ways.setdefault(path.address, set()).update(ways)
        if len(ways) == 2:
            if len(path.conditions) > _MOST_BRANCHES:
                return Lost(f"more than {_MOST_BRANCHES} branches on one path", False)
            pending.append(path.fork(target, condition))
            path.conditions = (*path.conditions, bit_not(condition, 1))
            path.address = instruction.next_ip
        else:
            path.address = target if True in ways else instruction.next_ip
        return None

    def _ways(self, path: Path, condition: Word) -> set[bool]:
        if isinstance(condition, int):
            return {bool(condition)}
        self.solver.assume_only(path.conditions)
        if not self.solver.is_possible(condition):
            return {False}
        if not self.solver.is_possible(bit_not(condition, 1)):
            return {True}
        return {True, False}

    # -- functions of somebody else

    def _call(self, path: Path, name: str) -> Event | None:
        """A function that keeps the calling convention and nothing more."""
        state, memory = path.state, path.memory
        _, offset = split_sum(state.registers["rsp"])
        aligned = int(offset % self.target.stack_alignment == 0)
        self.require(path, aligned, f"the stack is not aligned at the call of {name}")
        clear = bit_not(state.flags["df"], 1)
        self.require(path, clear, f"the direction flag is set at the call of {name}")
        path.called = (*path.called, name)
        path.writes_at_call = len(memory.writes)
        if name in self.plan.calls_without_return:
            return Trap()
        convention = self.target.convention
        tag = f"~called.{len(path.called)}"
        for register in REGISTERS:
            if register not in convention.preserved:
                state.registers[register] = symbol(f"{tag}.{register}")
        for flag in STATUS_FLAGS:
            state.flags[flag] = symbol(f"{tag}.{flag}", 1)
        for number in range(VECTORS) if "simd" in self.target.features else ():
            if number not in convention.preserved_vectors:
                state.vectors[number] = symbol(f"{tag}.xmm{number}", VECTOR_WIDTH)
        memory.epoch = f"{memory.epoch}{tag}"
        target = pop(state)
        memory.forget_below(signed(offset, 64) + SLOT + convention.shadow_bytes)
        if target is RETURN_ADDRESS:
            return Return()
        if isinstance(target, Term):
            return Lost(f"{name} returns to an unknown address", True)
        path.address = target
        return None
