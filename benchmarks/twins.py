"""C twins: the wrappers of some plans as C programmers write them, from the very same plans.

    python -m benchmarks.twins tdx/host.seam --style flags -o build

writes build/host.h and build/host_flags.c. Three styles:

    struct    fills a `struct tdx_module_args` and calls a routine in assembly (trampoline.py), as
              Linux does
    asm_goto  inline assembly whose carry and fault edges are labels: `asm goto` with outputs
    flags     inline assembly that returns CF as an output, `=@ccc`; a fault comes back with CF set
              and RAX inverted, which no selector looks like (flags_near: the same with the code
              for a fault inside the function, for emulators)

(One more, the style of March 2024, is written by hand in before.c.)

A twin includes the generated header, so signatures and structures are those of seamir, and it does
all that a plan says: checks, arrays and layouts, retry and resume clauses with their nesting,
conditions, `optional`, `keep`, delivery in pointers, structures and registers, carry, fault and
refused edges with every action. Exposure masks are loads like others. `scrub` is an attribute of
the function, which gcc 11 and clang 15 know and older ones do without.

What a style cannot say is a TwinError, and `sayable` leaves those plans out: RBP as an operand or
clobber (all), registers outside Linux's structure and the carry flag as an output (struct), an RAX
of any value where carry and fault are to be told apart (flags).

C compilers differ in what they make of it. gcc 12 miscompiles `asm goto` with outputs inside
retry loops, and clang before 17 does not define outputs on the edges, so asm_goto is right with
clang 17 or newer only. clang also takes for granted that callers extend u8, u16 and bool arguments
to 32 bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import seamir
from benchmarks.trampoline import STRUCTURE, assembly, declaration
from benchmarks.twin_styles import WRITERS, StructTwin
from benchmarks.twin_writer import TwinError
from seamir.ir.leaf import Plan
from seamir.model.types import Layout
from seamir.targets import Target

__all__ = ["STYLES", "TwinError", "sayable", "twin", "write_joined", "write_twins"]

STYLES = ("struct", "asm_goto", "flags")


_PROLOGUE = """\
#define unlikely(x) __builtin_expect(!!(x), 0)
#if __has_attribute(zero_call_used_regs)
#define SCRUBBED __attribute__((zero_call_used_regs("all-gpr")))
#else
#define SCRUBBED
#endif
"""


def sayable(
    plans: Sequence[Plan], target: Target, styles: Sequence[str]
) -> tuple[list[Plan], list[str]]:
    """The plans that every one of the styles can say, and what was in the way of the others."""
    said, reasons = [], []
    for plan in plans:
        try:
            for style in styles:
                WRITERS[style](plan, target)
        except TwinError as error:
            reasons.append(str(error))
        else:
            said.append(plan)
    return said, reasons


def twin(plans: Sequence[Plan], target: Target, headers: Sequence[str], style: str) -> str:
    """The C source of the plans' functions; it includes `headers`, the generated ones."""
    writers = [WRITERS[style](plan, target) for plan in plans]
    functions = [writer.write() for writer in writers]
    called = sorted({symbol for writer in writers for symbol in writer.called})
    lines = [f'#include "{header}"' for header in headers]
    lines += ["", _PROLOGUE, *map(_definition, _foreign(plans))]
    lines += [f"void {symbol}(void);" for symbol in called]
    if style == "struct":
        found = {w.trampoline.name: w.trampoline for w in writers if isinstance(w, StructTwin)}
        lines += ["", STRUCTURE, "", *(declaration(t) for t in found.values()), ""]
        lines += [assembly(trampoline, target) for trampoline in found.values()]
    return "\n".join([*lines, "", *functions])


def _foreign(plans: Sequence[Plan]) -> list[Layout]:
    """The structures that the header leaves to others to define."""
    layouts = [argument.layout for plan in plans for argument in plan.arguments]
    found = {layout.name: layout for layout in layouts if layout is not None and layout.extern}
    return list(found.values())


def _definition(layout: Layout) -> str:
    """A structure that has the registers of a layout where the header expects them."""
    lines, end = [f"struct {layout.name} {{"], 0
    for member in sorted(layout.members, key=lambda member: member.offset):
        if member.offset > end:
            lines.append(f"\tu64 gap_{end}[{(member.offset - end) // 8}];")
        lines.append(f"\tu64 {member.name};")
        end = member.offset + 8
    return "\n".join([*lines, "};", f"SEAMIR_CHECK_{layout.name.upper()};", ""])


def write_twins(
    program: seamir.Program, folder: Path, styles: Sequence[str] = STYLES
) -> list[Path]:
    """Writes the header and a C file a style into `folder`; returns the C files.

    All have the same functions: those that each of the styles can say.
    """
    return write_joined([program], folder, styles, program.stem)


def write_joined(
    programs: Sequence[seamir.Program], folder: Path, styles: Sequence[str], stem: str
) -> list[Path]:
    """The same for several programs, with their headers and one C file a style for all."""
    compilations = [seamir.compile(program, emit=("header",)) for program in programs]
    folder.mkdir(parents=True, exist_ok=True)
    for compilation in compilations:
        header = compilation.outputs["header"].data
        (folder / f"{compilation.stem}.h").write_bytes(header)
    headers = [f"{compilation.stem}.h" for compilation in compilations]
    target = compilations[0].target
    plans, _ = sayable([plan for c in compilations for plan in c.plans], target, styles)
    written = []
    for style in styles:
        path = folder / f"{stem}_{style}.c"
        path.write_text(twin(plans, target, headers, style))
        written.append(path)
    return written


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write C twins of a description's wrappers.")
    parser.add_argument("file", help="a .seam file or a library path")
    parser.add_argument("--style", choices=tuple(WRITERS), action="append", help="default: all")
    parser.add_argument("-o", dest="folder", type=Path, default=Path(), help="output folder")
    arguments = parser.parse_args()
    for path in write_twins(
        seamir.load(arguments.file), arguments.folder, arguments.style or STYLES
    ):
        print(path)


if __name__ == "__main__":
    main()
