"""The library as assembly, in modules that real kernels' Kbuild assembles and checks.

The kernel's own macros have to make the code of the object.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from descriptions import LIBRARY, program_of
from kernel_modules import Built, build_modules
from kernels import Kernel

import seamir
from seamir.objects.contents import ObjectFile
from seamir.objects.reading import read_object

TABLE = "__ex_table"
# What a .S file leaves to the kernel's configuration, by feature: any of these options.
OPTIONS = {
    "ibt": ("CONFIG_X86_KERNEL_IBT",),
    "rethunk": ("CONFIG_MITIGATION_RETHUNK", "CONFIG_RETHUNK"),
    "sls": ("CONFIG_MITIGATION_SLS", "CONFIG_SLS"),
}
# What makes functions begin in other ways. Those without both features are called by name alone.
BEGINNINGS = {"called": ("-ibt",), "typed": ("+kcfi",), "typed_called": ("-ibt", "+kcfi")}
NO_ENDBR_IN_FUNC_START = (6, 15)  # since that version of Linux
SMALL = "tdx/seamldr.seam"
MAIN = """\
#include <linux/module.h>
#include "{stem}.h"

void *volatile table[] = {{ {table} }};

void kvm_spurious_fault(void);
void kvm_spurious_fault(void) {{ }}

MODULE_DESCRIPTION("{stem}, assembled");
MODULE_LICENSE("GPL");
"""
KBUILD = """\
obj-m := {module}_assembled.o
{module}_assembled-y := main.o {stem}.o
"""


@cache
def compiled(name: str, features: tuple[str, ...] = ()) -> seamir.Compilation:
    """A file of the library: the object, and assembly for a tree of Linux."""
    return seamir.compile(
        program_of(name), features=features, emit=("obj", "asm", "header"), asm_style="linux"
    )


def write_module(folder: Path, result: seamir.Compilation) -> None:
    """A module named after its folder, of the assembly as it is and a main file.

    That one takes the functions' addresses, unless they begin without ENDBR.
    """
    folder.mkdir(parents=True)
    for kind in ("asm", "header"):
        output = result.outputs[kind]
        (folder / f"{result.stem}{output.suffix}").write_bytes(output.data)
    pointers = result.symbols if "ibt" in result.target.features else ()
    main = MAIN.format(stem=result.stem, table=", ".join(pointers))
    (folder / "main.c").write_text(main)
    (folder / "Kbuild").write_text(KBUILD.format(module=folder.name, stem=result.stem))


@pytest.fixture(scope="module")
def built(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """The folder with a folder for each module, and what its build said."""
    folder = tmp_path_factory.mktemp("modules")
    modules = {Path(name).stem: compiled(name) for name in LIBRARY}
    modules |= {name: compiled(SMALL, features) for name, features in BEGINNINGS.items()}
    for name, result in modules.items():
        write_module(folder / name, result)
    (folder / "Kbuild").write_text(f"obj-m := {' '.join(f'{name}/' for name in modules)}\n")
    return folder, build_modules(kernel, folder)


def facts(contents: ObjectFile) -> dict[str, object]:
    """The functions without what lies between them, which is the kernel's choice."""
    fixups = contents.fixups(TABLE)
    return {
        function.name: (
            function.section,
            function.code,
            function.relocations,
            [fixup for fixup in fixups if fixup.function == function.name],
        )
        for function in contents.functions
    }


def as_configured(kernel: Kernel) -> tuple[str, ...]:
    """The features that an object for this kernel is compiled without."""
    return tuple(
        f"-{feature}" for feature, options in OPTIONS.items() if not any(map(kernel.has, options))
    )


def test_the_build_says_nothing(built: tuple[Path, Built]) -> None:
    _, made = built
    assert not made.complaints, made.output
    assert made.status == 0


@pytest.mark.parametrize("name", LIBRARY, ids=lambda name: Path(name).stem)
def test_kbuild_makes_the_instructions_of_the_object(
    name: str, kernel: Kernel, built: tuple[Path, Built]
) -> None:
    folder, _ = built
    result = compiled(name, as_configured(kernel))
    made = read_object((folder / result.stem / f"{result.stem}.o").read_bytes())
    assert facts(made) == facts(result.object_file)
    assert set(facts(made)) == set(result.symbols)


@pytest.mark.parametrize(("name", "features"), BEGINNINGS.items(), ids=BEGINNINGS)
def test_functions_that_begin_in_other_ways(
    name: str, features: tuple[str, ...], kernel: Kernel, built: tuple[Path, Built]
) -> None:
    folder, _ = built
    bare = name == "called" and kernel.version >= NO_ENDBR_IN_FUNC_START
    begun = ("-ibt" if bare else "+ibt",)
    result = compiled(SMALL, (*features, *begun, *as_configured(kernel)))
    made = read_object((folder / name / f"{result.stem}.o").read_bytes())
    assert facts(made) == facts(result.object_file)
