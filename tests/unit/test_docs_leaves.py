"""The reference of the shipped library, in docs/leaves, is what the descriptions say today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import seamir

ROOT = Path(__file__).parents[2]
LIBRARY = Path(seamir.__file__).parent / "leaves"
PAGES = ROOT / "docs" / "leaves"
HELP = "to write docs/leaves anew: make docs"


def files_with_leaves() -> list[str]:
    """The library's files with leaves or wrappers, as the command line names them."""
    return [
        path.relative_to(LIBRARY).as_posix()
        for path in sorted((LIBRARY / "tdx").glob("*.seam"))
        if re.search(r"(?m)^(leaf|wrapper) ", path.read_text(encoding="utf-8"))
    ]


def test_the_library_has_leaves() -> None:
    assert "tdx/host.seam" in files_with_leaves()


@pytest.mark.parametrize("name", files_with_leaves())
def test_a_page_is_current(name: str) -> None:
    program = seamir.load(name, allow_calls=["kvm_spurious_fault"])
    made = seamir.compile(program, emit=("docs",))
    page = PAGES / f"{made.stem}.md"
    kept = page.read_text(encoding="utf-8") if page.exists() else ""
    if kept != made.outputs["docs"].text:
        state = "is not what the descriptions say" if kept else "is missing"
        pytest.fail(f"docs/leaves/{page.name} {state}; {HELP}", pytrace=False)


def test_no_page_is_left_over() -> None:
    stems = {Path(name).stem for name in files_with_leaves()}
    assert {path.stem for path in PAGES.glob("*.md")} == {*stems, "README"}, HELP


def test_the_index_links_every_page() -> None:
    links = re.findall(r"\]\((\w+\.md)\)", (PAGES / "README.md").read_text(encoding="utf-8"))
    assert sorted(links) == sorted(f"{Path(name).stem}.md" for name in files_with_leaves())


def test_make_finds_the_same_files() -> None:
    """By the pattern that is used here, which a leaf of another file would have too."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "grep -lE '^(leaf|wrapper) ' seamir/leaves/tdx/*.seam" in text
