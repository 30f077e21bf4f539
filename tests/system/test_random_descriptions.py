"""Random descriptions through everything: what is accepted compiles, and does what it says.

The text of a seed: `PYTHONPATH=tests python tests/random_descriptions.py SEED`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import jsonschema
import pytest
from random_descriptions import random_description
from random_runs import errors_of, load, problems_of
from tools import need, run

import seamir
import seamir.emit
from seamir.diagnostics import render

SCHEMA = json.loads((Path(seamir.emit.__file__).parent / "manifest.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONFIGURATIONS = tuple(
    product(
        tuple(seamir.TARGETS),
        ("pointers", "struct", "register"),
        ((), ("-fixup",)),
    )
)
COMPILED = range(8)  # seeds; many more were run by hand, with all configurations
CHECKED = range(100, 160)
SCENARIOS = 25  # of each function
COMPILERS = (("gcc", "-std=c11"), ("g++", "-std=c++17", "-x", "c++"))
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-fsyntax-only")


def test_nearly_all_are_accepted_and_the_others_refused_with_a_place() -> None:
    refused = [errors for seed in CHECKED if (errors := errors_of(seed))]
    assert len(refused) < len(CHECKED) // 5, render(e for errors in refused for e in errors)
    assert all(entry.span is not None for errors in refused for entry in errors)


@pytest.mark.parametrize("seed", COMPILED)
def test_the_code_does_what_plan_and_manifest_say(seed: int) -> None:
    if errors_of(seed):
        return
    program, problems = load(seed), []
    for target, deliver, features in Random(seed).sample(CONFIGURATIONS, 3):
        compilation = seamir.compile(
            program,
            target=target,
            features=features,
            deliver=deliver,
            emit=("obj", "asm", "manifest", "docs"),
        )
        assert compilation.outputs["docs"].text.startswith("# ")
        manifest = json.loads(compilation.outputs["manifest"].text)
        problems += [error.message for error in VALIDATOR.iter_errors(manifest)]
        found = problems_of(compilation, seed, SCENARIOS)
        problems += [f"{target} {deliver} {features}: {text}" for text in found]
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])


@pytest.mark.parametrize("deliver", ["pointers", "struct", "register"])
@pytest.mark.parametrize("seed", COMPILED)
def test_the_header_compiles(seed: int, deliver: str, tmp_path: Path) -> None:
    if errors_of(seed):
        return
    compilation = seamir.compile(load(seed), deliver=deliver, emit=("header",), target="linux-user")
    text = compilation.outputs["header"].text
    (tmp_path / "made.h").write_text(text)
    lines = ['#include "made.h"', *defined_elsewhere(random_description(seed))]
    lines += [f"{macro};" for macro in re.findall(r"#define (SEAMIR_CHECK_\w+)", text)]
    (tmp_path / "made.c").write_text("\n".join([*lines, '#include "made.h"', ""]))
    for compiler in COMPILERS:
        need(compiler[0])
        run(*compiler, *WARNINGS, "-I", tmp_path, tmp_path / "made.c")


def defined_elsewhere(description: str) -> Iterator[str]:
    """Structures for the layouts that the description does not define, in C."""
    for name, body in re.findall(r"layout (\w+) extern \{(.*?)\n\}", description, re.DOTALL):
        found = re.findall(r"^ *(r\w+) @(\d+)(?: as (\w+))?;", body, re.MULTILINE)
        members, end = "", 0
        for offset, member in sorted((int(o), called or register) for register, o, called in found):
            members += f"unsigned char gap{offset}[{offset - end}]; " if offset > end else ""
            members += f"unsigned long long {member}; "
            end = offset + 8
        yield f"struct {name} {{ {members}}};"
