"""Errors of lowering and of the passes, and plans that change before code is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from error_rows import Errors

from seamir.ir import lower, passes
from seamir.ir.leaf import (
    Again,
    Bits,
    Delivery,
    Edges,
    Fill,
    Input,
    Load,
    LoadKind,
    Plan,
    Returns,
    SetBits,
)
from seamir.model.expressions import Binary, Constant, Expression, ParameterValue
from seamir.model.registers import ALL_BITS, exposure_mask
from seamir.model.statuses import Match
from seamir.model.types import Possible

ERRORS = Errors()
STATED = Errors()  # which code is right for callers whose outputs do not overlap

# -- what changes parts of a plan


def each_load(plan: Plan, change: Callable[[Load], Load]) -> Plan:
    """The plan with each load changed."""
    return replace(plan, loads=tuple(map(change, plan.loads)))


def each_input(plan: Plan, change: Callable[[Input], Input]) -> Plan:
    """The plan with each input changed."""
    return replace(plan, inputs=tuple(map(change, plan.inputs)))


def each_delivery(plan: Plan, change: Callable[[Delivery], Delivery]) -> Plan:
    """The plan with each delivery changed."""
    return replace(plan, deliveries=tuple(map(change, plan.deliveries)))


def each_clause(plan: Plan, change: Callable[[Again], Again]) -> Plan:
    """The plan with each clause of further attempts changed."""
    return replace(plan, again=tuple(map(change, plan.again)))


# -- loads


@ERRORS.of_function((lower, "_join"), "operands_v3", "rdx, an operand")
def slice_shifted_by_one_bit(right: Any) -> Any:
    """An operand that goes to a part of a register is put one bit too high."""

    def join(fills: list[Fill]) -> Expression:
        higher = [replace(f, low=f.low + 1) if 0 < f.low < 63 else f for f in fills]
        value: Expression = right(higher)
        return value

    return join


@ERRORS.of_function((lower, "selector_values"), "versions", "rax, a selector")
def version_parameter_not_placed(_right: Any) -> Any:
    """The caller's version is left out of the selector."""

    def selector_values(leaf: Any) -> tuple[Expression, ...]:
        return Constant(leaf.number), Constant(0)

    return selector_values


@ERRORS.of_plan("operands_v3", "rax, a selector")
def another_leaf(plan: Plan) -> Plan:
    """The number of the next leaf is the selector."""
    next_leaf = Binary("+", plan.loads[0].value, Constant(1))
    return each_load(plan, lambda x: replace(x, value=next_leaf) if x.register == "rax" else x)


@ERRORS.of_plan("operands_v3", "r9, an operand")
def difference_the_wrong_way_round(plan: Plan) -> Plan:
    """The sides of a subtraction change places."""

    def swapped(load: Load) -> Load:
        match load.value:
            case Binary("-", left, right):
                return replace(load, value=Binary("-", right, left))
        return load

    return each_load(plan, swapped)


@ERRORS.of_function((passes, "fold"), "operands_v3", "r10, an operand")
def folded_in_32_bits(right: Any) -> Any:
    """Constants lose the upper half when expressions are folded."""

    def fold(value: Expression) -> Expression:
        folded = right(value)
        return Constant(folded.value & 0xFFFF_FFFF) if isinstance(folded, Constant) else folded

    return fold


@ERRORS.of_plan("operands_v3", "rcx, an operand")
def two_operands_change_places(plan: Plan) -> Plan:
    """RCX gets the value of RDX, and RDX that of RCX."""
    values = {load.register: load.value for load in plan.loads}
    other = {"rcx": "rdx", "rdx": "rcx"}
    return each_load(
        plan, lambda load: replace(load, value=values[other.get(load.register, load.register)])
    )


@ERRORS.of_function((lower._Lowering, "_loads"), "outputs", "r10, preloaded")
def preload_left_out(right: Any) -> Any:
    """The `else` of an output is not loaded."""

    def loads(self: Any, exposed: frozenset[str] | None) -> tuple[Load, ...]:
        return tuple(x for x in right(self, exposed) if x.kind is not LoadKind.PRELOAD)

    return loads


@ERRORS.of_plan("host", "r14, exposed")
def exposed_register_not_zeroed(plan: Plan) -> Plan:
    """The host sees what the caller had in a register that nothing is passed in."""
    return replace(plan, loads=tuple(x for x in plan.loads if x.kind is not LoadKind.ZERO))


@ERRORS.of_plan("host", "rcx, a selector")
def exposure_mask_without_one_bit(plan: Plan) -> Plan:
    """The register of an output is not in the exposure mask."""
    assert plan.exposed is not None
    mask = Constant(exposure_mask(plan.exposed - {"r14"}))
    return each_load(plan, lambda x: replace(x, value=mask) if x.register == "rcx" else x)


# -- inputs


@ERRORS.of_plan("layouts", "rdx, an operand")
def layout_read_8_bytes_on(plan: Plan) -> Plan:
    """The registers of a layout are read from the next member."""
    return each_input(plan, lambda x: x if x.offset is None else replace(x, offset=x.offset + 8))


@ERRORS.of_plan("arrays", "[pages + 0], which need not be there")
def element_read_that_is_not_there(plan: Plan) -> Plan:
    """All elements of an array are read, however many there are."""
    return each_input(plan, lambda item: replace(item, bound=None))


@ERRORS.of_plan("arrays", "[pages + 8], which need not be there")
def count_test_off_by_one(plan: Plan) -> Plan:
    """The element after the last one is read too."""

    def nearer(item: Input) -> Input:
        if item.bound is None or item.bound.index == 0:
            return item
        return replace(item, bound=replace(item.bound, index=item.bound.index - 1))

    return each_input(plan, nearer)


@ERRORS.of_plan("arrays", "r12, an operand")
def absent_elements_are_zero(plan: Plan) -> Plan:
    """What an array does not have is 0 instead of the constant after `else`."""

    def zero(item: Input) -> Input:
        return item if item.bound is None else replace(item, bound=replace(item.bound, otherwise=0))

    return each_input(plan, zero)


@ERRORS.of_plan("checked", "a check fails")
def check_left_out(plan: Plan) -> Plan:
    """An argument that is to be tested is not."""
    return replace(plan, checks=plan.checks[1:])


# -- what the instruction destroys


@ERRORS.of_function((lower._Lowering, "_destroyed"), "few", "no pointer argument")
def registers_believed_to_survive(right: Any) -> Any:
    """R8 to R11 are not among what the other side changes."""

    def destroyed(self: Any, edges: Edges) -> frozenset[str]:
        return frozenset(right(self, edges) - {"r8", "r9", "r10", "r11"})

    return destroyed


@ERRORS.of_plan("saved", "rbp, which a function preserves")
def rbp_not_restored(plan: Plan) -> Plan:
    """RBP is not among what the other side changes, so the caller's is not saved."""
    return replace(plan, destroyed=plan.destroyed - {"rbp"})


@ERRORS.of_plan("saved", "rbx, which a function preserves")
def preserved_register_not_restored(plan: Plan) -> Plan:
    """RBX is not among what the other side changes, so the caller's is not saved."""
    return replace(plan, destroyed=plan.destroyed - {"rbx"})


@ERRORS.of_plan("vectors", "xmm6, which a function preserves", target="uefi")
def vector_registers_not_restored(plan: Plan) -> Plan:
    """The vector registers are not among what the other side changes."""
    return replace(plan, destroys_simd=False)


# -- edges


def with_edges(plan: Plan, **changes: Any) -> Plan:
    """The plan with other edges."""
    return replace(plan, edges=replace(plan.edges, **changes))


@ERRORS.of_plan("few", "failed with carry")
def carry_edge_ignored(plan: Plan) -> Plan:
    """A call that nobody answered is taken for one that completed."""
    return with_edges(plan, carry=None)


@ERRORS.of_plan("host_told", "was refused")
def refused_edge_ignored(plan: Plan) -> Plan:
    """A call that was not passed on is taken for one that completed."""
    return with_edges(plan, refused=None)


@ERRORS.of_plan("faults", "fault 6")
def actions_of_two_vectors_change_places(plan: Plan) -> Plan:
    """What is said about #UD happens at #GP."""
    (first, one), (second, other), *rest = plan.edges.vectors
    return with_edges(plan, vectors=((first, other), (second, one), *rest))


@ERRORS.of_plan("choosy", "has to trap")
def action_of_one_vector_for_all(plan: Plan) -> Plan:
    """A fault that has no action gets that of another one."""
    return with_edges(plan, fault=plan.edges.vectors[0][1], vectors=())


# -- statuses


@ERRORS.of_plan("host", "the status")
def status_of_another_register(plan: Plan) -> Plan:
    """The status is taken from RAX, where the module's answer is, instead of R10."""
    assert plan.status is not None
    return replace(plan, status=replace(plan.status, register="rax"))


@ERRORS.of_plan("retry", "the status")
def status_of_half_a_register(plan: Plan) -> Plan:
    """Only the lower half of the status is returned."""
    assert plan.status is not None
    return replace(plan, status=replace(plan.status, high=31))


@ERRORS.of_plan("retry", "nothing grants another attempt")
def one_attempt_too_many(plan: Plan) -> Plan:
    """A retry clause grants one attempt more."""
    return each_clause(plan, lambda clause: replace(clause, attempts=clause.attempts + 1))


@ERRORS.of_plan("retry", "another attempt is due")
def one_attempt_too_few(plan: Plan) -> Plan:
    """The first attempt counts as one that was granted."""
    return each_clause(plan, lambda clause: replace(clause, attempts=clause.attempts - 1))


@ERRORS.of_plan("retry", "another attempt is due")
def ignored_bits_are_compared(plan: Plan) -> Plan:
    """A status with bits set that no comparison is to look at leads to no further attempt."""

    def strict(clause: Again) -> Again:
        matches = tuple(Match(ALL_BITS, match.value) for match in clause.matches)
        return replace(clause, matches=matches)

    return each_clause(plan, strict)


@ERRORS.of_plan("retry", "another attempt is due")
def guard_stricter_than_a_clause(plan: Plan) -> Plan:
    """The test on the way out, before any clause is looked at, misses statuses of one of them."""
    match = plan.again[0].matches[0]
    return replace(plan, guard=Match(match.mask & ~0xFFFF_FFFF, match.value & ~0xFFFF_FFFF))


@ERRORS.of_plan("retry", "another attempt")
def clauses_in_another_order(plan: Plan) -> Plan:
    """The outer loop is made the inner one."""
    return replace(plan, again=plan.again[::-1])


def each_step(plan: Plan, change: Callable[[SetBits], SetBits]) -> Plan:
    """The plan with each step of a resumption changed that sets bits."""
    return each_clause(
        plan,
        lambda clause: replace(
            clause,
            steps=tuple(change(s) if isinstance(s, SetBits) else s for s in clause.steps),
        ),
    )


@ERRORS.of_plan("resume", "r10, an operand")
def step_of_another_register(plan: Plan) -> Plan:
    """A step changes RDX instead of R10."""

    def elsewhere(step: SetBits) -> SetBits:
        if step.place.register != "r10":
            return step
        return replace(step, place=replace(step.place, register="rdx"))

    return each_step(plan, elsewhere)


@ERRORS.of_plan("resume", "r12, an operand")
def only_the_first_steps(plan: Plan) -> Plan:
    """The last step of a resumption is left out."""
    return each_clause(plan, lambda clause: replace(clause, steps=clause.steps[:-1]))


# -- deliveries


@ERRORS.of_plan("inout", "writes to [list + 0]")
def keep_ignored(plan: Plan) -> Plan:
    """What an in/out parameter points to is cleared if the call does not complete."""
    return each_delivery(plan, lambda delivery: replace(delivery, keep=False))


@ERRORS.of_plan("outputs_optional", "entry, which may be NULL")
def null_test_left_out(plan: Plan) -> Plan:
    """Outputs that may be left out are stored through NULL."""
    return each_delivery(plan, lambda delivery: replace(delivery, optional=False))


@ERRORS.of_plan("outputs", "output entry")
def condition_inverted(plan: Plan) -> Plan:
    """An output is delivered where its condition does not hold."""

    def inverted(delivery: Delivery) -> Delivery:
        if delivery.test is None:
            return delivery
        test = replace(delivery.test, inverted=not delivery.test.inverted)
        return replace(delivery, test=test)

    return each_delivery(plan, inverted)


@ERRORS.of_plan("outputs", "output info")
def exceptions_of_a_condition_forgotten(plan: Plan) -> Plan:
    """A status that a condition takes out again is not taken out."""

    def without(delivery: Delivery) -> Delivery:
        test = delivery.test
        return delivery if test is None else replace(delivery, test=replace(test, none_of=()))

    return each_delivery(plan, without)


@ERRORS.of_plan("few", "output entry")
def outputs_change_places(plan: Plan) -> Plan:
    """Each of two outputs gets the register of the other."""
    first, second = plan.deliveries
    return replace(
        plan,
        deliveries=(replace(first, place=second.place), replace(second, place=first.place)),
    )


@ERRORS.of_plan("arrays", "output freed[0]")
def elements_in_reverse_order(plan: Plan) -> Plan:
    """The elements of an array are stored from the last to the first."""
    offsets = [delivery.offset for delivery in reversed(plan.deliveries)]
    pairs = zip(plan.deliveries, offsets, strict=True)
    return replace(plan, deliveries=tuple(replace(d, offset=offset) for d, offset in pairs))


@ERRORS.of_function((lower._Lowering, "_member_offset"), "outputs_struct", "output extra")
def structure_without_padding(_right: Any) -> Any:
    """Members of the structure of outputs follow each other without gaps."""

    def member_offset(self: Any, output: Any) -> int:
        members = self._struct.members
        index = [member.name for member in members].index(output.group)
        return sum(member.type.width // 8 for member in members[:index])

    return member_offset


@ERRORS.of_plan("layouts", "output regs.rdx")
def layout_stored_8_bytes_on(plan: Plan) -> Plan:
    """The registers of a layout are stored to the next member."""
    return each_delivery(plan, lambda delivery: replace(delivery, offset=delivery.offset + 8))


@ERRORS.of_plan("value", "returned in rdx")
def another_register_returned(plan: Plan) -> Plan:
    """The output that is returned is taken from the next register."""
    place = Bits("r9", 0, 63, plan.span)
    return each_delivery(plan, lambda delivery: replace(delivery, place=place))


@ERRORS.of_plan("stop", "has to trap")
def function_that_returns(plan: Plan) -> Plan:
    """A function that never returns does."""
    return replace(plan, returns=Returns.NO_STATUS)


@ERRORS.of_plan("clean", "to be scrubbed")
def scrub_forgotten(plan: Plan) -> Plan:
    """Registers keep what came back."""
    return replace(plan, scrub=False)


@ERRORS.of_plan("again", "rdx, an operand")
def step_with_another_value(plan: Plan) -> Plan:
    """A step sets bits to the value of another parameter."""
    tdr = ParameterValue("tdr", Possible.anything())
    return each_step(plan, lambda step: replace(step, value=tdr))


@STATED.of_plan("few", "entry and info do not overlap")
def outputs_stored_in_another_order(plan: Plan) -> Plan:
    """The last output is stored first, so that the first one stays where two overlap."""
    return replace(plan, deliveries=plan.deliveries[::-1])
