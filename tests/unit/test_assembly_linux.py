"""Assembly for a tree of Linux: the code of the object, written as people write it."""

import re
from pathlib import Path

import pytest
from descriptions import HARD, LIBRARY, program_of
from gnu_assembler import assemble_for_linux, facts
from golden_cases import case_names, compile_case

import seamir

WHOLE = (*LIBRARY, HARD)
TYPES = """
statuses s { success bits [63:62] == 0; OK = 0; LOST = 0x8000000000000000; }
conduit c {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in s;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return LOST;
    on fault return LOST | trapnr;
}
"""
LEAF = "leaf A = 1 via c (a: u64) -> (r: u64 = rcx) {{ rcx = a; }} // {}\n"


def compiled(name: str, debug: bool = True, features: tuple[str, ...] = ()) -> seamir.Compilation:
    if name not in WHOLE:
        return compile_case(name, "linux-kernel", ("obj", "asm"), debug, "linux")
    return seamir.compile(
        program_of(name), features=features, emit=("obj", "asm"), asm_style="linux", debug=debug
    )


def text_of(description: str, name: str = "text.seam", **options: object) -> str:
    program = seamir.load_text(TYPES + description, name, allow_calls=["panic"])
    made = seamir.compile(program, emit="asm", asm_style="linux", **options)  # type: ignore[arg-type]
    return made.outputs["asm"].text


def code_of(text: str) -> list[str]:
    """The lines of a text without its comments, as the preprocessor leaves them."""
    lines = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split("\n")
    return [line.rstrip() for line in lines if line.strip()]


# -- the code


@pytest.mark.parametrize("name", [*case_names(), *WHOLE], ids=lambda name: Path(name).name)
def test_the_kernels_macros_make_the_code_of_the_object(name: str, tmp_path: Path) -> None:
    for debug in (True, False):
        result = compiled(name, debug)
        made = assemble_for_linux(result.outputs["asm"].text, tmp_path, result.target.features)
        assert facts(made, "__ex_table") == facts(result.object_file, "__ex_table")


FEATURES = {
    "no ibt": ("-ibt",),
    "no return thunk": ("-rethunk",),
    "no mitigation of returns": ("-rethunk", "-sls"),
    "nothing": ("-ibt", "-rethunk", "-sls", "-fixup"),
    "a frame pointer": ("+frame-pointer",),
    "any address": ("-kernel-model",),
}


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("name", ["tdx/host.seam", "tdx/linux_compat.seam"])
def test_features_that_the_kernel_is_configured_with(
    name: str, features: tuple[str, ...], tmp_path: Path
) -> None:
    result = compiled(name, features=features)
    made = assemble_for_linux(result.outputs["asm"].text, tmp_path, result.target.features)
    assert facts(made, "__ex_table") == facts(result.object_file, "__ex_table")
