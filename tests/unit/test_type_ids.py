"""The type ids of functions: their names word by word, and that clang makes the same ids.

clang says what it takes for the id of a function that a C file takes the address of, in a symbol
`__kcfi_typeid_NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import documented_plans
import pytest
from descriptions import DESCRIPTIONS, LIBRARY, program_of
from kernel_types import write_kernel_types
from lto import FLAGS, clang
from plans import (
    BOOL,
    PTR,
    S8,
    S16,
    S32,
    S64,
    U8,
    U16,
    U32,
    U64,
    array,
    bits,
    deliver,
    in_out,
    out,
    plan,
    value,
)
from random_runs import errors_of, load
from tools import need, run

import seamir
from seamir.compiler import DELIVERIES
from seamir.emit.header import emit_header
from seamir.ir.leaf import Argument, ArgumentKind, Plan, Returns
from seamir.ir.type_ids import type_id, type_name
from seamir.model.types import Layout, LayoutMember, Type
from seamir.source import Source, Span
from seamir.targets import Target, select_target

KERNEL = select_target("linux-kernel", ["+kcfi"])
NORMALIZED = select_target("linux-kernel", ["+kcfi", "+kcfi-normalize"])
USER = select_target("linux-user", ["+kcfi"])
FREESTANDING = select_target("freestanding", ["+kcfi"])
TYPES = (U8, U16, U32, U64, S8, S16, S32, S64, BOOL, PTR)
SPAN = Span(Source("made_up.seam", "\n"), 0, 1)
RANDOM = range(12)  # seeds of descriptions


def layout(name: str) -> Layout:
    """A layout of one register."""
    return Layout(name, (LayoutMember("rcx", "rcx", 0, "", SPAN),), False, "", SPAN)


def pointer(argument: Argument, name: str) -> Argument:
    """The argument as a pointer to a structure."""
    return replace(argument, layout=layout(name))


def names(made: Plan, *targets: Target) -> list[str]:
    return [type_name(made, target) for target in targets]


# -- word by word


def test_no_parameters() -> None:
    assert names(plan(), KERNEL, NORMALIZED, USER, FREESTANDING) == [
        "_ZTSFyvE",
        "_ZTSFu3u64vE.normalized",
        "_ZTSFmvE",
        "_ZTSFmvE",
    ]
    assert type_id(plan(), KERNEL) == 0x529C6EF0  # as clang 22 says


def test_nothing_is_returned() -> None:
    assert names(plan(returns=Returns.NO_STATUS), KERNEL) == ["_ZTSFvvE"]
    assert names(plan(value("a"), returns=Returns.NOTHING), KERNEL) == ["_ZTSFvyE"]


def test_integers() -> None:
    made = plan(*(value(f"a{number}", kind) for number, kind in enumerate(TYPES)))
    assert names(made, KERNEL, USER, NORMALIZED) == [
        "_ZTSFyhtjyasixbPvE",
        "_ZTSFmhtjmasilbPvE",
        # What has been named once is referred to, but for the types of one letter.
        "_ZTSFu3u64u2u8u3u16u3u32S_u2i8u3i16u3i32u3i64S0_PvE.normalized",
    ]


def test_a_typedef_is_looked_through() -> None:
    made = plan(value("tdr", replace(U64, name="hpa", c_name="hpa_t")))
    assert names(made, KERNEL) == ["_ZTSFyyE"]


def test_pointers_and_arrays() -> None:
    made = plan(out("a"), in_out("b"), out("c", PTR), array("d", U64, 4), array("e", PTR, 2))
    assert names(made, KERNEL) == ["_ZTSFyPyS_PPvPKyPKS0_E"]
    twice = plan(array("a", U64, 4), array("b", U64, 3, "count"), array("c", U8, 3))
    assert names(twice, KERNEL) == ["_ZTSFyPKyS0_PKhE"]


def test_structures() -> None:
    """A pointer to a constant one names three types, and each has its number."""
    made = plan(pointer(array("a", U64, 1), "regs"), pointer(out("b"), "regs"), out("c"))
    assert names(made, KERNEL) == ["_ZTSFyPK4regsPS_PyE"]
    assert names(plan(*[pointer(out("a"), "regs")] * 3), KERNEL) == ["_ZTSFyP4regsS0_S0_E"]
    structured = documented_plans.structured()
    assert structured.struct is not None
    tag = structured.struct.name
    assert f"P{len(tag)}{tag}" in type_name(structured, KERNEL)


def test_a_returned_structure_comes_first() -> None:
    made = documented_plans.paired()
    tag = f"{made.symbol}_result"
    assert type_name(made, KERNEL).startswith(f"_ZTSF{len(tag)}{tag}")


@pytest.mark.parametrize(
    ("count", "last"),
    [(1, "S0_"), (2, "S2_"), (6, "SA_"), (18, "SY_"), (19, "S10_"), (20, "S12_")],
)
def test_many_types_are_counted_in_base_36(count: int, last: str) -> None:
    """`count` structures and their pointers have numbers before the last argument repeats one."""
    arguments = [pointer(out(f"a{number}"), f"s{number}") for number in range(count)]
    assert type_name(plan(*arguments, arguments[-1]), KERNEL).endswith(f"{last}E")


# -- as clang has them


def ids_of_clang(
    folder: Path, header: str, plans: Sequence[Plan], target: Target, *before: str
) -> dict[str, int]:
    """The ids that clang takes for those of the plans' functions, declared by a header."""
    compiler = clang()
    need("nm")
    write_kernel_types(folder)
    (folder / "made.h").write_text(header)
    addresses = [f"void *const of_{one.symbol} = (void *){one.symbol};" for one in plans]
    lines = ['#include "made.h"', *before, *addresses, ""]
    (folder / "made.c").write_text("\n".join(lines))
    flags = [*FLAGS[target.name], "-ffreestanding", "-fsanitize=kcfi"]
    flags += ["-D__KERNEL__"] if target.name == "linux-kernel" else []
    if "kcfi-normalize" in target.features:
        flags.append("-fsanitize-cfi-icall-experimental-normalize-integers")
    output = folder / "made.o"
    flags += [f"--target={target.triple}", "-I", str(folder)]
    run(compiler, *flags, "-c", folder / "made.c", "-o", output)
    rows = re.findall(r"(?m)^([0-9a-f]+) . __kcfi_typeid_(\w+)$", run("nm", output).stdout)
    return {symbol: int(number, 16) for number, symbol in rows}


def assert_same(folder: Path, plans: Sequence[Plan], target: Target, *before: str) -> None:
    """clang gives every plan's function the id that we give it."""
    header = emit_header(plans, target, "made", "made.seam")
    wanted = ids_of_clang(folder, header, plans, target, *before)
    assert wanted.keys() == {one.symbol for one in plans}
    found = {one.symbol: type_id(one, target) for one in plans}
    differing = [one for one in plans if found[one.symbol] != wanted[one.symbol]]
    assert not [f"{one.symbol}: {type_name(one, target)}" for one in differing]


@pytest.mark.parametrize(
    "target",
    [KERNEL, NORMALIZED, USER, FREESTANDING],
    ids=["linux-kernel", "normalized", "linux-user", "freestanding"],
)
def test_clang_agrees_about_every_kind_of_prototype(tmp_path: Path, target: Target) -> None:
    assert_same(tmp_path, list(contrived()), target)


MAKERS: tuple[Callable[[str, Type], Argument], ...] = (
    value,
    out,
    in_out,
    lambda name, kind: array(name, kind, 3),
)


def contrived() -> Iterator[Plan]:
    """Every kind of argument of every type, twice and beside others, and all that is returned."""
    for number, kind in enumerate(TYPES):
        arguments = [make(f"a{place}", kind) for place, make in enumerate(MAKERS)]
        again = [replace(one, name=f"b{one.name}") for one in reversed(arguments)]
        yield delivering(*arguments, *again, value("last", U64), symbol=f"all_of_{number}")
    yield plan(symbol="nothing")
    yield plan(value("a"), returns=Returns.NO_STATUS, symbol="no_status")
    yield plan(value("a"), returns=Returns.NOTHING, symbol="noreturn")
    every = product(enumerate(MAKERS), enumerate(TYPES))
    arguments = [make(f"a{place}{number}", kind) for (place, make), (number, kind) in every]
    yield delivering(*arguments, symbol="everything")
    every = product(enumerate(MAKERS[1:]), enumerate([U64] * 20))
    arguments = [
        pointer(make(f"a{place}{number}", kind), f"s{number}")
        for (place, make), (number, kind) in every
    ]
    yield delivering(*arguments, symbol="structures")
    for kind in TYPES[:-1]:
        returned = replace(deliver("r", bits("rdx"), kind), argument=None)
        for returns in (Returns.VALUE, Returns.STATUS_AND_VALUE):
            symbol = f"{kind.name}_{returns.name.lower()}"
            yield plan(value("a"), deliveries=[returned], returns=returns, symbol=symbol)
    yield from documented_plans.all_plans()


def delivering(*arguments: Argument, symbol: str) -> Plan:
    """A plan with an output for each argument that takes one."""
    kinds = (ArgumentKind.OUT, ArgumentKind.IN_OUT)
    taking = [one for one in arguments if one.kind in kinds]
    outputs = [deliver(one.name, bits("rcx"), one.type) for one in taking]
    return plan(*arguments, deliveries=outputs, symbol=symbol)


@pytest.mark.parametrize("deliver", DELIVERIES)
@pytest.mark.parametrize("name", DESCRIPTIONS, ids=lambda name: "/".join(Path(name).parts[-2:]))
def test_clang_agrees_about_the_library(tmp_path: Path, name: str, deliver: str) -> None:
    for target in (KERNEL, NORMALIZED) if name in LIBRARY else (KERNEL,):
        made = seamir.compile(program_of(name), target=target, deliver=deliver, emit=("header",))
        assert_same(tmp_path, made.plans, target)


@pytest.mark.parametrize("deliver", DELIVERIES)
def test_clang_agrees_about_random_descriptions(tmp_path: Path, deliver: str) -> None:
    accepted = [seed for seed in RANDOM if not errors_of(seed)]
    assert accepted
    for seed in accepted:
        made = seamir.compile(load(seed), target=KERNEL, deliver=deliver, emit=("header",))
        assert_same(tmp_path, made.plans, KERNEL)


# -- symbols


def errors_of_symbols(text: str, prefix: str = "", features: Sequence[str] = ("+kcfi",)) -> str:
    program = seamir.load_text(text, "text.seam", allow_calls=["__cfi_a"])
    with pytest.raises(seamir.SeamError) as error:
        seamir.compile(program, features=features, symbol_prefix=prefix)
    return "".join(one.render() for one in error.value.diagnostics)


CLASH = """\
import "tdx/conduits.seam";
leaf A = 500 via seamcall ();
wrapper y = A;
wrapper cfi___y = A;
"""
CALL = """\
import "tdx/conduits.seam";
leaf A = 500 via seamcall () { on fault call __cfi_a return 0; }
"""


def test_the_symbol_of_an_id_is_no_function_s() -> None:
    assert errors_of_symbols(CLASH, "__") == (
        "text.seam:4:9: error[E0208]: __cfi___y is the type id of __y, so it cannot be a function\n"
        "    4 | wrapper cfi___y = A;\n"
        "      |         ^^^^^^^\n"
        "text.seam:3:9: note: the function with the id is here\n"
        "    3 | wrapper y = A;\n"
        "      |         ^"
    )
    assert seamir.compile(seamir.load_text(CLASH), symbol_prefix="__").outputs["obj"].data
    assert seamir.compile(seamir.load_text(CLASH), features=["+kcfi"]).outputs["obj"].data


def test_nor_can_it_be_called() -> None:
    assert "text.seam:2:41: error[E0208]: __cfi_a is the type id of a" in errors_of_symbols(CALL)
