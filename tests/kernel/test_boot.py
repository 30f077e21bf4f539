"""Wrappers called in running kernels: emulated ones, and a fake TDX module in them.

Every wrapper of the host library, those that resume interrupted leaves, and the drop-ins for KVM's
wrappers: over all outcomes that a kernel can be given, with what the manifest says of each. Of
exceptions these are #UD and #GP; calls with others are left out, and are in test_native.py.
"""

from __future__ import annotations

from functools import cache

import pytest
from compat_callers import CALLERS, SPURIOUS, callers_play, cases
from fake_module import Play, Played, boot_plays, build_plays, calls_of
from kernels import Kernel

import seamir
from seamir.compiler import Compilation
from seamir.emulate.script import Carry, Completed, Fault

# The descriptions, with how many calls of each kind are made of a wrapper.
DESCRIPTIONS = {"host": 2, "resume": 1, "linux_compat": 2, "edges": 2}

# What the library has no example of: ends that are none.
EDGES = """
import "tdx/conduits.seam";
leaf traps = 11 via seamcall (a: u64) -> (o: u64 = rcx) {
    rcx = a; on carry trap; on fault #UD trap; on fault #GP call helper return 5;
}
leaf dies = 12 via seamcall (a: u64) -> (o: u64 = rcx) {
    rcx = a; on carry call helper return 6; on fault #UD call ends; on fault #GP trap;
}
leaf goes_away = 13 via seamcall (a: u64) { rcx = a; noreturn; }
"""
CALLEES = (SPURIOUS, "helper", "ends")


@cache
def compilation(name: str) -> Compilation:
    """A file of the library for the kernel; or EDGES."""
    if name == "edges":
        program = seamir.load_text(EDGES, "edges.seam", allow_calls=CALLEES)
    else:
        program = seamir.load(f"tdx/{name}.seam", allow_calls=CALLEES)
    return seamir.compile(program, emit=("kbuild", "manifest"), export="none")


@cache
def plays() -> tuple[Play, ...]:
    """What is played in every kernel."""
    made = [
        Play(f"play_{name}", compilation(name), calls_of(compilation(name), repeat))
        for name, repeat in DESCRIPTIONS.items()
    ]
    return (*made, callers_play(compilation("linux_compat")))


@pytest.fixture(scope="module")
def played(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All of `plays` in one boot of each kernel."""
    folder = tmp_path_factory.mktemp("plays")
    built = build_plays(kernel, folder, plays())
    assert built.status == 0, built.output
    assert built.complaints == []
    return boot_plays(kernel, folder, plays())


@pytest.mark.parametrize("index", range(len(DESCRIPTIONS)), ids=DESCRIPTIONS)
def test_every_wrapper_is_called_in_every_way(index: int) -> None:
    play = plays()[index]
    for plan in play.compilation.plans:
        played = [call.outcomes for call in play.calls if call.plan.symbol == plan.symbol]
        ends = [outcomes[-1] for outcomes in played if outcomes]
        assert all(end in ends for end in (Carry(), Fault(6), Fault(13))), plan.symbol
        assert any(isinstance(end, Completed) for end in ends), plan.symbol
        assert max(map(len, played)) == plan.bound, plan.symbol


def test_every_caller_is_called() -> None:
    assert {case.caller for case in cases()} == set(CALLERS)


def test_the_kernel_is_as_before(played: Played) -> None:
    assert played.booted.complaints() == [], played.booted.log


@pytest.mark.parametrize("index", range(len(DESCRIPTIONS) + 1), ids=[*DESCRIPTIONS, "callers"])
def test_wrappers_do_in_a_kernel_what_the_manifest_says(played: Played, index: int) -> None:
    assert played.differences(plays()[index]) == []
