"""The plugin for pytest, as a user meets it: in projects of their own, word for word."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import entry_points
from itertools import takewhile
from typing import Any

import pytest
from command_line import LEAVES

import seamir
from seamir.golden.texts import texts_of
from seamir.llvm import emit
from seamir.llvm.emit import llvm_version

MADE_BY = f"made by seamir {seamir.__version__} with LLVM {llvm_version()}"
UPDATE = "--seamir-update-golden"
ALONE = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")  # the latter only costs time
TEST = """
def test_leaves(seamir_golden):
    seamir_golden("leaves.seam")
"""
KEPT = "golden/leaves.linux-kernel.lst"


@pytest.fixture(autouse=True)
def loaded() -> str:
    """What is kept of the leaves; also, pytester forgets modules that are first loaded within."""
    return texts_of(seamir.compile(seamir.load_text(LEAVES)), "listing", "a")["a.linux-kernel.lst"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a description and a test that keeps it, and nothing kept yet."""
    pytester.makepyfile(test_leaves=TEST)
    pytester.path.joinpath("leaves.seam").write_text(LEAVES)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Runs pytest in the project, with warnings as errors."""
    return project.runpytest("-W", "error", *ALONE, *arguments)


def failure(result: pytest.RunResult) -> list[str]:
    """What the only failure says, from below its title to what the run says at its end."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if re.fullmatch("_+ test_\\S+ _+", line)) + 1
    return list(takewhile(lambda line: not line.startswith("===="), lines[start:]))


def section(result: pytest.RunResult) -> list[str]:
    """What the plugin says at the end of a run."""
    lines = iter(result.outlines)
    for line in lines:
        if line.strip("= ") == "seamir golden files":
            break
    return [line for line in lines if line and not line.startswith("=")]


def kept(project: pytest.Pytester) -> list[str]:
    """The files kept in the project."""
    return sorted(str(p.relative_to(project.path)) for p in project.path.glob("**/golden/*"))


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


def test_the_option_writes_what_passes_then(project: pytest.Pytester, loaded: str) -> None:
    result = run(project, UPDATE)
    result.assert_outcomes(passed=1)
    assert section(result) == [f"written: {KEPT}"]
    assert (project.path / KEPT).read_text() == loaded
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


# -- files that no test makes

UNUSED = "no test of this run makes golden/old.linux-kernel.lst"


@pytest.fixture
def old(project: pytest.Pytester) -> pytest.Pytester:
    """A project whose tests pass, with a file that none of them makes."""
    run(project, UPDATE)
    (project.path / "golden/old.linux-kernel.lst").touch()
    return project


@pytest.mark.parametrize("arguments", [(), (UPDATE,), (".",), ("-k", "leaves")])
def test_a_file_that_no_test_makes_is_reported(
    old: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    result = run(old, *arguments)
    result.assert_outcomes(passed=1)
    assert section(result) == [UNUSED]
    assert result.ret == pytest.ExitCode.OK
    assert (old.path / "golden/old.linux-kernel.lst").exists()


def test_the_file_is_not_reported_by_a_run_of_some_tests(old: pytest.Pytester) -> None:
    old.makepyfile(test_other=TEST.replace("leaves", "other").replace("other.seam", "leaves.seam"))
    assert section(run(old)) == [UNUSED]
    for arguments in (
        ("test_leaves.py",),
        ("test_leaves.py::test_leaves", "test_other.py"),
        ("-k", "test_leaves"),
        ("--deselect", "test_other.py::test_other"),
    ):
        result = run(old, *arguments)
        assert result.parseoutcomes()["passed"] in (1, 2)
        assert section(result) == [], arguments


@pytest.mark.parametrize(
    "text",
    [
        "def test_other(seamir_golden):\n    pytest.skip()\n",
        "@pytest.mark.skip\ndef test_other(seamir_golden):\n    pass\n",
        "@pytest.mark.xfail\ndef test_other(seamir_golden):\n    assert 0\n",
        "def test_other(seamir_golden):\n    assert 0\n",
        "def test_other():\n    assert 0\n",
    ],
)
def test_the_file_is_not_reported_when_a_test_may_not_have_made_it(
    old: pytest.Pytester, text: str
) -> None:
    old.makepyfile(test_other=f"import pytest\n\n{text}")
    assert section(run(old)) == []
    old.makepyfile(test_other="import pytest\n\ndef test_other():\n    pytest.skip()\n")
    assert section(run(old)) == [UNUSED]


def test_the_file_is_not_reported_by_a_run_of_the_last_failures(old: pytest.Pytester) -> None:
    result = old.runpytest("--lf")
    result.assert_outcomes(passed=1)
    assert section(result) == []


# -- other ways to run pytest


def test_with_several_processes(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaves="""
        import pytest

        @pytest.mark.parametrize("name", ["one", "two"])
        def test_leaves(seamir_golden, name):
            seamir_golden("leaves.seam", name=name)
        """
    )
    run(project, "-n", "2").assert_outcomes(failed=2)
    result = run(project, "-n", "2", UPDATE)
    result.assert_outcomes(passed=2)
    names = [f"golden/{name}.linux-kernel.lst" for name in ("one", "two")]
    assert section(result) == [f"written: {name}" for name in names]
    (project.path / "golden/old.linux-kernel.lst").touch()
    result = run(project, "-n", "2")
    result.assert_outcomes(passed=2)
    assert section(result) == [UNUSED]
    result = run(project, "-n", "2", "-k", "one")
    result.assert_outcomes(passed=1)
    assert section(result) == []


def test_from_another_folder(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = project.mkdir("a project") / "tests"
    tests.mkdir()
    for name in ("leaves.seam", "test_leaves.py"):
        (project.path / name).rename(tests / name)
    other = project.mkdir("elsewhere")
    monkeypatch.chdir(other)
    root = ("--rootdir", str(project.path), str(tests))
    lines = failure(run(project, *root))
    assert lines[0] == f"{tests}/leaves.seam for linux-kernel is not as it is kept, {MADE_BY}"
    assert lines[2] == f"{tests}/{KEPT} is missing"
    assert lines[4] == f"If that is right: pytest '{tests}/test_leaves.py' {UPDATE}"
    monkeypatch.chdir(tests.parent)
    lines = failure(run(project, "--rootdir", str(project.path)))
    assert lines[4] == f"If that is right: pytest tests/test_leaves.py {UPDATE}"
    monkeypatch.chdir(other)
    run(project, UPDATE, *root).assert_outcomes(passed=1)
    assert os.listdir(other) == []
    assert kept(project) == [f"a project/tests/{KEPT}"]


def test_a_folder_that_cannot_be_made(project: pytest.Pytester) -> None:
    (project.path / "golden").touch()
    lines = failure(run(project, UPDATE))
    assert lines == [f"seamir: error[E0808]: cannot write `{project.path / KEPT}`: Not a directory"]


def test_a_folder_that_cannot_be_written(project: pytest.Pytester) -> None:
    (project.path / "golden").mkdir(0o555)
    command = [sys.executable, "-m", "pytest", *ALONE, UPDATE]
    if os.geteuid() == 0:  # whom permissions do not stop
        command[:0] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    result = project.run(*command)
    result.assert_outcomes(failed=1)
    assert failure(result) == [
        f"seamir: error[E0808]: cannot write `{project.path / KEPT}`: Permission denied"
    ]
    assert kept(project) == []


def test_a_run_without_golden_tests_imports_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(test_leaves="def test_nothing():\n    pass\n")
    project.makeconftest(
        """
        import sys

        def pytest_unconfigure(config):
            assert config.pluginmanager.hasplugin("seamir")
            own = sorted(name for name in sys.modules if name.startswith("seamir"))
            heavy = {"lark", "llvmlite", "iced_x86", "elftools", "click", "unicorn", "rich"}
            print("loaded:", *own, *sorted(heavy & set(sys.modules)))
        """
    )
    for argument in ("--collect-only", UPDATE):
        result = project.runpytest_subprocess(argument)
        assert "loaded: seamir seamir.pytest_plugin seamir.version" in result.outlines


def test_warnings_of_python_itself_are_no_errors_either(project: pytest.Pytester) -> None:
    arguments = ("-W", "error", "-X", "dev", "-m", "pytest", *ALONE)
    for option in (UPDATE, "-v"):
        result = project.run(sys.executable, *arguments, option)
        result.assert_outcomes(passed=1)
        assert "Warning" not in result.stderr.str() + result.stdout.str()


def test_the_plugin_can_be_left_out_and_named(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = project.runpytest("-p", "no:seamir")
    result.assert_outcomes(errors=1)
    assert "fixture 'seamir_golden' not found" in result.stdout.str()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = project.runpytest_subprocess("-p", "seamir", UPDATE)
    result.assert_outcomes(passed=1)


def test_the_option_is_in_the_help(project: pytest.Pytester) -> None:
    text = " ".join(project.runpytest("--help").stdout.str().split())
    words = "write what golden tests expect from what seamir makes now"
    assert f"seamir: {UPDATE} {words}" in text
    text = " ".join(project.runpytest("--fixtures").stdout.str().split())
    assert "seamir_golden -- " in text
    assert "seamir_update_golden -- " in text


def test_there_is_one_entry_point() -> None:
    (entry,) = {point.value for point in entry_points(group="pytest11", name="seamir")}
    assert entry == "seamir.pytest_plugin"
