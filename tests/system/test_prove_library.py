"""The library is proved: all of it for linux-kernel, and for each other target its hardest file.

tests/prove_library.py does the rest, and docs/verification.md has what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run
from documented_examples import ROOT, WHOLE
from prove_library import FILES, LINKERS, OBJECTS, Case, cases, prove
from tools import need

from seamir.targets import TARGETS

KERNEL = "linux-kernel"
PREFIXED = ("+kcfi", "+patchable-prefix")


def cases_here() -> Iterator[Case]:
    """All of one target, and of the others a file with loops as one delivery has it.

    With what may stand before functions, all files once more.
    """
    yield from cases([KERNEL])
    for case in cases([name for name in TARGETS if name != KERNEL], ["guest", "resume"]):
        if case.delivery == "pointers" and case.conduit == "cautious":
            yield case
    for case in cases([KERNEL]):
        if case.delivery == "pointers" and case.conduit == "cautious":
            yield replace(case, features=PREFIXED)


def label(case: Case) -> str:
    """The name of a test."""
    what = (case.target, *case.features, case.file, case.delivery, case.conduit, case.object)
    return "-".join(what)


@pytest.mark.parametrize("case", list(cases_here()), ids=label)
def test_every_wrapper_is_proved(case: Case) -> None:
    if case.object == OBJECTS[1]:
        need(LINKERS[TARGETS[case.target].object_format])
    result = prove(case)
    assert not result.failures
    assert result.proofs == result.proved > 0
    assert result.paths >= 2 * result.proofs  # to the instruction, and from it
    assert result.obligations > 5 * result.paths
    assert not result.assumptions  # outputs may overlap as they like


def test_all_files_of_the_library_are_there() -> None:
    from seamir.syntax.files import library_names

    described = {name.removeprefix("tdx/").removesuffix(".seam") for name in library_names()}
    assert described - set(FILES) == {"conduits", "status", "types"}  # which describe no leaf


def without_times(text: str) -> str:
    """What the command prints, without what it took."""
    return re.sub(r"\d+\.\d+ s|\d+$", "TIME", text, flags=re.MULTILINE)


def test_what_the_readme_shows_is_what_happens(tmp_path: Path) -> None:
    (described,) = [text for where, text in WHOLE if where.startswith("README.md")][:1]
    (tmp_path / "leaves.seam").write_text(described, encoding="utf-8")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```\n\$ seamir verify leaves.seam\n(.*?)^```$", text, re.M | re.S)
    assert found is not None
    done = run("verify", "leaves.seam", "--no-cache", cwd=tmp_path)
    assert done.stderr == ""
    assert without_times(done.stdout) == without_times(found[1])
