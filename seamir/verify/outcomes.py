"""The processor where a path begins: at the entry of the function, and after each outcome.

After an attempt everything is unknown that the plan's conduit does not promise to keep, and what
lies below RSP.
"""

from __future__ import annotations

from seamir.ir.leaf import Plan
from seamir.model.registers import CARRY_FLAG
from seamir.targets import Target
from seamir.verify.code import Code
from seamir.verify.memory import SLOT, RegionMemory, Surroundings
from seamir.verify.sites import Site
from seamir.verify.specification import Specification
from seamir.verify.state import STATUS_FLAGS, VECTOR_WIDTH, VECTORS, State
from seamir.verify.terms import Word, symbol, zero_extend
from seamir.verify.walk import RETURN_ADDRESS, Attempted, Path

_PLAIN_ROW = 1  # in Linux EX_TYPE_DEFAULT: goes on there, and no register changes


def entry_state(specification: Specification, code: Code, target: Target) -> State:
    """The processor as the caller leaves it, with arguments by the target's convention."""
    convention = target.convention
    arguments = [specification.arguments[a.name] for a in specification.plan.arguments]
    start = SLOT + convention.shadow_bytes
    on_stack = arguments[len(convention.arguments) :]
    around = Surroundings(
        frame=symbol("entry.rsp"),
        alignment=target.stack_alignment,
        regions=specification.regions(),
        caller={start + SLOT * index: value for index, value in enumerate(on_stack)},
        shadow=range(SLOT, start),
        red_zone="redzone" in target.features,
        image=code.image,
    )
    memory = RegionMemory(around, {0: (SLOT, RETURN_ADDRESS)})
    state = State.unknown("entry", memory)
    for register, value in zip(convention.arguments, arguments, strict=False):
        state.registers[register] = value
    return state


def after_attempt(plan: Plan, site: Site, tag: str, kind: str) -> Path:
    """A path that begins with an outcome: "completed", "carry" or "fault".

    Symbols of what is unknown then begin with the tag.
    """
    state, memory, before, conditions = site.state(tag)
    loaded = dict(state.registers)
    destroyed = _destroyed(plan, kind)
    carry: Word = symbol(f"{tag}.carry", 1)
    if plan.edges.carry is not None:
        carry = int(kind == "carry")
    for name in destroyed:
        state.registers[name] = symbol(f"{tag}.{name}")
    for flag in STATUS_FLAGS if kind != "fault" else ():
        state.flags[flag] = carry if flag == "cf" else symbol(f"{tag}.{flag}", 1)
    state.epoch = f"{tag}."
    if plan.destroys_memory:
        memory.epoch = f"{tag}.memory"
    if plan.destroys_simd:
        for number in range(VECTORS):
            state.vectors[number] = symbol(f"{tag}.xmm{number}", VECTOR_WIDTH)
    memory.forget_below_stack(state)
    after = {name: word for name, word in loaded.items() if name not in destroyed}
    after |= {name: state.registers[name] for name in destroyed}
    after[CARRY_FLAG] = carry
    vector = zero_extend(symbol(f"{tag}.vector", 8), 8, 64) if kind == "fault" else None
    origin = Attempted(kind, before, after, vector, site.is_exact)
    address = site.address + len(plan.instruction.code)
    return Path(state, memory, address, conditions, origin)


def _destroyed(plan: Plan, kind: str) -> frozenset[str]:
    if kind == "fault":  # the instruction did nothing
        return frozenset()
    # With carry nobody answered, and RAX is as it was.
    return plan.destroyed - {"rax"} if kind == "carry" else plan.destroyed


def take_fixup(path: Path, address: int, kind: int, target: Target) -> bool:
    """Goes on where a row of the fixup table says; False for a row of a type that nobody knows.

    The target's own type of row brings the vector.
    """
    path.address = address
    if kind == target.fixup_type:
        assert path.origin is not None and path.origin.vector is not None
        path.state.registers["rax"] = path.origin.vector
        return True
    return kind == _PLAIN_ROW
