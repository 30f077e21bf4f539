"""From a plan to an LLVM function, written in the order of the plan.

What is unlikely lies in blocks of its own with branch weights, so that it ends up after the
return.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from llvmlite import ir

from seamir.ir.leaf import (
    Again,
    Bound,
    CallSymbol,
    CarryRegister,
    Check,
    Delivery,
    Input,
    Plan,
    Refusal,
    Returns,
    ReturnValue,
    Trap,
)
from seamir.llvm.constraints import CallAssembly, call_assembly, escape
from seamir.llvm.debuginfo import DebugInfo
from seamir.llvm.extensions import (
    AttributeGroup,
    Function,
    add_call_branch,
)
from seamir.llvm.shapes import (
    I8,
    I32,
    I64,
    POINTER,
    argument_type,
    changing,
    counters,
    integer,
    return_type,
)
from seamir.llvm.values import (
    breaks_promise,
    expression,
    holds,
    matches_in_halves,
    passes_guard,
    put_bits,
    take_bits,
)
from seamir.model.expressions import Expression
from seamir.model.registers import CARRY_FLAG
from seamir.source import Span
from seamir.targets import Target

LIKELY, UNLIKELY = 2000, 1


@dataclass
class _Attempt:
    """Where attempts begin, and the operands that change between them."""

    block: ir.Block
    state: dict[str, ir.PhiInstr] = field(default_factory=dict)
    used: ir.PhiInstr | None = None


class FunctionWriter:
    """Writes the function of one plan."""

    def __init__(
        self,
        module: ir.Module,
        plan: Plan,
        target: Target,
        attributes: AttributeGroup,
        lines: DebugInfo | None,
        externals: dict[str, ir.Function],
    ) -> None:
        self._module, self._plan, self._target = module, plan, target
        self._lines, self._externals = lines, externals
        self._assembly = call_assembly(plan, target)
        kinds = [argument_type(argument) for argument in plan.arguments]
        self._function = Function(
            module, ir.FunctionType(return_type(plan), kinds), name=plan.symbol
        )
        self._function.attributes = attributes
        if plan.section != ".text":
            self._function.section = plan.section
        self._subprogram = lines.subprogram(plan) if lines else None
        if self._subprogram is not None:
            self._function.set_metadata("dbg", self._subprogram)
        if plan.again:
            # With a count LLVM lays out the blocks of an unlikely attempt after the return.
            count = module.add_metadata(["function_entry_count", ir.Constant(I64, LIKELY)])
            self._function.set_metadata("prof", count)
        self._arguments = dict(
            zip((a.name for a in plan.arguments), self._function.args, strict=True)
        )
        for name, argument in self._arguments.items():
            argument.name = name
        self._builder = ir.IRBuilder(self._function.append_basic_block("entry"))
        self._values: dict[str, ir.Value] = {}
        self._memory: dict[str, ir.Value] = {}
        self._failures: list[tuple[ir.Value, ir.Block, dict[str, ir.Value]]] = []
        self._failed: ir.Block | None = None
        self._at(plan.span)

    # -- small helpers

    def _at(self, span: Span) -> None:
        """Instructions from here on belong to that place."""
        if self._lines is not None:
            self._builder.debug_metadata = self._lines.location(self._subprogram, self._plan, span)

    def _block(self, name: str) -> ir.Block:
        return self._function.append_basic_block(name)

    def _branch(self, condition: ir.Value, unlikely: ir.Block, likely: ir.Block) -> None:
        self._builder.cbranch(condition, unlikely, likely).set_weights([UNLIKELY, LIKELY])

    def _value(self, value: Expression, edge_value: ir.Value | None = None) -> ir.Value:
        return expression(self._builder, value, self._values, edge_value)

    # -- the function

    def write(self) -> None:
        """Writes it all."""
        for index, check in enumerate(self._plan.checks):
            self._check(check, index)
        for item in self._plan.inputs:
            self._values[item.name] = self._input(item)
        operands = self._operands()
        attempt = self._begin_attempts(operands)
        state = {**operands, **attempt.state}
        results = self._call(state)
        if self._plan.edges.refused is not None:
            self._refuse(self._plan.edges.refused, results)
        if self._plan.again:
            self._ask_again(attempt, state, results)
        self._deliver(results)
        self._write_failed()

    def _input(self, item: Input) -> ir.Value:
        """The value of an input; code for it in the present block, where LLVM keeps its line."""
        self._at(item.span)
        if item.bound is not None:
            return self._bounded(item, item.bound)
        return self._extended(item)

    def _bounded(self, item: Input, bound: Bound) -> ir.Value:
        """An element that is read only if there are so many."""
        count = ir.Constant(I64, bound.index)
        is_there = self._builder.icmp_unsigned(">", self._values[bound.count], count)
        before, there, after = self._builder.block, self._block("there"), self._block("read")
        self._builder.cbranch(is_there, there, after)
        self._builder.position_at_end(there)
        value = self._extended(item)
        self._builder.branch(after)
        self._builder.position_at_end(after)
        result = self._builder.phi(I64)
        result.add_incoming(value, there)
        result.add_incoming(ir.Constant(I64, bound.otherwise), before)
        return result

    def _extended(self, item: Input) -> ir.Value:
        value = self._read(item)
        if item.type.extension == "none":
            return value if item.type.c_base != "ptr" else self._builder.ptrtoint(value, I64)
        extend = self._builder.sext if item.type.signed else self._builder.zext
        return extend(value, I64)

    def _read(self, item: Input) -> ir.Value:
        """An input as it is passed; one in memory is read once, so that what is checked is used."""
        if item.offset is None:
            return self._arguments[item.argument]
        if item.name not in self._memory:
            place = self._address(self._arguments[item.argument], item.offset)
            self._memory[item.name] = self._builder.load(place, typ=integer(item.type))
        return self._memory[item.name]

    def _address(self, base: ir.Value, offset: int) -> ir.Value:
        if offset == 0:
            return base
        return self._builder.gep(base, [ir.Constant(I64, offset)], source_etype=I8)

    # -- checks

    def _check(self, check: Check, index: int) -> None:
        item = next(item for item in self._plan.inputs if item.name == check.input)
        value = self._input(item)
        self._at(check.span)
        bad = breaks_promise(self._builder, value, item.type, check.promise)
        failed, passed = self._block(f"check{index}.failed"), self._block(f"check{index}.passed")
        self._branch(bad, failed, passed)
        self._builder.position_at_end(failed)
        if check.status is None:
            self._trap()
        else:
            self._fail(ir.Constant(I64, check.status))
        self._builder.position_at_end(passed)

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
            return self._unpack(value, assembly, assembly.outputs)
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
        return self._unpack(value, assembly, [r for r in assembly.outputs if r in self._needed()])

    def _needed(self) -> set[str]:
        """The registers whose value after the call is used."""
        plan = self._plan
        needed = {delivery.place.register for delivery in plan.deliveries}
        needed |= {s.register for c in plan.again for s in c.steps if isinstance(s, CarryRegister)}
        needed |= set() if plan.status is None else {plan.status.register}
        return needed | (
            set() if plan.edges.refused is None else {plan.edges.refused.place.register}
        )

    def _collect_parked(self, value: ir.Value) -> None:
        """From here on, pointers are read from the registers they were parked in."""
        for name, register in self._assembly.parked.items():
            whole = self._unpack(value, self._assembly, [register])[register]
            self._arguments[name] = self._builder.inttoptr(whole, POINTER)

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
        self._at(self._plan.span)
        self._collect_parked(value)
        if edge == "carry":
            assert edges.carry is not None
            self._action(edges.carry, None)
            return
        trap_number = self._unpack(value, self._assembly, ["rax"])["rax"]
        if len(self._assembly.outputs) == 1:
            # LLVM 22 loses the only result of a callbr beyond the block it jumps to: use it here.
            trap_number = self._builder.and_(trap_number, ir.Constant(I64, 0xFF))
        for vector, action in edges.vectors:
            self._at(action.span)
            is_it = self._builder.icmp_unsigned("==", trap_number, ir.Constant(I64, vector))
            chosen, others = self._block(f"fault{vector}"), self._block("fault.other")
            self._builder.cbranch(is_it, chosen, others)
            self._builder.position_at_end(chosen)
            self._action(action, trap_number)
            self._builder.position_at_end(others)
        if edges.fault is None:
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
            self._return(value, None)

    def _external(self, name: str) -> ir.Function:
        if name not in self._externals:
            existing = self._module.globals.get(name)
            self._externals[name] = existing or ir.Function(
                self._module, ir.FunctionType(ir.VoidType(), []), name=name
            )
        return self._externals[name]

    def _trap(self) -> None:
        if "llvm.trap" not in self._externals:
            self._externals["llvm.trap"] = ir.Function(
                self._module, ir.FunctionType(ir.VoidType(), []), name="llvm.trap"
            )
        self._builder.call(self._externals["llvm.trap"], [])
        self._builder.unreachable()

    def _fail(self, status: ir.Value) -> None:
        """Goes to the block that returns from a call that did not complete."""
        if isinstance(status, ir.Constant):
            self._mark_line()
        if self._failed is None:
            self._failed = self._block("failed")
        self._failures.append((status, self._builder.block, dict(self._arguments)))
        self._builder.branch(self._failed)

    def _mark_line(self) -> None:
        """Begins the block with assembly of no instructions, to give the block its line.

        LLVM gives no line to a constant that only a later block uses; it inherits this one. That
        is done without line information too, which is never to change the code.
        """
        empty = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", side_effect=True)
        self._builder.call(empty, [])

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
            matches = matches_in_halves(self._builder, status, clause.matches)
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
        self._builder.branch(attempt.block)

    # -- statuses

    def _status(self, results: dict[str, ir.Value]) -> ir.Value | None:
        place = self._plan.status
        if place is None:
            return None
        return take_bits(self._builder, results[place.register], place)

    # -- deliveries

    def _deliver(self, results: dict[str, ir.Value]) -> None:
        """Delivers the outputs of a call that completed, and returns."""
        if self._plan.returns is Returns.NOTHING:
            self._at(self._plan.span)
            self._trap()
            return
        status = self._status(results)
        in_register = None
        for delivery in self._plan.deliveries:
            if delivery.argument is None:
                in_register = self._output(delivery, status, results)
        in_memory = [d for d in self._plan.deliveries if d.argument is not None]
        self._store_all(in_memory, lambda delivery: self._output(delivery, status, results))
        self._at(self._plan.span)
        self._return(status, in_register)

    def _output(
        self, delivery: Delivery, status: ir.Value | None, results: dict[str, ir.Value]
    ) -> ir.Value:
        """The value of an output, 0 where its condition does not hold."""
        self._at(delivery.span)
        register, signed = delivery.place.register, delivery.type.signed
        value = take_bits(self._builder, results[register], delivery.place, signed=signed)
        if delivery.test is None:
            return value
        condition = holds(self._builder, status, delivery.test)
        return self._builder.select(condition, value, ir.Constant(I64, 0))

    def _deliver_incomplete(self) -> None:
        """Stores 0 where an output is not to be kept."""
        cleared = [d for d in self._plan.deliveries if not d.keep and d.argument is not None]
        self._store_all(cleared, lambda _: ir.Constant(I64, 0))

    def _store_all(
        self, deliveries: Sequence[Delivery], value_of: Callable[[Delivery], ir.Value]
    ) -> None:
        """Stores values in order; one test of a pointer that may be NULL serves all its stores."""
        for name, group in groupby(deliveries, key=lambda delivery: delivery.argument):
            members = tuple(group)
            assert name is not None
            after: ir.Block | None = None
            if members[0].optional:
                self._at(members[0].span)
                store, after = self._block(f"store.{name}"), self._block("stored")
                null = ir.Constant(POINTER, None)
                is_null = self._builder.icmp_unsigned("==", self._arguments[name], null)
                self._builder.cbranch(is_null, after, store)
                self._builder.position_at_end(store)
            for delivery in members:
                self._store(delivery, self._arguments[name], value_of(delivery))
            if after is not None:
                self._builder.branch(after)
                self._builder.position_at_end(after)

    def _store(self, delivery: Delivery, pointer: ir.Value, value: ir.Value) -> None:
        self._at(delivery.span)
        width = integer(delivery.type)
        if isinstance(value, ir.Constant):
            narrow: ir.Value = ir.Constant(width, 0)
        else:
            narrow = value if width is I64 else self._builder.trunc(value, width)
        self._builder.store(narrow, self._address(pointer, delivery.offset))

    def _return(self, status: ir.Value | None, value: ir.Value | None) -> None:
        if self._plan.returns is Returns.NO_STATUS:
            self._builder.ret_void()
        elif self._plan.returns is Returns.VALUE:
            self._builder.ret(value)
        elif self._plan.returns is Returns.STATUS_AND_VALUE:
            pair = ir.Constant(return_type(self._plan), ir.Undefined)
            pair = self._builder.insert_value(pair, status, 0)
            second = ir.Constant(I64, 0) if value is None else value
            self._builder.ret(self._builder.insert_value(pair, second, 1))
        else:
            self._builder.ret(status)
