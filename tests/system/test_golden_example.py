"""The golden example, the examples of docs/golden.md, and the plugin in an installed wheel."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from importlib.metadata import requires
from pathlib import Path

import hatchling  # noqa: F401  (used in a process of its own)
import pytest
from command_line import ROOT
from documented_examples import code_blocks
from golden_projects import ALONE
from tools import python, run

EXAMPLE = ROOT / "examples" / "golden"
PAGE = ROOT / "docs" / "golden.md"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The example, copied as a user would."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_example_is_as_it_is_kept(copy: Path) -> None:
    """If not: pytest examples/golden --seamir-update-golden, and read git diff."""
    before = contents(copy)
    text = python("-W", "error", "-m", "pytest", *ALONE, cwd=copy, path=ROOT)
    assert re.search(r"^=+ 2 passed in ", text, re.MULTILINE)
    assert "seamir golden files" not in text
    assert contents(copy) == before
    assert [name for name in sorted(before) if name.startswith("golden/")] == [
        "golden/leaves.linux-kernel.lst",
        "golden/leaves.linux-user.lst",
    ]


def test_the_commands_of_the_example_work(copy: Path) -> None:
    before = contents(copy)
    shutil.rmtree(copy / "golden")
    page = (copy / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (pytest\b[^#\n]*?) *#", page, re.MULTILINE)
    assert commands == ["pytest", "pytest --seamir-update-golden"]
    for command in reversed(commands):
        text = python("-m", *shlex.split(command), *ALONE, cwd=copy, path=ROOT)
        assert "2 passed" in text
    assert contents(copy) == before


def test_the_tests_of_the_page_work(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "leaves.seam", tmp_path)
    tests = code_blocks(PAGE, "python")
    assert len(tests) >= 2
    for number, text in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(text, encoding="utf-8")
    for option in ("--seamir-update-golden", "-q"):
        text = python("-W", "error", "-m", "pytest", *ALONE, option, cwd=tmp_path, path=ROOT)
        assert re.search(r"\d passed", text)


def test_the_difference_of_the_page_is_shown_so(copy: Path) -> None:
    path = copy / "leaves.seam"
    path.write_text(path.read_text().replace("retry 1 on", "retry 2 on"))
    command = (sys.executable, "-m", "pytest", *ALONE, "-k", "kernel")
    done = run(*command, cwd=copy, status=1)
    (shown,) = code_blocks(PAGE, "diff")
    assert shown in done.stdout


def test_the_plugin_of_a_wheel_works(copy: Path, tmp_path: Path) -> None:
    build = "import sys, hatchling.build; hatchling.build.build_wheel(sys.argv[1])"
    python("-c", build, tmp_path, cwd=ROOT, path=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    python("-m", "pip", "install", *options, "--target", installed, wheel, cwd=tmp_path)
    # The package is there twice now, with two entry points of the same name.
    plugin = installed / "seamir" / "pytest_plugin.py"
    (copy / "test_place.py").write_text(
        "def test_place(pytestconfig):\n"
        "    plugin = pytestconfig.pluginmanager.get_plugin('seamir')\n"
        f"    assert plugin.__file__ == {str(plugin)!r}\n"
    )
    text = python("-W", "error", "-m", "pytest", *ALONE, cwd=copy, path=installed)
    assert "3 passed" in text


def test_nobody_needs_pytest_to_run_seamir() -> None:
    always = [line for line in requires("seamir") or () if "extra ==" not in line]
    assert always
    assert not [line for line in always if line.startswith("pytest")]
