"""What is said about each wrong description, word for word.

A case is a folder with `input.seam` and `expected.txt`; `pytest --seamir-update-golden` rewrites
the latter. Read what it says, at the caret, before committing it.
"""

from pathlib import Path

import pytest

import seamir
from seamir.diagnostics import render

FOLDER = Path(__file__).parent
CASES = sorted(path.parent.name for path in FOLDER.glob("*/input.seam"))


def diagnostics_of(path: Path) -> tuple[seamir.Diagnostic, ...]:
    """Everything that is wrong with a description, called by its file name alone."""
    try:
        program = seamir.load_text(path.read_text(encoding="utf-8"), path.name)
    except seamir.SeamError as error:
        return error.diagnostics
    return seamir.check(program)


@pytest.mark.parametrize("case", CASES)
def test_diagnostics(case: str, seamir_update_golden: bool) -> None:
    found = render(diagnostics_of(FOLDER / case / "input.seam")) + "\n"
    expected = FOLDER / case / "expected.txt"
    if seamir_update_golden:
        expected.write_text(found, encoding="utf-8")
    assert expected.is_file(), "run pytest --seamir-update-golden and read what it wrote"
    assert found == expected.read_text(encoding="utf-8")


def test_every_case_is_wrong() -> None:
    for case in CASES:
        assert diagnostics_of(FOLDER / case / "input.seam"), case


def test_there_are_many() -> None:
    assert len(CASES) > 100


def test_a_permission_to_call_is_none_to_call_itself() -> None:
    text = (
        'import "tdx/conduits.seam";\n'
        "leaf A = 500 via seamcall () { on fault call b return 0; }\n"
        "leaf B = 501 via seamcall ();\n"
    )
    found = seamir.check(seamir.load_text(text, "input.seam", allow_calls=["b"]))
    assert render(found).splitlines() == [
        "input.seam:2:41: error[E0208]: b is made by this compilation, so it cannot be called",
        "    2 | leaf A = 500 via seamcall () { on fault call b return 0; }",
        "      |                                         ^^^^^^^^^^^^^^^",
        "input.seam:3:6: note: it is made here",
        "    3 | leaf B = 501 via seamcall ();",
        "      |      ^",
    ]
