"""Tools of the LLVM that seamir emits bitcode with, and callers to be linked with that bitcode.

`write_callers` makes a C file with two callers a wrapper: `call_X` passes everything on, and
`local_X` has the outputs of X in variables of its own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from execution import Scenario
from tools import run

import seamir
from seamir.ir.leaf import Argument, ArgumentKind, CallSymbol, Plan, Returns
from seamir.llvm.emit import llvm_version
from seamir.model.types import extend

MAJOR = llvm_version().split(".")[0]
TRIPLE = "x86_64-unknown-linux-gnu"

# How a kernel that has all of these is compiled; from Linux's arch/x86/Makefile.
KERNEL_FLAGS = (
    "-ffreestanding -mno-sse -mno-mmx -mno-sse2 -mno-3dnow -mno-avx -mno-80387 -mno-red-zone"
    " -mcmodel=kernel -mstack-alignment=8 -fno-PIE -fcf-protection=branch -fno-jump-tables"
    " -mharden-sls=all -mfunction-return=thunk-extern -mretpoline-external-thunk"
).split()
FLAGS = {
    "linux-kernel": KERNEL_FLAGS,
    "linux-user": ["-fPIC"],
    "freestanding": "-ffreestanding -fPIC -mgeneral-regs-only -mno-red-zone".split(),
}


def clang() -> str:
    """A clang of our LLVM; skips the test, with the reason, if there is none."""
    return _tool(f"clang-{MAJOR}", "clang", rf"clang version {MAJOR}\.")


def lld() -> str:
    """The linker of our LLVM, likewise."""
    return _tool(f"ld.lld-{MAJOR}", "ld.lld", rf"LLD {MAJOR}\.")


def lld_link() -> str:
    """The same for COFF, likewise."""
    return _tool(f"lld-link-{MAJOR}", "lld-link", rf"LLD {MAJOR}\.")


def rustc() -> str:
    """A rustc of our LLVM, likewise; Debian's rustc-web is hidden where PATH has another."""
    return _tool("rustc", "/usr/bin/rustc", rf"LLVM version: {MAJOR}\.")


def older_clang() -> str:
    """A clang of an older LLVM, likewise."""
    return _tool("clang", "clang-14", r"clang version (14|15|16|17|18|19)\.")


@cache
def _tool(first: str, second: str, version: str) -> str:
    for name in (first, second):
        if shutil.which(name) is None:
            continue
        done = run(name, "--version", *_VERBOSE.get(name, []), status=None)
        # The rustc in PATH may be rustup's, which fails where no version is chosen.
        if done.returncode == 0 and re.search(version, done.stdout):
            return name
    pytest.skip(f"not installed: {first}, or {second} that says `{version}`")


_VERBOSE = {"rustc": ["--verbose"], "/usr/bin/rustc": ["--verbose"]}


# -- callers


def write_callers(result: seamir.Compilation) -> str:
    """A C file with callers of every wrapper; see above."""
    header = re.sub(r"/\*.*?\*/", "", result.outputs["header"].text, flags=re.DOTALL)
    parts = [f'#include "{result.stem}.h"\n']
    for plan in result.plans:
        prototype = re.search(rf"(?m)^(\w[\w \n*]*?\W){plan.symbol}\(([^()]*)\)[^;]*;", header)
        assert prototype is not None, plan.symbol
        returned, parameters = prototype[1].strip(), " ".join(prototype[2].split())
        names = [] if parameters == "void" else parameters.split(", ")
        names = [re.sub(r"\[.*", "", name).split()[-1].lstrip("*") for name in names]
        keyword = "" if returned == "void" else "return "
        call = f"{keyword}{plan.symbol}({', '.join(names)});"
        parts.append(f"{returned} call_{plan.symbol}({parameters})\n{{\n\t{call}\n}}\n")
        if has_local_outputs(plan):
            parts.append(_local_caller(plan, parameters, names))
    return "\n".join(parts)


def has_local_outputs(plan: Plan) -> bool:
    """Whether outputs may be in variables of a caller that stores all of them afterwards."""
    outputs = _outputs(plan)
    return (
        plan.returns is Returns.STATUS
        and len(outputs) > 0
        and all(a.kind in (ArgumentKind.OUT, ArgumentKind.VALUE) for a in plan.arguments)
        and all(a.length is None for a in outputs)
        and not any(d.keep or d.optional for d in plan.deliveries)
        and not any(isinstance(action, CallSymbol) for action in plan.edges.actions)
        and not plan.scrub  # the caller's own code scrubs nothing
    )


def _outputs(plan: Plan) -> list[Argument]:
    return [a for a in plan.arguments if a.kind is ArgumentKind.OUT]


def _local_caller(plan: Plan, parameters: str, names: Sequence[str]) -> str:
    pairs = list(zip(plan.arguments, names, strict=True))
    outputs = [name for argument, name in pairs if argument.kind is ArgumentKind.OUT]
    locals_ = [f"\t__typeof__(*{name}) local_{name};" for name in outputs]
    passed = [f"&local_{name}" if name in outputs else name for name in names]
    stores = [f"\t*{name} = local_{name};" for name in outputs]
    body = "\n".join([*locals_, f"\tu64 status = {plan.symbol}({', '.join(passed)});", *stores])
    return f"u64 local_{plan.symbol}({parameters})\n{{\n{body}\n\treturn status;\n}}\n"


def caller_plans(plan: Plan) -> Iterator[Plan]:
    """The plans of a wrapper's callers, and its own."""
    yield plan
    yield replace(plan, symbol=f"call_{plan.symbol}")
    if has_local_outputs(plan):
        yield replace(plan, symbol=f"local_{plan.symbol}")


def passable(plan: Plan, scenario: Scenario) -> Scenario:
    """The same with arguments extended to 32 bits, as clang's callers do and its callees expect."""
    kinds = {a.name: a.type for a in plan.arguments if a.kind is ArgumentKind.VALUE}
    arguments = {
        name: _passable(kinds[name].c_base, kinds[name].width, kinds[name].signed, value)
        if name in kinds
        else value
        for name, value in scenario.arguments.items()
    }
    return replace(scenario, arguments=arguments)


def _passable(c_base: str, width: int, signed: bool, value: int) -> int:
    if c_base == "bool":
        return value & 1
    return value if width >= 32 else extend(value, width, signed) & 0xFFFF_FFFF


# -- linking


def link(result: seamir.Compilation, folder: Path, *flags: str) -> bytes:
    """The object that lld makes of the bitcode and its callers under LTO."""
    result.write(folder)  # which makes the folder
    callers, linked = folder / "callers.c", folder / "linked.o"
    callers.write_text(write_callers(result))
    options = ["-O2", "-flto", f"--target={result.target.triple}", "-Wall", "-Werror"]
    options += [*FLAGS[result.target.name], *flags]
    run(clang(), *options, "-c", callers, "-o", folder / "callers.o")
    bitcode = folder / f"{result.stem}.bc"
    made = run(lld(), "-r", "--lto-O2", folder / "callers.o", bitcode, "-o", linked)
    assert (made.stdout, made.stderr) == ("", "")
    return linked.read_bytes()
