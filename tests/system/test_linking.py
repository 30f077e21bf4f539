"""What is particular to a target as a whole: it links, and its stack frames are small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from descriptions import LIBRARY
from tools import need, need_native, run

import seamir
from seamir.objects.reading import read_object

TESTS = Path(__file__).resolve().parent.parent

# Bytes: sixteen registers, ten vectors, and what aligns them. A page is what firmware probes for.
LARGEST_FRAME = 320


CALLER = """\
#include "guest.h"

u64 EFIAPI efi_main(void *image, void *table)
{
	struct tdg_vp_info_outputs out;

	(void)image, (void)table;
	return tdg_vp_info(&out);
}
"""


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("target", seamir.TARGETS)
def test_no_large_stack_is_assumed(name: str, target: str) -> None:
    program = seamir.load(name, allow_calls=["kvm_spurious_fault"])
    result = seamir.compile(program, target=target, emit=("manifest",), debug=False)
    manifest: dict[str, Any] = json.loads(result.outputs["manifest"].text)
    frames = {row["symbol"]: row["cost"]["stack_bytes"] for row in manifest["wrappers"]}
    assert frames
    assert {symbol: size for symbol, size in frames.items() if size > LARGEST_FRAME} == {}


def build(*command: str | Path) -> None:
    """Runs a compiler or linker, which must not complain."""
    assert run(*command).stderr == ""


@pytest.mark.parametrize("linker", ["lld-link", "x86_64-w64-mingw32-ld"])
def test_a_uefi_application_links(linker: str, tmp_path: Path) -> None:
    """clang compiles the caller by the header; nothing but the object is needed to link it."""
    need("clang", linker)
    result = seamir.compile(seamir.load("tdx/guest.seam"), target="uefi", emit=("obj", "header"))
    result.write(tmp_path)
    (tmp_path / "main.c").write_text(CALLER)
    flags = ("-O2", "-ffreestanding", "-mno-red-zone", "-Wall", "-Werror")
    build("clang", "--target=x86_64-unknown-windows-gnu", *flags, "-c", tmp_path / "main.c",
          "-o", tmp_path / "main.o")  # fmt: skip
    made = tmp_path / "main.efi"
    objects = (tmp_path / "main.o", tmp_path / "guest.o")
    if linker == "lld-link":
        build(linker, "/subsystem:efi_application", "/entry:efi_main", "/nodefaultlib",
              f"/out:{made}", *objects)  # fmt: skip
    else:
        build(linker, "--subsystem", "10", "-e", "efi_main", "-o", made, *objects)
    image = made.read_bytes()
    header = int.from_bytes(image[0x3C:0x40], "little")
    assert image[:2] == b"MZ" and image[header : header + 4] == b"PE\0\0"
    assert int.from_bytes(image[header + 92 : header + 94], "little") == 10  # EFI application
    assert result.code("tdg_vp_info") in image


@pytest.mark.parametrize("features", [(), ("+kernel-model",)])
def test_a_freestanding_object_links_alone(features: tuple[str, ...], tmp_path: Path) -> None:
    """No section, symbol or thunk of a kernel's is needed; it links where its model says."""
    need("ld")
    for name in ("tdx/guest.seam", "tdx/host.seam"):
        result = seamir.compile(seamir.load(name), target="freestanding", features=features)
        data = result.outputs["obj"].data
        contents = read_object(data)
        assert contents.undefined_symbols == ()
        assert {s.name for s in contents.sections if s.loaded and s.data} == {".text"}
        (tmp_path / "made.o").write_bytes(data)
        base = "0xffffffff81000000" if features else "0x100000"
        symbol = result.symbols[0]
        build("ld", "-Ttext", base, "-e", symbol, "-o", tmp_path / "made", tmp_path / "made.o")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_agree_on_the_microsoft_convention(compiler: str, tmp_path: Path) -> None:
    """A program calls the wrappers natively, by the header; its code is COFF made into ELF."""
    need(compiler, "objcopy")
    need_native()
    source = TESTS / "golden" / "uefi" / "input.seam"
    result = seamir.compile(seamir.load(source), target="uefi", emit=("obj", "header"), debug=False)
    result.write(tmp_path)
    made = tmp_path / "input.elf"
    build("objcopy", "-I", "pe-x86-64", "-O", "elf64-x86-64", "-R", ".pdata", "-R", ".xdata",
          tmp_path / "input.o", made)  # fmt: skip
    program = tmp_path / "program"
    build(compiler, "-O2", "-Wall", "-Werror", "-I", tmp_path, TESTS / "native" / "uefi.c", made,
          "-Wl,-z,noexecstack", "-o", program)  # fmt: skip
    assert run(program).stdout == "as the convention says\n"
