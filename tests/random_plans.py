"""Random plans, beyond what descriptions happen to say: any registers, slices, clauses, edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from plans import (
    BOOL,
    ON_ERROR,
    ON_SUCCESS,
    PTR,
    S8,
    S16,
    S32,
    S64,
    SPAN,
    U8,
    U16,
    U32,
    U64,
    again,
    array,
    bits,
    carry,
    deliver,
    edges,
    in_out,
    load,
    out,
    parameter,
    plan,
    preload,
    set_bits,
    struct,
    structure,
    value,
)

from seamir.ir.leaf import (
    Again,
    Argument,
    Bits,
    Bound,
    CarryRegister,
    Delivery,
    Edges,
    Input,
    Load,
    LoadKind,
    Plan,
    Refusal,
    Returns,
    SetBits,
)
from seamir.ir.passes import run_passes
from seamir.model.entities import Action, CallSymbol, ReturnValue, Trap
from seamir.model.expressions import Binary, Constant, Expression, RefusalValue, TrapNumber
from seamir.model.registers import ALL_BITS, CARRY_FLAG, NEVER_EXPOSED, REGISTERS
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Type

REGISTERS_USED = tuple(name for name in REGISTERS if name not in ("rsp", "rbp"))
OUTPUT_TYPES = (U8, U16, U32, U64, S8, S16, S32, S64, BOOL)
TYPES = (*OUTPUT_TYPES, PTR)
STATUSES = (
    0x8000_0200_0000_0000,
    0x8000_0203_0000_0000,
    0x8000_0003_0000_0000,
    0xC000_0100_0000_0000,
    0x4000_0001_0000_0000,
    0x1234_0000_0000_0000,
    0x0000_0007_0000_0000,
)
DETAIL = 0xFFFF_FFFF
MASKS = (ALL_BITS, ALL_BITS & ~DETAIL, ALL_BITS & ~DETAIL & ~(1 << 60))


def random_plan(seed: int) -> Plan:
    """A valid plan with the symbol `f<seed>`."""
    return run_passes(_Maker(Random(seed)).make(f"f{seed}"))


class _Maker:
    """Makes one plan; `names` are the inputs so far that expressions may name."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names: list[str] = []
        self._arguments: list[Argument] = []
        self._inputs: list[Input] = []
        self._has_status = True

    def make(self, symbol: str) -> Plan:
        random = self._random
        instruction = random.choice(["seamcall", "seamcall", "tdcall", "pvalidate"])
        status = bits(random.choice(["rax"] * 6 + ["r10", "rdx", "rbx", "r15"]))
        if random.random() < 0.2:
            status = replace(status, high=31)
        destroyed = {status.register, *self._registers(random.choice([0, 1, 3, 6, 8, 11, 14]))}
        delivery = random.choice(["pointers", "pointers", "struct", "register", "none", "none"])
        self._has_status = random.random() < 0.9
        for index in range(random.choice([0, 1, 2, 3, 4, 6, 8, 10])):
            self._add(value(f"v{index}", random.choice(TYPES)))
        for index in range(random.choice([0, 0, 0, 1, 2])):
            self._add_array(f"a{index}")
        size, deliveries = self._deliveries(delivery, sorted(destroyed))
        random.shuffle(self._arguments)
        loads = self._loads(destroyed)
        exposed = None
        if status.register != "rcx" and random.random() < 0.2:
            exposed, loads = self._expose(
                loads, {d.place.register for d in deliveries} | {status.register}
            )
            destroyed |= exposed | {"rcx"}
        clauses = self._clauses(loads, destroyed, status) if self._has_status else []
        on = self._edges(instruction, destroyed, status)
        if on.carry is None and instruction != "tdcall" and delivery == "pointers":
            deliveries += self._carry_flag()
        returns = Returns.STATUS_AND_VALUE if delivery == "register" else Returns.STATUS
        if not self._has_status:
            returns = Returns.VALUE if delivery == "register" else Returns.NO_STATUS
        if delivery == "none" and random.random() < 0.3:
            returns, clauses = Returns.NOTHING, []
            on = Edges(on.carry and Trap(SPAN), on.fault and Trap(SPAN), ())
        return plan(
            *self._arguments,
            loads=loads,
            deliveries=deliveries,
            clauses=clauses,
            on=on,
            status=status,
            instruction=instruction,
            destroyed=sorted(destroyed),
            memory=random.random() < 0.7,
            layout=structure(size=size) if delivery == "struct" else None,
            inputs=self._inputs,
            returns=returns,
            symbol=symbol,
            scrub=random.random() < 0.3,
            exposed=exposed,
        )

    def _expose(self, loads: list[Load], returned: set[str]) -> tuple[frozenset[str], list[Load]]:
        """Exposes what is loaded or returned, what is not loaded as 0; RCX has the mask."""
        loads = [item for item in loads if item.register != "rcx"]
        used = {item.register for item in loads} | returned
        exposed = frozenset(used - NEVER_EXPOSED - {"carry"})
        mask = sum(1 << REGISTERS[name].number for name in exposed)
        zeroed = sorted(exposed - {item.register for item in loads})
        loads += [load(name, 0, LoadKind.ZERO) for name in zeroed]
        return exposed, [*loads, load("rcx", mask, LoadKind.SELECTOR)]

    def _add_array(self, name: str) -> None:
        """An array of some elements, or of as many as an argument says."""
        random = self._random
        length, kind = random.randrange(1, 5), random.choice(TYPES)
        count = None
        if random.random() < 0.5:
            count = f"{name}_count"
            self._add(value(count, random.choice([U8, U64])))
        self._arguments.append(array(name, kind, length, count))
        for index in range(length):
            element = f"{name}[{index}]"
            self._add_input(element, kind, name, index * kind.width // 8)
            if count is not None:
                bound = Bound(count, index, random.choice([0, ALL_BITS, 7]))
                self._inputs[-1] = replace(self._inputs[-1], bound=bound)

    def _carry_flag(self) -> list[Delivery]:
        """An output that is the carry flag, at times."""
        if self._random.random() < 0.5:
            return []
        kind = self._random.choice(OUTPUT_TYPES)
        self._arguments.append(out("flag", kind))
        return [deliver("flag", bits(CARRY_FLAG, 0, 0), kind)]

    def _registers(self, count: int) -> list[str]:
        return self._random.sample(REGISTERS_USED, count)

    def _add(self, argument: Argument, offset: int | None = None) -> None:
        """An argument that is an input too."""
        self._arguments.append(argument)
        self._add_input(argument.name, argument.type, argument.name, offset)

    def _add_input(self, name: str, kind: Type, argument: str, offset: int | None) -> None:
        self._inputs.append(Input(name, kind, kind, argument, offset, SPAN))
        self._names.append(name)

    # -- expressions and loads

    def _expression(self, depth: int = 2) -> Expression:
        random = self._random
        if depth == 0 or random.random() < 0.5:
            if self._names and random.random() < 0.75:
                return parameter(random.choice(self._names))
            return Constant(random.choice([0, 1, 29, ALL_BITS, 1 << 63, random.getrandbits(64)]))
        left = self._expression(depth - 1)
        if random.random() < 0.3:
            return Binary(random.choice(["<<", ">>"]), left, Constant(random.randrange(64)))
        return Binary(random.choice("|+-"), left, self._expression(depth - 1))

    def _loads(self, destroyed: set[str]) -> list[Load]:
        random = self._random
        loads = [load("rax", random.choice([29, 0, 1 << 63 | 5]), LoadKind.SELECTOR)]
        for register in sorted(self._registers(random.choice([0, 1, 2, 4, 6, 9, 13]))):
            if register == "rax":
                continue
            if register in destroyed and random.random() < 0.15:
                loads.append(preload(register, random.choice([0, ALL_BITS, 7])))
            else:
                loads.append(load(register, self._expression()))
        return loads

    # -- clauses and edges

    def _clauses(self, loads: Sequence[Load], destroyed: set[str], status: Bits) -> list[Again]:
        random = self._random
        operands = [item.register for item in loads if item.kind is LoadKind.OPERAND]
        statuses = random.sample(STATUSES, len(STATUSES))
        clauses: list[Again] = []
        for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
            mask = random.choice(MASKS)
            chosen = [statuses.pop() for _ in range(random.choice([1, 1, 2]))]
            if status.width == 32:
                mask, chosen = DETAIL, [number >> 32 for number in chosen]
            steps: list[SetBits | CarryRegister] = []
            if operands and random.random() < 0.6:
                steps = [self._step(operands, destroyed) for _ in range(random.randrange(1, 4))]
            attempts = random.choice([1, 2, 3, 7, 8, 16])
            matches = [Match(mask, number & mask) for number in chosen]
            clauses.append(again(attempts, *matches, steps=steps))
        return clauses

    def _step(self, operands: Sequence[str], destroyed: set[str]) -> SetBits | CarryRegister:
        random = self._random
        register = random.choice(operands)
        if register in destroyed and random.random() < 0.5:
            return carry(register)
        return set_bits(self._place(register), self._expression(1))

    def _place(self, register: str) -> Bits:
        low = self._random.choice([0, 0, 8, 32, self._random.randrange(64)])
        return bits(register, low, self._random.choice([63, self._random.randrange(low, 64)]))

    def _edges(self, instruction: str, destroyed: set[str], status: Bits) -> Edges:
        random = self._random
        on_carry = None
        if instruction != "tdcall" and random.random() < 0.8:
            on_carry = self._action(fault=False)
        found = edges(on_carry, None)
        if random.random() < 0.8:
            vectors = random.sample([3, 6, 13, 14], random.choice([0, 0, 1, 2, 3]))
            actions = {f"v{vector}": self._action(fault=True) for vector in vectors}
            found = edges(on_carry, self._action(fault=True), **actions)
        others = sorted(destroyed - {status.register})
        if others and random.random() < 0.25:
            place = self._place(random.choice(others))
            value = random.getrandbits(64) & (1 << place.width) - 1
            found = replace(found, refused=Refusal(place, value, (), self._refused()))
        return found

    def _refused(self) -> Action:
        action = self._action(fault=False)
        if isinstance(action, ReturnValue) and self._random.random() < 0.5:
            return ReturnValue(Binary("+", RefusalValue(), Constant(3)), SPAN)
        return action

    def _action(self, *, fault: bool) -> Action:
        random = self._random
        if not self._has_status:
            return Trap(SPAN) if random.random() < 0.5 else CallSymbol("panic", None, SPAN)
        status: Expression = Constant(random.choice([0, 7, ALL_BITS, random.getrandbits(64)]))
        if fault and random.random() < 0.6:
            sum_, union = (Binary(operator, status, TrapNumber()) for operator in "+|")
            choices: list[Expression] = [TrapNumber(), sum_, union]
            status = random.choice(choices)
        kind = random.random()
        if kind < 0.5:
            return ReturnValue(status, SPAN)
        if kind < 0.65:
            return Trap(SPAN)
        returned = status if random.random() < 0.7 else None
        return CallSymbol(random.choice(["helper", "panic"]), returned, SPAN)

    # -- deliveries

    def _deliveries(self, how: str, destroyed: Sequence[str]) -> tuple[int, list[Delivery]]:
        """The size of the structure, in bytes, and the deliveries."""
        random = self._random
        if how == "none":
            return 0, []
        if how == "register":
            place, kind = self._place(random.choice(destroyed)), random.choice(OUTPUT_TYPES)
            return 0, [deliver("o", place, kind, to=None)]
        optional = random.random() < 0.3
        size, deliveries = 0, []
        for index in range(random.choice([1, 2, 3, 5, 8])):
            kind, name = random.choice(OUTPUT_TYPES), f"o{index}"
            delivery = deliver(
                name,
                self._place(random.choice(destroyed)),
                kind,
                test=self._test() if self._has_status and random.random() < 0.5 else None,
                keep=random.random() < 0.25,
                optional=optional,
            )
            is_in_out = not optional and random.random() < 0.3
            if how == "struct":
                offset = -(-size // (kind.width // 8)) * (kind.width // 8)
                size = offset + kind.width // 8
                delivery = replace(delivery, argument="outputs", offset=offset)
                if is_in_out:
                    self._add_input(name, kind, "outputs", offset)
            elif is_in_out:
                self._add(in_out(name, kind), 0)
            else:
                self._arguments.append(out(name, kind, optional=optional))
            deliveries.append(replace(delivery, keep=delivery.keep or is_in_out))
        if how == "struct":
            self._arguments.append(struct("outputs", optional=optional))
        return -(-size // 8) * 8, deliveries

    def _test(self) -> StatusTest:
        random = self._random
        mask = random.choice(MASKS)
        matches = tuple(Match(mask, number & mask) for number in random.sample(STATUSES, 2))
        return random.choice(
            [
                ON_SUCCESS,
                ON_ERROR,
                StatusTest(matches),
                StatusTest(matches, inverted=True),
                StatusTest(ON_SUCCESS.any_of, True, matches, (Match(ALL_BITS, STATUSES[1]),)),
            ]
        )
