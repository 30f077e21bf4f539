"""What of a wrapper debuggers show as variables, and where their values are.

Arguments are there under their own names. Local are what a call leaves behind: each output, the
status, the vector of a fault and, with clauses that lead to another attempt, how many of each were
granted. LLVM follows the values through the code, and says where they are no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from llvmlite import ir

from seamir.ir.leaf import Bits, Plan
from seamir.llvm.debugtypes import DebugTypes
from seamir.llvm.extensions import DebugNode, DebugValue, add_debug_value
from seamir.llvm.shapes import counters
from seamir.model.registers import slice_mask
from seamir.source import Span


class Variables:
    """The variables of one function.

    `place` spells file and line of a span. Methods that take a builder write that variables have
    these values from there on.
    """

    def __init__(
        self,
        module: ir.Module,
        types: DebugTypes,
        plan: Plan,
        subprogram: DebugNode,
        place: Callable[[Span], str],
    ) -> None:
        self._module, self._types, self._plan = module, types, plan
        self._subprogram, self._place = subprogram, place
        line, column = plan.span.source.position(plan.span.start)
        scope = f"line: {line}, column: {column}, scope: {subprogram.get_reference()}"
        self._location = DebugNode(module, f"!DILocation({scope})")
        self._taken: set[str] = set()
        self._arguments = {
            argument.name: self._variable(
                argument.name, argument.span, types.argument(plan, argument), f"arg: {number}, "
            )
            for number, argument in enumerate(plan.arguments, 1)
        }
        self._status = self._local("status", plan.span) if plan.status is not None else None
        self._vector = self._local("trapnr", plan.span) if plan.catches_faults else None
        self._outputs = [
            self._local(delivery.name, delivery.span, types.value(delivery.type))
            for delivery in plan.deliveries
        ]
        several = len(plan.again) > 1
        self._granted = [
            self._local(f"retries_{number}" if several else "retries", clause.span)
            for number, clause in enumerate(plan.again, 1)
        ]

    def nodes(self) -> str:
        """A reference to the list of all, which keeps those that LLVM loses from sight."""
        found = [*self._arguments.values(), self._status, self._vector]
        found += [*self._outputs, *self._granted]
        return self._types.list_of(node.get_reference() for node in found if node is not None)

    # -- values

    def show_argument(self, builder: ir.IRBuilder, name: str, value: ir.Value) -> None:
        """An argument; its own value, wherever that is now."""
        self._show(builder, value, self._arguments[name])

    def show_results(self, builder: ir.IRBuilder, registers: Mapping[str, ir.Value]) -> None:
        """Status and outputs once the call completed, whatever the conditions of outputs say."""
        if self._status is not None and self._plan.status is not None:
            place = self._plan.status
            self._show(builder, registers[place.register], self._status, _bits(place))
        for delivery, variable in zip(self._plan.deliveries, self._outputs, strict=True):
            place = delivery.place
            bits = _bits(place, signed=delivery.type.signed)
            self._show(builder, registers[place.register], variable, bits)

    def show_vector(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        """The vector of a fault."""
        if self._vector is not None:
            self._show(builder, value, self._vector)

    def show_granted(self, builder: ir.IRBuilder, used: ir.Value) -> None:
        """How many attempts each clause granted, from the register that counts them all."""
        for (low, width), variable in zip(counters(self._plan), self._granted, strict=True):
            self._show(builder, used, variable, _slice(low, low + width - 1))

    def _show(
        self, builder: ir.IRBuilder, value: ir.Value, variable: DebugNode, expression: str = ""
    ) -> None:
        words = f"!DIExpression({expression})"
        add_debug_value(builder, DebugValue(value, variable, words, self._location))

    # -- declarations

    def _local(self, name: str, span: Span, kind: str | None = None) -> DebugNode:
        """A local variable. An argument or another local may have its name already."""
        name = re.sub(r"\W+", "_", name).strip("_")  # of an element such as pages[1]
        while name in self._taken:
            name += "_value"
        return self._variable(name, span, kind or self._types.word(), "")

    def _variable(self, name: str, span: Span, kind: str, number: str) -> DebugNode:
        self._taken.add(name)
        scope = self._subprogram.get_reference()
        what = f'name: "{name}", {number}scope: {scope}, {self._place(span)}, type: {kind}'
        return DebugNode(self._module, f"!DILocalVariable({what})")


def _bits(place: Bits, *, signed: bool = False) -> str:
    """Bits of a register, as an expression on the whole of it."""
    if place.low == 0 and (place.high == 63 or not signed):
        return "" if place.high == 63 else _slice(0, place.high)
    if not signed:
        return _slice(place.low, place.high)
    left, right = 63 - place.high, 63 - place.high + place.low
    moved = f"DW_OP_constu, {left}, DW_OP_shl, " if left else ""
    return f"{moved}DW_OP_constu, {right}, DW_OP_shra, DW_OP_stack_value"


def _slice(low: int, high: int) -> str:
    moved = f"DW_OP_constu, {low}, DW_OP_shr, " if low else ""
    mask = slice_mask(0, high - low)
    return f"{moved}DW_OP_constu, {mask}, DW_OP_and, DW_OP_stack_value"
