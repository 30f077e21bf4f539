"""Modules with the whole host library, under the builds of real kernels.

All modules of one kind are in one folder, each in a folder of its own there: one make builds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from kernel_modules import Built, build_modules
from kernels import Kernel
from tools import need, run

import seamir
from seamir.compiler import Compilation

DAMAGED = "tdh_mng_create"
RETURN = "jmp\t__x86_return_thunk"
NAKED = r"'naked' return found in (MITIGATION_)?RETHUNK build"
NO_INT3 = r"missing int3 after ret"
NO_ENDBR = r"data relocation to !ENDBR"

# Features that the kernel's checks have nothing to say about.
SILENT: Mapping[str, tuple[str, ...]] = {
    "defaults": (),
    "frame-pointer": ("+frame-pointer",),
    "no-sls": ("-sls",),  # nothing follows a jump to the return thunk
    "no-fixup": ("-fixup",),
    "kcfi": ("+kcfi",),
    "patchable-prefix": ("+patchable-prefix",),
    "all": ("+kcfi", "+kcfi-normalize", "+patchable-prefix", "+frame-pointer"),
}


@dataclass(frozen=True)
class Wrong:
    """A library that objtool must complain of: each message for each function, and nothing else.

    It is compiled with `features`; then `change`, if there is one, is made to the assembly of the
    function DAMAGED. On a kernel without `option` there is nothing wrong with it.
    """

    messages: tuple[str, ...]
    features: tuple[str, ...] = ()
    change: Callable[[str], str] | None = None
    option: str = ""


def put(text: str) -> Callable[[str], str]:
    """The change that puts an instruction after the first one."""
    return lambda body: body.replace("endbr64", f"endbr64\n\t{text}", 1)


def swap(old: str, new: str) -> Callable[[str], str]:
    """The change that puts something in the place of the first `old`."""
    return lambda body: re.sub(old, new, body, count=1, flags=re.DOTALL)


WRONG: Mapping[str, Wrong] = {
    "no-ibt": Wrong((NO_ENDBR,), features=("-ibt",), option="CONFIG_X86_KERNEL_IBT"),
    "no-rethunk": Wrong((NAKED,), features=("-rethunk",)),
    "no-rethunk-no-sls": Wrong((NAKED, NO_INT3), features=("-rethunk", "-sls")),
    "endbr-dropped": Wrong((NO_ENDBR,), change=swap("endbr64", ""), option="CONFIG_X86_KERNEL_IBT"),
    "return-in-place": Wrong((NAKED,), change=swap(RETURN, "ret\n\tint3")),
    "push-alone": Wrong((r"return with modified stack frame",), change=put("pushq %rbx")),
    "fixup-dropped": Wrong(
        (r"unreachable instruction",), change=swap(r"\t\.section\t__ex_table.*?\t\.text\n", "")
    ),
    "user-access-left-open": Wrong((r"return with UACCESS enabled",), change=put("stac")),
    "indirect-call": Wrong(
        (r"indirect call found in (MITIGATION_)?RETPOLINE build",), change=put("call *%rax")
    ),
    "last-return-dropped": Wrong(
        (r"falls through to next function",), change=swap(rf"(.*){RETURN}", r"\1")
    ),
}


@cache
def compilation(features: tuple[str, ...] = ()) -> Compilation:
    """The host library for a module that keeps it for itself; and as text, to damage it."""
    return seamir.compile(
        seamir.load("tdx/host.seam"), features=features, emit=("kbuild", "asm"), export="none"
    )


SYMBOLS = compilation().symbols


def write_module(folder: Path, made: Compilation) -> None:
    """A module named like its folder, which takes every wrapper's address."""
    made.write(folder)
    (folder / "main.c").write_text(MAIN)
    (folder / "Kbuild").write_text(KBUILD.format(name=folder.name))


KBUILD = """\
include $(src)/host.kbuild
obj-m := {name}.o
{name}-y := main.o $(host-objs)
"""
MAIN = f"""\
#include <linux/module.h>
#include "host.h"

void *volatile table[] = {{ {", ".join(SYMBOLS)} }};

MODULE_DESCRIPTION("The host library");
MODULE_LICENSE("GPL");
"""


def build(kernel: Kernel, folder: Path) -> Built:
    """Builds the modules in the folders of a folder."""
    names = sorted(path.name for path in folder.iterdir())
    (folder / "Kbuild").write_text(f"obj-m := {' '.join(f'{name}/' for name in names)}\n")
    return build_modules(kernel, folder)


# -- what builds without a word


@pytest.fixture(scope="session")
def silent(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """The folder of all modules that are to be built without a word, and what was said."""
    folder = tmp_path_factory.mktemp("silent")
    for name, features in SILENT.items():
        write_module(folder / name, compilation(features))
    return folder, build(kernel, folder)


def test_the_host_library_builds_without_a_word(silent: tuple[Path, Built]) -> None:
    folder, built = silent
    assert (built.complaints, built.status) == ([], 0), built.output
    assert {path.stem for path in folder.glob("*/*.ko")} == set(SILENT)


# -- what objtool complains of, which shows that it looked


def damage(folder: Path, change: Callable[[str], str]) -> None:
    """Puts an object with a change to the assembly of one function into a module's folder."""
    need("gcc")
    text = compilation().outputs["asm"].text
    start = text.index(f"\n{DAMAGED}:")
    end = text.index(f"\t.size\t{DAMAGED}", start)
    changed = change(text[start:end])
    assert changed != text[start:end], "nothing was changed"
    source = folder / "damaged.s"
    source.write_text(text[:start] + changed + text[end:])
    run("gcc", "-c", source, "-o", folder / "host.o_shipped")


@pytest.fixture(scope="session")
def complaining(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """The folder of all modules that objtool must complain of, and what was said."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, wrong in WRONG.items():
        write_module(folder / name, compilation(wrong.features))
        if wrong.change is not None:
            damage(folder / name, wrong.change)
    return folder, build(kernel, folder)


@pytest.mark.parametrize("name", WRONG)
def test_objtool_complains(name: str, kernel: Kernel, complaining: tuple[Path, Built]) -> None:
    folder, built = complaining
    wrong = WRONG[name]
    lines = [line for line in built.complaints if line.startswith(places(folder, [name]))]
    if wrong.option and not kernel.has(wrong.option):
        assert not lines
        return
    expected = {DAMAGED} if wrong.change is not None else set(SYMBOLS)
    # Since 6.4 it says the first thing of a function only.
    messages = wrong.messages if kernel.version < (6, 4) else wrong.messages[:1]
    for message in messages:
        assert named_in(line for line in lines if is_of(line, [message])) == expected, built.output
    assert not [line for line in lines if not is_of(line, messages)]


def test_objtool_complains_of_nothing_else(complaining: tuple[Path, Built]) -> None:
    folder, built = complaining
    ours = places(folder, WRONG)
    assert not [line for line in built.complaints if not line.startswith(ours)]
    assert built.status == 0, built.output


def places(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """How lines begin that are about these modules; newer kernels leave the folder out."""
    return tuple(f"{before}{name}/" for name in names for before in (f"{folder}/", ""))


def is_of(line: str, messages: Iterable[str]) -> bool:
    """Whether a line is objtool's and has one of the messages."""
    return any(re.search(rf": warning: objtool: .*{message}", line) for message in messages)


def named_in(lines: Iterable[str]) -> set[str]:
    """The wrapper that each line speaks of: the first, for it may name the one that follows."""
    words = ([word for word in re.findall(r"\w+", line) if word in SYMBOLS] for line in lines)
    return {found[0] for found in words if found}
