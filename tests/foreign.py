"""Objects that seamir did not emit, and the plans they are held against.

`assembled` has the wrappers in assembly of data/foreign, right or with an error of
foreign_errors.py; `twins_of` has C twins of a description (benchmarks/twins.py) by a compiler.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from execution import play, scenarios
from foreign_errors import KERNEL, USER, WRONG, Wrong
from tools import need, run

import seamir
from seamir.emulate.machine import Machine
from seamir.ir.leaf import ArgumentKind, Plan
from seamir.targets import TARGETS, Target

TESTS = Path(__file__).parent
sys.path.append(str(TESTS.parent))

from benchmarks import compilers, twins  # noqa: E402 - needs the path above

FOLDER = TESTS / "data" / "foreign"
OWN = str(FOLDER / "wrappers.seam")
ASSEMBLY = tuple(sorted(path.stem for path in FOLDER.glob("*.S")))
# Of each description the wrappers that have twins: of the library some of every kind.
LEAVES: dict[str, tuple[str, ...]] = {
    OWN: ("*",),
    "tdx/host.seam": (
        *("TDH.MEM.PAGE.REMOVE", "TDH.MEM.TRACK", "TDH.MEM.SEPT.ADD", "TDH.MEM.PAGE.DEMOTE"),
        *("TDH.MNG.RD", "TDH.PHYMEM.PAGE.RDMD", "TDH.VP.INIT", "TDH.EXPORT.MEM"),
    ),
    "tdx/guest.seam": ("TDG.VP.INFO", "TDG.MEM.PAGE.ACCEPT", "TDG.SERVTD.RD"),
    "tdx/tdvmcall.seam": ("*_cpuid", "*_hlt", "*_io_read", "*_reportfatalerror"),
    "tdx/resume.seam": ("tdh_dmar_remove_resume", "tdh_mem_page_promote_resume"),
    "tdx/linux_compat.seam": ("tdh_mem_page_remove", "tdh_vp_wr"),
}

# As a program or a shared library is compiled that has wrappers in it.
_USER_FLAGS = ("-O2", "-std=gnu11", "-fpic", "-fno-strict-aliasing")


@dataclass(frozen=True)
class Foreign:
    """An object with functions of somebody else: what each has to do, and where."""

    data: bytes
    plans: tuple[Plan, ...]
    target: Target

    def plan(self, symbol: str) -> Plan:
        """What the function of that name has to do."""
        return next(plan for plan in self.plans if plan.symbol == symbol)


@dataclass(frozen=True)
class Build:
    """How twins are made: `style` is one of benchmarks/twins.py, `level` is -O2 or such."""

    compiler: str
    style: str
    target: str
    level: str

    def __str__(self) -> str:
        return f"{self.compiler} {self.style} {self.level} {self.target}"


@cache
def compilation(description: str, target: str) -> seamir.Compilation:
    """Plans and header of a description of LEAVES."""
    calls = ["spurious", "kvm_spurious_fault"]
    program = seamir.load(description, leaves=LEAVES[description], allow_calls=calls)
    return seamir.compile(program, target=target, emit=("header",))


# -- assembly


def assembled(file: str, target: str, wrong: Wrong | None = None) -> Foreign:
    """The wrapper in FILE.S, or what an error makes of it; FILE is SYMBOL or SYMBOL-VARIANT."""
    need("gcc")
    text = (FOLDER / f"{file}.S").read_text()
    for old, new in wrong.edits.items() if wrong is not None else ():
        assert text.count(old) == 1, f"{file}.S has {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    flags = ["-DLINUX_KERNEL"] if target == KERNEL else []
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "wrapper.S"), Path(folder, "wrapper.o")
        source.write_text(text)
        run("gcc", "-c", *flags, "-I", FOLDER, source, "-o", output)
        data = output.read_bytes()
    symbol = file.partition("-")[0]
    plans = [plan for plan in compilation(OWN, target).plans if plan.symbol == symbol]
    return Foreign(data, tuple(plans), TARGETS[target])


def _is_right(file: str, target: str) -> bool:
    """Whether a file is right there as it is."""
    return not any(w.file == file and not w.edits and target in w.targets for w in WRONG)


RIGHT = tuple((file, to) for file in ASSEMBLY for to in (KERNEL, USER) if _is_right(file, to))
# One target is enough for what is an error on both, since the code is the same.
ERRORS = tuple(
    (wrong, target)
    for wrong in WRONG
    for target in ((KERNEL,) if len(wrong.targets) == 2 else (KERNEL, USER))
)


# -- C


def _new_clang() -> str:
    """A clang that defines the outputs of asm goto on its edges, here or not."""
    found = [name for name in ("clang-22", "clang-19", "clang") if shutil.which(name)]
    return next((name for name in found if compilers.major(name) >= 17), "clang-22")


NEW_CLANG = _new_clang()
BUILDS = tuple(
    Build(compiler, style, target, level)
    for compiler, style in ((NEW_CLANG, "asm_goto"), ("gcc", "flags_near"))
    for target, levels in ((KERNEL, ("-O0", "-O2", "-Os")), (USER, ("-O1", "-O3")))
    for level in levels
)
LIKE_A_KERNEL = tuple(build for build in BUILDS if build.level == "-O2")
# gcc 12 loses what is assigned on the edges of asm goto with outputs, and at times an output.
BAD_BUILDS = tuple(Build("gcc", "asm_goto", KERNEL, level) for level in ("-O1", "-O2", "-Os"))


@cache
def twins_of(description: str, build: Build) -> Foreign:
    """The twins of the wrappers of a description of LEAVES that C can say in that style.

    Skips the test if the compiler is missing.
    """
    need(build.compiler)
    made = compilation(description, build.target)
    plans, _ = twins.sayable(made.plans, made.target, [build.style])
    header = f"{made.stem}.h"
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "twins.c"), Path(folder, "twins.o")
        Path(folder, header).write_bytes(made.outputs["header"].data)
        source.write_text(twins.twin(plans, made.target, [header], build.style))
        run(build.compiler, *_flags(build), "-c", source, "-o", output)
        return Foreign(output.read_bytes(), tuple(plans), made.target)


def _flags(build: Build) -> Sequence[str]:
    kernel = build.target == KERNEL
    return [*(compilers.flags_of(build.compiler) if kernel else _USER_FLAGS), build.level]


def has_narrow_arguments(plan: Plan) -> bool:
    """Whether clang takes for granted of an argument what the calling convention does not say.

    It expects u8, u16 and bool to be extended to 32 bits by the caller.
    """
    values = [one for one in plan.arguments if one.kind is ArgumentKind.VALUE]
    return any(argument.type.width < 32 for argument in values)


# -- execution


def differences(foreign: Foreign, plan: Plan, repeat: int = 1) -> list[str]:
    """What scenarios show of a function that is not as its plan says, each with its scenario."""
    machine = Machine(foreign.data, foreign.target)
    return [
        f"{scenario.name}: {text}"
        for scenario in scenarios(plan, repeat=repeat)
        for text in play(machine, plan, scenario)[2]
    ]
