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
all that a plan says: checks, retry and resume clauses with their nesting, conditions, `optional`,
`keep`, delivery in pointers, structures and registers, carry and fault edges with every action.
What a style cannot say is a TwinError: RBP as an operand (all), registers outside Linux's
structure and edges that Linux's software statuses do not tell apart from an answer (struct), an
RAX that is not constant where carry and fault are to be told apart (flags).

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
from seamir.targets import Target

__all__ = ["STYLES", "TwinError", "twin", "write_twins"]

STYLES = ("struct", "asm_goto", "flags")


def twin(plans: Sequence[Plan], target: Target, header: str, style: str) -> str:
    """The C source of the plans' functions; it includes `header`, the generated one."""
    writers = [WRITERS[style](plan, target) for plan in plans]
    functions = [writer.write() for writer in writers]
    called = sorted({symbol for writer in writers for symbol in writer.called})
    lines = [
        f'#include "{header}"',
        "",
        "#define unlikely(x) __builtin_expect(!!(x), 0)",
        "",
        *(f"void {symbol}(void);" for symbol in called),
    ]
    if style == "struct":
        found = {w.trampoline.name: w.trampoline for w in writers if isinstance(w, StructTwin)}
        lines += ["", STRUCTURE, "", *(declaration(t) for t in found.values()), ""]
        lines += [assembly(trampoline, target) for trampoline in found.values()]
    return "\n".join([*lines, "", *functions])


def write_twins(
    program: seamir.Program, folder: Path, styles: Sequence[str] = STYLES
) -> list[Path]:
    """Writes the header and a C file a style into `folder`; returns the C files."""
    compilation = seamir.compile(program, emit=("header",))
    folder.mkdir(parents=True, exist_ok=True)
    stem, written = compilation.stem, []
    (folder / f"{stem}.h").write_bytes(compilation.outputs["header"].data)
    for style in styles:
        path = folder / f"{stem}_{style}.c"
        path.write_text(twin(compilation.plans, compilation.target, f"{stem}.h", style))
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
