"""Every diagnostic has a page, and what the pages show is true.

A page is a title, a few sentences, and two examples: one that yields the diagnostic and no other,
and the same mended. Examples are descriptions, or shell commands that run in an empty folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tools

import seamir

PACKAGE = Path(seamir.__file__).parent
PAGES = PACKAGE.parent / "docs" / "errors"

_CODE = re.compile(r'"([EW]0\d{3})"')
_PAGE = re.compile(
    r"# (?P<code>[EW]\d{4}): (?P<title>[^\n]+)\n\n"
    r"(?P<text>(?!#|```|<)[^\n]+(?:\n[^\n]+)*)\n\n"
    r"(?:<!-- not run: (?P<unable>[^\n]+) -->\n\n)?"
    r"```(?P<language>seam|sh) bad\n(?P<bad>.*?)\n```\n\n"
    r"(?:<!-- options: (?P<options>[^\n]+) -->\n\n)?"
    r"```(?P=language) mended\n(?P<mended>.*?)\n```\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class Page:
    code: str
    title: str
    text: str
    language: str
    bad: str
    mended: str
    options: str
    unable: str


def read_page(path: Path) -> Page:
    """A page, which has to have the layout of all pages."""
    found = _PAGE.fullmatch(path.read_text(encoding="utf-8"))
    assert found is not None, f"{path.name} has not the layout of the other pages"
    return Page(**{name: found[name] or "" for name in Page.__match_args__})


CODES = sorted(
    {code for path in PACKAGE.rglob("*.py") for code in _CODE.findall(path.read_text("utf-8"))}
)
FILES = sorted(PAGES.glob("*.md"))
SEAM = [path.stem for path in FILES if "```seam bad" in path.read_text(encoding="utf-8")]
SHELL = [path.stem for path in FILES if "```sh bad" in path.read_text(encoding="utf-8")]


def page_of(code: str) -> Page:
    """The page of a code."""
    return read_page(PAGES / f"{code}.md")


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert [path.stem for path in FILES] == CODES
    assert len(CODES) > 70


def test_the_pages_ship_with_the_package() -> None:
    assert (PACKAGE / "errors").is_symlink()
    assert os.readlink(PACKAGE / "errors") == os.path.join("..", "docs", "errors")


@pytest.mark.parametrize("code", CODES)
def test_layout(code: str) -> None:
    page = page_of(code)
    assert page.code == code
    assert not page.title.endswith(".")
    assert page.title[0].islower() or page.title.startswith("RBP")
    sentences = re.findall(r"[.:](?=\s|$)", page.text)
    assert 2 <= len(sentences) <= 8, page.text
    assert page.text.endswith(".")
    assert all(len(line) <= 100 for line in page.text.splitlines())
    assert page.bad != page.mended or page.options


def load(text: str, options: str) -> seamir.Program:
    """Loads an example with the options that its page says."""
    words = shlex.split(options)
    allowed: dict[str, list[str]] = {"--allow-call": [], "--allow-instruction": []}
    for option, value in zip(words[::2], words[1::2], strict=True):
        allowed[option].append(value)
    return seamir.load_text(
        text + "\n",
        allow_calls=allowed["--allow-call"],
        allow_instructions=allowed["--allow-instruction"],
    )


def diagnostics_of(text: str, options: str = "") -> tuple[seamir.Diagnostic, ...]:
    """What is said about an example: while it is read, checked, or made into outputs."""
    try:
        program = load(text, options)
        found = seamir.check(program)
        if not any(diagnostic.severity == "error" for diagnostic in found):
            seamir.compile(program, emit=("obj", "header"))
        return found
    except seamir.SeamError as error:
        nothing = [d for d in error.diagnostics if d.code == "E0807"]
        return () if nothing else error.diagnostics


@pytest.mark.parametrize("code", SEAM)
def test_the_bad_example_is_wrong_in_that_way_only(code: str) -> None:
    found = diagnostics_of(page_of(code).bad)
    assert {diagnostic.code for diagnostic in found} == {code}, seamir.SeamError(found)


@pytest.mark.parametrize("code", SEAM)
def test_the_mended_example_compiles(code: str) -> None:
    page = page_of(code)
    found = diagnostics_of(page.mended, page.options)
    assert not found, seamir.SeamError(found)


def run(script: str, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs commands in a folder; the last one's exit status is theirs.

    `before` is Python that runs first wherever the commands run Python.
    """
    package = str(PACKAGE.parent)
    program = f"""
import runpy, sys
{before}
if sys.argv[1] == "-m":
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
    python = f'python() {{ {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"; }}'
    line = f'{python}\nseamir() {{ python -m seamir "$@"; }}\n{script}'
    env = {**os.environ, "PYTHONPATH": package}
    return tools.run("sh", "-c", line, cwd=folder, env=env, status=None)


@dataclass(frozen=True)
class Simulation:
    """How the commands of a page are run that says why they cannot be run as they stand.

    `bad` and `mended` are Python that runs first; `first` are commands that run before.
    """

    bad: str = ""
    mended: str = ""
    first: str = ""
    changed: tuple[tuple[str, str], ...] = ()


_FEW = "import seamir.model.program\nseamir.model.program.MAXIMUM_LEAVES = 65"
_ARM = "import seamir.llvm.emit\nseamir.llvm.emit.host_architecture = lambda: 'aarch64'"
_KILL = """
import seamir.proving.workers as workers
workers._PROGRAM = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
"""
SIMULATIONS = {
    "E0214": Simulation(_FEW, _FEW, changed=(("70000", "70"), ("60000", "60"))),
    "E0804": Simulation(
        "sys.modules['unicorn'] = None",
        first=f"pip() {{ :; }}\nln -s {shlex.quote(str(PACKAGE.parent / 'examples'))} examples\n"
        "seamir compile tdx/host.seam -o build --emit manifest\n",
    ),
    "E0805": Simulation(_ARM, _ARM),
    "E0815": Simulation(_KILL),
}


def test_what_is_not_run_is_simulated() -> None:
    assert {code for code in SHELL if page_of(code).unable} == set(SIMULATIONS)
    assert not any(page_of(code).unable for code in SEAM)


@pytest.mark.parametrize("code", SHELL)
def test_the_commands(code: str, tmp_path: Path) -> None:
    page = page_of(code)
    how = SIMULATIONS.get(code, Simulation())
    scripts = [how.first + page.bad, how.first + page.mended]
    for old, new in how.changed:
        scripts = [script.replace(old, new) for script in scripts]
    for name in ("bad", "mended"):
        (tmp_path / name).mkdir()
    bad = run(scripts[0], tmp_path / "bad", how.bad)
    assert bad.returncode in ((0,) if code.startswith("W") else (1, 2))
    assert set(re.findall(r"(?:error|warning)\[([EW]\d+)\]", bad.stderr)) == {code}, bad.stderr
    mended = run(scripts[1], tmp_path / "mended", how.mended)
    assert mended.returncode == 0, mended.stderr
    assert mended.stderr == ""
