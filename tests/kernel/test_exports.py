"""Exports of `--emit kbuild`: who may use them, as modpost tells, and what clashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kernel_modules import Built, build_modules
from kernels import Kernel

import seamir

LEAVES = """
import "tdx/conduits.seam";
import "tdx/types.seam";
leaf TEST.TRACK = 38 via seamcall (tdr: hpa) { rcx = tdr; }
leaf TEST.READ = 2 via seamcall (tdr: hpa) -> (value: u64 = rcx) { rcx = tdr; }
"""

MAIN = """\
#include <linux/module.h>
MODULE_DESCRIPTION("exports functions");
MODULE_LICENSE("GPL");
"""

USER = """\
#include <linux/module.h>
#include <linux/version.h>
#include "leaves.h"

static int __init user_init(void)
{
	u64 value;

	return test_track(0) == 0 && test_read(0, &value) == 0 ? 0 : -ENODEV;
}
module_init(user_init);
MODULE_DESCRIPTION("uses exports");
MODULE_LICENSE("%s");
%s
"""

KBUILD = """\
include $(src)/leaves.kbuild
obj-m := owner.o user.o
owner-y := main.o $(leaves-objs)
"""
OWNER_ALONE = KBUILD.replace(" user.o", "")

IMPORT = """\
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("TDX_CALLS");
#else
MODULE_IMPORT_NS(TDX_CALLS);
#endif
"""

# What kernels before 6.17 lack, as later ones have it.
FOR_MODULES = """\
#include <linux/export.h>
#define EXPORT_SYMBOL_FOR_MODULES(symbol, modules) __EXPORT_SYMBOL(symbol, "GPL", "module:" modules)
"""
FOR_MODULES_BEFORE_6_4 = """\
#include <linux/build_bug.h>
#include <linux/export.h>
#define EXPORT_SYMBOL_FOR_MODULES(symbol, modules) \\
	static_assert(sizeof("" modules)); EXPORT_SYMBOL_GPL(symbol)
"""


def build(
    kernel: Kernel,
    folder: Path,
    export: str = "gpl",
    *,
    licence: str = "GPL",
    imports: str = "",
    text: str = LEAVES,
    prefix: str = "",
    kbuild: str = KBUILD,
) -> Built:
    program = seamir.load_text(text, "leaves.seam")
    seamir.compile(program, emit="kbuild", export=export, symbol_prefix=prefix).write(folder)
    (folder / "main.c").write_text(MAIN)
    (folder / "user.c").write_text(USER % (licence, imports))
    (folder / "Kbuild").write_text(kbuild)
    return build_modules(kernel, folder)


def exported(folder: Path) -> dict[str, list[str]]:
    """The rows of Module.symvers by symbol: CRC, module, macro, namespace."""
    rows = [line.split("\t") for line in (folder / "Module.symvers").read_text().splitlines()]
    return {symbol: [crc, *rest] for crc, symbol, *rest in rows}


@pytest.mark.parametrize(
    ("export", "imports", "namespace"),
    [("gpl", "", ""), ("namespace:TDX_CALLS", IMPORT, "TDX_CALLS")],
)
def test_exports_have_crcs_and_are_used(
    kernel: Kernel, tmp_path: Path, export: str, imports: str, namespace: str
) -> None:
    built = build(kernel, tmp_path, export, imports=imports)
    assert built.complaints == []
    assert built.status == 0
    rows = exported(tmp_path)
    assert set(rows) == {"test_track", "test_read"}
    if kernel.has("CONFIG_MODVERSIONS"):
        assert len({crc for crc, *_ in rows.values()} - {"0x00000000"}) == len(rows)  # by prototype
    for _, owner, *rest in rows.values():
        assert (Path(owner).name, rest) == ("owner", ["EXPORT_SYMBOL_GPL", namespace])


def test_nobody_may_use_what_is_not_exported(kernel: Kernel, tmp_path: Path) -> None:
    built = build(kernel, tmp_path, "none")
    assert re.search("ERROR: modpost: .*test_track.* undefined!", built.output)
    assert not (tmp_path / "user.ko").exists()


def test_a_namespace_has_to_be_imported(kernel: Kernel, tmp_path: Path) -> None:
    built = build(kernel, tmp_path, "namespace:TDX_CALLS")
    words = "uses symbol '?test_track'? from namespace '?TDX_CALLS'?, but does not import it"
    assert re.search(words, built.output)


def test_gpl_only(kernel: Kernel, tmp_path: Path) -> None:
    built = build(kernel, tmp_path, licence="Proprietary")
    words = "GPL-incompatible module (user.ko )?uses GPL-only symbol 'test_track'"
    assert re.search(words, built.output)


def test_exports_to_modules_by_name(kernel: Kernel, tmp_path: Path) -> None:
    kbuild = OWNER_ALONE
    if kernel.version < (6, 17):
        stub = FOR_MODULES if kernel.version >= (6, 4) else FOR_MODULES_BEFORE_6_4
        (tmp_path / "stub.h").write_text(stub)
        kbuild += "CFLAGS_leaves_exports.o := -include $(src)/stub.h\n"
    built = build(kernel, tmp_path, "modules:user,kvm-*", kbuild=kbuild)
    assert built.complaints == []
    rows = exported(tmp_path)
    assert set(rows) == {"test_track", "test_read"}
    if kernel.version >= (6, 4):  # the namespace that newer kernels grant to these modules
        assert {row[-1] for row in rows.values()} == {"module:user,kvm-*"}


def test_a_kernel_that_cannot_export_by_name_says_so(kernel: Kernel, tmp_path: Path) -> None:
    if kernel.version >= (6, 17):
        pytest.skip(f"{kernel.release} can export to modules by name")
    built = build(kernel, tmp_path, "modules:user")
    errors = [line for line in built.output.splitlines() if "error:" in line]
    words = '#error "this kernel cannot export to modules by name: choose another --export"'
    assert [line.partition("error: ")[2] for line in errors] == [words]


# -- what the kernel has already


def test_a_symbol_of_the_kernel_is_not_exported_twice(kernel: Kernel, tmp_path: Path) -> None:
    text = LEAVES + "wrapper gcd = TEST.TRACK;\n"
    plain, prefixed = tmp_path / "plain", tmp_path / "prefixed"
    built = build(kernel, plain, text=text, kbuild=OWNER_ALONE)
    assert "'gcd' exported twice. Previous export was in vmlinux" in built.output
    built = build(kernel, prefixed, text=text, prefix="my_", kbuild=OWNER_ALONE)
    assert built.complaints == []
    assert "my_gcd" in exported(prefixed)


HEADERS = """\
#include <linux/kvm_host.h>
#include <asm/tdx.h>
#include <asm/shared/tdx.h>
#include "host.h"
"""


def test_the_header_goes_with_those_of_the_kernel(kernel: Kernel, tmp_path: Path) -> None:
    seamir.compile(seamir.load("tdx/host.seam"), emit="header").write(tmp_path)
    (tmp_path / "main.c").write_text(HEADERS + MAIN)
    (tmp_path / "Kbuild").write_text("obj-m := headers.o\nheaders-y := main.o\n")
    assert build_modules(kernel, tmp_path).complaints == []
