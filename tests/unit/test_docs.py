"""The documents are true: examples compile, links lead somewhere, numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documented_examples import BLOCK, BLOCKS, PAGES, ROOT, WHOLE, code_blocks

import seamir
from seamir.compiler import DELIVERIES, MAXIMUM_PREFIX
from seamir.model.clauses import MANY_ATTEMPTS, MAXIMUM_ATTEMPTS
from seamir.model.instructions import FAULT_VECTORS, INSTRUCTIONS
from seamir.model.types import BUILTIN_TYPES
from seamir.outputs import OUTPUTS
from seamir.syntax.files import MAXIMUM_FILE, MAXIMUM_LINE
from seamir.targets import FEATURES, TARGETS

LANGUAGE = ROOT / "docs" / "language.md"
ERRORS = ROOT / "docs" / "errors"
MOST_FRAGMENTS = 3

WITH_LINKS = [*PAGES, ROOT / "NEWS.md", *sorted((ROOT / "examples").glob("**/README.md"))]

_LINK = re.compile(r"\[([^]]*)\]\(([^)\s]+)\)")


@pytest.mark.parametrize(("where", "text"), WHOLE, ids=[where for where, _ in WHOLE])
def test_an_example_compiles(where: str, text: str) -> None:
    try:
        made = seamir.compile(seamir.load_text(text, f"{where}.seam"), emit=("obj", "header"))
    except seamir.SeamError as error:
        pytest.fail(f"{where}\n{error}", pytrace=False)
    assert made.symbols
    assert not made.diagnostics


def test_there_are_examples_and_few_fragments() -> None:
    assert len(WHOLE) >= 20
    assert {words for _, words, _ in BLOCKS} <= {"", "fragment"}
    assert sum(words == "fragment" for _, words, _ in BLOCKS) <= MOST_FRAGMENTS


def test_blocks_are_found() -> None:
    page = "a\n```seam\nleaf\n```\n   ```seam x\n   b\n   ```\n```c\nd\n```\n"
    assert [(m["words"], m["text"]) for m in BLOCK.finditer(page)] == [
        ("", "leaf\n"),
        (" x", "   b\n"),
    ]


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for text, link in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        if text.endswith(".md"):
            assert Path(text).name == target.name, f"{page.name}: {link} is called {text}"
        if anchor:
            assert anchor in anchors_of(target), f"{page.name}: {link}"


def anchors_of(page: Path) -> set[str]:
    """The anchors that a page's headings have, as common renderers make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["language.md", "architecture.md"])
def test_lines_are_short(name: str) -> None:
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) >= 100] == []


def test_the_caller_of_the_kernel_page_is_that_of_the_example() -> None:
    (text,) = code_blocks(ROOT / "docs" / "kernel.md", "c")
    example = (ROOT / "examples" / "kernel-module" / "example.c").read_text(encoding="utf-8")
    parts = text.split("\n\n")
    assert [part for part in parts if part not in example] == []
    assert len(parts) == 2


# -- the reference has everything


def test_every_word_of_the_grammar_is_in_the_reference() -> None:
    grammar = (ROOT / "grammar" / "seam.lark").read_text(encoding="utf-8")
    rules = re.sub(r"//[^\n]*", "", grammar)
    words = set(re.findall(r'"([a-z]+)"', rules)) | {"optional"}
    text = LANGUAGE.read_text(encoding="utf-8")
    missing = {word for word in words if not re.search(rf"`[^`]*\b{word}\b[^`]*`", text)}
    assert not missing


def test_every_word_of_the_grammar_is_in_an_example() -> None:
    grammar = (ROOT / "grammar" / "seam.lark").read_text(encoding="utf-8")
    words = set(re.findall(r'"([a-z]+)"', re.sub(r"//[^\n]*", "", grammar))) | {"optional"}
    pages = [text for where, text in WHOLE if where.startswith("docs/language.md")]
    examples = "\n".join(re.sub(r"//[^\n]*", "", text) for text in pages)
    assert {word for word in words if not re.search(rf"\b{word}\b", examples)} <= {
        "call"  # needs a permission
    }


def test_names_of_the_tables_are_in_the_reference() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    for name in (*BUILTIN_TYPES, *FAULT_VECTORS, *INSTRUCTIONS):
        assert f"`{name}`" in text, name


def test_names_of_the_command_line_are_in_its_page() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in (*TARGETS, *FEATURES, *OUTPUTS, *DELIVERIES):
        assert f"`{name}`" in text, name


def test_files_that_the_documents_name_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`(\w[\w./]*(?:\.(?:py|md|lark|json|txt|seam)|/))`", text)
    names.remove("docs/errors/E0123.md")  # an example
    assert len(names) > 30
    for name in names:
        places = [ROOT / name, ROOT / "seamir" / name, ROOT / "seamir" / "leaves" / "tdx" / name]
        assert any(place.exists() for place in places), name


def test_the_plan_of_the_architecture_is_printed_so() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    plan = (ROOT / "tests/golden/page_remove_retry/plan.txt").read_text(encoding="utf-8")
    block = text[text.index("\nplan tdh_mem_page_remove") :].split("```")[0].strip("\n")
    shown = [re.split(r"(?<=\S) {3,}", line)[0] for line in block.split("\n")]
    rest = iter(plan.splitlines())
    assert [line for line in shown if line not in rest] == []


def test_limits_are_those_of_the_code() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    limits = dict(re.findall(r"\| ([a-z][^|]+?) +\| ([^|]+?) +\|", text[text.index("## Limits") :]))
    assert limits["a file"] == f"{MAXIMUM_FILE >> 20} MiB"
    assert limits["a line"] == f"{MAXIMUM_LINE >> 10} KiB"
    assert limits["attempts of a call"] == f"{MAXIMUM_ATTEMPTS:,}"
    assert limits["a symbol prefix"] == f"{MAXIMUM_PREFIX} characters"
    assert f"above {MANY_ATTEMPTS:,} there is a warning" in " ".join(text.split())


def test_the_table_of_errors_is_that_of_the_pages() -> None:
    table = re.findall(
        r"\| \[([EW]\d{4})\]\(errors/\1\.md\) \| ([^|\n]+) \|", LANGUAGE.read_text(encoding="utf-8")
    )
    titles = [
        page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").split(": ", 1)
        for page in sorted(ERRORS.glob("*.md"))
    ]
    assert [list(row) for row in table] == titles
