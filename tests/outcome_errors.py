"""Errors of code generation after the call: edges, further attempts, deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from error_rows import Errors
from llvmlite import ir

from seamir.ir.leaf import (
    Again,
    CallSymbol,
    Delivery,
    Refusal,
    Returns,
    ReturnValue,
    Trap,
)
from seamir.llvm import deliveries, function
from seamir.llvm.function import FunctionWriter
from seamir.llvm.shapes import I32, I64
from seamir.model.entities import Bits

ERRORS = Errors()

# -- edges


@ERRORS.of_writer("few", "the status where a fault was raised")
class VectorLeftOut(FunctionWriter):
    """The status of a fault has 0 instead of the number of the exception."""

    def _action(self, action: ReturnValue | Trap | CallSymbol, edge_value: ir.Value | None) -> None:
        super()._action(action, edge_value and ir.Constant(I64, 0))


@ERRORS.of_writer("faults", "helper where fault 13")
class SymbolNotCalled(FunctionWriter):
    """The function that an edge names is not called."""

    def _call_symbol(self, action: CallSymbol, edge_value: ir.Value | None) -> None:
        if action.value is None:
            super()._call_symbol(action, edge_value)
        else:
            self._deliver_incomplete()
            self._return(self._value(action.value, edge_value), None)


@ERRORS.of_writer("faults", "helper, helper")
class SymbolCalledTwice(FunctionWriter):
    """The function that an edge names is called twice."""

    def _call_symbol(self, action: CallSymbol, edge_value: ir.Value | None) -> None:
        if action.value is not None:
            self._builder.call(self._external(action.symbol), [])
        super()._call_symbol(action, edge_value)


@ERRORS.of_writer("host_told", "was refused")
class RefusalInverted(FunctionWriter):
    """A call counts as refused if it was not."""

    def _refuse(self, refused: Refusal, results: dict[str, ir.Value]) -> None:
        inverse = replace(refused, value=refused.value ^ 1)
        super()._refuse(inverse, results)


@ERRORS.of_writer("choosy", "has to trap")
class ReturnInsteadOfTrap(FunctionWriter):
    """Where the function should trap it returns 0."""

    def _trap(self) -> None:
        self._builder.ret(ir.Constant(I64, 0))


@ERRORS.of_writer("stop", "has to trap")
class CallThatReturns(FunctionWriter):
    """A function that does not return has a return instead of UD2."""

    def _trap(self) -> None:
        self._builder.ret_void()


# -- further attempts


@ERRORS.of_writer("retry", "another attempt")
class InnerBudgetsNotRefilled(FunctionWriter):
    """An attempt that an outer clause grants leaves the budgets of inner ones spent."""

    def _grant(self, clause: Again, low: int, attempt: Any, state: Any, results: Any) -> None:
        super()._grant(clause, low, attempt, state, results)
        added, _ = attempt.used.incomings[-1]
        added.operands = [attempt.used, added.operands[1]]


@ERRORS.of_function((function, "counters"), "retry", "nothing grants another attempt")
def counter_one_bit_too_narrow(right: Any) -> Any:
    """The count of granted attempts overflows before the budget is spent."""
    return lambda plan: [(low, width - 1) for low, width in right(plan)]


@ERRORS.of_writer("resume", "rcx, an operand")
class ResumedOperandsNotKept(FunctionWriter):
    """What a resumption changed holds for one attempt, not for all after it."""

    def _grant(self, clause: Again, low: int, attempt: Any, state: Any, results: Any) -> None:
        if not clause.steps:
            first = {name: phi.incomings[0][0] for name, phi in attempt.state.items()}
            state = {**state, **first}
        super()._grant(clause, low, attempt, state, results)


@ERRORS.of_writer("resume", "rcx, an operand")
class CarryOfTheLoadedValue(FunctionWriter):
    """A resumption carries what the attempt was made with, not what came back."""

    def _grant(self, clause: Again, low: int, attempt: Any, state: Any, results: Any) -> None:
        super()._grant(clause, low, attempt, state, {**results, **state})


@ERRORS.of_function((function, "put_bits"), "resume", "r12, an operand")
def bits_joined_with_the_old_ones(_right: Any) -> Any:
    """A step sets bits without clearing what was there."""

    def put_bits(builder: Any, before: ir.Value, place: Bits, value: ir.Value) -> ir.Value:
        return builder.or_(before, builder.shl(value, ir.Constant(I64, place.low)))

    return put_bits


@ERRORS.of_writer("again", "rdx, an operand")
class InputsReadAgain(FunctionWriter):
    """A resumption reads memory that the other side may have changed."""

    def _grant(self, clause: Again, low: int, attempt: Any, state: Any, results: Any) -> None:
        self._memory.clear()
        for item in self._plan.inputs:
            if item.offset is not None:
                self._values[item.name] = self._input(item)
        super()._grant(clause, low, attempt, state, results)


@ERRORS.of_function((function, "matches_in_halves"), "retry", "nothing grants another attempt")
def detail_not_compared(right: Any) -> Any:
    """A clause about one operand is taken for one about all."""

    def matches_in_halves(builder: Any, status: Any, accepted: Any, **options: Any) -> ir.Value:
        upper = [
            replace(m, mask=m.mask & ~0xFFFF_FFFF, value=m.value & ~0xFFFF_FFFF) for m in accepted
        ]
        return right(builder, status, upper, **options)

    return matches_in_halves


# -- deliveries


@ERRORS.of_writer("few", "output entry is not stored")
class OutputsNotCleared(FunctionWriter):
    """Outputs of a call that did not complete keep what they held."""

    def _deliver_incomplete(self) -> None:
        pass


@ERRORS.of_writer("few", "output entry where the call failed with carry")
class OutputsStoredBeforeTheEdge(FunctionWriter):
    """A call that nobody answered leaves registers in the outputs."""

    def _edge(self, edge: str, value: ir.Value) -> None:
        if edge == "carry":
            self._collect_parked(value)
            results = self._unpack(value, self._assembly, ["rcx"])
            self._store(self._plan.deliveries[0], self._arguments["entry"], results["rcx"])
        super()._edge(edge, value)

    def _deliver_incomplete(self) -> None:
        self._store_all(self._plan.deliveries[1:], lambda _: ir.Constant(I64, 0))


@ERRORS.of_writer("retry", "before the last attempt")
class OutputsStoredAfterEachAttempt(FunctionWriter):
    """Outputs are stored before it is known that there is no further attempt."""

    def _ask_again(self, attempt: Any, state: Any, results: Any) -> None:
        delivery = self._plan.deliveries[0]
        self._store(delivery, self._arguments["entry"], results["rcx"])
        super()._ask_again(attempt, state, results)


@ERRORS.of_writer("outputs_optional", "extra, which may be NULL")
class NullTestInverted(FunctionWriter):
    """Outputs are stored where the pointer is NULL."""

    def _store_all(self, deliveries: Sequence[Delivery], value_of: Any) -> None:
        before = len(self._function.blocks)
        super()._store_all(deliveries, value_of)
        for block in self._function.blocks[before - 1 :]:
            for instruction in block.instructions:
                if instruction.opname == "icmp":
                    instruction.op = "ne"


@ERRORS.of_function((deliveries, "take_bits"), "outputs", "output delta")
def bits_above_a_slice(_right: Any) -> Any:
    """An output has all bits of the register above its lowest."""

    def take_bits(builder: Any, value: Any, place: Bits, *, signed: bool = False) -> ir.Value:
        return builder.lshr(value, ir.Constant(I64, place.low))

    return take_bits


@ERRORS.of_function((deliveries, "take_bits"), "outputs", "output delta")
def sign_of_an_output_lost(right: Any) -> Any:
    """A part of a register that has a sign is extended with zeros."""

    def take_bits(*arguments: Any, **_signed: bool) -> ir.Value:
        return right(*arguments)

    return take_bits


@ERRORS.of_function((deliveries, "integer"), "outputs", "past its end")
def store_too_wide(_right: Any) -> Any:
    """Narrow outputs are stored with 64 bits, over what lies behind them."""
    return lambda kind: I64


@ERRORS.of_function((deliveries, "integer"), "few", "output entry")
def store_too_narrow(_right: Any) -> Any:
    """Of an output only the lower half is stored."""
    return lambda kind: I32


@ERRORS.of_writer("layouts", "rbx, an operand")
class OffsetsIgnored(FunctionWriter):
    """Everything is read and stored where a pointer leads, whatever the offset."""

    def _address(self, base: ir.Value, offset: int) -> ir.Value:
        return base


@ERRORS.of_writer("value", "returned in rdx")
class PairTheWrongWayRound(FunctionWriter):
    """Status and output are returned in each other's register."""

    def _return(self, status: ir.Value | None, value: ir.Value | None) -> None:
        if self._plan.returns is Returns.STATUS_AND_VALUE and value is not None:
            status, value = value, status
        super()._return(status, value)
