"""What all C twins have in common: everything of a plan but the call itself."""

from __future__ import annotations

from collections.abc import Sequence

from seamir.emit.c_names import c_type, declare, pointer_to
from seamir.emit.header_types import result_tag
from seamir.ir.leaf import (
    Argument,
    ArgumentKind,
    CallSymbol,
    CarryRegister,
    Check,
    Delivery,
    Plan,
    Returns,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.entities import Action
from seamir.model.expressions import Binary, Constant, Expression, ParameterValue
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES
from seamir.targets import Target


class TwinError(Exception):
    """The style cannot say what the plan says."""


class Twin:
    """Writes the function of one plan; what differs between styles is `_attempt`."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan, self.target = plan, target
        self.called: set[str] = set()
        self.lines: list[str] = []
        self.changed = {
            step.register if isinstance(step, CarryRegister) else step.place.register
            for clause in plan.again
            for step in clause.steps
        }
        self.loaded = [load.register for load in plan.loads]
        self.read = {plan.status.register} | {d.place.register for d in plan.deliveries}
        self.read |= {
            step.register
            for clause in plan.again
            for step in clause.steps
            if isinstance(step, CarryRegister)
        }
        if "rbp" in self.loaded or "rbp" in plan.destroyed:
            raise TwinError(f"{plan.symbol}: C has no way to pass RBP")

    def write(self) -> str:
        """The function."""
        plan = self.plan
        self._declare_inputs()
        for check in plan.checks:
            self._check(check)
        for load in plan.loads:
            constant = "" if load.register in self.changed else "const "
            self._line(f"{constant}u64 op_{load.register} = {self._value(load.value)};")
        for index, clause in enumerate(plan.again):
            self._line(f"unsigned int left_{index} = {clause.attempts};")
        self._declare()
        if plan.again:
            self._line("for (;;) {")
        self._attempt()
        if plan.again:
            self._ask_again()
            self._line("break;")
            self._line("}")
        self._deliver()
        self._finish()
        return "\n".join([self._head(), "{", *self.lines, "}", ""])

    def _line(self, text: str) -> None:
        self.lines.append(f"\t{text}")

    def _head(self) -> str:
        plan = self.plan
        kinds = {Returns.STATUS: "u64", Returns.NOTHING: "void"}
        head = kinds.get(plan.returns, f"struct {result_tag(plan)}")
        section = "" if plan.section == ".text" else f'__attribute__((section("{plan.section}"))) '
        parameters = ", ".join(declare(_type(plan, a), a.name) for a in plan.arguments)
        return f"{section}{head} {plan.symbol}({parameters or 'void'})"

    # -- before the call

    def _declare_inputs(self) -> None:
        for item in self.plan.inputs:
            source = item.argument
            if item.offset is not None:
                source = f"*{source}"
                if self.plan.struct is not None:
                    source = f"{item.argument}->{self._member(item.offset)}"
            cast = {"sign": "(u64)(s64)", "zero": "(u64)", "none": "(u64)"}[item.type.extension]
            self._line(f"const u64 in_{item.name} = {cast}{source};")

    def _member(self, offset: int) -> str:
        assert self.plan.struct is not None
        return next(m.name for m in self.plan.struct.members if m.offset == offset)

    def _check(self, check: Check) -> None:
        promise, value = check.promise, f"in_{check.input}"
        root, signed = BUILTIN_TYPES[promise.c_base], promise.low < 0
        number = f"(s64){value}" if signed else value
        tests = []
        if ALL_BITS & ~promise.bits and not promise.signed:
            tests.append(f"({value} & {hexadecimal(ALL_BITS & ~promise.bits)})")
        if promise.low > (root.low if signed else 0):
            tests.append(f"{number} < {promise.low}")
        if promise.high < (root.high if signed else promise.bits):
            tests.append(f"{number} > {promise.high}")
        bad = " || ".join(tests) or "0"
        bad = "".join(
            [f"({bad})", *(f" && {value} != {hexadecimal(c)}" for c in promise.constants)]
        )
        action = "__builtin_trap();" if check.status is None else None
        self._line(f"if (unlikely({bad})) {{")
        self._lines_of(action, check.status)
        self._line("}")

    def _lines_of(self, trap: str | None, status: int | None) -> None:
        if trap is not None:
            self._line(trap)
            return
        self._deliver_zeros()
        self._return(hexadecimal(status or 0), "0")

    def _value(self, value: Expression) -> str:
        if isinstance(value, Constant):
            return hexadecimal(value.value)
        if isinstance(value, ParameterValue):
            return f"in_{value.name}"
        if isinstance(value, Binary):
            return f"({self._value(value.left)} {value.operator} {self._value(value.right)})"
        return "vector"

    # -- the call, by style

    def _declare(self) -> None:
        raise NotImplementedError

    def _attempt(self) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """What comes after the function's last return."""

    def _register(self, name: str) -> str:
        """How C names a register after the call."""
        return name

    # -- after it

    def _take(self, register: str, low: int, high: int, signed: bool = False) -> str:
        value = self._register(register)
        if (low, high) == (0, 63):
            return value
        if signed:
            return f"(u64)((s64)({value} << {63 - high}) >> {63 - high + low})"
        return f"({value} >> {low} & {hexadecimal(slice_mask(0, high - low))})"

    def _status(self) -> str:
        place = self.plan.status
        return self._take(place.register, place.low, place.high)

    def _matches(self, matches: Sequence[Match]) -> str:
        tests = [
            f"{self._status()} == {hexadecimal(m.value)}"
            if m.mask == ALL_BITS
            else f"({self._status()} & {hexadecimal(m.mask)}) == {hexadecimal(m.value)}"
            for m in matches
        ]
        return " || ".join(tests) or "0"

    def _holds(self, test: StatusTest) -> str:
        text = f"({self._matches(test.any_of)})"
        text = f"!{text}" if test.inverted else text
        if test.or_any_of:
            text = f"({text} || {self._matches(test.or_any_of)})"
        return f"{text} && !({self._matches(test.none_of)})" if test.none_of else text

    def _ask_again(self) -> None:
        for index, clause in enumerate(self.plan.again):
            test = self._matches(clause.matches)
            self._line(f"if (unlikely({test})) {{")
            self._line(f"if (!left_{index}) break;")
            self._line(f"left_{index}--;")
            for inner in range(index):
                self._line(f"left_{inner} = {self.plan.again[inner].attempts};")
            for step in clause.steps:
                self._step(step)
            self._line("continue;")
            self._line("}")

    def _step(self, step: SetBits | CarryRegister) -> None:
        if isinstance(step, CarryRegister):
            self._line(f"op_{step.register} = {self._register(step.register)};")
            return
        name, value = f"op_{step.place.register}", self._value(step.value)
        mask = slice_mask(step.place.low, step.place.high)
        self._line(
            f"{name} = ({name} & {hexadecimal(ALL_BITS & ~mask)}) | ({value} << {step.place.low});"
        )

    def _deliver(self) -> None:
        if self.plan.returns is Returns.NOTHING:
            self._line("__builtin_trap();")
            return
        returned = "0"
        for delivery in self.plan.deliveries:
            place = delivery.place
            value = self._take(place.register, place.low, place.high, delivery.type.signed)
            if delivery.test is not None:
                value = f"({self._holds(delivery.test)} ? {value} : 0)"
            if delivery.argument is None:
                returned = value
            else:
                self._store(delivery, value)
        self._return(self._status(), returned)

    def _deliver_zeros(self) -> None:
        for delivery in self.plan.deliveries:
            if delivery.argument is not None and not delivery.keep:
                self._store(delivery, "0")

    def _store(self, delivery: Delivery, value: str) -> None:
        pointer = delivery.argument
        struct = self.plan.struct
        place = f"*{pointer}" if struct is None else f"{pointer}->{self._member(delivery.offset)}"
        condition = f"if ({pointer}) " if delivery.optional else ""
        self._line(f"{condition}{place} = ({c_type(delivery.type)})({value});")

    def _return(self, status: str, value: str) -> None:
        if self.plan.returns is Returns.STATUS_AND_VALUE:
            kind = c_type(self.plan.deliveries[0].type)
            tag = result_tag(self.plan)
            self._line(f"return (struct {tag}){{ {status}, ({kind})({value}) }};")
        elif self.plan.returns is Returns.STATUS:
            self._line(f"return {status};")

    # -- edges

    def _action(self, action: Action | None) -> None:
        if isinstance(action, ReturnValue):
            self._deliver_zeros()
            self._return(self._value(action.value), "0")
        elif isinstance(action, CallSymbol):
            self.called.add(action.symbol)
            self._deliver_zeros()
            self._line(f"{action.symbol}();")
            if action.value is None:
                self._line("__builtin_unreachable();")
            else:
                self._return(self._value(action.value), "0")
        if isinstance(action, Trap) or action is None or self.plan.returns is Returns.NOTHING:
            self._line("__builtin_trap();")

    def _fault_actions(self) -> None:
        """What happens on the fault edge; `vector` is declared and has the vector."""
        for number, action in self.plan.edges.vectors:
            self._line(f"if (vector == {number}) {{")
            self._action(action)
            self._line("}")
        self._action(self.plan.edges.fault)


def _type(plan: Plan, argument: Argument) -> str:
    if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
        return f"struct {plan.struct.name} *"
    spelling = c_type(argument.type)
    return spelling if argument.kind is ArgumentKind.VALUE else pointer_to(spelling)


def hexadecimal(value: int) -> str:
    return f"{value:#x}ULL" if value > 9 else f"{value}ULL"
