"""Code size: bytes and instructions of each wrapper, by seamir and by C compilers on its twins.

    python -m benchmarks.size [--record]

All code is for the kernel target, with the hardening that the compiler at hand knows. Padding
between functions is not counted; that inside a function is. Of a twin in style `struct`, the
routines in assembly are a row of their own; in style `flags`, so is what lies out of line.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import seamir
from benchmarks import compilers
from benchmarks.record import record, table
from benchmarks.twins import STYLES, write_twins
from seamir.objects.contents import ObjectFile
from seamir.objects.cost import measure
from seamir.objects.disassembly import decode
from seamir.objects.reading import read_object

LIBRARY = "tdx/host.seam"
BEFORE = Path(__file__).with_name("before.c")

Sizes = Mapping[str, tuple[int, int]]  # function -> bytes, instructions


def sizes_of(data: bytes) -> Sizes:
    """Bytes and instructions of each function of an object."""
    contents = read_object(data)
    sizes = {f.name: (len(f.code), len(decode(f.code))) for f in contents.functions}
    away = _out_of_line(contents)
    return {**sizes, "out of line": away} if away[0] else sizes


def _out_of_line(contents: ObjectFile) -> tuple[int, int]:
    """What lies in sections of code that no function is in."""
    found = [s.data for s in contents.sections if s.name == ".text.fixup"]
    return sum(map(len, found)), sum(len(decode(data)) for data in found)


def compiled(compiler: str, source: Path, folder: Path) -> bytes:
    """The object that a compiler makes of a file of C."""
    output = folder / "size.o"
    subprocess.run(compilers.command(compiler, source, output), check=True)
    return output.read_bytes()


def columns(folder: Path) -> dict[str, Sizes]:
    """Sizes by compiler and style, seamir first."""
    program = seamir.load(LIBRARY)
    compilation = seamir.compile(program, debug=False)
    found = {"seamir": sizes_of(compilation.outputs["obj"].data)}
    for style, source in zip(STYLES, write_twins(program, folder), strict=True):
        for compiler in compilers.available():
            found[f"{compiler}, {style}"] = sizes_of(compiled(compiler, source, folder))
    return found


def table_of(found: Mapping[str, Sizes]) -> str:
    """A row a compiler and style: totals of the wrappers, of what they call, and one wrapper.

    The totals are over the wrappers that are in every row: twins lack what C cannot say.
    """
    everywhere = set.intersection(*(set(sizes) for sizes in found.values()))
    example = "tdh_mem_page_remove"
    rows = []
    for name, sizes in found.items():
        own = [size for function, size in sizes.items() if function in everywhere]
        others = [size for function, size in sizes.items() if function not in found["seamir"]]
        rows.append(
            [
                name,
                *(str(sum(size[part] for size in own)) for part in (0, 1)),
                *(str(sum(size[part] for size in others)) for part in (0, 1)),
                *map(str, sizes[example]),
            ]
        )
    headings = ["", "bytes", "instructions", "shared bytes", "shared", example, "instructions"]
    return table(headings, rows)


def before(folder: Path) -> str:
    """One wrapper with retries in the style of March 2024, and what seamir makes of it."""
    rows = []
    for compiler in compilers.available():
        contents = read_object(compiled(compiler, BEFORE, folder))
        function = contents.function("tdh_mem_page_remove")
        assert function is not None
        cost = measure(function)
        cells = [str(cost.bytes), str(cost.instructions), str(cost.stack_bytes)]
        rows.append([f"before.c, {compiler}", *cells])
    rows.append(["seamir", *_example(EXAMPLE)])
    return table(["tdh_mem_page_remove with two retries", "bytes", "instructions", "stack"], rows)


EXAMPLE = """\
import "tdx/host.seam";
wrapper tdh_mem_page_remove_patiently = TDH.MEM.PAGE.REMOVE {
    deliver struct tdx_module_args optional;
    keep;
    retry 9 on TDX_RND_NO_ENTROPY;
    retry 16 on TDX_OPERAND_BUSY(SEPT_TREE);
    on fault #UD call kvm_spurious_fault return 0;
}
"""


def _example(text: str) -> list[str]:
    program = seamir.load_text(text, "before.seam", allow_calls=["kvm_spurious_fault"])
    compilation = seamir.compile(program, debug=False)
    contents = compilation.object_file
    fixups = contents.fixups(compilation.target.fixup_section)
    cost = measure(contents.functions[0], fixups)
    return [str(cost.bytes), str(cost.instructions), str(cost.stack_bytes)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare code size with C compilers.")
    parser.add_argument("--record", action="store_true", help="write the tables into README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        text = f"{table_of(columns(Path(name)))}\n\n{before(Path(name))}"
    print(text)
    if arguments.record:
        record("size", text)


if __name__ == "__main__":
    main()
