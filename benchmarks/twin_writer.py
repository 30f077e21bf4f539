"""What all C twins have in common: everything of a plan but the call itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seamir.emit.c_names import c_type, declare
from seamir.emit.header import declare_argument
from seamir.ir.leaf import (
    ArgumentKind,
    Bits,
    CallSymbol,
    CarryRegister,
    Check,
    Delivery,
    Input,
    Plan,
    Returns,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.entities import Action
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    RefusalValue,
)
from seamir.model.registers import ALL_BITS, CARRY_FLAG, slice_mask
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
        places = [d.place for d in plan.deliveries]
        places += [plan.status] if plan.status is not None else []
        places += [plan.edges.refused.place] if plan.edges.refused is not None else []
        self.read = {place.register for place in places} - {CARRY_FLAG}
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
        checked = {check.input for check in plan.checks}
        for item in plan.inputs:
            if item.name in checked:
                self._declare_input(item)
        for check in plan.checks:
            self._check(check)
        for item in plan.inputs:
            if item.name not in checked:
                self._declare_input(item)
        for load in plan.loads:
            constant = "" if load.register in self.changed else "const "
            self._line(f"{constant}u64 op_{load.register} = {self._value(load.value)};")
        for index, clause in enumerate(plan.again):
            self._line(f"unsigned int left_{index} = {clause.attempts};")
        self._declare()
        if plan.again:
            self._line("for (;;) {")
        self._attempt()
        self._refused()
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
        head = f"u64 {plan.symbol}"
        if plan.returns is Returns.STATUS_AND_VALUE:
            head = f"struct {plan.result_tag} {plan.symbol}"
        elif plan.returns is Returns.VALUE:
            head = declare(c_type(plan.deliveries[0].type), plan.symbol)
        elif plan.returns in (Returns.NO_STATUS, Returns.NOTHING):
            head = f"void {plan.symbol}"
        section = "" if plan.section == ".text" else f'__attribute__((section("{plan.section}"))) '
        scrub = "SCRUBBED " if plan.scrub else ""
        parameters = ", ".join(declare_argument(plan, argument) for argument in plan.arguments)
        return f"{scrub}{section}{head}({parameters or 'void'})"

    # -- before the call

    def _declare_input(self, item: Input) -> None:
        source = item.argument
        if item.offset is not None:
            # A member of a layout may be wider than the value in it.
            source = f"({c_type(item.type)}){self._object(item.argument, item.offset)}"
        cast = {"sign": "(u64)(s64)", "zero": "(u64)", "none": "(u64)"}[item.type.extension]
        value = f"{cast}{source}"
        if item.bound is not None:
            count = self._input(item.bound.count)
            value = f"{count} > {item.bound.index} ? {value} : {hexadecimal(item.bound.otherwise)}"
        self._line(f"const u64 {self._input(item.name)} = {value};")

    def _input(self, name: str) -> str:
        """The variable of an input: `in_tdr`, and `in_pages_0_` for `pages[0]`."""
        return "in_" + re.sub(r"\W", "_", name)

    def _object(self, name: str, offset: int) -> str:
        """What lies so many bytes from where an argument points to."""
        argument, struct = self.plan.argument(name), self.plan.struct
        assert argument is not None
        if argument.layout is not None:
            return f"{name}->{next(m.name for m in argument.layout.members if m.offset == offset)}"
        if argument.kind is ArgumentKind.STRUCT and struct is not None:
            member = max((m for m in struct.members if m.offset <= offset), key=lambda m: m.offset)
            index = (offset - member.offset) // (member.type.width // 8)
            return f"{name}->{member.name}" + (f"[{index}]" if member.length is not None else "")
        if argument.length is not None:
            return f"{name}[{offset // (argument.type.width // 8)}]"
        return f"*{name}"

    def _check(self, check: Check) -> None:
        promise, value = check.promise, self._input(check.input)
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
            return self._input(value.name)
        if isinstance(value, Binary):
            return f"({self._value(value.left)} {value.operator} {self._value(value.right)})"
        return "refusal" if isinstance(value, RefusalValue) else "vector"

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

    def _take(self, place: Bits, signed: bool = False) -> str:
        value, low, high = self._register(place.register), place.low, place.high
        if (low, high) == (0, 63):
            return value
        if signed:
            return f"(u64)((s64)({value} << {63 - high}) >> {63 - high + low})"
        return f"({value} >> {low} & {hexadecimal(slice_mask(0, high - low))})"

    def _status(self) -> str:
        """The status; what asks for it is there only if there is one."""
        assert self.plan.status is not None
        return self._take(self.plan.status)

    def _refused(self) -> None:
        refused = self.plan.edges.refused
        if refused is None:
            return
        self._line(f"if (unlikely({self._take(refused.place)} != {hexadecimal(refused.value)})) {{")
        found = self._take(refused.place)
        self._line(f"__attribute__((unused)) const u64 refusal = {found};")
        self._action(refused.action)
        self._line("}")

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
            value = self._take(delivery.place, delivery.type.signed)
            if delivery.test is not None:
                value = f"({self._holds(delivery.test)} ? {value} : 0)"
            if delivery.argument is None:
                returned = value
            else:
                self._store(delivery, value)
        self._return(None, returned)

    def _deliver_zeros(self) -> None:
        for delivery in self.plan.deliveries:
            if delivery.argument is not None and not delivery.keep:
                self._store(delivery, "0")

    def _store(self, delivery: Delivery, value: str) -> None:
        assert delivery.argument is not None
        place = self._object(delivery.argument, delivery.offset)
        condition = f"if ({delivery.argument}) " if delivery.optional else ""
        self._line(f"{condition}{place} = ({c_type(delivery.type)})({value});")

    def _return(self, status: str | None, value: str) -> None:
        """Returns what the function does; `status` None stands for that of the call."""
        returns = self.plan.returns
        if returns in (Returns.STATUS_AND_VALUE, Returns.STATUS):
            status = self._status() if status is None else status
        if returns in (Returns.STATUS_AND_VALUE, Returns.VALUE):
            value = f"({c_type(self.plan.deliveries[0].type)})({value})"
        if returns is Returns.STATUS_AND_VALUE:
            self._line(f"return (struct {self.plan.result_tag}){{ {status}, {value} }};")
        elif returns is Returns.STATUS:
            self._line(f"return {status};")
        elif returns is Returns.VALUE:
            self._line(f"return {value};")
        elif returns is Returns.NO_STATUS:
            self._line("return;")

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


def hexadecimal(value: int) -> str:
    return f"{value:#x}ULL" if value > 9 else f"{value}ULL"
