"""The shipped calls to the host against a table of GHCI: what each shows the host, no more.

The table was written from code that makes or answers these calls (Linux, td-shim), independently
of the library.
"""

from __future__ import annotations

from functools import cache

import pytest

import seamir
from seamir.ir.leaf import LoadKind, Plan, Refusal, Returns, Trap
from seamir.model.expressions import evaluate

# Bit of the exposure mask by register: the register's number in the instruction encoding.
REGISTERS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()

# Sub-function: its number, what its operands are loaded with (None: with a parameter) and which
# registers the host answers in, R10 aside.
GHCI: dict[str, tuple[int, dict[str, int | None], str]] = {
    "CPUID": (0x0A, {"r12": None, "r13": None}, "r12 r13 r14 r15"),
    "HLT": (0x0C, {"r12": None}, ""),
    "IO.READ": (0x1E, {"r12": None, "r13": 0, "r14": None}, "r11"),
    "IO.WRITE": (0x1E, {"r12": None, "r13": 1, "r14": None, "r15": None}, ""),
    "RDMSR": (0x1F, {"r12": None}, "r11"),
    "WRMSR": (0x20, {"r12": None, "r13": None}, ""),
    "MMIO.READ": (0x30, {"r12": None, "r13": 0, "r14": None}, "r11"),
    "MMIO.WRITE": (0x30, {"r12": None, "r13": 1, "r14": None, "r15": None}, ""),
    "GetTdVmCallInfo": (0x10000, {"r12": None}, "r11 r12 r13 r14"),
    "MapGPA": (0x10001, {"r12": None, "r13": None}, "r11"),
    "GetQuote": (0x10002, {"r12": None, "r13": None}, ""),
    "ReportFatalError": (
        0x10003,
        dict.fromkeys("r12 r13 r14 r15 rbx rdi rsi r8 r9 rdx".split()),
        "",
    ),
    "SetupEventNotifyInterrupt": (0x10004, {"r12": None}, ""),
    "Service": (0x10005, dict.fromkeys("r12 r13 r14 r15".split()), ""),
    "MigTD.WaitForRequest": (
        0x10006,
        {"r12": 0x10001, "r13": None, "r14": None, "r15": None},
        "",
    ),
    "MigTD.ReportStatus": (
        0x10006,
        {"r12": 0x10002} | dict.fromkeys("r13 r14 r15 rbx rdi".split()),
        "",
    ),
    "MigTD.Send": (0x10006, {"r12": 0x10003} | dict.fromkeys("r13 r14 r15 rbx".split()), ""),
    "MigTD.Receive": (0x10006, {"r12": 0x10004} | dict.fromkeys("r13 r14 r15 rbx".split()), ""),
}
# The text of a fatal error, 8 bytes a register.
MESSAGE = "r14 r15 rbx rdi rsi r8 r9 rdx".split()


@cache
def plans() -> dict[str, Plan]:
    """The plans of tdx/tdvmcall.seam by sub-function."""
    made = seamir.compile(seamir.load("tdx/tdvmcall.seam"), emit=()).plans
    return {plan.leaf.removeprefix("TDG.VP.VMCALL."): plan for plan in made}


@cache
def raw() -> Plan:
    """The plan of TDG.VP.VMCALL with registers of the caller's choice."""
    program = seamir.load("tdx/guest.seam", leaves=["TDG.VP.VMCALL"])
    (plan,) = seamir.compile(program, emit=()).plans
    return plan


def constant(plan: Plan, register: str) -> int:
    """What a register is loaded with, which depends on no argument."""
    load = plan.load(register)
    assert load is not None, register
    return evaluate(load.value, {})


def in_mask(mask: int) -> set[str]:
    """The registers of an exposure mask, all of whose bits are registers."""
    assert mask >> len(REGISTERS) == 0
    return {name for bit, name in enumerate(REGISTERS) if mask >> bit & 1}


def loaded(plan: Plan) -> set[str]:
    return {load.register for load in plan.loads}


def test_the_table_is_complete() -> None:
    assert sorted(plans()) == sorted(GHCI)


@pytest.mark.parametrize("name", GHCI)
def test_selection(name: str) -> None:
    plan = plans()[name]
    number, _, _ = GHCI[name]
    assert plan.instruction.name == "tdcall"
    assert constant(plan, "rax") == 0
    assert constant(plan, "r10") == 0
    assert constant(plan, "r11") == number == plan.number


@pytest.mark.parametrize("name", GHCI)
def test_the_mask_exposes_what_is_loaded(name: str) -> None:
    plan = plans()[name]
    exposed = in_mask(constant(plan, "rcx"))
    assert plan.exposed is not None
    assert exposed == loaded(plan) - {"rax", "rcx"} == plan.exposed
    assert exposed.isdisjoint({"rax", "rcx", "rsp", "rbp"})


@pytest.mark.parametrize("name", GHCI)
def test_the_mask_is_what_the_call_needs(name: str) -> None:
    plan = plans()[name]
    _, operands, outputs = GHCI[name]
    assert in_mask(constant(plan, "rcx")) == {"r10", "r11", *operands, *outputs.split()}


@pytest.mark.parametrize("name", GHCI)
def test_operands(name: str) -> None:
    plan = plans()[name]
    _, operands, outputs = GHCI[name]
    passed = {load.register for load in plan.loads if load.kind is LoadKind.OPERAND}
    assert passed == set(operands)
    for register, value in operands.items():
        if value is not None:
            assert constant(plan, register) == value, register
    zeroed = {load.register for load in plan.loads if load.kind is LoadKind.ZERO}
    assert zeroed == set(outputs.split()) - {"r11", *operands}
    assert all(constant(plan, register) == 0 for register in zeroed)
    assert {load.register for load in plan.loads if load.kind is LoadKind.PRELOAD} == set()


@pytest.mark.parametrize("name", GHCI)
def test_outputs_count_where_the_host_says_so(name: str) -> None:
    plan = plans()[name]
    _, _, outputs = GHCI[name]
    assert {delivery.place.register for delivery in plan.deliveries} == set(outputs.split())
    for delivery in plan.deliveries:
        assert delivery.test is not None
        assert delivery.test.text == ("error" if name == "MapGPA" else "success")


@pytest.mark.parametrize("name", GHCI)
def test_the_answer(name: str) -> None:
    plan = plans()[name]
    assert str(plan.status) == "r10"
    assert [family.name for family in plan.conduit.families] == ["tdvmcall_status"]
    assert plan.success is not None
    assert [match.accepts(value) for match in plan.success for value in (0, 1, 1 << 63)] == [
        True,
        False,
        False,
    ]
    refused = plan.edges.refused
    assert isinstance(refused, Refusal)
    assert (str(refused.place), refused.value) == ("rax", 0)
    assert isinstance(refused.action, Trap)


@pytest.mark.parametrize("name", GHCI)
def test_what_the_host_may_change_does_not_survive(name: str) -> None:
    plan = plans()[name]
    assert plan.exposed is not None
    assert plan.destroyed == plan.exposed | {"rax", "rcx"}
    assert plan.destroys_memory
    assert plan.scrub


@pytest.mark.parametrize("name", GHCI)
def test_one_call_and_who_comes_back(name: str) -> None:
    plan = plans()[name]
    assert plan.bound == 1 and plan.again == () and plan.checks == ()
    is_last = name == "ReportFatalError"
    assert plan.returns is (Returns.NOTHING if is_last else Returns.STATUS)


def test_one_number_is_one_family_of_calls() -> None:
    numbers: dict[int, list[str]] = {}
    for name, plan in plans().items():
        if plan.documentation.alias_of is None:
            assert plan.number is not None
            numbers.setdefault(plan.number, []).append(plan.leaf)
        else:
            first = plan.documentation.alias_of
            assert plans()[first.removeprefix("TDG.VP.VMCALL.")].number == plan.number, name
    assert all(len(names) == 1 for names in numbers.values())


def test_a_fatal_error_is_passed_in_the_order_of_its_text() -> None:
    plan = plans()["ReportFatalError"]
    offsets = {item.name: item.offset for item in plan.inputs if item.argument == "message"}
    assert offsets == {f"message.{register}": 8 * i for i, register in enumerate(MESSAGE)}
    values = {item.name: 0 for item in plan.inputs}
    for register in MESSAGE:
        load = plan.load(register)
        assert load is not None
        assert evaluate(load.value, values | {f"message.{register}": 7}) == 7


def test_the_parts_of_a_fatal_error() -> None:
    plan = plans()["ReportFatalError"]
    load = plan.load("r12")
    assert load is not None
    values = {item.name: 0 for item in plan.inputs}
    code = values | {"code": 0xFFFF_FFFF}
    extended = values | {"extended_code": 0x7FFF_FFFF}
    valid = values | {"page_valid": 1}
    assert evaluate(load.value, code) == 0xFFFF_FFFF
    assert evaluate(load.value, extended) == 0x7FFF_FFFF << 32
    assert evaluate(load.value, valid) == 1 << 63


@pytest.mark.parametrize("name", GHCI)
def test_documentation(name: str) -> None:
    plan = plans()[name]
    assert plan.documentation.doc.strip()
    assert plan.documentation.effect is None
    assert all(argument.doc.strip() for argument in plan.arguments)


# -- with registers of the caller's choice


def test_raw_exposes_what_linux_exposes() -> None:
    plan = raw()
    mask = constant(plan, "rcx")
    assert mask == 0xFFCC
    assert plan.exposed is not None
    assert in_mask(mask) == loaded(plan) - {"rax", "rcx"} == plan.exposed
    assert constant(plan, "rax") == 0
    assert plan.scrub and plan.destroys_memory
    assert plan.destroyed == in_mask(mask) | {"rax", "rcx"}


def test_raw_takes_and_returns_the_registers() -> None:
    plan = raw()
    offsets = {item.name: item.offset for item in plan.inputs}
    registers = "rdx rbx rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()
    assert set(offsets) == {f"regs.{register}" for register in registers}
    for register in registers:
        load = plan.load(register)
        assert load is not None and load.kind is LoadKind.OPERAND
        values = dict.fromkeys(offsets, 0) | {f"regs.{register}": 7}
        assert evaluate(load.value, values) == 7
    back = {d.place.register: (d.argument, d.offset, d.keep, d.test) for d in plan.deliveries}
    assert back == {r: ("regs", offsets[f"regs.{r}"], True, None) for r in registers}


def test_raw_returns_the_status_of_the_module() -> None:
    plan = raw()
    assert str(plan.status) == "rax"
    assert [family.name for family in plan.conduit.families] == ["tdx_status"]
    assert plan.edges.actions == ()
    assert plan.returns is Returns.STATUS
