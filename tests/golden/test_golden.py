"""Every case makes the files beside it: plans, listings, header, manifest, reference, warnings.

`pytest tests/golden --seamir-update-golden` rewrites them; read the difference before committing.
"""

import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest
from golden_cases import FOLDER, case_names, expected_files

KEPT = ("plan.txt", "expected.h", "expected.json", "expected.md", "warnings.txt")


@pytest.mark.parametrize("name", case_names())
def test_golden(name: str, update_golden: bool) -> None:
    made = expected_files(name)
    folder = FOLDER / name
    if update_golden:
        update(folder, made)
    problems = [compare(folder / file, text) for file, text in made.items()]
    problems += [f"{path} is made no more\n" for path in stale(folder, made)]
    found = "\n".join(problem for problem in problems if problem)
    if found:
        help = "If that is meant: pytest tests/golden --seamir-update-golden"
        pytest.fail(f"{found}\n{help}", pytrace=False)


def compare(path: Path, made: str) -> str:
    """A unified diff from the file to what was made, "" if there is no difference."""
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if kept == made and path.exists():
        return ""
    label = f"{path.parent.name}/{path.name}"
    difference = unified_diff(
        kept.splitlines(keepends=True), made.splitlines(keepends=True), label, f"{label} (made now)"
    )
    return "".join(difference) or f"{label} is missing\n"


def stale(folder: Path, made: dict[str, str]) -> list[Path]:
    """Files of a case that nothing makes."""
    kept = [*folder.glob("*.lst"), *(folder / file for file in KEPT)]
    return [path for path in kept if path.name not in made and path.exists()]


def update(folder: Path, made: dict[str, str]) -> None:
    """Writes what was made, and removes what is made no more."""
    for path in stale(folder, made):
        path.unlink()
    for file, text in made.items():
        (folder / file).write_text(text, encoding="utf-8", newline="")


@pytest.mark.parametrize("name", case_names())
def test_the_header_compiles(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text('#include "expected.h"\n')
    for compiler in (["gcc", "-std=c11", "-xc"], ["g++", "-std=c++17", "-xc++"]):
        warnings = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{FOLDER / name}")
        command = [*compiler, *warnings, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_there_are_cases() -> None:
    assert {"page_remove", "page_remove_retry"} <= set(case_names())


def test_a_mismatch_is_a_unified_diff(tmp_path: Path) -> None:
    path = tmp_path / "case" / "plan.txt"
    path.parent.mkdir()
    path.write_text("one\ntwo\nthree\n")
    assert compare(path, "one\nTWO\nthree\n").splitlines() == [
        "--- case/plan.txt",
        "+++ case/plan.txt (made now)",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "+TWO",
        " three",
    ]
    assert compare(path, "one\ntwo\nthree\n") == ""
    assert compare(tmp_path / "case" / "none.lst", "") == "case/none.lst is missing\n"


def test_the_switch_writes_and_removes(tmp_path: Path) -> None:
    (tmp_path / "linux-user.lst").write_text("old")
    (tmp_path / "warnings.txt").write_text("old")
    (tmp_path / "input.seam").write_text("kept")
    update(tmp_path, {"plan.txt": "new\n"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.seam", "plan.txt"]
    assert (tmp_path / "plan.txt").read_text() == "new\n"
