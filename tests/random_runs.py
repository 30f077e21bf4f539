"""Random descriptions loaded, compiled, executed and held against plan and manifest.

What the tests do with a few seeds and `fuzz_leaves` with many.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from execution import Scenario, play, scenarios
from manifest_oracle import predict
from random_descriptions import ALLOWED_CALLS, random_description

import seamir
from seamir.emulate.interpreter import Run
from seamir.emulate.machine import Machine
from seamir.ir.leaf import Plan
from seamir.source import Span
from seamir.syntax import ast

# Fields of the syntax tree in which a word says which of several constructs it is.
WORDS = frozenset({"edge", "kind", "word", "operator", "what"})


def load(seed: int) -> seamir.Program:
    """The random description of a seed."""
    return seamir.load_text(random_description(seed), f"{seed}.seam", allow_calls=ALLOWED_CALLS)


def errors_of(seed: int) -> list[seamir.Diagnostic]:
    """Why a description is refused."""
    try:
        found = seamir.check(load(seed))
    except seamir.SeamError as error:
        found = error.diagnostics
    return [entry for entry in found if entry.severity == "error"]


def problems_of(
    compilation: seamir.Compilation, seed: int, limit: int, outcomes: Counter[str] | None = None
) -> Iterator[str]:
    """Where plan and machine code disagree, in up to `limit` calls of each function.

    The manifest too, if it is among the outputs. `outcomes` counts how the calls ended.
    """
    told = compilation.outputs.get("manifest")
    manifest: dict[str, Any] | None = None if told is None else json.loads(told.text)
    machine = Machine(compilation.outputs["obj"].data, compilation.target)
    for plan in compilation.plans:
        for call in scenarios(plan, seed=seed, repeat=1, limit=limit):
            run, _, differences = play(machine, plan, call)
            if manifest is not None:
                differences += _compare(manifest, plan, call, run)
            yield from (f"{plan.symbol}, {call.name}: {text}" for text in differences)
            if outcomes is not None:
                outcomes["calls"] += 1
                outcomes["attempts"] += len(run.attempts)
                outcomes["calls that trap"] += run.trapped


def _compare(manifest: dict[str, Any], plan: Plan, call: Scenario, run: Run) -> Iterator[str]:
    told = predict(manifest, plan.symbol, call.arguments, call.regions, call.side)
    if told != run:
        yield f"the manifest says {told} instead of {run}"


def constructs_of(program: seamir.Program) -> Counter[str]:
    """How often the named file of a program has each construct; `all_constructs` are the names."""
    found: Counter[str] = Counter()
    (unit,) = (unit for unit in program.units if unit.named)
    stack: list[object] = list(unit.file.items)
    while stack:
        node = stack.pop()
        kind = type(node)
        if isinstance(node, tuple) and kind in _optional_fields():
            found[kind.__name__] += 1
            found.update(_said(node, kind))
            stack += [value for value in node if not isinstance(value, Span)]
        elif isinstance(node, tuple):
            stack += node
    return found


def _said(node: tuple[object, ...], kind: type) -> Iterator[str]:
    for field, choices in _optional_fields()[kind].items():
        value = getattr(node, field)
        if field in WORDS and isinstance(value, str):
            yield f"{kind.__name__} {value}"
        elif value not in (None, False, "", ()):
            which = f" {type(value).__name__}" if len(choices) > 1 else ""
            yield f"{kind.__name__}.{field}{which}"


@cache
def _optional_fields() -> dict[type, dict[str, tuple[type, ...]]]:
    """The fields of each node of the syntax tree that may be left out or hold several things."""
    fields: dict[type, dict[str, tuple[type, ...]]] = {}
    for kind in vars(ast).values():
        if isinstance(kind, type) and kind.__module__ == ast.__name__ and hasattr(kind, "_fields"):
            hints = get_type_hints(kind)
            fields[kind] = {
                name: tuple(c for c in get_args(hints[name]) if c is not NoneType and c is not ...)
                for name in hints
                if name in WORDS or name == "doc" or hints[name] is bool or get_args(hints[name])
            }
    return fields


def all_constructs() -> frozenset[str]:
    """The constructs that the syntax tree has, but for what `WORDS` say."""
    names = set()
    for kind, fields in _optional_fields().items():
        names.add(kind.__name__)
        for field, choices in fields.items():
            several = [f" {choice.__name__}" for choice in choices] if len(choices) > 1 else [""]
            names |= {f"{kind.__name__}.{field}{which}" for which in several if field not in WORDS}
    return frozenset(names)
