"""From plans to an LLVM module.

One function a plan, in the order of the plan: inputs, checks, loads, the call, its edges, the
question whether to try again, deliveries, return. What is unlikely lies in blocks of its own with
branch weights, so that it ends up after the return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llvmlite import ir

from seamir.ir.leaf import (
    Again,
    Argument,
    ArgumentKind,
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
from seamir.llvm.constraints import CallAssembly, call_assembly, escape
from seamir.llvm.debuginfo import DebugInfo
from seamir.llvm.extensions import (
    AttributeGroup,
    Function,
    add_call_branch,
    add_module_flag,
    module_text,
)
from seamir.model.expressions import Binary, Constant, Expression, ParameterValue, TrapNumber
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.source import Source, Span
from seamir.targets import Target

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
LIKELY, UNLIKELY = 2000, 1
TRIPLE = "x86_64-unknown-linux-gnu"

_KERNEL_FEATURES = "-mmx,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-x87,+soft-float"


def emit_module(plans: Sequence[Plan], target: Target, main: Source, debug: str) -> str:
    """The text of an LLVM module with one function a plan.

    `debug` is "full", "lines" (for assembly: directives only) or "none".
    """
    module = ir.Module(name=escape(main.logical_name or main.name), context=ir.Context())
    module.triple = TRIPLE
    if "ibt" in target.features:
        add_module_flag(module, 8, "cf-protection-branch", 1)
    if target.code_model == "kernel":
        add_module_flag(module, 1, "Code Model", 2)
    lines = None if debug == "none" else DebugInfo(module, main, only_lines=debug == "lines")
    group = AttributeGroup(0, function_attributes(target))
    externals: dict[str, ir.Function] = {}
    for plan in plans:
        FunctionWriter(module, plan, target, group, lines, externals).write()
    return module_text(module, [group])


def function_attributes(target: Target) -> list[str]:
    """The attributes of every function for a target, as LLVM spells them."""
    on = target.features
    features = [] if "simd" in on else [_KERNEL_FEATURES]
    features += ["+harden-sls-ret", "+harden-sls-ijmp"] if "sls" in on else []
    attributes = ["nounwind", "noinline"]
    attributes += [] if "redzone" in on else ["noredzone"]
    attributes += [] if "simd" in on else ["noimplicitfloat", '"use-soft-float"="true"']
    attributes += ["fn_ret_thunk_extern"] if "rethunk" in on else []
    pointer = "all" if "frame-pointer" in on else "none"
    attributes += [f'"frame-pointer"="{pointer}"', '"no-jump-tables"="true"', '"target-cpu"="x86-64"']
    if features:
        attributes.append(f'"target-features"="{",".join(features)}"')
    return attributes


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
        kinds = [_argument_type(argument) for argument in plan.arguments]
        self._function = Function(
            module, ir.FunctionType(_return_type(plan), kinds), name=plan.symbol
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
        self._failures: list[tuple[ir.Value, ir.Block, dict[str, ir.Value]]] = []
        self._failed: ir.Block | None = None
        self._at(plan.span)

    # -- small helpers

    def _at(self, span: Span) -> None:
        """Instructions from here on belong to that place."""
        if self._lines is not None:
            self._builder.debug_metadata = self._lines.location(
                self._subprogram, self._plan, span
            )

    def _block(self, name: str) -> ir.Block:
        return self._function.append_basic_block(name)

    def _branch(self, condition: ir.Value, unlikely: ir.Block, likely: ir.Block) -> None:
        self._builder.cbranch(condition, unlikely, likely).set_weights([UNLIKELY, LIKELY])

    def _value(self, value: Expression, trap_number: ir.Value | None = None) -> ir.Value:
        """Code for an expression."""
        if isinstance(value, Constant):
            return ir.Constant(I64, value.value)
        if isinstance(value, ParameterValue):
            return self._values[value.name]
        if isinstance(value, TrapNumber):
            return trap_number
        assert isinstance(value, Binary)
        left = self._value(value.left, trap_number)
        right = self._value(value.right, trap_number)
        make = {
            "|": self._builder.or_,
            "+": self._builder.add,
            "-": self._builder.sub,
            "<<": self._builder.shl,
            ">>": self._builder.lshr,
        }
        return make[value.operator](left, right)

    # -- the function

    def write(self) -> None:
        """Writes it all."""
        for item in self._plan.inputs:
            self._values[item.name] = self._input(item)
        for index, check in enumerate(self._plan.checks):
            self._check(check, index)
        operands = self._operands()
        attempt = self._begin_attempts(operands)
        state = {**operands, **attempt.state}
        results = self._call(state)
        if self._plan.again:
            self._ask_again(attempt, state, results)
        self._deliver(results)
        self._write_failed()

    def _input(self, item: Input) -> ir.Value:
        self._at(item.span)
        value = self._arguments[item.argument]
        if item.offset is not None:
            place = self._address(value, item.offset)
            value = self._builder.load(place, typ=_integer(item.type))
        if item.type.extension == "none":
            return value if item.type.c_base != "ptr" else self._builder.ptrtoint(value, I64)
        extend = self._builder.sext if item.type.signed else self._builder.zext
        return extend(value, I64)

    def _address(self, base: ir.Value, offset: int) -> ir.Value:
        if offset == 0:
            return base
        return self._builder.gep(base, [ir.Constant(I64, offset)], source_etype=I8)

    # -- checks

    def _check(self, check: Check, index: int) -> None:
        self._at(check.span)
        bad = self._breaks_promise(self._values[check.input], check.promise)
        failed, passed = self._block(f"check{index}.failed"), self._block(f"check{index}.passed")
        self._branch(bad, failed, passed)
        self._builder.position_at_end(failed)
        if check.status is None:
            self._trap()
        else:
            self._fail(ir.Constant(I64, check.status))
        self._builder.position_at_end(passed)

    def _breaks_promise(self, value: ir.Value, promise: Type) -> ir.Value:
        builder, tests = self._builder, []
        outside = ALL_BITS & ~promise.bits
        if outside and not promise.signed:
            masked = builder.and_(value, ir.Constant(I64, outside))
            tests.append(builder.icmp_unsigned("!=", masked, ir.Constant(I64, 0)))
        signed = promise.low < 0
        root = BUILTIN_TYPES[promise.c_base]
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        if promise.low > (root.low if signed else 0):
            tests.append(compare("<", value, ir.Constant(I64, promise.low)))
        if promise.high < (root.high if signed else promise.bits):
            tests.append(compare(">", value, ir.Constant(I64, promise.high)))
        bad = tests[0] if tests else ir.Constant(I1, 0)
        for test in tests[1:]:
            bad = builder.or_(bad, test)
        for constant in promise.constants:
            other = builder.icmp_unsigned("!=", value, ir.Constant(I64, constant))
            bad = builder.and_(bad, other)
        return bad

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
        for register in _changing(self._plan):
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
        result = ir.LiteralStructType([I64] * len(assembly.outputs))
        single = len(assembly.outputs) == 1
        function = ir.FunctionType(I64 if single else result, kinds)
        code = ir.InlineAsm(
            function, escape(assembly.text), assembly.constraints, side_effect=True
        )
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
        needed = {self._plan.status.register} | {d.place.register for d in self._plan.deliveries}
        needed |= {s.register for c in self._plan.again for s in c.steps
                   if isinstance(s, CarryRegister)}  # fmt: skip
        return self._unpack(value, assembly, [r for r in assembly.outputs if r in needed])

    def _collect_parked(self, value: ir.Value) -> None:
        """From here on, pointers are read from the registers they were parked in."""
        for name, register in self._assembly.parked.items():
            whole = self._unpack(value, self._assembly, [register])[register]
            self._arguments[name] = self._builder.inttoptr(whole, POINTER)

    def _unpack(
        self, value: ir.Value, assembly: CallAssembly, registers: Sequence[str]
    ) -> dict[str, ir.Value]:
        if len(assembly.outputs) == 1:
            return {assembly.outputs[0]: value}
        return {
            register: self._builder.extract_value(value, assembly.outputs.index(register))
            for register in registers
        }

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

    def _action(
        self, action: ReturnValue | Trap | CallSymbol, trap_number: ir.Value | None
    ) -> None:
        self._at(action.span)
        if isinstance(action, Trap):
            self._trap()
        elif isinstance(action, ReturnValue):
            self._fail(self._value(action.value, trap_number))
        else:
            self._call_symbol(action, trap_number)

    def _call_symbol(self, action: CallSymbol, trap_number: ir.Value | None) -> None:
        value = None if action.value is None else self._value(action.value, trap_number)
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
        if isinstance(status, ir.Constant) and self._lines is not None:
            self._mark_line()
        if self._failed is None:
            self._failed = self._block("failed")
        self._failures.append((status, self._builder.block, dict(self._arguments)))
        self._builder.branch(self._failed)

    def _mark_line(self) -> None:
        """Begins the block with assembly of no instructions, to give the block its line.

        LLVM gives no line to a constant that only a later block uses; it inherits this one.
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

    # -- another attempt

    def _ask_again(
        self, attempt: _Attempt, state: dict[str, ir.Value], results: dict[str, ir.Value]
    ) -> None:
        status = self._status(results)
        deliver = self._block("deliver")
        assert self._plan.guard is not None
        self._at(self._plan.again[0].span)
        ask = self._block("ask.0")
        self._branch(self._matches(status, (self._plan.guard,)), ask, deliver)
        for index, clause in enumerate(self._plan.again):
            self._builder.position_at_end(ask)
            self._at(clause.span)
            last = index == len(self._plan.again) - 1
            ask = deliver if last else self._block(f"ask.{index + 1}")
            matched, granted = self._block(f"matched.{index}"), self._block(f"again.{index}")
            # A status that one clause matches belongs to no other, so a spent budget ends it.
            self._builder.cbranch(self._matches_in_halves(status, clause.matches), matched, ask)
            self._builder.position_at_end(matched)
            low, width = _counters(self._plan)[index]
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
                changed[step.place.register] = self._set_bits(
                    changed[step.place.register], step
                )
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

    def _set_bits(self, before: ir.Value, step: SetBits) -> ir.Value:
        builder, place = self._builder, step.place
        value = self._value(step.value)
        mask = slice_mask(place.low, place.high)
        if mask == ALL_BITS:
            return value
        if place.low:
            value = builder.shl(value, ir.Constant(I64, place.low))
        return builder.or_(builder.and_(before, ir.Constant(I64, ALL_BITS & ~mask)), value)

    # -- statuses

    def _status(self, results: dict[str, ir.Value]) -> ir.Value:
        place = self._plan.status
        return self._take(results[place.register], place.low, place.high)

    def _take(self, value: ir.Value, low: int, high: int, *, signed: bool = False) -> ir.Value:
        """Bits `low` to `high` of a value, extended to 64 bits."""
        builder = self._builder
        if (low, high) == (0, 63):
            return value
        if signed:
            moved = builder.shl(value, ir.Constant(I64, 63 - high)) if high != 63 else value
            return builder.ashr(moved, ir.Constant(I64, 63 - high + low))
        moved = builder.lshr(value, ir.Constant(I64, low)) if low else value
        return moved if high == 63 else builder.and_(moved, ir.Constant(I64, slice_mask(0, high - low)))

    def _matches(self, status: ir.Value, matches: Sequence[Match]) -> ir.Value:
        """Whether any of the matches accepts the status."""
        builder = self._builder
        result: ir.Value | None = None
        for match in matches:
            if (match.mask, match.value) == (1 << 63, 1 << 63):
                test = builder.icmp_signed("<", status, ir.Constant(I64, 0))
            else:
                masked = status
                if match.mask != ALL_BITS:
                    masked = builder.and_(status, ir.Constant(I64, match.mask))
                test = builder.icmp_unsigned("==", masked, ir.Constant(I64, match.value))
            result = test if result is None else builder.or_(result, test)
        return ir.Constant(I1, 0) if result is None else result

    def _matches_in_halves(self, status: ir.Value, matches: Sequence[Match]) -> ir.Value:
        """The same, in 32-bit halves: their constants are part of the comparing instructions.

        A 64-bit constant would be loaded into a register, and LLVM would move that out of the
        loop, to the path that everybody pays for.
        """
        builder = self._builder
        high = builder.trunc(builder.lshr(status, ir.Constant(I64, 32)), I32)
        low = builder.trunc(status, I32)
        result: ir.Value | None = None
        for match in matches:
            test: ir.Value | None = None
            for half, shift in ((high, 32), (low, 0)):
                mask = match.mask >> shift & 0xFFFF_FFFF
                if not mask:
                    continue
                masked = half
                if mask != 0xFFFF_FFFF:
                    masked = builder.and_(half, ir.Constant(I32, mask))
                value = ir.Constant(I32, match.value >> shift & 0xFFFF_FFFF)
                part = builder.icmp_unsigned("==", masked, value)
                test = part if test is None else builder.and_(test, part)
            if test is not None:
                result = test if result is None else builder.or_(result, test)
        return ir.Constant(I1, 1) if result is None else result

    def _holds(self, status: ir.Value, test: StatusTest) -> ir.Value:
        builder = self._builder
        result = self._matches(status, test.any_of)
        if test.inverted:
            result = builder.not_(result)
        if test.or_any_of:
            result = builder.or_(result, self._matches(status, test.or_any_of))
        if test.none_of:
            result = builder.and_(result, builder.not_(self._matches(status, test.none_of)))
        return result

    # -- deliveries

    def _deliver(self, results: dict[str, ir.Value]) -> None:
        if self._plan.returns is Returns.NOTHING:
            self._at(self._plan.span)
            self._trap()
            return
        status = self._status(results)
        in_register = None
        for delivery in self._plan.deliveries:
            self._at(delivery.span)
            place = delivery.place
            value = self._take(
                results[place.register], place.low, place.high, signed=delivery.type.signed
            )
            if delivery.test is not None:
                holds = self._holds(status, delivery.test)
                value = self._builder.select(holds, value, ir.Constant(I64, 0))
            if delivery.argument is None:
                in_register = value
            else:
                self._store(delivery, value)
        self._at(self._plan.span)
        self._return(status, in_register)

    def _deliver_incomplete(self) -> None:
        """Stores 0 where an output is not to be kept."""
        for delivery in self._plan.deliveries:
            if not delivery.keep and delivery.argument is not None:
                self._at(delivery.span)
                self._store(delivery, ir.Constant(I64, 0))

    def _store(self, delivery: Delivery, value: ir.Value) -> None:
        assert delivery.argument is not None
        pointer = self._arguments[delivery.argument]
        after: ir.Block | None = None
        if delivery.optional:
            store, after = self._block(f"store.{delivery.name}"), self._block("stored")
            null = self._builder.icmp_unsigned("==", pointer, ir.Constant(POINTER, None))
            self._builder.cbranch(null, after, store)
            self._builder.position_at_end(store)
        width = _integer(delivery.type)
        if isinstance(value, ir.Constant):
            narrow: ir.Value = ir.Constant(width, 0)
        else:
            narrow = value if width is I64 else self._builder.trunc(value, width)
        self._builder.store(narrow, self._address(pointer, delivery.offset))
        if after is not None:
            self._builder.branch(after)
            self._builder.position_at_end(after)

    def _return(self, status: ir.Value, value: ir.Value | None) -> None:
        if self._plan.returns is Returns.STATUS_AND_VALUE:
            pair = ir.Constant(_return_type(self._plan), ir.Undefined)
            pair = self._builder.insert_value(pair, status, 0)
            second = ir.Constant(I64, 0) if value is None else value
            self._builder.ret(self._builder.insert_value(pair, second, 1))
        else:
            self._builder.ret(status)


def _integer(kind: Type) -> ir.IntType:
    return {8: I8, 32: I32, 64: I64}.get(kind.width) or ir.IntType(kind.width)


def _argument_type(argument: Argument) -> ir.Type:
    if argument.kind is not ArgumentKind.VALUE or argument.type.c_base == "ptr":
        return POINTER
    return _integer(argument.type)


def _return_type(plan: Plan) -> ir.Type:
    if plan.returns is Returns.NOTHING:
        return ir.VoidType()
    if plan.returns is Returns.STATUS_AND_VALUE:
        return ir.LiteralStructType([I64, I64])
    return I64


def _changing(plan: Plan) -> list[str]:
    """Registers whose operand changes between attempts, in the order of the loads."""
    changed = {
        step.register if isinstance(step, CarryRegister) else step.place.register
        for clause in plan.again
        for step in clause.steps
    }
    return [load.register for load in plan.loads if load.register in changed]


def _counters(plan: Plan) -> list[tuple[int, int]]:
    """Low bit and width of each clause's count of granted attempts, within 32 bits.

    They fit: the attempts multiply to at most 65,535, so the widths add up to less than 32.
    """
    places, low = [], 0
    for clause in plan.again:
        width = clause.attempts.bit_length()
        places.append((low, width))
        low += width
    return places
