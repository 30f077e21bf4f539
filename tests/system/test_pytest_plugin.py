"""The plugin for pytest, as a user meets it: in projects of their own, word for word."""

from __future__ import annotations

from typing import Any

import pytest
from command_line import LEAVES
from golden_projects import KEPT, MADE_BY, UPDATE, failure, kept, listing, run, section, start

import seamir
from seamir.llvm import emit
from seamir.llvm.emit import llvm_version


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a description and a test that keeps it."""
    start(pytester)
    return pytester


# -- the way of a project


def test_a_missing_file_fails_and_says_how_to_write_it(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(failed=1)
    assert failure(result) == [
        f"leaves.seam for linux-kernel is not as it is kept, {MADE_BY}",
        "",
        f"{KEPT} is missing",
        "",
        f"If that is right: pytest test_leaves.py {UPDATE}",
    ]
    assert kept(project) == []


def test_the_option_writes_what_passes_then(project: pytest.Pytester) -> None:
    result = run(project, UPDATE)
    result.assert_outcomes(passed=1)
    assert section(result) == [f"written: {KEPT}"]
    assert (project.path / KEPT).read_text() == listing()
    result = run(project)
    result.assert_outcomes(passed=1)
    assert "seamir" not in "".join(result.outlines[4:])


def test_the_option_writes_only_what_changed(project: pytest.Pytester) -> None:
    run(project, UPDATE)
    before = (project.path / KEPT).stat()
    result = run(project, UPDATE)
    assert section(result) == []
    after = (project.path / KEPT).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.fixture
def slow_inc(monkeypatch: pytest.MonkeyPatch) -> None:
    """An LLVM that makes other code: it finds `inc` slow."""
    emit_object = emit.emit_object
    before, after = '"target-features"="', '"target-features"="+slow-incdec,'

    def changed(text: str, *rest: Any) -> bytes:
        assert before in text
        return emit_object(text.replace(before, after), *rest)

    monkeypatch.setattr(emit, "emit_object", changed)


def test_a_change_in_llvm_is_a_readable_difference(
    project: pytest.Pytester, request: pytest.FixtureRequest
) -> None:
    run(project, UPDATE)
    request.getfixturevalue("slow_inc")
    result = run(project)
    result.assert_outcomes(failed=1)
    assert failure(result) == [
        f"leaves.seam for linux-kernel is not as it is kept, {MADE_BY}",
        "",
        "1 of 3 functions differ, 262 -> 263 bytes in all",
        f"--- {KEPT}",
        f"+++ {KEPT} (made now)",
        "@@ test_track: 96 -> 97 bytes, 27 instructions @@",
        "   and ecx, 0xf                              83 e1 0f",
        "   cmp ecx, 0x9                              83 f9 09",
        "   je .L2                                    74 ..",
        "-  inc esi                                   ff c6",
        "+  add esi, 0x1                              83 c6 01",
        "   jmp .L1                                   eb ..",
        " .L4:",
        "   mov rax, 0x8000ff0000000000               48 b8 00 00 00 00 00 ff 00 80",
        "",
        f"If that is right: pytest test_leaves.py {UPDATE}",
    ]
    before = (project.path / KEPT).read_text().splitlines()
    assert section(run(project, UPDATE)) == [f"written: {KEPT}"]
    after = (project.path / KEPT).read_text().splitlines()
    changed = [line for line in after if line not in before]
    assert changed == [
        "test_track: .text, 97 bytes, 27 instructions",
        "  add esi, 0x1                              83 c6 01",
    ]


def test_a_change_of_the_description_is_one_too(project: pytest.Pytester) -> None:
    run(project, UPDATE)
    path = project.path / "leaves.seam"
    path.write_text(LEAVES.replace("leaf TEST.READ = 11", "leaf TEST.READ = 12"))
    lines = failure(run(project))
    assert lines[5:10] == [
        "@@ test_read: 76 bytes, 15 instructions @@",
        "   endbr64                                   f3 0f 1e fa",
        "-  mov eax, 0xb                              b8 0b 00 00 00",
        "+  mov eax, 0xc                              b8 0c 00 00 00",
        "   mov rdx, rdi                              48 89 fa",
    ]


def test_comments_change_nothing(project: pytest.Pytester) -> None:
    run(project, UPDATE)
    path = project.path / "leaves.seam"
    path.write_text("// a comment\n\n" + LEAVES.replace("/// Reads a field.", "/// Reads it."))
    run(project).assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", [(), (UPDATE,)])
def test_an_error_of_the_description_fails_with_its_place(
    project: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    path = project.path / "leaves.seam"
    path.write_text(LEAVES.replace("    rdx = field;\n", "    rdx = fields;\n"))
    result = run(project, *arguments)
    result.assert_outcomes(failed=1)
    assert failure(result) == [
        "leaves.seam:25:31: error[E0411]: parameter field reaches no register",
        "   25 | leaf TEST.READ = 11 via call (field: u64) -> (data: u64 = r8) {",
        "      |                               ^^^^^",
        "  help: use it in an operand or leave it out",
        "leaves.seam:26:11: error[E0202]: there is no parameter or constant `fields` here",
        "   26 |     rdx = fields;",
        "      |           ^^^^^^",
        "  help: did you mean `field`?",
    ]
    assert "Traceback" not in "".join(result.outlines)
    assert "seamir_golden(" not in "".join(result.outlines)
    assert kept(project) == []


def test_a_defect_of_seamir_is_an_exception(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(emit, "emit_object", broken)
    result = run(project)
    result.assert_outcomes(failed=1)
    assert "ZeroDivisionError" in "".join(failure(result))


# -- what a test can ask for


def test_everything_that_can_be_kept(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaves="""
        import pytest
        from seamir.golden.texts import KEPT

        @pytest.mark.parametrize("target", ["linux-kernel", "linux-user"])
        def test_leaves(seamir_golden, target):
            seamir_golden("leaves.seam", target=target, keep=tuple(KEPT))
        """
    )
    run(project, UPDATE).assert_outcomes(passed=2)
    assert kept(project) == [
        f"golden/leaves.{target}{suffix}"
        for target in ("linux-kernel", "linux-user")
        for suffix in (".h", ".json", ".lst", ".md", ".plan")
    ]
    for name in kept(project):
        text = (project.path / name).read_text()
        assert seamir.__version__ not in text
        assert llvm_version() not in text
        assert str(project.path) not in text
    run(project).assert_outcomes(passed=2)
    header = project.path / "golden/leaves.linux-user.h"
    header.write_text(header.read_text().replace("test_track(", "test_trick("))
    result = run(project)
    result.assert_outcomes(passed=1, failed=1)
    lines = failure(result)
    assert lines[:4] == [
        f"leaves.seam for linux-user is not as it is kept, {MADE_BY}",
        "",
        "--- golden/leaves.linux-user.h",
        "+++ golden/leaves.linux-user.h (made now)",
    ]
    assert [line for line in lines[5:] if line[:1] in ("-", "+")] == [
        "- * test_trick() - Does it for all",
        "+ * test_track() - Does it for all",
        "-u64 test_trick(u64 page);",
        "+u64 test_track(u64 page);",
    ]


def test_the_options_of_load_and_compile(project: pytest.Pytester) -> None:
    folder = project.path / "tests" / "vendor" / "own"
    folder.mkdir(parents=True)
    (project.path / "leaves.seam").rename(folder / "leaves.seam")
    (project.path / "test_leaves.py").unlink()
    project.makepyfile(
        **{
            "tests/test_options": """
        import seamir

        def test_leaves(seamir_golden):
            made = seamir_golden(
                "own/leaves.seam",
                target=seamir.select_target("linux-user"),
                features=["+ibt"],
                deliver="struct",
                symbol_prefix="my_",
                include="vendor",
                conduits={"call": "other_call"},
                leaves=["TEST.RE*"],
                allow_calls=["panic"],
                allow_instructions=["0f01d9"],
                keep="listing",
                name="mine",
                folder="kept/golden",
            )
            assert isinstance(made, seamir.Compilation)
            assert made.symbols == ("my_test_remove", "my_test_read")
            assert made.code("my_test_read").startswith(bytes.fromhex("f30f1efa"))
        """
        }
    )
    run(project, UPDATE).assert_outcomes(passed=1)
    assert kept(project) == ["tests/kept/golden/mine.linux-user.lst"]
    text = (project.path / "tests/kept/golden/mine.linux-user.lst").read_text()
    assert "0x800000000000000b" in text  # the selector of the other conduit
    run(project).assert_outcomes(passed=1)


def test_a_description_of_the_library(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaves="""
        def test_leaves(seamir_golden):
            seamir_golden("tdx/host.seam", leaves=["TDH.MEM.TRACK"])
        """
    )
    run(project, UPDATE).assert_outcomes(passed=1)
    assert kept(project) == ["golden/host.linux-kernel.lst"]


def test_a_description_that_is_nowhere(project: pytest.Pytester) -> None:
    (project.path / "leaves.seam").unlink()
    lines = failure(run(project))
    place = "here, in an -I folder or in the library"
    assert lines[0] == f"seamir: error[E0101]: there is no file `leaves.seam`, {place}"


def test_two_calls_that_keep_different_things_in_one_file(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaves="""
        import pytest

        @pytest.mark.parametrize("ibt", ["+ibt", "-ibt"])
        def test_leaves(seamir_golden, ibt):
            seamir_golden("leaves.seam", features=[ibt])
        """
    )
    for _ in range(2):
        result = run(project, UPDATE)
        result.assert_outcomes(passed=1, failed=1)
        assert failure(result) == [
            "seamir: error[E0808]: test_leaves.py::test_leaves[+ibt] keeps something else in "
            f"`{KEPT}`",
            '  help: give one of the calls a name: name="..."',
        ]
    project.makepyfile(
        test_leaves="""
        import pytest

        @pytest.mark.parametrize("ibt", ["+ibt", "-ibt"])
        def test_leaves(seamir_golden, ibt):
            seamir_golden("leaves.seam", features=[ibt], name=f"leaves{ibt}")
            seamir_golden("leaves.seam", features=[ibt], name=f"leaves{ibt}")
        """
    )
    run(project, UPDATE).assert_outcomes(passed=2)
    assert kept(project)[:2] == [
        "golden/leaves+ibt.linux-kernel.lst",
        "golden/leaves-ibt.linux-kernel.lst",
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('target="linux-kernal"', "error[E0801]: there is no target `linux-kernal`"),
        ('features=["+itb"]', "error[E0802]: there is no feature `itb`"),
        ('keep=["listing", "objects"]', "error[E0809]: nothing is kept as `objects`"),
        ('name="../leaves"', "error[E0809]: golden files cannot be named `../leaves`"),
    ],
)
def test_a_request_that_cannot_be_met(project: pytest.Pytester, option: str, message: str) -> None:
    project.makepyfile(
        test_leaves=f"""
        def test_leaves(seamir_golden):
            seamir_golden("leaves.seam", {option})
        """
    )
    result = run(project, UPDATE)
    result.assert_outcomes(failed=1)
    assert failure(result)[0] == f"seamir: {message}"
    assert kept(project) == []


def test_a_test_may_ask_whether_files_are_written(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaves="""
        def test_option(seamir_update_golden, pytestconfig):
            assert seamir_update_golden is pytestconfig.getoption("--seamir-update-golden")
            assert not seamir_update_golden
        """
    )
    run(project).assert_outcomes(passed=1)
    run(project, UPDATE).assert_outcomes(failed=1)
