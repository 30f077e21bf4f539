"""The descriptions that are compiled and run as a whole: the library, hard cases, golden inputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import seamir
from seamir.syntax.files import library_folder

TESTS = Path(__file__).parent
HARD = str(TESTS / "data" / "execution.seam")
LIBRARY = tuple(
    f"tdx/{path.name}"
    for path in sorted((library_folder() / "tdx").glob("*.seam"))
    if re.search(r"^(leaf|wrapper) ", path.read_text(), re.MULTILINE)
)
DESCRIPTIONS = (
    *LIBRARY,
    HARD,
    *sorted(str(path) for path in TESTS.glob("golden/*/input.seam")),
)


def program_of(name: str) -> seamir.Program:
    """A description loaded as its golden case says; others may call what they call."""
    if name == HARD:
        return seamir.load(name, allow_calls=["helper", "panic", "oops"])
    if name in LIBRARY:
        return seamir.load(name, allow_calls=["kvm_spurious_fault"])
    options = Path(name).with_name("options.json")
    said: dict[str, Any] = json.loads(options.read_text()) if options.exists() else {}
    known = ("conduits", "leaves", "allow_calls", "allow_instructions")
    return seamir.load(
        name,
        include=[str(TESTS / "golden" / "include")],
        **{key: said[key] for key in known if key in said},
    )
