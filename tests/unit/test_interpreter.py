"""The reference semantics of plans, one rule a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from plans import (
    BOOL,
    ON_ERROR,
    ON_SUCCESS,
    PTR,
    S8,
    S16,
    S32,
    SPAN,
    U8,
    U16,
    U32,
    U64,
    again,
    any_detail,
    bits,
    calling,
    carry,
    check,
    deliver,
    edges,
    exactly,
    in_out,
    load,
    out,
    parameter,
    plan,
    preload,
    returning,
    set_bits,
    struct,
    structure,
    trapping,
    value,
)

from seamir.emulate.interpreter import Run, grant, interpret, keeps_promise
from seamir.emulate.script import (
    Carry,
    Completed,
    Fault,
    Memory,
    MemoryAccessError,
    OtherSide,
    Outcome,
    Script,
    Write,
)
from seamir.ir.leaf import CarryRegister, Input, Plan, Returns, SetBits
from seamir.model.expressions import Binary, Constant
from seamir.model.registers import ALL_BITS
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Type, extend

BUSY = 0x8000_0200_0000_0000
INTERRUPTED = 0x8000_0003_0000_0000
NO_ENTROPY = 0x8000_0203_0000_0000
ERROR = 0xC000_0100_0000_0001
OUT, OUT2 = 0x1000, 0x2000
GARBAGE = bytes(range(0x80, 0x98))


def run(
    wrapper: Plan,
    *outcomes: Outcome,
    memory: Memory | None = None,
    side: OtherSide | None = None,
    **arguments: int,
) -> Run:
    """Interprets a plan on fresh memory; the last outcome serves all further attempts."""
    regions = {OUT: GARBAGE, OUT2: GARBAGE}
    return interpret(wrapper, arguments, memory or Memory(regions), side or Script(outcomes))


def completed(status: int, **registers: int) -> Completed:
    return Completed({"rax": status, **registers})


def written(result: Run) -> list[tuple[int, str]]:
    return [(write.address, write.data.hex()) for write in result.writes]


# -- inputs and loads


@pytest.mark.parametrize(
    ("kind", "slot", "extended"),
    [
        (U8, 0xFFFF_FFFF_FFFF_FF80, 0x80),
        (U16, 0x1234_5678_9ABC_8000, 0x8000),
        (U32, 0xDEAD_BEEF_8000_0001, 0x8000_0001),
        (U64, 0xDEAD_BEEF_8000_0001, 0xDEAD_BEEF_8000_0001),
        (S8, 0x1234_5678_9ABC_DE80, 0xFFFF_FFFF_FFFF_FF80),
        (S8, 0xFFFF_FFFF_FFFF_FF7F, 0x7F),
        (S16, 0x8000, 0xFFFF_FFFF_FFFF_8000),
        (S32, 0x0000_0000_FFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFE),
        (S32, 0xFFFF_FFFF_7FFF_FFFF, 0x7FFF_FFFF),
        (BOOL, 0xFFFF_FFFF_FFFF_FF01, 1),
        (BOOL, 0xFFFF_FFFF_FFFF_FF00, 0),
        (PTR, 0xFFFF_8000_0000_1000, 0xFFFF_8000_0000_1000),
    ],
)
def test_an_argument_is_extended_by_its_type(kind: Type, slot: int, extended: int) -> None:
    wrapper = plan(value("a", kind), loads=[load("rcx", "a")])
    assert run(wrapper, completed(0), a=slot).attempts == ({"rax": 29, "rcx": extended},)


def test_loads_are_expressions_in_64_bits() -> None:
    a, b = parameter("a"), parameter("b")
    wrapper = plan(
        value("a"),
        value("b"),
        loads=[
            load("rcx", Binary("|", a, Binary("<<", b, Constant(53)))),
            load("rdx", Binary("+", a, Constant(2))),
            load("r8", Binary("-", b, a)),
            load("r9", Binary(">>", a, Constant(4))),
        ],
    )
    result = run(wrapper, completed(0), a=ALL_BITS, b=0x801)
    assert result.attempts[0] == {
        "rax": 29,
        "rcx": ALL_BITS,
        "rdx": 1,
        "r8": 0x802,
        "r9": ALL_BITS >> 4,
    }
    assert run(wrapper, completed(0), a=0, b=0x801).attempts[0]["rcx"] == 1 << 53


def test_a_value_outside_its_promise_is_not_masked() -> None:
    page = replace(U64, name="hpa", bits=0x000F_FFFF_FFFF_F000)
    wrapper = plan(value("page", page), loads=[load("rcx", "page")])
    assert run(wrapper, completed(0), page=0x1FFF).attempts[0]["rcx"] == 0x1FFF


def test_the_other_side_sees_the_attempt_and_its_registers() -> None:
    seen: list[tuple[int, Mapping[str, int]]] = []

    def side(attempt: int, registers: Mapping[str, int]) -> Outcome:
        seen.append((attempt, registers))
        return completed(BUSY if attempt < 2 else 0)

    run(plan(loads=[load("rcx", 7)], clauses=[again(5, exactly(BUSY))]), side=side)
    assert seen == [(number, {"rax": 29, "rcx": 7}) for number in range(3)]


# -- completion


@pytest.mark.parametrize("status", [0, 5, ERROR, 0x4000_0001_0000_0000, ALL_BITS])
def test_a_completed_status_is_returned_whole(status: int) -> None:
    result = run(plan(), completed(status))
    assert (result.status, result.trapped, result.value) == (status, False, None)


def test_the_status_may_be_bits_of_a_register() -> None:
    wrapper = plan(status=bits("rax", 8, 15), clauses=[again(2, Match(0xFF, 0x34))])
    result = run(wrapper, completed(0xFFFF_1234), completed(0xFFFF_5678))
    assert (len(result.attempts), result.status) == (1, 0x12)
    result = run(wrapper, completed(0xFFFF_3412), completed(0x5678))
    assert (len(result.attempts), result.status) == (2, 0x56)


def test_the_status_may_be_in_another_register() -> None:
    wrapper = plan(status=bits("r10"), destroyed=["r10"], loads=[load("rax", 0)])
    assert run(wrapper, Completed({"r10": 9})).status == 9


# -- retry and resume


@pytest.mark.parametrize("granted", range(4))
def test_a_retry_ends_at_the_first_other_status(granted: int) -> None:
    wrapper = plan(clauses=[again(3, exactly(BUSY))])
    result = run(wrapper, *[completed(BUSY)] * granted, completed(7))
    assert (len(result.attempts), result.status) == (granted + 1, 7)


def test_a_spent_budget_delivers_the_last_attempt() -> None:
    wrapper = plan(
        out("page"),
        value("a"),
        loads=[load("rcx", "a")],
        clauses=[again(3, exactly(BUSY))],
        deliveries=[deliver("page", bits("rdx"))],
    )
    script = [completed(BUSY, rdx=number) for number in range(10)]
    result = run(wrapper, *script, page=OUT, a=5)
    assert (len(result.attempts), result.status) == (4, BUSY)
    assert written(result) == [(OUT, "0300000000000000")]  # of the fourth and no other
    assert all(attempt["rcx"] == 5 for attempt in result.attempts)


def test_matches_compare_under_their_mask() -> None:
    wrapper = plan(clauses=[again(1, any_detail(BUSY), exactly(NO_ENTROPY))])
    for status, attempts in [
        (BUSY | 0x1234, 2),
        (NO_ENTROPY, 2),
        (NO_ENTROPY | 1, 1),
        (BUSY ^ 1 << 32, 1),
        (0, 1),
    ]:
        assert len(run(wrapper, completed(status)).attempts) == attempts, hex(status)


def test_a_later_clause_refills_the_budgets_before_it() -> None:
    wrapper = plan(clauses=[again(1, exactly(BUSY)), again(2, exactly(INTERRUPTED))])
    b, i = completed(BUSY), completed(INTERRUPTED)
    assert len(run(wrapper, b, i, b, i, b, completed(0)).attempts) == 6
    assert len(run(wrapper, b, b, completed(0)).attempts) == 2
    result = run(wrapper, b, i, b, b, completed(0))
    assert (len(result.attempts), result.status) == (4, BUSY)
    result = run(wrapper, i, i, i, completed(0))
    assert (len(result.attempts), result.status) == (3, INTERRUPTED)


def test_an_earlier_clause_does_not_refill_a_later_one() -> None:
    wrapper = plan(clauses=[again(9, exactly(BUSY)), again(1, exactly(INTERRUPTED))])
    result = run(wrapper, completed(INTERRUPTED), completed(BUSY), completed(INTERRUPTED))
    assert (len(result.attempts), result.status) == (3, INTERRUPTED)


@pytest.mark.parametrize("budgets", [(2,), (1, 2), (2, 1, 3)])
def test_the_bound_is_reached_and_kept(budgets: tuple[int, ...]) -> None:
    statuses = (BUSY, INTERRUPTED, NO_ENTROPY)
    clauses = [again(n, exactly(s)) for n, s in zip(budgets, statuses, strict=False)]
    wrapper, left = plan(clauses=clauses), list(budgets)

    def stubborn(attempt: int, registers: Mapping[str, int]) -> Outcome:
        """Asks for whatever still has budget, innermost first."""
        index = next((i for i, budget in enumerate(left) if budget), 0)
        grant(wrapper.again, left, statuses[index])
        return completed(statuses[index])

    assert len(run(wrapper, side=stubborn).attempts) == wrapper.bound


def test_a_resumption_changes_operands_for_good() -> None:
    flag = set_bits(bits("r10", 63, 63), 1)
    wrapper = plan(
        value("stream", U16),
        loads=[load("r10", "stream"), load("r12", 5)],
        clauses=[again(9, exactly(BUSY)), again(9, exactly(INTERRUPTED), steps=[flag])],
    )
    statuses = [BUSY, INTERRUPTED, BUSY, 0]
    result = run(wrapper, *[completed(s, r10=0xAAAA) for s in statuses], stream=0x33)
    resumed = 1 << 63 | 0x33
    assert [attempt["r10"] for attempt in result.attempts] == [0x33, 0x33, resumed, resumed]
    assert {attempt["r12"] for attempt in result.attempts} == {5}


def test_set_bits_replaces_only_its_bits() -> None:
    step = set_bits(bits("rcx", 4, 11), parameter("a"))
    wrapper = plan(
        value("a", U8),
        loads=[load("rcx", ALL_BITS)],
        clauses=[again(1, exactly(BUSY), steps=[step])],
    )
    result = run(wrapper, completed(BUSY), completed(0), a=0xFF21)
    assert result.attempts[1]["rcx"] == 0xFFFF_FFFF_FFFF_F21F


def test_carry_takes_what_the_interrupted_attempt_left() -> None:
    wrapper = plan(
        loads=[load("rcx", 1), load("rdx", 2)],
        clauses=[again(9, exactly(INTERRUPTED), steps=[carry("rcx")]), again(9, exactly(BUSY))],
    )
    result = run(
        wrapper,
        completed(INTERRUPTED, rcx=10, rdx=20),
        completed(BUSY, rcx=11, rdx=21),
        completed(INTERRUPTED, rcx=12, rdx=22),
        completed(0, rcx=13, rdx=23),
    )
    assert [attempt["rcx"] for attempt in result.attempts] == [1, 10, 10, 12]
    assert {attempt["rdx"] for attempt in result.attempts} == {2}


def test_steps_are_taken_in_order() -> None:
    top = set_bits(bits("rcx", 63, 63), 1)
    last = carry("rcx")
    cases: list[tuple[list[SetBits | CarryRegister], int]] = [
        ([last, top], 1 << 63 | 6),
        ([top, last], 6),
    ]
    for steps, wanted in cases:
        wrapper = plan(loads=[load("rcx", 1)], clauses=[again(1, exactly(BUSY), steps=steps)])
        result = run(wrapper, completed(BUSY, rcx=6), completed(0, rcx=0))
        assert result.attempts[1]["rcx"] == wanted


def test_a_preload_is_loaded_before_each_attempt() -> None:
    wrapper = plan(
        out("l2"),
        loads=[preload("r8", 0xAB)],
        clauses=[again(2, exactly(BUSY))],
        deliveries=[deliver("l2", bits("r8"))],
    )
    result = run(wrapper, completed(BUSY, r8=1), completed(0, r8=0xAB), l2=OUT)
    assert [attempt["r8"] for attempt in result.attempts] == [0xAB, 0xAB]
    assert written(result) == [(OUT, "ab00000000000000")]


# -- deliveries


def test_conditions_decide_between_the_value_and_0() -> None:
    wrapper = plan(
        out("page"),
        out("entry"),
        deliveries=[
            deliver("page", bits("rcx"), test=ON_SUCCESS),
            deliver("entry", bits("rcx"), test=ON_ERROR),
        ],
    )
    for status, page, entry in [(0, 9, 0), (0x123, 9, 0), (1 << 62, 0, 9), (ERROR, 0, 9)]:
        result = run(wrapper, completed(status, rcx=9), page=OUT, entry=OUT2)
        words = [(OUT, page.to_bytes(8, "little").hex()), (OUT2, entry.to_bytes(8, "little").hex())]
        assert written(result) == words, hex(status)


def test_a_condition_with_except() -> None:
    test = StatusTest(
        any_of=ON_SUCCESS.any_of, inverted=True, or_any_of=(exactly(0),), none_of=(exactly(ERROR),)
    )
    wrapper = plan(out("a"), deliveries=[deliver("a", bits("rcx"), U8, test=test)])
    for status, wanted in [(ERROR, "00"), (ERROR + 1, "09"), (0, "09"), (1, "00")]:
        assert written(run(wrapper, completed(status, rcx=9), a=OUT)) == [(OUT, wanted)]


@pytest.mark.parametrize(
    ("kind", "low", "high", "register", "stored"),
    [
        (U64, 0, 63, 0x8877_6655_4433_2211, "1122334455667788"),
        (U32, 0, 63, 0x8877_6655_4433_2211, "11223344"),
        (U8, 8, 15, 0x8877_6655_4433_2211, "22"),
        (U64, 8, 15, 0xFFFF_FFFF_FFFF_F0FF, "f000000000000000"),
        (U32, 63, 63, 1 << 63, "01000000"),
        (S32, 8, 15, 0xF000, "f0ffffff"),
        (S32, 8, 15, 0xFF_7F00, "7f000000"),
        (S16, 0, 15, 0x1_8000, "0080"),
        (S8, 4, 5, 0x20, "fe"),
        (S8, 0, 63, 0x1234, "34"),
    ],
)
def test_a_slice_is_extended_and_cut_to_its_type(
    kind: Type, low: int, high: int, register: int, stored: str
) -> None:
    delivery = deliver("a", bits("rcx", low, high), kind)
    result = run(plan(out("a"), deliveries=[delivery]), completed(0, rcx=register), a=OUT)
    assert written(result) == [(OUT, stored)]


def test_deliveries_are_made_in_order() -> None:
    wrapper = plan(
        out("a"), out("b"), deliveries=[deliver("b", bits("rcx")), deliver("a", bits("rdx"), U8)]
    )
    memory = Memory({OUT: GARBAGE})
    result = run(wrapper, completed(0, rcx=0, rdx=1), memory=memory, a=OUT, b=OUT)
    assert [write.address for write in result.writes] == [OUT, OUT]
    assert memory.read(OUT, 9).hex() == "0100000000000000" + "88"


@pytest.mark.parametrize("outcome", [Carry(), Fault(6)])
def test_without_completion_0_or_nothing_is_delivered(outcome: Outcome) -> None:
    wrapper = plan(
        out("a"),
        out("b"),
        deliveries=[deliver("a", bits("rcx"), U16), deliver("b", bits("rdx"), keep=True)],
    )
    assert written(run(wrapper, outcome, a=OUT, b=OUT2)) == [(OUT, "0000")]


def test_keep_is_about_completion_and_not_about_conditions() -> None:
    delivery = deliver("a", bits("rcx"), U8, test=ON_SUCCESS, keep=True)
    wrapper = plan(out("a"), deliveries=[delivery])
    assert written(run(wrapper, completed(ERROR, rcx=9), a=OUT)) == [(OUT, "00")]


def test_in_out_is_read_at_entry_and_written_if_completed() -> None:
    wrapper = plan(
        in_out("list", S16),
        loads=[load("rcx", "list")],
        clauses=[again(3, exactly(BUSY))],
        deliveries=[deliver("list", bits("rcx"), S16, keep=True)],
    )
    scribble = Completed({"rax": BUSY, "rcx": 1}, (Write(OUT, b"\x55" * 4),))
    result = run(wrapper, scribble, completed(0, rcx=0x1234), list=OUT)
    assert [attempt["rcx"] for attempt in result.attempts] == [0xFFFF_FFFF_FFFF_8180] * 2
    assert written(result) == [(OUT, "3412")]
    assert written(run(wrapper, scribble, Carry(), list=OUT)) == []


@pytest.mark.parametrize("outcome", [completed(0, rcx=1, rdx=2), Carry()])
def test_null_skips_an_optional_output(outcome: Outcome) -> None:
    wrapper = plan(
        out("a", optional=True),
        out("b"),
        deliveries=[deliver("a", bits("rcx"), optional=True), deliver("b", bits("rdx"))],
    )
    assert [w.address for w in run(wrapper, outcome, a=0, b=OUT).writes] == [OUT]
    assert [w.address for w in run(wrapper, outcome, a=OUT2, b=OUT).writes] == [OUT2, OUT]


def test_null_for_a_mandatory_output_is_an_access_to_nothing() -> None:
    wrapper = plan(out("a"), deliveries=[deliver("a", bits("rcx"))])
    with pytest.raises(MemoryAccessError, match="no memory for 8 bytes at 0x0"):
        run(wrapper, completed(0, rcx=1), a=0)


def test_a_structure_takes_each_output_at_its_offset() -> None:
    layout = structure(("a", U32, 0), ("b", U64, 8), size=16)
    wrapper = plan(
        value("b"),
        struct("out", optional=True),
        layout=layout,
        inputs=[Input("b", U64, U64, "out", 8, SPAN)],
        loads=[load("rcx", "b")],
        deliveries=[
            deliver("a", bits("rdx"), U32, to="out", optional=True),
            deliver("b", bits("rcx"), to="out", offset=8, keep=True),
        ],
    )
    result = run(wrapper, completed(0, rcx=0x11, rdx=0x22), b=0, out=OUT)
    assert result.attempts[0]["rcx"] == int.from_bytes(GARBAGE[8:16], "little")
    assert written(result) == [(OUT, "22000000"), (OUT + 8, "1100000000000000")]
    assert written(run(wrapper, Carry(), b=0, out=OUT)) == [(OUT, "00000000")]


def test_a_register_delivery_is_the_value() -> None:
    delivery = deliver("a", bits("rcx", 8, 15), S32, to=None)
    wrapper = plan(deliveries=[delivery], returns=Returns.STATUS_AND_VALUE)
    assert run(wrapper, completed(3, rcx=0x8000)).value == 0xFFFF_FF80
    result = run(wrapper, Carry())
    assert (result.status, result.value, result.writes) == (0x8000_FF00_FFFF_0000, 0, ())


# -- edges


def test_the_default_edges() -> None:
    assert run(plan(), Carry()).status == 0x8000_FF00_FFFF_0000
    assert run(plan(), Fault(13)).status == 0x8000_FF00_0000_000D


def test_a_named_vector_comes_before_the_default() -> None:
    wrapper = plan(on=edges(v6=returning(66), v13=trapping()))
    assert run(wrapper, Fault(6)).status == 66
    assert run(wrapper, Fault(14)).status == 0x8000_FF00_0000_000E
    result = run(wrapper, Fault(13))
    assert (result.trapped, result.status) == (True, None)


def test_a_fault_without_any_edge_leaves_the_function() -> None:
    wrapper = plan(out("a"), deliveries=[deliver("a", bits("rcx"))], on=edges(on_fault=None))
    result = run(wrapper, Fault(6), a=OUT)
    assert (result.escaped_fault, result.status, result.writes) == (6, None, ())
    assert not result.trapped


def test_a_fault_that_only_other_vectors_have_an_edge_for_traps() -> None:
    result = run(plan(on=edges(on_fault=None, v6=returning(1))), Fault(13))
    assert (result.trapped, result.escaped_fault, result.status) == (True, None, None)


def test_a_trap_delivers_and_returns_nothing() -> None:
    wrapper = plan(out("a"), deliveries=[deliver("a", bits("rcx"))], on=edges(on_carry=trapping()))
    result = run(wrapper, Carry(), a=OUT)
    assert (result.trapped, result.status, result.writes) == (True, None, ())


def test_a_call_comes_after_the_deliveries() -> None:
    wrapper = plan(
        out("a"), deliveries=[deliver("a", bits("rcx"), U8)], on=edges(v6=calling("spurious", 4))
    )
    result = run(wrapper, Fault(6), a=OUT)
    assert (result.called, result.status, result.trapped) == (("spurious",), 4, False)
    assert written(result) == [(OUT, "00")]
    assert run(wrapper, Fault(13), a=OUT).called == ()


def test_a_call_without_value_does_not_return() -> None:
    result = run(plan(on=edges(on_carry=calling("panic", None))), Carry())
    assert (result.called, result.status, result.trapped) == (("panic",), None, True)


def test_edges_are_taken_after_retries_too() -> None:
    wrapper = plan(clauses=[again(5, exactly(BUSY))])
    result = run(wrapper, completed(BUSY), completed(BUSY), Fault(6), completed(0))
    assert (len(result.attempts), result.status) == (3, 0x8000_FF00_0000_0006)


@pytest.mark.parametrize("outcome", [completed(0), completed(ERROR), Carry(), Fault(6)])
def test_a_wrapper_that_does_not_return_traps(outcome: Outcome) -> None:
    result = run(plan(returns=Returns.NOTHING), outcome)
    assert (result.trapped, result.status, len(result.attempts)) == (True, None, 1)


def test_a_wrapper_that_does_not_return_still_tries_again() -> None:
    wrapper = plan(returns=Returns.NOTHING, clauses=[again(2, exactly(BUSY))])
    result = run(wrapper, completed(BUSY), completed(0))
    assert (result.trapped, len(result.attempts)) == (True, 2)


# -- checks

LEVEL = replace(U32, name="level", low=1, high=5)


def test_a_failing_check_returns_its_status_without_an_attempt() -> None:
    wrapper = plan(
        value("level", U32),
        out("a"),
        out("b"),
        checks=[check("level", LEVEL, 0x77)],
        deliveries=[deliver("a", bits("rcx"), U8), deliver("b", bits("rdx"), keep=True)],
    )
    for level in (0, 6, 0xFFFF_FFFF, 0x1_0000_0000):
        result = run(wrapper, completed(0, rcx=1, rdx=1), level=level, a=OUT, b=OUT2)
        assert (result.status, result.attempts) == (0x77, ()), level
        assert written(result) == [(OUT, "00")]
    for level in (1, 5, 0xFFFF_0000_0000_0005):
        result = run(wrapper, completed(0, rcx=1, rdx=1), level=level, a=OUT, b=OUT2)
        assert (result.status, len(result.attempts)) == (0, 1), level


def test_the_first_failing_check_decides() -> None:
    wrapper = plan(
        value("a", U32), value("b", U32), checks=[check("a", LEVEL, 1), check("b", LEVEL, None)]
    )
    assert run(wrapper, completed(0), a=0, b=0).status == 1
    result = run(wrapper, completed(0), a=1, b=0)
    assert (result.trapped, result.status, result.attempts) == (True, None, ())
    assert run(wrapper, completed(0), a=1, b=1).status == 0


def test_promises() -> None:
    page = replace(U64, name="hpa", bits=0xF000, high=0xF000, constants=(ALL_BITS,))
    assert [keeps_promise(page, v) for v in (0, 0x1000, 0x1001, 0x1_0000, ALL_BITS)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    signed = replace(S32, name="small", low=-2, high=3, constants=(0xFFFF_FFF0,))
    for number, kept in [(-3, False), (-2, True), (0, True), (3, True), (4, False), (-16, True)]:
        assert keeps_promise(signed, number & ALL_BITS) is kept, number
    assert not keeps_promise(signed, 0xFFFF_FFFE)  # not sign-extended
    assert keeps_promise(BOOL, 1) and not keeps_promise(BOOL, 2)


def test_extend_keeps_only_the_bits_of_the_width() -> None:
    assert extend(0x1FF, 8, signed=False) == 0xFF
    assert extend(0x1FF, 8, signed=True) == ALL_BITS
    assert extend(ALL_BITS, 64, signed=True) == ALL_BITS


# -- scripts that make no sense


def test_the_other_side_changes_only_what_the_conduit_lets_it() -> None:
    with pytest.raises(ValueError, match="the other side preserves r12, rbx"):
        run(plan(), completed(0, rbx=1, r12=2))
    with pytest.raises(ValueError, match="a register has 64 bits"):
        run(plan(), completed(1 << 64))
    with pytest.raises(ValueError, match="writes no memory"):
        run(plan(memory=False), Completed({"rax": 0}, (Write(OUT, b"1"),)))
    with pytest.raises(ValueError, match="no carry edge"):
        run(plan(on=edges(on_carry=None)), Carry())


def test_the_other_side_must_say_what_is_observed() -> None:
    wrapper = plan(out("a"), deliveries=[deliver("a", bits("rcx"))], loads=[load("rcx", 1)])
    with pytest.raises(ValueError, match="does not say what rcx holds"):
        run(wrapper, completed(0), a=OUT)


def test_a_preserved_register_keeps_its_value() -> None:
    wrapper = plan(
        loads=[load("r12", 4), load("rcx", 1)],
        clauses=[again(1, exactly(BUSY), steps=[carry("r12")])],
    )
    assert run(wrapper, completed(BUSY), completed(0)).attempts[1]["r12"] == 4


def test_memory_records_the_writes_of_the_wrapper_only() -> None:
    memory = Memory({16: bytes(8), 32: bytes(8)})
    memory.change(16, b"\x01\x02")
    memory.write(20, b"\x03")
    assert memory.read(16, 8) == bytes([1, 2, 0, 0, 3, 0, 0, 0])
    assert memory.writes == [Write(20, b"\x03")]
    for address, size in [(15, 2), (20, 8), (24, 1), (39, 2)]:
        with pytest.raises(MemoryAccessError):
            memory.read(address, size)
