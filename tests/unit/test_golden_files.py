"""Golden texts and files: what is kept, how differences read, what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import LEAVES, ROOT

import seamir
from seamir.compiler import list_outputs
from seamir.golden.differences import MAXIMUM_SHOWN, difference, listing_difference
from seamir.golden.files import compare, unused, write_changed
from seamir.golden.texts import KEPT, emit_for, texts_of

ONE = """\
one: .text, 4 bytes, 2 instructions
  xor eax, eax                              31 c0
  jmp .L1                                   eb ..
"""
TWO = """\
two: .text, 1 bytes, 1 instructions
  ret                                       c3
"""


def made(**options: object) -> seamir.Compilation:
    """The leaves compiled with everything that can be kept."""
    program = seamir.load_text(LEAVES, "leaves.seam")
    return seamir.compile(program, emit=emit_for(list(KEPT)), **options)  # type: ignore[arg-type]  # passed on as it is


# -- texts


def test_the_names_of_files() -> None:
    assert list(texts_of(made(), tuple(KEPT))) == [
        "leaves.linux-kernel.lst",
        "leaves.linux-kernel.plan",
        "leaves.linux-kernel.h",
        "leaves.linux-kernel.json",
        "leaves.linux-kernel.md",
    ]
    user = made(target="linux-user")
    assert list(texts_of(user, "header", "other.name")) == ["other.name.linux-user.h"]


def test_functions_are_in_order_of_their_symbols() -> None:
    text = texts_of(made(), "listing")["leaves.linux-kernel.lst"]
    blocks = text.split("\n\n")
    assert [block.partition(":")[0] for block in blocks] == [
        "test_read",
        "test_remove",
        "test_track",
    ]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_texts_are_those_of_the_outputs() -> None:
    compilation = made()
    texts = {Path(name).suffix: text for name, text in texts_of(compilation, list(KEPT)).items()}
    assert texts[".h"] == compilation.outputs["header"].text
    assert texts[".md"] == compilation.outputs["docs"].text
    assert texts[".plan"] == "\n".join(map(str, compilation.plans))
    assert texts[".json"] != compilation.outputs["manifest"].text
    assert set(emit_for(list(KEPT))) <= set(list_outputs())


def test_no_text_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = texts_of(made(), list(KEPT))
    monkeypatch.setattr("seamir.outputs.VERSION", "77.88.99")
    monkeypatch.setattr("seamir.llvm.emit.llvm_version", lambda: "66.55.44")
    again = made()
    assert "77.88.99" in again.outputs["manifest"].text
    assert "66.55.44" in again.outputs["manifest"].text
    assert texts_of(again, list(KEPT)) == before


@pytest.mark.parametrize(
    ("keep", "name", "message", "help"),
    [
        (
            "lst",
            None,
            "nothing is kept as `lst`",
            "what can be kept is listing, plan, header, manifest, docs",
        ),
        (
            (),
            None,
            "nothing is to be kept",
            "what can be kept is listing, plan, header, manifest, docs",
        ),
        ("plan", "a/b", "golden files cannot be named `a/b`", "give a name, no path"),
        ("plan", "", "golden files cannot be named ``", "give a name, no path"),
        ("plan", "a\0", "golden files cannot be named `a\0`", "give a name, no path"),
    ],
)
def test_what_cannot_be_kept(
    keep: str | tuple[str, ...], name: str | None, message: str, help: str
) -> None:
    with pytest.raises(seamir.SeamError) as caught:
        texts_of(made(), keep, name)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, found.help) == ("E0809", message, help)


def test_the_page_has_all_kinds() -> None:
    page = (ROOT / "docs" / "golden.md").read_text(encoding="utf-8")
    for kind, row in KEPT.items():
        assert f"| `{kind}` | `NAME.TARGET{row.suffix}` |" in page


# -- differences


def test_equal_texts_do_not_differ() -> None:
    assert difference("a", "one\n", "one\n") == []
    assert listing_difference("a", ONE, ONE) == []


def test_a_difference_is_unified() -> None:
    assert difference("case/a.h", "one\ntwo\nthree\n", "one\nTWO\nthree\n") == [
        "--- case/a.h",
        "+++ case/a.h (made now)",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "+TWO",
        " three",
    ]


@pytest.mark.parametrize("differ", [difference, listing_difference])
@pytest.mark.parametrize(("kept", "made"), [("a", "a\n"), (ONE.rstrip(), ONE)])
def test_a_difference_of_line_ends_is_said(differ: object, kept: str, made: str) -> None:
    assert callable(differ)
    lines = ["--- a", "+++ a (made now)", "only the ends of lines differ"]
    assert differ("a", kept, made) == lines


def test_a_changed_instruction_stands_below_function_and_size() -> None:
    after = ONE.replace("xor eax, eax ", "mov eax, 0x0 ").replace("31 c0", "b8 00 00 00 00")
    after = after.replace("4 bytes", "7 bytes")
    assert listing_difference("a.lst", f"{ONE}\n{TWO}", f"{after}\n{TWO}") == [
        "1 of 2 functions differ, 5 -> 8 bytes in all",
        "--- a.lst",
        "+++ a.lst (made now)",
        "@@ one: 4 -> 7 bytes, 2 instructions @@",
        "-  xor eax, eax                              31 c0",
        "+  mov eax, 0x0                              b8 00 00 00 00",
        "   jmp .L1                                   eb ..",
    ]


def test_another_encoding_is_a_difference() -> None:
    lines = listing_difference("a.lst", ONE, ONE.replace("31 c0", "33 c0"))
    assert lines[0] == "1 of 1 functions differ, 4 bytes in all"
    assert lines[3:6] == [
        "@@ one: 4 bytes, 2 instructions @@",
        "-  xor eax, eax                              31 c0",
        "+  xor eax, eax                              33 c0",
    ]


def test_another_section_is_a_difference() -> None:
    lines = listing_difference("a.lst", ONE, ONE.replace(".text", ".noinstr.text"))
    assert lines[3:6] == [
        "@@ one: 4 bytes, 2 instructions @@",
        "-one: .text, 4 bytes, 2 instructions",
        "+one: .noinstr.text, 4 bytes, 2 instructions",
    ]


def test_another_type_id_is_a_difference() -> None:
    kept = ONE.replace("2 instructions", "2 instructions, type id 0x00000001")
    made = kept.replace("0x00000001", "0x00000002")
    assert listing_difference("a.lst", kept, made)[3:6] == [
        "@@ one: 4 bytes, 2 instructions @@",
        "-one: .text, 4 bytes, 2 instructions, type id 0x00000001",
        "+one: .text, 4 bytes, 2 instructions, type id 0x00000002",
    ]
    changed = listing_difference("a.lst", kept, made.replace("31 c0", "33 c0"))
    assert "+one: .text, 4 bytes, 2 instructions, type id 0x00000002" in changed
    assert "+  xor eax, eax                              33 c0" in changed


def test_functions_come_and_go() -> None:
    assert listing_difference("a.lst", ONE, TWO) == [
        "2 of 2 functions differ, 4 -> 1 bytes in all",
        "--- a.lst",
        "+++ a.lst (made now)",
        "@@ one: gone, 4 bytes, 2 instructions @@",
        "-one: .text, 4 bytes, 2 instructions",
        "-  xor eax, eax                              31 c0",
        "-  jmp .L1                                   eb ..",
        "@@ two: new, 1 bytes, 1 instructions @@",
        "+two: .text, 1 bytes, 1 instructions",
        "+  ret                                       c3",
    ]


def test_another_order_is_a_difference() -> None:
    lines = listing_difference("a.lst", f"{TWO}\n{ONE}", f"{ONE}\n{TWO}")
    assert lines[:2] == ["--- a.lst", "+++ a.lst (made now)"]
    assert lines[2].startswith("@@ -")


@pytest.mark.parametrize(
    "kept", ["", "\n", "<<<<<<< HEAD\n" + ONE, ONE + TWO + "=======\n", TWO * 2]
)
def test_a_file_that_is_no_listing_differs(kept: str) -> None:
    lines = listing_difference("a.lst", kept, f"{ONE}\n{TWO}")
    assert [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_lines_before_the_first_function_are_shown() -> None:
    lines = listing_difference("a.lst", f"<<<<<<< HEAD\n{ONE}", ONE)
    assert lines[3:] == [
        "@@ before the first function: gone, 0 bytes, 0 instructions @@",
        "-<<<<<<< HEAD",
    ]


def test_a_long_difference_is_cut() -> None:
    text = "".join(f"{number}\n" for number in range(MAXIMUM_SHOWN))
    lines = difference("a", "", text)
    assert len(lines) == MAXIMUM_SHOWN + 3
    assert lines[-1] == "... and 1 more lines"
    exact = difference("a", "", text.removesuffix(f"{MAXIMUM_SHOWN - 1}\n"))
    assert exact[-1] == f"+{MAXIMUM_SHOWN - 2}"


# -- files


def test_a_file_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    assert compare(path, ONE, "golden/a.lst") == "golden/a.lst is missing"
    assert compare(path / "b.lst", ONE, "b.lst") == "b.lst is missing"
    path.write_text(ONE)
    assert compare(path, ONE, "golden/a.lst") == ""
    assert compare(path, TWO, "golden/a.lst").splitlines()[1] == "--- golden/a.lst"
    assert compare(path, "", "a").splitlines()[0] == "1 of 1 functions differ, 4 -> 0 bytes in all"


def test_an_empty_file_is_not_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "a.h"
    path.touch()
    assert compare(path, "", "a.h") == ""
    assert compare(path, "x\n", "a.h").splitlines() == [
        "--- a.h",
        "+++ a.h (made now)",
        "@@ -0,0 +1 @@",
        "+x",
    ]


def test_line_ends_of_other_systems_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    path.write_bytes(ONE.replace("\n", "\r\n").encode())
    assert compare(path, ONE, "a.lst") == ""
    assert write_changed({path: ONE}) == []


def test_what_is_no_text_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(b"\xff\xfe\n")
    assert "-\ufffd\ufffd" in compare(path, "plan\n", "a.plan").splitlines()
    assert write_changed({path: "plan\n"}) == [path]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    same, other, missing = (tmp_path / "new" / name for name in ("a.lst", "b.lst", "c.lst"))
    same.parent.mkdir()
    same.write_text(ONE)
    other.write_text(ONE)
    before = same.stat().st_mtime_ns
    assert write_changed({same: ONE, other: TWO, missing: TWO}) == [other, missing]
    assert same.stat().st_mtime_ns == before
    assert other.read_bytes() == missing.read_bytes() == TWO.encode()
    assert sorted(path.name for path in same.parent.iterdir()) == ["a.lst", "b.lst", "c.lst"]


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    with pytest.raises(seamir.SeamError, match="would replace an input"):
        write_changed({path: ONE}, [str(path.resolve())])
    assert not path.exists()


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    path.mkdir()
    with pytest.raises(seamir.SeamError) as caught:
        compare(path, ONE, "a.lst")
    assert caught.value.diagnostics[0].message == f"cannot read `{path}`: Is a directory"


def test_unused_files_have_names_of_golden_files(tmp_path: Path) -> None:
    names = ["a.linux-kernel.lst", "a.linux-user.h", "b.c.old.plan", "README.md", "a.b.c", "x.lst"]
    for name in names:
        (tmp_path / name).touch()
    used = [tmp_path / "a.linux-kernel.lst", tmp_path / "not.there.lst"]
    assert unused(tmp_path / "nowhere", used) == []
    assert unused(tmp_path, used) == [tmp_path / "a.linux-user.h", tmp_path / "b.c.old.plan"]
