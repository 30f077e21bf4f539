"""The plugin for pytest in whole runs: files that no test makes, and other ways to run pytest."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points

import pytest
from golden_projects import ALONE, KEPT, MADE_BY, TEST, UPDATE, failure, kept, run, section, start


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a description and a test that keeps it."""
    start(pytester)
    return pytester


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


def test_a_test_may_take_the_fixture_by_its_name(old: pytest.Pytester) -> None:
    old.makepyfile(
        test_leaves="""
        def test_leaves(request):
            request.getfixturevalue("seamir_golden")("leaves.seam")
        """
    )
    result = run(old)
    result.assert_outcomes(passed=1)
    assert section(result) == [UNUSED]


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
