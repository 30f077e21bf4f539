"""The C header under compilers and kernel-doc, also with text of strangers in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import documented_plans as made
import pytest
from kernel_types import write_kernel_types
from tools import need, run

from seamir.emit.header import emit_header
from seamir.ir.leaf import Member, Plan
from seamir.model.types import Field
from seamir.targets import Target, select_target

KERNEL = select_target("linux-kernel")
COMPILERS = {
    "gcc-c11": ("gcc", "-std=c11"),
    "gcc-c++17": ("g++", "-std=c++17", "-x", "c++"),
    "clang-c11": ("clang", "-std=c11"),
    "clang-c++17": ("clang++", "-std=c++17", "-x", "c++"),
}
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wundef", "-fsyntax-only")
UEFI = select_target("uefi")


def header(
    *plans: Plan, stem: str = "made_up", name: str = "made_up.seam", target: Target = KERNEL
) -> str:
    return emit_header(plans, target, stem, name)


def compile_c(folder: Path, compiler: Sequence[str], text: str, *flags: str) -> None:
    """Compiles C or C++ text; compiler messages become the failure."""
    need(compiler[0])
    (folder / "test.c").write_text(text, encoding="utf-8")
    run(*compiler, *WARNINGS, *flags, "-I", folder, folder / "test.c")


def compile_header(folder: Path, compiler: Sequence[str], text: str, *flags: str) -> None:
    (folder / "made_up.h").write_text(text, encoding="utf-8")
    compile_c(folder, compiler, '#include "made_up.h"\n#include "made_up.h"\n', *flags)


# -- compilers


@pytest.mark.parametrize("compiler", COMPILERS.values(), ids=COMPILERS.keys())
@pytest.mark.parametrize("place", ["user", "kernel"])
def test_headers_compile(tmp_path: Path, compiler: Sequence[str], place: str) -> None:
    flags: tuple[str, ...] = ()
    if place == "kernel":
        write_kernel_types(tmp_path)
        flags = ("-D__KERNEL__", "-ffreestanding")
    compile_header(tmp_path, compiler, header(*made.all_plans()), *flags)


@pytest.mark.parametrize("compiler", COMPILERS.values(), ids=COMPILERS.keys())
def test_headers_for_uefi_compile(tmp_path: Path, compiler: Sequence[str]) -> None:
    """Also where edk2 has defined EFIAPI, and where `long` has 32 bits."""
    text = header(*made.all_plans(), target=UEFI)
    compile_header(tmp_path, compiler, text)
    compile_header(tmp_path, compiler, f"#define EFIAPI __attribute__((ms_abi))\n{text}")
    if compiler[0].startswith("clang"):
        windows = ("--target=x86_64-unknown-windows", "-ffreestanding")
        compile_header(tmp_path, compiler, text, *windows)


PROGRAM = """\
#include "made_up.h"
#ifdef __cplusplus
#define CHECK(truth) static_assert(truth, "")
#else
#define CHECK(truth) _Static_assert(truth, "")
#endif
CHECK(TDX_OPERAND_BUSY == 0x8000020000000000ULL);
CHECK(TDX_SEPT_INFO_STATE_MASK >> TDX_SEPT_INFO_STATE_SHIFT == 0xff);
int main(void)
{
	u64 busy = TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT_TREE;
	tdx_sept_info_t info = tdx_sept_info_set_state(~0ULL, 0x1234);
	info = tdx_sept_info_set_level(info, 1);
	if (tdx_sept_info_state(info) != 0x34 || tdx_sept_info_level(info) != 1)
		return 1;
	if (info != 0xffffffffffff34f9ULL)
		return 2;
	if (tdx_status_success(busy) || !tdx_status_success(0x0000081500000000ULL))
		return 3;
	if (!tdx_status_is(busy, TDX_OPERAND_BUSY) || tdx_status_is(busy, TDX_RND_NO_ENTROPY))
		return 4;
	return tdx_status_detail(busy) != 0x92;
}
"""


@pytest.mark.parametrize("compiler", COMPILERS.values(), ids=COMPILERS.keys())
def test_accessors_and_tests_compute_what_they_say(tmp_path: Path, compiler: Sequence[str]) -> None:
    need(compiler[0])
    (tmp_path / "made_up.h").write_text(header(*made.all_plans()))
    (tmp_path / "test.c").write_text(PROGRAM)
    program = tmp_path / "program"
    run(*compiler, "-Wall", "-Werror", "-o", program, tmp_path / "test.c")
    run(program)


LINUX = """\
#define TDX_SUCCESS 0ULL
#define TDX_OPERAND_BUSY (1ULL << 63 | 0x20000000000ULL)
#include "first.h"
typedef u64 hpa_t;
#include "second.h"
"""


def test_headers_live_beside_each_other_and_beside_linux(tmp_path: Path) -> None:
    (tmp_path / "first.h").write_text(header(made.removal(), made.structured(), stem="first"))
    second = header(made.described(), made.structured("other"), stem="second")
    (tmp_path / "second.h").write_text(second)
    for compiler in COMPILERS.values():
        compile_c(tmp_path, compiler, LINUX)


def test_headers_that_differ_in_a_shared_name_are_an_error(tmp_path: Path) -> None:
    struct = made.structured().struct
    assert struct is not None
    other = replace(struct, members=(Member("entry", made.U64, 0), Member("other", made.U32, 8)))
    first, level = made.structured().deliveries
    renamed = replace(level, name="other", group="other")
    second = replace(made.structured("other"), struct=other, deliveries=(first, renamed))
    (tmp_path / "first.h").write_text(header(made.structured(), stem="first"))
    (tmp_path / "second.h").write_text(header(second, stem="second"))
    with pytest.raises(AssertionError, match="two headers differ in struct tdx_sept"):
        compile_c(tmp_path, COMPILERS["gcc-c11"], LINUX)


def kernel_doc() -> Path:
    """Linux's kernel-doc script (Debian: linux-kbuild-6.1)."""
    found = sorted(Path("/usr/lib").glob("linux-kbuild-*/scripts/kernel-doc"))
    if not found:
        pytest.skip("not installed: kernel-doc (package linux-kbuild-6.1)")
    need("perl")
    return found[-1]


def run_kernel_doc(folder: Path, text: str) -> tuple[str, str]:
    script = kernel_doc()
    (folder / "made_up.h").write_text(text, encoding="utf-8")
    done = run("perl", script, "-Werror", "-man", folder / "made_up.h", status=None)
    return done.stdout, done.stderr


def test_kernel_doc_understands_the_comments(tmp_path: Path) -> None:
    pages, errors = run_kernel_doc(tmp_path, header(*made.all_plans()))
    assert "warning" not in errors and "error" not in errors, errors
    for plan in made.all_plans():
        assert f"{plan.symbol} \\- " in pages
    assert "TDX_SEAMCALL_VMFAILINVALID" in pages


# -- hostile text


HOSTILE = (
    "*/ int evil; /* ??/\n Return: 0. @tdr: mine \\\n"
    "\u202e gnirts \u2066 \x07 \x1b[2J \u2028 // # \\u0041 %s ${x} `y`\n\n"
    "@page: not yours\n\nContext: none\n\n* / */ Note: */*/ /**/ /*/ **/\n - \\"
)


def hostile_plan() -> Plan:
    base = made.removal()
    kind = replace(made.HPA, doc=HOSTILE)
    arguments = [replace(argument, doc=HOSTILE) for argument in base.arguments]
    said = replace(
        base.documentation,
        doc=HOSTILE,
        notes=(HOSTILE,),
        since=HOSTILE,
        requires=(HOSTILE,),
        deprecated=HOSTILE,
        effect=HOSTILE,
    )
    code = made.code("TDX_EVIL", 1, doc=HOSTILE)
    family = made.family("evil", code, doc=HOSTILE, operands=None)
    info = replace(made.INFO, fields=(Field("x", 0, 3, HOSTILE, made.SPAN),), doc=HOSTILE)
    conduit = replace(base.conduit, doc=HOSTILE, notes=(HOSTILE,), families=(family,))
    arguments[0] = replace(arguments[0], type=kind, doc="")
    arguments[5] = replace(arguments[5], type=info)
    again = tuple(replace(clause, text=HOSTILE) for clause in base.again)
    return replace(
        base, arguments=tuple(arguments), documentation=said, conduit=conduit, again=again
    )


@pytest.mark.parametrize("compiler", COMPILERS.values(), ids=COMPILERS.keys())
def test_hostile_text_stays_in_comments(tmp_path: Path, compiler: Sequence[str]) -> None:
    text = header(hostile_plan(), stem="made_up\n*/", name="*/ int evil;\n??/\n")
    assert text.isascii() and "\\\n" not in text and "\t*/" not in text
    assert not any(ord(character) < 32 and character not in "\n\t" for character in text)
    compile_header(tmp_path, compiler, text)
    compile_c(tmp_path, compiler, '#include "made_up.h"\nextern char *evil;\n')


def test_hostile_text_says_nothing_to_kernel_doc(tmp_path: Path) -> None:
    pages, errors = run_kernel_doc(tmp_path, header(hostile_plan()))
    assert "warning" not in errors and "error" not in errors, errors
    assert pages.count('.SH "RETURN"') == 1
    assert pages.count('.SH "CONTEXT"') == 1


def test_letters_of_other_scripts_stay() -> None:
    plan = made.simple()
    said = replace(plan.documentation, doc="Löscht die Seite 頁.")
    assert "tdh_mem_track() - Löscht die Seite 頁\n" in header(replace(plan, documentation=said))


def test_the_header_of_nothing_but_long_names() -> None:
    symbol, name = "s" * 90, "p" * 90
    argument = made.argument(name, made.U64)
    plan = replace(made.simple(symbol), arguments=(argument,), inputs=(made.given(name, made.U64),))
    assert f"u64 {symbol}(\n\t\tu64 {name});\n" in header(plan)
