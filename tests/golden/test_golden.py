"""Every case makes the files beside it: plans, listings, header, manifest, reference, warnings.

`pytest tests/golden --seamir-update-golden` rewrites them; read the difference before committing.
"""

from pathlib import Path

import pytest
from golden_cases import FOLDER, case_names, expected_files
from tools import need, run

from seamir.golden.files import compare, write_changed

KEPT = (
    *("plan.txt", "expected.h", "expected.json", "expected.md", "expected.S", "warnings.txt"),
    *("*.lst", "*.kbuild", "*_exports.c"),
)


@pytest.mark.parametrize("name", case_names())
def test_golden(name: str, seamir_update_golden: bool) -> None:
    made = expected_files(name)
    folder = FOLDER / name
    if seamir_update_golden:
        update(folder, made)
    problems = [compare(folder / file, text, f"{name}/{file}") for file, text in made.items()]
    problems += [f"{path} is made no more" for path in stale(folder, made)]
    found = "\n".join(problem for problem in problems if problem)
    if found:
        help = "If that is meant: pytest tests/golden --seamir-update-golden"
        pytest.fail(f"{found}\n{help}", pytrace=False)


def stale(folder: Path, made: dict[str, str]) -> list[Path]:
    """Files of a case that nothing makes."""
    kept = [path for pattern in KEPT for path in folder.glob(pattern)]
    return [path for path in kept if path.name not in made]


def update(folder: Path, made: dict[str, str]) -> None:
    """Writes what was made, and removes what is made no more."""
    for path in stale(folder, made):
        path.unlink()
    write_changed({folder / file: text for file, text in made.items()})


@pytest.mark.parametrize("name", case_names())
def test_the_header_compiles(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text('#include "expected.h"\n')
    need("gcc", "g++")
    for compiler in (["gcc", "-std=c11", "-xc"], ["g++", "-std=c++17", "-xc++"]):
        warnings = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{FOLDER / name}")
        run(*compiler, *warnings, source)


def test_there_are_cases() -> None:
    assert {"page_remove", "page_remove_retry"} <= set(case_names())


def test_the_switch_writes_and_removes(tmp_path: Path) -> None:
    (tmp_path / "linux-user.lst").write_text("old")
    (tmp_path / "warnings.txt").write_text("old")
    (tmp_path / "input.seam").write_text("kept")
    update(tmp_path, {"plan.txt": "new\n"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.seam", "plan.txt"]
    assert (tmp_path / "plan.txt").read_text() == "new\n"
