"""The rows of the targets: what each is, and what the features of each may be."""

from __future__ import annotations

import json

import pytest

import seamir
from seamir.compiler import plans_of
from seamir.ir.leaf import Returns
from seamir.targets import FEATURES, TARGETS, select_target

PAIR = """
import "tdx/conduits.seam";
leaf TDG.PAIR = 500 via tdcall (a: u64) -> (r: u64 = r8) { rcx = a; }
wrapper pair = TDG.PAIR { deliver register; }
"""
FAULTS = """
import "tdx/conduits.seam";
leaf TDH.FAULTS = 500 via seamcall (a: u64) { rcx = a; }
wrapper faults = TDH.FAULTS { on fault #UD trap; on fault return 7; }
"""


def compiled(text: str, target: str, chosen: str = "", **options: object) -> seamir.Compilation:
    program = seamir.load_text(text, leaves=[chosen] if chosen else [])
    return seamir.compile(program, target=target, emit=("manifest", "header"), **options)  # type: ignore[arg-type]  # passed on as it is


def errors_of(text: str, target: str, chosen: str) -> list[seamir.Diagnostic]:
    with pytest.raises(seamir.SeamError) as error:
        compiled(text, target, chosen)
    return list(error.value.diagnostics)


def test_rows_agree_with_themselves() -> None:
    for target in TARGETS.values():
        assert target.features <= FEATURES.keys()
        assert {name for name, _ in target.fixed} <= FEATURES.keys()
        assert "rsp" in target.convention.preserved
        assert not target.convention.preserved & set(target.convention.arguments)
        assert "rax" not in target.convention.preserved


@pytest.mark.parametrize(
    ("name", "features", "model", "relocations"),
    [
        ("linux-kernel", (), "kernel", "static"),
        ("linux-user", (), "small", "pic"),
        ("freestanding", (), "small", "pic"),
        ("freestanding", ("+kernel-model",), "kernel", "static"),
        ("uefi", (), "small", "pic"),
    ],
)
def test_code_models(name: str, features: tuple[str, ...], model: str, relocations: str) -> None:
    target = select_target(name, features)
    assert (target.code_model, target.relocation_model) == (model, relocations)


@pytest.mark.parametrize(
    ("feature", "help"),
    [
        ("+fixup", "nothing in UEFI reads a fault table"),
        ("+kcfi", "no caller in UEFI checks a type id"),
        ("+kcfi-normalize", "no caller in UEFI checks a type id"),
        ("+kernel-model", "COFF has the small code model only"),
        ("+patchable-prefix", "nothing in UEFI patches functions"),
        ("+redzone", "Microsoft x64 has no red zone"),
        ("+rethunk", "there is no __x86_return_thunk"),
        ("-simd", "functions preserve XMM6 to XMM15"),
    ],
)
def test_features_that_uefi_cannot_switch(feature: str, help: str) -> None:
    with pytest.raises(seamir.SeamError) as error:
        select_target("uefi", [feature])
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E0802"
    assert diagnostic.message == f"target uefi cannot have `{feature}`"
    assert diagnostic.help == help
    opposite = ("-" if feature[0] == "+" else "+") + feature[1:]
    assert select_target("uefi", [opposite]) == TARGETS["uefi"]


@pytest.mark.parametrize(
    ("features", "padding"),
    [(["+kcfi"], 0), (["+patchable-prefix"], 16), (["+kcfi", "+patchable-prefix"], 11)],
)
def test_a_type_id_and_padding_share_16_bytes(features: list[str], padding: int) -> None:
    for name in ("linux-kernel", "linux-user", "freestanding"):
        assert select_target(name, features).padding == padding
        assert select_target(name).padding == 0


# -- what a target cannot do


def test_a_chosen_wrapper_that_returns_a_pair_is_an_error_for_uefi() -> None:
    (diagnostic,) = errors_of(PAIR, "uefi", "pair")
    assert diagnostic.render() == (
        "text.seam:4:27: error[E0810]: `deliver register` is not possible: "
        "Microsoft x64 returns one word in registers\n"
        "    4 | wrapper pair = TDG.PAIR { deliver register; }\n"
        "      |                           ^^^^^^^^^^^^^^^^^\n"
        "  help: a compilation of the whole file makes do: deliver pointers"
    )


def test_a_whole_file_falls_back_and_says_so() -> None:
    result = compiled(PAIR, "uefi")
    (said,) = json.loads(result.outputs["manifest"].text)["wrappers"]
    assert said["fallbacks"] == [
        {
            "said": "deliver register",
            "instead": "deliver pointers",
            "reason": "Microsoft x64 returns one word in registers",
        }
    ]
    assert said["returns"] == "status"
    assert "u64 EFIAPI pair(u64 a, u64 *r);" in result.outputs["header"].text
    words = " ".join(result.outputs["header"].text.replace("\n *", " ").split())
    assert "In place of `deliver register`, deliver pointers: Microsoft x64 returns" in words
    assert str(result.plans[0]).endswith(
        "  deliver pointers in place of deliver register: "
        "Microsoft x64 returns one word in registers\n"
    )


def test_faults_of_the_wrapper_fall_back_without_a_table() -> None:
    for target in ("uefi", "freestanding"):
        found = errors_of(FAULTS, target, "faults")
        reason = f"target {target} is used without a fixup table"
        assert [d.message for d in found] == [
            f"`on fault #UD trap` is not possible: {reason}",
            f"`on fault return 7` is not possible: {reason}",
        ]
        (plan,) = compiled(FAULTS, target).plans
        assert [one.said for one in plan.fallbacks] == ["on fault #UD trap", "on fault return 7"]
        assert not plan.edges.has_fault


def test_the_choice_can_be_made_by_the_caller() -> None:
    assert compiled(PAIR, "uefi", "pair", fallback=True).plans[0].fallbacks
    with pytest.raises(seamir.SeamError, match="E0810"):
        compiled(PAIR, "uefi", fallback=False)


def test_what_the_conduit_says_is_for_any_target() -> None:
    plain = FAULTS.split("wrapper", maxsplit=1)[0]
    (plan,) = compiled(plain, "uefi", "TDH.FAULTS").plans
    assert not plan.fallbacks
    assert not plan.edges.has_fault


@pytest.mark.parametrize("text", [PAIR, FAULTS])
@pytest.mark.parametrize("target", ["linux-kernel", "linux-user"])
def test_other_targets_need_no_fallback(text: str, target: str) -> None:
    assert not any(plan.fallbacks for plan in compiled(text, target).plans)


def test_a_single_word_is_returned_under_every_convention() -> None:
    text = """
    conduit bare { instruction tdcall "66 0f 01 cc"; rax = leaf; status none; clobbers rcx; }
    leaf A = 1 via bare (a: u64) -> (r: u64 = r8) { rcx = a; }
    wrapper word = A { deliver register; }
    """
    program = seamir.load_text(text)
    for target in TARGETS.values():
        (plan,), _ = plans_of(program, target)
        assert plan.returns is Returns.VALUE
        assert not plan.fallbacks
