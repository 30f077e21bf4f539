"""Plans: how they print, what every plan fulfils, and what each pass makes of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plans import (
    ON_CARRY,
    ON_FAULT,
    SPAN,
    U8,
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
    returning,
    set_bits,
    structure,
    trapping,
    value,
)

import seamir
from seamir.ir.leaf import Bound, Input, LoadKind, Plan, Refusal, Returns
from seamir.ir.passes import (
    PASSES,
    choose_guard,
    drop_idle_checks,
    fold_constants,
    order_clauses,
    run_passes,
)
from seamir.ir.verify import DefectError, verify
from seamir.model.expressions import Binary, Constant, RefusalValue, TrapNumber
from seamir.model.registers import ALL_BITS, REGISTERS
from seamir.model.statuses import Match

BUSY, ENTROPY, RESUMABLE = 0x8000020000000092, 0x8000020300000000, 0x8000000300000000

COMMON = """
operands id { SEPT_TREE = 0x92; }
statuses s {
    detail [31:0] of id; success bits [63:62] == 0;
    OK = 0; BUSY = 0x8000020000000000; MORE = 0x8000000300000000; INVALID = 0xc000010000000000;
}
statuses short { success DONE; DONE = 0; LATER = 1; }
conduit c {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf; rax[23:16] = version;
    status rax in s;
    clobbers rcx, rdx, memory;
    on carry return INVALID;
    on fault #UD call spurious return 0;
    on fault #PF trap;
    on fault return INVALID | trapnr;
}
conduit quiet {
    instruction tdcall "66 0f 01 cc"; rax = leaf; status r10[31:0] in short; clobbers rcx, simd;
}
"""


def plans_of(description: str, deliver: str = "pointers") -> tuple[Plan, ...]:
    program = seamir.load_text(COMMON + description, allow_calls=["spurious"])
    return seamir.compile(program, emit=(), deliver=deliver).plans


# -- printing


def test_a_plan_prints_in_the_order_of_the_call() -> None:
    made = plans_of("""
    type small = u32 in 0..4;
    leaf L.ONE = 29 version 1 via c (a: u64, n: small, flag: bool, list: u64)
        -> (list = rcx, r: u32 = rdx[31:0] on success, s: u64 = r8 else 7 optional)
    {
        rcx = list; r9 = a | 0; rdx = n << 4 | flag; r10 = a + 1 - 2;
        check n else INVALID(SEPT_TREE); keep r;
        retry 3 on BUSY(SEPT_TREE), BUSY(7);
        resume 5 on MORE(*) { carry rcx; rdx[63] = 1; r9 = a; }
    }
    """)
    assert (
        str(made[0])
        == """\
plan l_one_v1: L.ONE = 29 version 1 via c
  argument a: value u64
  argument n: value small
  argument flag: value bool
  argument list: in_out u64
  argument r: out u32
  argument s: out u64 optional
  input a = a 64 bits, none
  input n = n 32 bits, zero
  input flag = flag 8 bits, zero
  input list = [list + 0] 64 bits, none
  check n: small else return 0xc000010000000092
  attempt, at most 24
    selector rax = 0x1001d
    operand rcx = list
    operand rdx = n << 4 | flag
    preload r8 = 7
    operand r9 = a
    operand r10 = a + 1 - 2
    seamcall destroys r8 rax rcx rdx memory
  on carry return INVALID
  on fault 6 call spurious return 0
  on fault 14 trap
  on fault return INVALID | trapnr
  again only if rax & 0x8000000000000000 == 0x8000000000000000
  retry 3 on BUSY(SEPT_TREE), BUSY(7)
    when rax == 0x8000020000000007
    when rax == 0x8000020000000092
  resume 5 on MORE(*)
    when rax & 0xffffffff00000000 == 0x8000000300000000
    carry rcx
    rdx[63] = 1
    r9 = a
  deliver list = rcx to [list + 0] 64 bits keep
  deliver r = rdx[31:0] on success to [r + 0] 32 bits keep
  deliver s = r8 to [s + 0] 64 bits optional
  return status rax
  section .text
"""
    )


def test_a_plan_of_little_prints_little() -> None:
    made = plans_of("leaf L = 2 via quiet () { noinstr; }")
    assert (
        str(made[0])
        == """\
plan l: L = 2 version 0 via quiet
  attempt, at most 1
    selector rax = 2
    tdcall destroys r10 rcx simd
  return status r10[31:0]
  section .noinstr.text
"""
    )


def test_a_structure_prints_as_offsets() -> None:
    made = plans_of(
        "leaf L = 2 via quiet (n: s8)"
        " -> (n = rcx[7:0], r: u64 = rdx, f: bool = r8[3]) { rcx = n; }",
        deliver="struct",
    )
    assert (
        str(made[0])
        == """\
plan l: L = 2 version 0 via quiet
  argument out: struct u64
  input n = [out + 0] 8 bits, sign
  attempt, at most 1
    selector rax = 2
    operand rcx = n
    tdcall destroys r8 r10 rcx rdx simd
  deliver n = rcx[7:0] to [out + 0] 8 bits keep
  deliver r = rdx to [out + 8] 64 bits
  deliver f = r8[3] to [out + 16] 8 bits
  return status r10[31:0]
  section .text
"""
    )


def test_what_is_returned_prints() -> None:
    made = plans_of("leaf L = 2 via quiet () -> (r: u64 = rcx);", deliver="register")
    assert str(made[0]).splitlines()[-3:] == [
        "  deliver r = rcx to rdx 64 bits",
        "  return status and value r10[31:0]",
        "  section .text",
    ]
    last = plans_of("leaf L = 2 via c () { noreturn; }")
    assert str(last[0]).splitlines()[4:] == [
        "  on carry trap",
        "  on fault 6 trap",
        "  on fault 14 trap",
        "  on fault trap",
        "  return nothing rax",
        "  section .text",
    ]


def test_plans_compare_by_what_they_do() -> None:
    text = "leaf L = 2 via quiet (a: u64) { rcx = a; }"
    program = seamir.load_text(COMMON + text, allow_calls=["spurious"])
    first, again = (seamir.compile(program, emit=()).plans[0] for _ in range(2))
    assert first == again
    assert replace(first, documentation=replace(first.documentation, doc="Words.")) == first
    assert replace(first, bound=2) != first


# -- what every plan fulfils


def simple() -> Plan:
    """One operand, one output, one retry and one resumption."""
    return plan(
        value("a"),
        in_out("b"),
        out("r"),
        loads=[load("rcx", "a"), load("rdx", "b")],
        deliveries=[deliver("b", bits("rdx"), keep=True), deliver("r", bits("rcx"))],
        clauses=[
            again(3, exactly(BUSY)),
            again(5, any_detail(RESUMABLE), steps=[carry("rdx"), set_bits(bits("rcx", 63, 63), 1)]),
        ],
    )


def test_a_sound_plan_passes() -> None:
    verify(simple(), "test")
    verify(run_passes(simple()), "test")


def with_again(made: Plan, index: int, **changes: Any) -> Plan:
    clauses = list(made.again)
    clauses[index] = replace(clauses[index], **changes)
    bound = 1
    for clause in clauses:
        bound *= clause.attempts + 1
    return replace(made, again=tuple(clauses), bound=bound)


def with_load(made: Plan, index: int, **changes: Any) -> Plan:
    loads = list(made.loads)
    loads[index] = replace(loads[index], **changes)
    return replace(made, loads=tuple(loads))


def with_delivery(made: Plan, index: int, **changes: Any) -> Plan:
    deliveries = list(made.deliveries)
    deliveries[index] = replace(deliveries[index], **changes)
    return replace(made, deliveries=tuple(deliveries))


def returning_all(made: Plan) -> Plan:
    """The plan with every register, and the carry flag, among what it delivers."""
    one = made.deliveries[0]
    places = [bits(name) for name in REGISTERS if name != "rsp"] + [bits("carry", 0, 0)]
    deliveries = tuple(replace(one, place=place) for place in places)
    return replace(made, deliveries=deliveries)


OVERLAP = tuple(replace(load("rcx", 1).fills[0], low=low, high=low + 4) for low in (0, 4))
BROKEN: dict[str, Callable[[Plan], Plan]] = {
    "an argument is there twice": lambda p: replace(p, arguments=(*p.arguments, p.arguments[0])),
    "input x comes from no argument": lambda p: replace(
        p, inputs=(*p.inputs, Input("x", U64, U64, "x", None, SPAN))
    ),
    "input a takes a pointer for a value": lambda p: replace(
        p, inputs=(replace(p.inputs[0], offset=0), *p.inputs[1:])
    ),
    "input b takes a pointer for a value": lambda p: replace(
        p, inputs=(p.inputs[0], replace(p.inputs[1], offset=None))
    ),
    "x is no input": lambda p: with_load(p, 1, value=parameter("x")),
    "y is no input": lambda p: with_again(p, 1, steps=(set_bits(bits("rcx"), parameter("y")),)),
    "z is no input": lambda p: with_load(
        p, 1, fills=(replace(p.loads[1].fills[0], value=parameter("z")),)
    ),
    "check of x, which is no input": lambda p: replace(p, checks=(check("x", U8, 1),)),
    "symbol 'a b' is no identifier": lambda p: replace(p, symbol="a b"),
    "symbol 'é' is no identifier": lambda p: replace(p, symbol="é"),
    "called symbol 'f()' is no identifier": lambda p: replace(p, edges=edges(calling("f()", 1))),
    "section '.data' is none of ours": lambda p: replace(p, section=".data"),
    "there are no bits rcx[64]": lambda p: with_delivery(p, 1, place=bits("rcx", 64, 64)),
    "there are no bits rcx[2:3]": lambda p: with_again(
        p, 1, steps=(set_bits(bits("rcx", 3, 2), 1),)
    ),
    "there are no bits xmm0": lambda p: replace(p, status=bits("xmm0")),
    "an edge's value is read where there is no such edge": lambda p: with_load(
        p, 1, value=TrapNumber()
    ),
    "value is read where there is no such edge": lambda p: replace(
        p, edges=edges(ON_FAULT, ON_FAULT)
    ),
    "rsp cannot be loaded": lambda p: with_load(p, 1, register="rsp"),
    "rip cannot be loaded": lambda p: with_load(p, 1, register="rip"),
    "rdx is loaded twice": lambda p: with_load(p, 1, register="rdx"),
    "fills of rcx overlap": lambda p: with_load(p, 1, fills=OVERLAP),
    "selector rax is not constant": lambda p: with_load(p, 0, value=parameter("a")),
    "preload rcx is not constant": lambda p: with_load(p, 1, kind=LoadKind.PRELOAD),
    "the instruction has no bytes": lambda p: replace(
        p, instruction=replace(p.instruction, code=b"")
    ),
    "rsp cannot be destroyed": lambda p: replace(p, destroyed=p.destroyed | {"rsp"}),
    "rzx cannot be destroyed": lambda p: replace(p, destroyed=p.destroyed | {"rzx"}),
    "the status register is not among the destroyed": lambda p: replace(
        p, destroyed=p.destroyed - {"rax"}
    ),
    "output r is in a register that nothing changes": lambda p: with_delivery(
        p, 1, place=bits("r15")
    ),
    "a carry edge without carry": lambda p: replace(
        p, instruction=replace(p.instruction, sets_carry=False)
    ),
    "a fault edge without fault": lambda p: replace(
        p, instruction=replace(p.instruction, may_fault=False)
    ),
    "an action reads a parameter": lambda p: replace(
        p, edges=edges(replace(returning(1), value=parameter("a")))
    ),
    "an empty clause": lambda p: with_again(p, 0, matches=()),
    "a retry with steps or a resumption without": lambda p: with_again(p, 1, steps=()),
    "a match that cannot hold": lambda p: with_again(p, 0, matches=(Match(1, 2),)),
    "the guard is stricter than a clause": lambda p: replace(p, guard=exactly(BUSY)),
    "r15 changes between attempts and is no operand": lambda p: with_again(
        p, 1, steps=(set_bits(bits("r15"), 1),)
    ),
    "rcx is carried and nothing changes it": lambda p: with_again(
        replace(p, destroyed=p.destroyed - {"rcx"}), 1, steps=(carry("rcx"),)
    ),
    "bound 23 is not 24": lambda p: replace(p, bound=23),
    "bound 393216 is not": lambda p: with_again(p, 0, attempts=65_535),
    "what is returned and what is delivered in a register disagree": lambda p: replace(
        p, returns=Returns.STATUS_AND_VALUE
    ),
    "a delivery of a call that does not return": lambda p: replace(p, returns=Returns.NOTHING),
    "b has no memory to keep": lambda p: with_delivery(p, 0, argument=None),
    "r goes through no pointer": lambda p: with_delivery(p, 1, argument="a"),
    "the structure and its argument disagree": lambda p: replace(
        p, struct=structure(("b", U64, 0), size=8)
    ),
    "b lies past the end of b": lambda p: with_delivery(p, 0, offset=8),
    "input b is counted by what is not read before it": lambda p: counted(p, "nobody"),
    "input a is counted and no element": lambda p: replace(
        p, inputs=(p.inputs[1], replace(p.inputs[0], bound=Bound("b", 0, 0)), *p.inputs[2:])
    ),
    "version v is no input": lambda p: replace(p, version_parameter="v"),
    "a register is zeroed and nothing exposes it": lambda p: with_load(p, 1, kind=LoadKind.ZERO),
    "no selector is the exposure mask 0x4": lambda p: replace(p, exposed=frozenset({"rdx"})),
    "r12 is exposed with whatever it holds": lambda p: replace(p, exposed=frozenset({"r12"})),
    "r12 is exposed and not destroyed": lambda p: replace(p, exposed=frozenset({"r12"})),
    "rdx is loaded and not exposed": lambda p: replace(p, exposed=frozenset({"r12"})),
    "a register is exposed that never is": lambda p: replace(p, exposed=frozenset({"rbp"})),
    "the register that tells of a refusal is not among": lambda p: refusing(p, "r15"),
    "an edge reads the value of another": lambda p: replace(
        p, edges=edges(ON_CARRY, replace(returning(1), value=RefusalValue()))
    ),
    "the carry flag is an output and an outcome": lambda p: with_delivery(
        p, 1, place=bits("carry", 0, 0)
    ),
    "no register is left to fetch the carry flag with": returning_all,
    "attempts depend on a status that there is not": lambda p: replace(p, status=None),
    "what is returned and the status disagree": lambda p: replace(p, status=None),
    "an edge returns a status that there is not": lambda p: replace(p, status=None),
}


def counted(made: Plan, count: str) -> Plan:
    """The plan with its second input, which is in memory, there only if `count` says so."""
    second = replace(made.inputs[1], bound=Bound(count, 0, 0))
    return replace(made, inputs=(made.inputs[0], second, *made.inputs[2:]))


def refusing(made: Plan, register: str) -> Plan:
    """The plan with a refused edge that looks at a register."""
    refusal = Refusal(bits(register), 0, (), ON_CARRY)
    return replace(made, edges=replace(made.edges, refused=refusal))


@pytest.mark.parametrize(("message", "spoil"), BROKEN.items(), ids=BROKEN)
def test_a_broken_plan_is_refused(message: str, spoil: Callable[[Plan], Plan]) -> None:
    with pytest.raises(DefectError) as caught:
        verify(spoil(simple()), "a test")
    assert str(caught.value).startswith("plan ")
    assert " after a test: " in str(caught.value)
    assert message in str(caught.value)


def test_all_that_is_broken_is_said() -> None:
    spoiled = replace(simple(), section=".data", bound=1, destroyed=frozenset({"rax"}))
    with pytest.raises(DefectError) as caught:
        verify(spoiled, "lowering")
    assert str(caught.value).count("; ") >= 3


def test_passes_are_verified_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DefectError, match="after lowering"):
        run_passes(replace(simple(), bound=1))

    def lose_bound(made: Plan) -> Plan:
        return replace(made, bound=1)

    monkeypatch.setattr("seamir.ir.passes.PASSES", (fold_constants, lose_bound, choose_guard))
    with pytest.raises(DefectError, match="after lose_bound"):
        run_passes(simple())


# -- passes


def join(left: object, right: object, operator: str = "|") -> Binary:
    def wrap(item: object) -> Binary | Constant:
        return Constant(item) if isinstance(item, int) else item  # type: ignore[return-value]  # nothing else comes

    return Binary(operator, wrap(left), wrap(right))


def test_constants_are_folded_everywhere() -> None:
    before = plan(
        value("a"),
        loads=[
            load("rcx", join(join(parameter("a"), 0), join(1, 2, "<<"))),
            load("rdx", join(0x10, 4, "-")),
        ],
        clauses=[again(1, exactly(BUSY), steps=[set_bits(bits("rcx"), join(1, 63, "<<"))])],
        on=edges(
            replace(returning(0), value=join(8, 1, ">>")),
            replace(returning(0), value=join(join(0, 0), TrapNumber())),
            v6=replace(calling("f", 0), value=join(3, 4, "+")),
            v14=trapping(),
        ),
    )
    after = fold_constants(before)
    assert after.loads[1].value == join(parameter("a"), 4)
    assert after.loads[1].fills[0].value == join(parameter("a"), 4)
    assert after.loads[2].value == Constant(12)
    assert after.again[0].steps == (set_bits(bits("rcx"), 1 << 63),)
    on_fault = replace(ON_FAULT, value=TrapNumber())
    assert after.edges == edges(returning(4), on_fault, v6=calling("f", 7), v14=trapping())
    assert fold_constants(after) == after


def test_idle_checks_are_dropped() -> None:
    checks = [check("a", U8, 1), check("a", U32, 2), check("a", U8, None), check("b", U8, 3)]
    before = plan(value("a"), value("b"), loads=[load("rcx", "a"), load("rdx", "b")], checks=checks)
    assert drop_idle_checks(before).checks == (checks[0], checks[1], checks[3])


def test_a_pass_with_nothing_to_do_returns_the_plan() -> None:
    for made in (simple(), replace(simple(), again=(), bound=1)):
        after = run_passes(made)
        for step in PASSES:
            assert step(after) == after
        assert fold_constants(after) is after
    assert all(step(after) is after for step in PASSES)  # no clauses, and no two checks


def test_matches_are_put_in_order() -> None:
    first, second = exactly(BUSY), exactly(ENTROPY)
    before = plan(clauses=[again(3, second, first, second), again(2, exactly(RESUMABLE))])
    after = order_clauses(before)
    assert [clause.matches for clause in after.again] == [(first, second), (exactly(RESUMABLE),)]


SIGN = Match(1 << 63, 1 << 63)
HIGH = 0xFFFFFFFF00000000
GUARDS = {
    "errors: their sign": ([exactly(BUSY), any_detail(RESUMABLE)], SIGN),
    "one small status: itself": ([exactly(1)], exactly(1)),
    "small statuses: what they have in common": (
        [exactly(1), exactly(3)],
        Match(ALL_BITS & ~2, 1),
    ),
    "a large status without sign: the half that 0 does not pass": (
        [exactly(0x12345678_00000000)],
        Match(HIGH, 0x12345678_00000000),
    ),
    "detail bits of a success: their half": (
        [exactly(0x00000001_80000001), exactly(0x00000000_80000001)],
        Match(0xFFFFFFFF, 0x80000001),
    ),
    "all details of success: the upper half": ([Match(HIGH, 0)], Match(HIGH, 0)),
    "success and errors: what they have in common": (
        [exactly(1), any_detail(BUSY & HIGH)],
        Match(HIGH & ~BUSY, 0),
    ),
    "opposites: nothing": ([exactly(0), exactly(ALL_BITS)], Match(0, 0)),
}


@pytest.mark.parametrize(("matches", "guard"), GUARDS.values(), ids=GUARDS)
def test_the_guard(matches: list[Match], guard: Match) -> None:
    after = choose_guard(plan(clauses=[again(1, *matches)]))
    assert after.guard == guard
    verify(after, "test")


def test_the_guard_is_of_all_clauses() -> None:
    after = choose_guard(plan(clauses=[again(1, exactly(BUSY)), again(1, exactly(1))]))
    assert after.guard == Match(HIGH & ~BUSY, 0)
    assert choose_guard(replace(after, again=(), bound=1)).guard is None


def test_passes_settle() -> None:
    before = simple()
    after = run_passes(before)
    assert after != before
    assert after.guard == SIGN
    assert run_passes(after) == after
    assert [step.__name__ for step in PASSES] == [
        "fold_constants",
        "drop_idle_checks",
        "order_clauses",
        "choose_guard",
    ]


def test_loads_come_in_the_order_of_the_abi() -> None:
    made = plans_of("leaf L = 2 via quiet () -> (r: s8 = rdx[7:0] else 3) { r9 = 4; rcx = 5; }")[0]
    assert [(item.register, item.kind, item.value) for item in made.loads] == [
        ("rax", LoadKind.SELECTOR, Constant(2)),
        ("rcx", LoadKind.OPERAND, Constant(5)),
        ("rdx", LoadKind.PRELOAD, Constant(3)),
        ("r9", LoadKind.OPERAND, Constant(4)),
    ]
