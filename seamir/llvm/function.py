"""From a plan to an LLVM function, written in the order of the plan.

What is unlikely lies in blocks of its own with branch weights, so that it ends up after the
return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llvmlite import ir

from seamir.ir.leaf import (
    Again,
    CallSymbol,
    CarryRegister,
    Refusal,
    Returns,
    ReturnValue,
    Trap,
)
from seamir.llvm.constraints import CallAssembly, escape
from seamir.llvm.deliveries import DeliveryWriter
from seamir.llvm.extensions import DebugNode, add_call_branch, rolled_loop
from seamir.llvm.inputs import InputWriter, in_reading_order
from seamir.llvm.shapes import (
    I8,
    I32,
    I64,
    POINTER,
    changing,
    counters,
)
from seamir.llvm.values import (
    matches_in_halves,
    passes_guard,
    put_bits,
    take_bits,
)
from seamir.model.registers import CARRY_FLAG


@dataclass
class _Attempt:
    """Where attempts begin, the operands that change between them, and the loop they make."""

    block: ir.Block
    state: dict[str, ir.PhiInstr] = field(default_factory=dict)
    used: ir.PhiInstr | None = None
    loop: DebugNode | None = None


class FunctionWriter(InputWriter, DeliveryWriter):
    """Writes the function of one plan."""

    # -- the function

    def write(self) -> None:
        """Writes it all."""
        for index, check in enumerate(self._plan.checks):
            self._check(check, index)
        for item in in_reading_order(self._plan.inputs):
            self._values[item.name] = self._input(item)
        operands = self._operands()
        attempt = self._begin_attempts(operands)
        state = {**operands, **attempt.state}
        results = self._call(state)
        if self._plan.edges.refused is not None and self._plan.returns is not Returns.NOTHING:
            self._refuse(self._plan.edges.refused, results)  # else it traps, refused or not
        if self._plan.again:
            self._ask_again(attempt, state, results)
        self._deliver(results)
        self._write_failed()
        self._function.finish()

    # -- attempts

    def _operands(self) -> dict[str, ir.Value]:
        """The value of every loaded register at the first attempt."""
        state = {}
        for load in self._plan.loads:
            self._at(load.span)
            state[load.register] = self._value(load.value)
        return state

    def _begin_attempts(self, operands: dict[str, ir.Value]) -> _Attempt:
        """The block that every attempt starts at; without clauses, the one we are in."""
        if not self._plan.again:
            return _Attempt(self._builder.block)
        before, attempt = self._builder.block, _Attempt(self._block("attempt"))
        self._at(self._plan.span)
        self._builder.branch(attempt.block)
        self._builder.position_at_end(attempt.block)
        for register in changing(self._plan):
            phi = self._builder.phi(I64, name=f"{register}.state")
            phi.add_incoming(operands[register], before)
            attempt.state[register] = phi
        # Each clause counts the attempts it granted in bits of its own of one register.
        attempt.used = self._builder.phi(I32, name="used")
        attempt.used.add_incoming(ir.Constant(I32, 0), before)
        if self._for_linking:  # linkers unroll loops, code generation does not
            attempt.loop = rolled_loop(self._module)
        if self._variables is not None:
            self._variables.show_granted(self._builder, attempt.used)
        return attempt

    def _call(self, state: dict[str, ir.Value]) -> dict[str, ir.Value]:
        """The instruction; returns what each register holds once the call completed."""
        assembly = self._assembly
        self._at(self._plan.span)
        kinds = [I64] * len(assembly.inputs)
        widths = [I8 if name == CARRY_FLAG else I64 for name in assembly.outputs]
        result = ir.LiteralStructType(widths)
        single = len(assembly.outputs) == 1
        returned = ir.VoidType() if not widths else widths[0] if single else result
        function = ir.FunctionType(returned, kinds)
        code = ir.InlineAsm(function, escape(assembly.text), assembly.constraints, side_effect=True)
        waiting = {
            register: self._builder.ptrtoint(self._arguments[name], I64)
            for name, register in assembly.parked.items()
        }
        inputs = [waiting.get(register) or state[register] for register in assembly.inputs]
        if not assembly.edges:
            value = self._builder.call(code, inputs)
            self._collect_parked(value)
            return self._show_results(self._unpack(value, assembly, assembly.outputs))
        completed = self._block("completed")
        edges = {edge: self._block(edge) for edge in assembly.edges}
        value = add_call_branch(
            self._builder, code, inputs, completed, [edges[e] for e in assembly.edges]
        )
        arguments = self._arguments
        for edge, block in edges.items():
            self._builder.position_at_end(block)
            self._arguments = dict(arguments)
            self._edge(edge, value)
        self._arguments = dict(arguments)
        self._builder.position_at_end(completed)
        self._at(self._plan.span)
        self._collect_parked(value)
        needed = [name for name in assembly.outputs if name in self._plan.needed]
        return self._show_results(self._unpack(value, assembly, needed))

    def _show_results(self, results: dict[str, ir.Value]) -> dict[str, ir.Value]:
        if self._variables is not None:
            self._variables.show_results(self._builder, results)
        return results

    def _collect_parked(self, value: ir.Value) -> None:
        """From here on, pointers are read from the registers they were parked in."""
        for name, register in self._assembly.parked.items():
            whole = self._unpack(value, self._assembly, [register])[register]
            self._arguments[name] = self._builder.inttoptr(whole, POINTER)
            self._show_argument(name, self._arguments[name])

    def _unpack(
        self, value: ir.Value, assembly: CallAssembly, registers: Sequence[str]
    ) -> dict[str, ir.Value]:
        """Results of the call by register, each in 64 bits."""
        single = len(assembly.outputs) == 1
        found = {
            name: value
            if single
            else self._builder.extract_value(value, assembly.outputs.index(name))
            for name in registers
        }
        if CARRY_FLAG in found:
            found[CARRY_FLAG] = self._builder.zext(found[CARRY_FLAG], I64)
        return found

    # -- edges

    def _edge(self, edge: str, value: ir.Value) -> None:
        edges = self._plan.edges
        if edge == "carry":
            assert edges.carry is not None
            self._at(edges.carry.span)
            self._collect_parked(value)
            self._action(edges.carry, None)
            return
        faults = [action for _, action in edges.vectors] + ([edges.fault] if edges.fault else [])
        self._at(faults[0].span)
        self._collect_parked(value)
        trap_number = self._unpack(value, self._assembly, ["rax"])["rax"]
        if len(self._assembly.outputs) == 1:
            # LLVM 22 loses the only result of a callbr beyond the block it jumps to: use it here.
            trap_number = self._builder.and_(trap_number, ir.Constant(I64, 0xFF))
        if self._variables is not None:
            self._variables.show_vector(self._builder, trap_number)
        for vector, action in edges.vectors:
            self._at(action.span)
            is_it = self._builder.icmp_unsigned("==", trap_number, ir.Constant(I64, vector))
            chosen, others = self._block(f"fault{vector}"), self._block("fault.other")
            self._builder.cbranch(is_it, chosen, others)
            self._builder.position_at_end(chosen)
            self._action(action, trap_number)
            self._builder.position_at_end(others)
        if edges.fault is None:
            self._at(self._plan.span)
            self._trap()
        else:
            self._action(edges.fault, trap_number)

    def _action(self, action: ReturnValue | Trap | CallSymbol, edge_value: ir.Value | None) -> None:
        self._at(action.span)
        if isinstance(action, Trap):
            self._trap()
        elif isinstance(action, ReturnValue):
            self._fail(self._value(action.value, edge_value))
        else:
            self._call_symbol(action, edge_value)

    def _call_symbol(self, action: CallSymbol, edge_value: ir.Value | None) -> None:
        value = None if action.value is None else self._value(action.value, edge_value)
        self._deliver_incomplete()
        self._at(action.span)
        self._builder.call(self._external(action.symbol), [])
        if value is None:
            self._trap()
        else:
            # LLVM merges returns, and those of two lines into one of none.
            self._at(self._plan.span)
            self._return(value, None)

    def _write_failed(self) -> None:
        if self._failed is None:
            return
        self._builder.position_at_end(self._failed)
        self._at(self._plan.span)
        status = self._builder.phi(I64, name="failed.status")
        for value, block, _ in self._failures:
            status.add_incoming(value, block)
        for name in self._assembly.parked:
            self._arguments[name] = self._builder.phi(POINTER)
            for _, block, arguments in self._failures:
                self._arguments[name].add_incoming(arguments[name], block)
        self._deliver_incomplete()
        self._at(self._plan.span)
        self._return(status, ir.Constant(I64, 0))

    def _refuse(self, refusal: Refusal, results: dict[str, ir.Value]) -> None:
        """Leaves to the refused edge unless the place says that the other side was reached."""
        self._at(refusal.action.span)
        found = take_bits(self._builder, results[refusal.place.register], refusal.place)
        value = ir.Constant(I64, refusal.value)
        is_refused = self._builder.icmp_unsigned("!=", found, value)
        refused, reached = self._block("refused"), self._block("reached")
        self._branch(is_refused, refused, reached)
        self._builder.position_at_end(refused)
        self._action(refusal.action, found)
        self._builder.position_at_end(reached)

    # -- another attempt

    def _ask_again(
        self, attempt: _Attempt, state: dict[str, ir.Value], results: dict[str, ir.Value]
    ) -> None:
        status = self._status(results)
        deliver = self._block("deliver")
        assert self._plan.guard is not None
        self._at(self._plan.again[0].span)
        ask = self._block("ask.0")
        self._branch(passes_guard(self._builder, status, self._plan.guard), ask, deliver)
        for index, clause in enumerate(self._plan.again):
            self._builder.position_at_end(ask)
            self._at(clause.span)
            last = index == len(self._plan.again) - 1
            ask = deliver if last else self._block(f"ask.{index + 1}")
            matched, granted = self._block(f"matched.{index}"), self._block(f"again.{index}")
            # A status that one clause matches belongs to no other, so a spent budget ends it.
            if last and index == 0 and clause.matches == (self._plan.guard,):
                self._builder.branch(matched)  # the guard has said it all
            else:
                matches = matches_in_halves(
                    self._builder, status, clause.matches, hidden=self._for_linking
                )
                self._builder.cbranch(matches, matched, ask)
            self._builder.position_at_end(matched)
            low, width = counters(self._plan)[index]
            count = self._builder.lshr(attempt.used, ir.Constant(I32, low))
            count = self._builder.and_(count, ir.Constant(I32, (1 << width) - 1))
            spent = self._builder.icmp_unsigned("==", count, ir.Constant(I32, clause.attempts))
            self._builder.cbranch(spent, deliver, granted)
            self._builder.position_at_end(granted)
            self._grant(clause, low, attempt, state, results)
        self._builder.position_at_end(deliver)

    def _grant(
        self,
        clause: Again,
        low: int,
        attempt: _Attempt,
        state: dict[str, ir.Value],
        results: dict[str, ir.Value],
    ) -> None:
        """One more attempt: counts it at bit `low`, and sets the counts below it back to 0."""
        changed = dict(state)
        for step in clause.steps:
            self._at(step.span)
            if isinstance(step, CarryRegister):
                changed[step.register] = results[step.register]
            else:
                before = changed[step.place.register]
                value = self._value(step.value)
                after = put_bits(self._builder, before, step.place, value)
                changed[step.place.register] = after
        self._at(clause.span)
        block = self._builder.block
        for register, phi in attempt.state.items():
            phi.add_incoming(changed[register], block)
        assert attempt.used is not None
        used = attempt.used
        if low:
            used = self._builder.and_(used, ir.Constant(I32, 0xFFFF_FFFF & -(1 << low)))
        used = self._builder.add(used, ir.Constant(I32, 1 << low))
        attempt.used.add_incoming(used, block)
        back = self._builder.branch(attempt.block)
        if attempt.loop is not None:
            back.set_metadata("llvm.loop", attempt.loop)
