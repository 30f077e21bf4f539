"""What every plan fulfils. A plan that does not is a defect of the compiler, never of the input.

LLVM accepts, ignores or aborts on registers that make no sense, so nothing reaches it that has
not passed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from seamir.ir.leaf import ArgumentKind, LoadKind, Plan, Returns
from seamir.model.entities import CallSymbol, CarryRegister, ReturnValue, SetBits
from seamir.model.expressions import Binary, Expression, TrapNumber, parameters_of
from seamir.model.registers import ALL_BITS, REGISTERS, WIDTH, slice_mask

LARGEST_BOUND = 65_535
_TARGET_SECTIONS = (".text", ".noinstr.text")


class DefectError(Exception):
    """The compiler made a plan that breaks its own rules."""


def verify(plan: Plan, after: str) -> None:
    """Raises DefectError with all rules that the plan breaks; `after` names the stage."""
    broken = [
        *_check_names(plan),
        *_check_symbols(plan),
        *_check_bits(plan),
        *_check_trap_numbers(plan),
        *_check_loads(plan),
        *_check_destroyed(plan),
        *_check_again(plan),
        *_check_deliveries(plan),
    ]
    if broken:
        raise DefectError(f"plan {plan.symbol} after {after}: " + "; ".join(broken))


def _check_names(plan: Plan) -> Iterator[str]:
    arguments = [argument.name for argument in plan.arguments]
    if len(set(arguments)) != len(arguments):
        yield "an argument is there twice"
    inputs = {item.name for item in plan.inputs}
    values = {a.name for a in plan.arguments if a.kind is ArgumentKind.VALUE}
    for item in plan.inputs:
        if item.argument not in arguments:
            yield f"input {item.name} comes from no argument"
        elif (item.argument in values) != (item.offset is None):
            yield f"input {item.name} takes a pointer for a value or a value for a pointer"
    read = {name for load in plan.loads for name in parameters_of(load.value)}
    read |= {n for load in plan.loads for fill in load.fills for n in parameters_of(fill.value)}
    for clause in plan.again:
        for step in clause.steps:
            read |= parameters_of(step.value) if isinstance(step, SetBits) else set()
    for name in sorted(read - inputs):
        yield f"{name} is no input"
    for check in plan.checks:
        if check.input not in inputs:
            yield f"check of {check.input}, which is no input"


def _check_symbols(plan: Plan) -> Iterator[str]:
    if not plan.symbol.isidentifier() or not plan.symbol.isascii():
        yield f"symbol {plan.symbol!r} is no identifier"
    if plan.section not in _TARGET_SECTIONS:
        yield f"section {plan.section!r} is none of ours"
    symbols = [a.symbol for a in _actions(plan) if isinstance(a, CallSymbol)]
    for symbol in symbols:
        if not symbol.isidentifier() or not symbol.isascii():
            yield f"called symbol {symbol!r} is no identifier"


def _check_bits(plan: Plan) -> Iterator[str]:
    places = [plan.status, *(delivery.place for delivery in plan.deliveries)]
    places += [s.place for c in plan.again for s in c.steps if isinstance(s, SetBits)]
    for place in places:
        if place.register not in REGISTERS or not 0 <= place.low <= place.high < WIDTH:
            yield f"there are no bits {place}"


def _check_trap_numbers(plan: Plan) -> Iterator[str]:
    values = [load.value for load in plan.loads]
    values += [s.value for c in plan.again for s in c.steps if isinstance(s, SetBits)]
    if isinstance(plan.edges.carry, ReturnValue | CallSymbol) and plan.edges.carry.value:
        values.append(plan.edges.carry.value)
    if any(_reads_trap_number(value) for value in values):
        yield "the trap number is read where there is none"


def _reads_trap_number(value: Expression) -> bool:
    if isinstance(value, Binary):
        return _reads_trap_number(value.left) or _reads_trap_number(value.right)
    return isinstance(value, TrapNumber)


def _actions(plan: Plan) -> Iterator[object]:
    if plan.edges.carry is not None:
        yield plan.edges.carry
    if plan.edges.fault is not None:
        yield plan.edges.fault
    for _, action in plan.edges.vectors:
        yield action


def _check_loads(plan: Plan) -> Iterator[str]:
    seen: set[str] = set()
    for load in plan.loads:
        if load.register not in REGISTERS or load.register == "rsp":
            yield f"{load.register} cannot be loaded"
        if load.register in seen:
            yield f"{load.register} is loaded twice"
        seen.add(load.register)
        written = 0
        for fill in load.fills:
            mask = slice_mask(fill.low, fill.high)
            if not 0 <= fill.low <= fill.high <= 63 or written & mask:
                yield f"fills of {load.register} overlap"
            written |= mask
        if load.kind is not LoadKind.OPERAND and parameters_of(load.value):
            yield f"{load.kind.value} {load.register} is not constant"
    if not 1 <= len(plan.instruction.code) <= 15:
        yield "the instruction has no bytes"


def _check_destroyed(plan: Plan) -> Iterator[str]:
    for name in plan.destroyed:
        if name not in REGISTERS or name == "rsp":
            yield f"{name} cannot be destroyed"
    if plan.status.register not in plan.destroyed:
        yield "the status register is not among the destroyed"
    for delivery in plan.deliveries:
        if delivery.place.register not in plan.destroyed:
            yield f"output {delivery.name} is in a register that nothing changes"
    if plan.edges.carry is not None and not plan.instruction.sets_carry:
        yield "a carry edge without carry"
    if (plan.edges.fault is not None or plan.edges.vectors) and not plan.instruction.may_fault:
        yield "a fault edge without fault"
    for action in _actions(plan):
        value = action.value if isinstance(action, ReturnValue | CallSymbol) else None
        if value is not None and parameters_of(value):
            yield "an action reads a parameter"


def _check_again(plan: Plan) -> Iterator[str]:
    bound = 1
    loaded = {load.register for load in plan.loads if load.kind is LoadKind.OPERAND}
    for clause in plan.again:
        bound *= clause.attempts + 1
        if clause.attempts < 1 or not clause.matches:
            yield "an empty clause"
        if clause.resumes != bool(clause.steps):
            yield "a retry with steps or a resumption without"
        for match in clause.matches:
            if match.value & ~match.mask or match.mask > ALL_BITS:
                yield "a match that cannot hold"
            if plan.guard is not None and not (
                plan.guard.mask & ~match.mask == 0
                and match.value & plan.guard.mask == plan.guard.value
            ):
                yield "the guard is stricter than a clause"
        for step in clause.steps:
            register = step.register if isinstance(step, CarryRegister) else step.place.register
            if register not in loaded:
                yield f"{register} changes between attempts and is no operand"
            if isinstance(step, CarryRegister) and register not in plan.destroyed:
                yield f"{register} is carried and nothing changes it"
    if bound != plan.bound or bound > LARGEST_BOUND:
        yield f"bound {plan.bound} is not {bound}"


def _check_deliveries(plan: Plan) -> Iterator[str]:
    arguments = {argument.name: argument for argument in plan.arguments}
    in_register = [d for d in plan.deliveries if d.argument is None]
    if (plan.returns is Returns.STATUS_AND_VALUE) != (len(in_register) == 1):
        yield "what is returned and what is delivered in a register disagree"
    if plan.returns is Returns.NOTHING and plan.deliveries:
        yield "a delivery of a call that does not return"
    for delivery in plan.deliveries:
        if delivery.argument is None:
            if delivery.keep or delivery.optional:
                yield f"{delivery.name} has no memory to keep"
            continue
        target = arguments.get(delivery.argument)
        if target is None or target.kind is ArgumentKind.VALUE:
            yield f"{delivery.name} goes through no pointer"
        if (plan.struct is not None) != (target is not None and target.kind is ArgumentKind.STRUCT):
            yield f"{delivery.name} and the structure disagree"
