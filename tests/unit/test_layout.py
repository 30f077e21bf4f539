"""The layout of the package: which part may import which, and habits that keep it readable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import seamir

PACKAGE = Path(seamir.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LARGEST = 500  # lines of a file

# What each part may import besides itself. The way of the data runs down this table.
ALLOWED = {
    "version": "",
    "source": "",
    "diagnostics": "source",
    "conventions": "",
    "exports": "diagnostics",
    "targets": "diagnostics conventions",
    "staging": "",
    "writing": "diagnostics staging",
    "syntax": "source diagnostics version",
    "model": "source diagnostics syntax",
    "ir": "source diagnostics model targets",
    "objects": "source",
    "emit": "source diagnostics model ir conventions exports targets",
    "llvm": "source diagnostics model ir conventions targets",
    "emulate": "source diagnostics model ir targets objects",
    "verify": "source diagnostics model ir targets objects emulate",
    "outputs": "source exports ir targets version llvm emit objects",
    "compiler": "source diagnostics exports targets writing syntax model ir objects outputs",
    "__init__": "source diagnostics syntax targets version compiler verify proving",
    "golden": "diagnostics writing llvm objects compiler",
    "pytest_plugin": "diagnostics version llvm golden __init__",
    "run": "source diagnostics targets model ir emit emulate compiler",
    "proving": "source diagnostics version writing targets model ir objects emit emulate verify "
    "compiler run",
    "listing": "diagnostics model ir emit",
    "explain": "source diagnostics syntax ir emit objects compiler listing",
    "terminal": "listing",
    "progress": "diagnostics compiler terminal",
    "completion": "diagnostics syntax targets model ir compiler",
    "cli_options": "diagnostics targets model compiler completion",
    "cli_help": "exports syntax targets compiler",
    "cli_command": "diagnostics terminal cli_help",
    "cli_verify": "diagnostics compiler completion cli_command cli_options proving terminal "
    "progress",
    "cli": "diagnostics exports outputs syntax targets version ir llvm compiler completion "
    "cli_command cli_options cli_verify listing explain run terminal progress",
    "__main__": "cli",
}

# Who may import a library that is slow to load or may be missing.
LIBRARIES = {
    "lark": {"syntax/parser.py", "syntax/lexer.py"},
    "llvmlite": {"llvm/"},
    "click": {
        *("cli.py", "cli_command.py", "cli_help.py", "cli_options.py", "cli_verify.py"),
        *("completion/", "terminal.py"),
    },
    "rich": {"terminal.py", "progress.py"},
    "pytest": {"pytest_plugin.py"},
    "elftools": {"objects/"},
    "iced_x86": {"objects/", "emulate/", "verify/"},
    "unicorn": {"emulate/"},
    "z3": {"verify/solver.py"},
    "xxhash": {"ir/type_ids.py"},
}


# Their nodes, and a method for each rule, are documented beside the rules in grammar/seam.lark.
BY_GRAMMAR = {"syntax/ast.py", "syntax/builder.py"}


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """The modules that a file imports anywhere, each with the line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "seamir":
                yield from ((f"seamir.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def part_of(path: Path) -> str:
    """The part of the package that a file is in: a folder, or a module at the top."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name(path: Path) -> str:
    """The path below the package."""
    return str(path.relative_to(PACKAGE))


def test_the_table_knows_all_parts() -> None:
    assert {part_of(path) for path in FILES} == set(ALLOWED)


def test_the_table_has_no_circles() -> None:
    done: set[str] = set()
    rest = {part: set(others.split()) for part, others in ALLOWED.items()}
    while rest:
        free = {part for part, others in rest.items() if others <= done}
        assert free, f"a circle among {sorted(rest)}"
        done |= free
        rest = {part: others for part, others in rest.items() if part not in free}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(path)
    allowed = {part, *ALLOWED[part].split()}
    for module, line in imports_of(path):
        top, _, rest = module.partition(".")
        if top == "seamir":
            other = rest.partition(".")[0] or "__init__"
            assert other in allowed, f"{name(path)}:{line}: {part} may not import {module}"
        elif top in LIBRARIES:
            fits = any(name(path).startswith(place) for place in LIBRARIES[top])
            assert fits, f"{name(path)}:{line}: only {sorted(LIBRARIES[top])} may import {top}"


def test_only_known_libraries_are_imported() -> None:
    import sys

    known = {"seamir", "__future__", *LIBRARIES, *sys.stdlib_module_names}
    found = {module.partition(".")[0] for path in FILES for module, _ in imports_of(path)}
    assert found <= known


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGEST


@pytest.mark.parametrize("path", FILES, ids=name)
def test_everything_public_is_documented(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "the module"
    for node, owner in public_definitions(tree_of(path)):
        if name(path) in BY_GRAMMAR and (owner or isinstance(node, ast.ClassDef)):
            continue
        where = f"{name(path)}:{node.lineno}: {owner}{node.name}"
        assert ast.get_docstring(node), f"{where} has no documentation"


Definition = ast.FunctionDef | ast.ClassDef


def public_definitions(module: ast.Module) -> Iterator[tuple[Definition, str]]:
    """Public functions, classes and methods, each with what stands before its name."""
    for node in module.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        yield node, ""
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner, f"{node.name}."


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_leaf_is_special(path: Path) -> None:
    """Nothing depends on the name of a leaf, a conduit or a symbol: they are the user's."""
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        constants = any(isinstance(side, ast.Constant) for side in sides)
        for side in sides:
            text = ast.unparse(side)
            assert not (
                constants and re.search(r"\b(leaf|conduit)\.name\b|\bplan\.(leaf|symbol)\b", text)
            ), f"{name(path)}:{node.lineno}: {ast.unparse(node)}"


def test_nothing_prints_but_the_command_line() -> None:
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.exit",
                "exit",
            ):
                assert name(path) in ("__main__.py", "cli.py"), f"{name(path)}:{node.lineno}"


def test_the_grammar_is_one_file() -> None:
    grammar = PACKAGE / "syntax/seam.lark"
    assert grammar.is_symlink()
    assert grammar.resolve() == PACKAGE.parent / "grammar/seam.lark"
    assert [path.name for path in PACKAGE.rglob("*.lark")] == ["seam.lark"]
