"""Wrappers of the library in running kernels, in the other forms that kernels take them in."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from compat_callers import SPURIOUS
from fake_module import Play, Played, boot_plays, build_plays, calls_of
from kernels import Kernel

import seamir

FORMS: dict[str, dict[str, Any]] = {
    "assembled": {"asm_style": "linux"},
    "typed": {"features": ("+kcfi", "+patchable-prefix")},
}
NAMES = [f"{form}_{name}" for form in FORMS for name in ("host", "linux_compat")]


@cache
def play(name: str) -> Play:
    """One of NAMES: a file of the library in one of the forms."""
    form, _, stem = name.partition("_")
    program = seamir.load(f"tdx/{stem}.seam", allow_calls=(SPURIOUS,))
    result = seamir.compile(program, emit=("kbuild", "manifest"), export="none", **FORMS[form])
    return Play(f"play_{name}", result, calls_of(result, 1))


@pytest.fixture(scope="module")
def played(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All of NAMES in one boot of each kernel."""
    folder = tmp_path_factory.mktemp("plays")
    made = [play(name) for name in NAMES]
    built = build_plays(kernel, folder, made)
    assert built.status == 0, built.output
    assert built.complaints == []
    return boot_plays(kernel, folder, made)


def test_the_kernel_is_as_before(played: Played) -> None:
    assert played.booted.complaints() == [], played.booted.log


@pytest.mark.parametrize("name", NAMES)
def test_wrappers_do_in_a_kernel_what_the_manifest_says(played: Played, name: str) -> None:
    assert played.differences(play(name)) == []
