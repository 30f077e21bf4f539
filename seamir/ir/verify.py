"""What every plan fulfils. A plan that does not is a defect of the compiler, never of the input.

LLVM accepts, ignores or aborts on registers that make no sense, so nothing reaches it that has
not passed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from seamir.ir.leaf import ArgumentKind, LoadKind, Plan, Returns
from seamir.model.entities import CallSymbol, CarryRegister, ReturnValue, SetBits, Trap
from seamir.model.expressions import (
    Constant,
    RefusalValue,
    TrapNumber,
    parameters_of,
    reads,
)
from seamir.model.registers import (
    ALL_BITS,
    CARRY_FLAG,
    NEVER_EXPOSED,
    REGISTERS,
    WIDTH,
    exposure_mask,
    slice_mask,
)

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
        *_check_edge_values(plan),
        *_check_loads(plan),
        *_check_destroyed(plan),
        *_check_again(plan),
        *_check_exposure(plan),
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
    known: set[str] = set()
    for item in plan.inputs:
        if item.bound is not None and item.bound.count not in known:
            yield f"input {item.name} is counted by what is not read before it"
        if item.bound is not None and item.offset is None:
            yield f"input {item.name} is counted and no element"
        known.add(item.name)
    read = {name for load in plan.loads for name in parameters_of(load.value)}
    read |= {n for load in plan.loads for fill in load.fills for n in parameters_of(fill.value)}
    for clause in plan.again:
        for step in clause.steps:
            read |= parameters_of(step.value) if isinstance(step, SetBits) else set()
    for name in sorted(read - inputs):
        yield f"{name} is no input"
    if plan.version_parameter is not None and plan.version_parameter not in inputs:
        yield f"version {plan.version_parameter} is no input"
    for check in plan.checks:
        if check.input not in inputs:
            yield f"check of {check.input}, which is no input"


def _check_symbols(plan: Plan) -> Iterator[str]:
    if not plan.symbol.isidentifier() or not plan.symbol.isascii():
        yield f"symbol {plan.symbol!r} is no identifier"
    if plan.section not in _TARGET_SECTIONS:
        yield f"section {plan.section!r} is none of ours"
    symbols = [a.symbol for a in plan.edges.actions if isinstance(a, CallSymbol)]
    for symbol in symbols:
        if not symbol.isidentifier() or not symbol.isascii():
            yield f"called symbol {symbol!r} is no identifier"


def _check_bits(plan: Plan) -> Iterator[str]:
    places = [d.place for d in plan.deliveries if d.place.register != CARRY_FLAG]
    places += [s.place for c in plan.again for s in c.steps if isinstance(s, SetBits)]
    places += [] if plan.status is None else [plan.status]
    places += [] if plan.edges.refused is None else [plan.edges.refused.place]
    for place in places:
        if place.register not in REGISTERS or not 0 <= place.low <= place.high < WIDTH:
            yield f"there are no bits {place}"


def _check_edge_values(plan: Plan) -> Iterator[str]:
    values = [load.value for load in plan.loads]
    values += [s.value for c in plan.again for s in c.steps if isinstance(s, SetBits)]
    if isinstance(plan.edges.carry, ReturnValue | CallSymbol) and plan.edges.carry.value:
        values.append(plan.edges.carry.value)
    if any(reads(value, TrapNumber, RefusalValue) for value in values):
        yield "an edge's value is read where there is no such edge"
    refused = None if plan.edges.refused is None else plan.edges.refused.action
    for action in plan.edges.actions:
        if isinstance(action, Trap) or action.value is None:
            continue
        if reads(action.value, TrapNumber if action is refused else RefusalValue):
            yield "an edge reads the value of another"


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
        if load.kind is not LoadKind.OPERAND and parameters_of(load.value) - {
            plan.version_parameter
        }:
            yield f"{load.kind.value} {load.register} is not constant"
    if not 1 <= len(plan.instruction.code) <= 15:
        yield "the instruction has no bytes"


def _check_destroyed(plan: Plan) -> Iterator[str]:
    for name in plan.destroyed:
        if name not in REGISTERS or name == "rsp":
            yield f"{name} cannot be destroyed"
    if plan.status is not None and plan.status.register not in plan.destroyed:
        yield "the status register is not among the destroyed"
    refused = plan.edges.refused
    if refused is not None and refused.place.register not in plan.destroyed:
        yield "the register that tells of a refusal is not among the destroyed"
    if plan.returns_carry and (plan.edges.carry is not None or not plan.instruction.sets_carry):
        yield "the carry flag is an output and an outcome, or nothing"
    used = plan.needed | ({"rax"} if plan.catches_faults else set())
    if plan.returns_carry and used >= REGISTERS.keys() - {"rsp"}:
        yield "no register is left to fetch the carry flag with"
    for delivery in plan.deliveries:
        if delivery.place.register not in plan.destroyed | {CARRY_FLAG}:
            yield f"output {delivery.name} is in a register that nothing changes"
    if plan.edges.carry is not None and not plan.instruction.sets_carry:
        yield "a carry edge without carry"
    if plan.edges.has_fault and not plan.instruction.may_fault:
        yield "a fault edge without fault"
    for action in plan.edges.actions:
        value = action.value if isinstance(action, ReturnValue | CallSymbol) else None
        if value is not None and parameters_of(value):
            yield "an action reads a parameter"


def _check_exposure(plan: Plan) -> Iterator[str]:
    """What the other side sees is what the plan says: the mask, and a value for each register."""
    if plan.exposed is None:
        if any(load.kind is LoadKind.ZERO for load in plan.loads):
            yield "a register is zeroed and nothing exposes it"
        return
    mask = exposure_mask(plan.exposed)
    selectors = [load for load in plan.loads if load.kind is LoadKind.SELECTOR]
    fills = [fill for load in selectors for fill in load.fills]
    if not any(fill.value == Constant(mask) for fill in fills):
        yield f"no selector is the exposure mask {mask:#x}"
    loaded = {load.register for load in plan.loads}
    for name in sorted(plan.exposed - loaded):
        yield f"{name} is exposed with whatever it holds"
    for name in sorted(plan.exposed - plan.destroyed):
        yield f"{name} is exposed and not destroyed"
    for name in sorted(loaded - plan.exposed - NEVER_EXPOSED):
        yield f"{name} is loaded and not exposed"
    if plan.exposed & NEVER_EXPOSED:
        yield "a register is exposed that never is"


def _check_again(plan: Plan) -> Iterator[str]:
    if plan.again and plan.status is None:
        yield "attempts depend on a status that there is not"
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
    returns_value = plan.returns in (Returns.STATUS_AND_VALUE, Returns.VALUE)
    if returns_value != (len(in_register) == 1):
        yield "what is returned and what is delivered in a register disagree"
    without = plan.returns in (Returns.VALUE, Returns.NO_STATUS)
    if plan.returns is not Returns.NOTHING and without != (plan.status is None):
        yield "what is returned and the status disagree"
    if plan.status is None and any(a.value for a in plan.edges.actions if not isinstance(a, Trap)):
        yield "an edge returns a status that there is not"
    if plan.returns is Returns.NOTHING and plan.deliveries:
        yield "a delivery of a call that does not return"
    has_structure = any(a.kind is ArgumentKind.STRUCT for a in plan.arguments)
    if has_structure != (plan.struct is not None):
        yield "the structure and its argument disagree"
    for delivery in plan.deliveries:
        if delivery.argument is None:
            if delivery.keep or delivery.optional:
                yield f"{delivery.name} has no memory to keep"
            continue
        target = arguments.get(delivery.argument)
        if target is None or target.kind in (ArgumentKind.VALUE, ArgumentKind.IN):
            yield f"{delivery.name} goes through no pointer"
        elif target.kind is ArgumentKind.STRUCT:
            size = 0 if plan.struct is None else plan.struct.size
            if delivery.offset + delivery.type.width // 8 > size:
                yield f"{delivery.name} lies past the end of the structure"
        elif delivery.offset + delivery.type.width // 8 > target.size:
            yield f"{delivery.name} lies past the end of {target.name}"
    for item in plan.inputs:
        source = arguments.get(item.argument)
        if source is None or item.offset is None or source.kind is ArgumentKind.STRUCT:
            continue
        if item.offset + item.type.width // 8 > source.size:
            yield f"{item.name} lies past the end of {source.name}"
