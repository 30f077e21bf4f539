"""What is made for Kbuild: which files, whom they export to, and what cannot be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from descriptions import LIBRARY, program_of

import seamir

LEAF = """
conduit seamcall {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status none;
    clobbers rcx, rdx, r8..r11, memory;
    on carry trap;
    on fault trap;
}
leaf TEST.READ = 1 via seamcall (page: u64) -> (value: u64 = rcx) { rcx = page; }
"""


def made(name: str = "leaves.seam", **options: Any) -> seamir.Compilation:
    return seamir.compile(seamir.load_text(LEAF, name), **{"emit": ["kbuild"], **options})


# -- which files


def test_what_it_brings() -> None:
    outputs = made().outputs
    assert {kind: output.suffix for kind, output in outputs.items()} == {
        "header": ".h",
        "shipped": ".o_shipped",
        "exports": "_exports.c",
        "kbuild": ".kbuild",
    }
    assert outputs["shipped"].data == made(emit=["obj"]).outputs["obj"].data


def test_what_it_brings_for_a_kernel_tree() -> None:
    outputs = made(asm_style="linux").outputs
    assert {kind: output.suffix for kind, output in outputs.items()} == {
        "header": ".h",
        "asm": ".S",
        "exports": "_exports.c",
        "kbuild": ".kbuild",
    }
    assert outputs["kbuild"].text.endswith("\nleaves-objs := leaves.o leaves_exports.o\n")
    assert outputs["asm"].data == made(asm_style="linux", emit="asm").outputs["asm"].data


@pytest.mark.parametrize(
    ("emit", "export", "kinds"),
    [
        (["exports"], "gpl", "header exports"),
        (["shipped"], "gpl", "shipped"),
        (["kbuild"], "none", "header shipped kbuild"),
        (["kbuild", "manifest", "header"], "gpl", "header shipped exports kbuild manifest"),
        ("kbuild", "modules:kvm-*", "header shipped exports kbuild"),
    ],
)
def test_which_files(emit: list[str], export: str, kinds: str) -> None:
    assert list(made(emit=emit, export=export).outputs) == kinds.split()


@pytest.mark.parametrize("name", LIBRARY)
def test_every_function_of_the_library_is_exported(name: str) -> None:
    result = seamir.compile(program_of(name), emit="exports")
    lines = result.outputs["exports"].text.splitlines()
    wanted = [f"EXPORT_SYMBOL_GPL({symbol});" for symbol in result.symbols]
    assert [line for line in lines if line.startswith("EXPORT_")] == wanted
    assert f'#include "{result.stem}.h"' in lines


def test_symbols_have_the_prefix() -> None:
    exports = made(symbol_prefix="my_").outputs["exports"].text
    assert "EXPORT_SYMBOL_GPL(my_test_read);" in exports


@pytest.mark.parametrize("target", seamir.TARGETS)
def test_every_listed_output_can_be_had(target: str) -> None:
    kinds = seamir.list_outputs(target=target)
    assert list(made(target=target, emit=kinds).outputs) == list(kinds)
    assert ("kbuild" in kinds) == (target == "linux-kernel")


# -- what cannot be asked for


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        (
            {"export": "all"},
            "there is no export `all`",
            "exports are gpl, namespace:..., modules:..., none",
        ),
        ({"export": "gpl:kvm"}, "export `gpl` names nobody", "write --export gpl"),
        (
            {"export": "namespace:"},
            "`` cannot name a namespace",
            "for example namespace:TDX",
        ),
        (
            {"export": 'namespace:A");evil("'},
            '`A");evil("` cannot name a namespace',
            "for example namespace:TDX",
        ),
        (
            {"export": "modules:kvm,"},
            "`kvm,` cannot name modules",
            "for example modules:kvm-intel,tdx-host",
        ),
        (
            {"export": "modules:kvm\n"},
            "`kvm\n` cannot name modules",
            "for example modules:kvm-intel,tdx-host",
        ),
        (
            {"emit": ["exports"], "export": "none"},
            "an output `exports` that exports nothing",
            "leave it out",
        ),
        (
            {"emit": ["obj"], "export": "namespace:TDX"},
            "export `namespace` without an output that exports",
            "emit kbuild or exports",
        ),
        (
            {"target": "uefi"},
            "output `kbuild` is for Linux's Kbuild, and target uefi is not",
            "choose target linux-kernel",
        ),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str, help: str) -> None:
    with pytest.raises(seamir.SeamError) as caught:
        made(**options)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, found.help) == ("E0809", message, help)


# make would take each for more than the name of a file, or for an option.
@pytest.mark.parametrize(
    "stem", ["a b", "a$(shell id)", "a#b", "a:b", "a%b", "-a", ".a", "a\\b", "a\nb", "é", "a=b"]
)
@pytest.mark.parametrize("emit", ["kbuild", "exports"])
def test_names_that_make_would_not_take_for_names(stem: str, emit: str) -> None:
    with pytest.raises(seamir.SeamError) as caught:
        made(f"{stem}.seam", emit=[emit])
    (found,) = caught.value.diagnostics
    assert found.code == "E0809"
    assert found.message.endswith("cannot be the name of files for Kbuild")
    assert found.help is not None and found.help.startswith("rename the description: ")


def test_names_in_comments_are_plain() -> None:
    outputs = made("folder\\/x*/leaves.seam").outputs
    assert "*/leaves.seam" not in outputs["exports"].text
    assert all(not line.endswith("\\") for line in outputs["kbuild"].text.splitlines()[:8])
