"""What `seamir list` says: the wrappers of a file, or those of them that one looks for.

Takes plans, returns rows of text or data for JSON. A search that cannot be meant, for a register
or a status that there is not, raises SeamError.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from seamir.diagnostics import Diagnostics, printable
from seamir.emit.contract import show_number
from seamir.emit.manifest_tables import hex_text
from seamir.emit.mentions import (
    families_of_plan,
    registers_read,
    registers_written,
    statuses_mentioned,
)
from seamir.ir.leaf import Argument, ArgumentKind, Plan
from seamir.model.registers import CARRY_FLAG, REGISTERS
from seamir.model.scope import suggest

HEAD = ("SYMBOL", "LEAF", "NUMBER", "VERSION", "CONDUIT", "ATTEMPTS", "ARGUMENTS")
RIGHT = frozenset({2, 3, 5})  # the columns of numbers


@dataclass(frozen=True)
class Search:
    """What a wrapper has to fulfil, all of it; what is empty or None asks for nothing.

    `reads` and `writes` are registers, `statuses` names of codes; `effect` is "global" or "none",
    `leaf_version` the version of a leaf, `since` the version of the other side that a leaf came
    with, at the earliest, `via` a conduit or one that it extends.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    effect: str | None = None
    leaf_version: int | None = None
    since: str | None = None
    via: str | None = None


def find(plans: Sequence[Plan], search: Search) -> list[Plan]:
    """The plans that fulfil the search, in their order.

    Raises SeamError if no plan could: an unknown register or version (E0809), a status that no
    conduit of the plans has (E0806), a conduit that none of them goes by (E0803).
    """
    _check(plans, search)
    return [plan for plan in plans if _fulfils(plan, search)]


def _fulfils(plan: Plan, search: Search) -> bool:
    said = plan.documentation
    read, written = registers_read(plan), registers_written(plan)
    return (
        all(name.lower() in read for name in search.reads)
        and all(name.lower() in written for name in search.writes)
        and all(_names(plan, status) for status in search.statuses)
        and (search.effect is None or (said.effect or "none") == search.effect)
        and (search.leaf_version is None or _has_version(plan, search.leaf_version))
        and (search.since is None or _is_since(said.since, search.since))
        and (search.via is None or search.via in _conduits(plan))
    )


def _has_version(plan: Plan, version: int) -> bool:
    """Whether a call may be of that version, which a parameter may carry."""
    for item in plan.inputs:
        if item.name == plan.version_parameter:
            return item.promise.low <= version <= item.promise.high
    return plan.version == version


def _names(plan: Plan, status: str) -> bool:
    """Whether a clause, condition, outcome or the documentation names a status or its value."""
    asked = {
        value
        for family in families_of_plan(plan)
        if status in family.codes
        for value in family.codes[status].values
    }
    return any(not asked.isdisjoint(code.values) for code in statuses_mentioned(plan))


def version_of(text: str) -> tuple[int, ...] | None:
    """A version as numbers that compare, (1, 5, 5) for 1.5.05; None if it is not one."""
    words = text.strip().split(".")
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        return None
    numbers = [int(word) for word in words]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.5 is 1.5.0
    return tuple(numbers)


def _is_since(said: str | None, asked: str) -> bool:
    version, first = version_of(said or "none"), version_of(asked)
    return version is not None and first is not None and version >= first


def _conduits(plan: Plan) -> tuple[str, ...]:
    return (plan.conduit.name, *plan.conduit.lineage)


def _check(plans: Sequence[Plan], search: Search) -> None:
    """Raises SeamError if the search asks for what there is not."""
    sink = Diagnostics()
    for option, names in (("--reads", search.reads), ("--writes", search.writes)):
        known = (*REGISTERS, CARRY_FLAG)  # an output may be taken from the flag
        for name in (name for name in names if name.lower() not in known):
            message = f"{option} {printable(name)}: there is no register of this name"
            hint = suggest(name, sink, REGISTERS) or "registers are rax to r15, in full width"
            sink.report("E0809", message, help=hint)
    codes = {
        code: None for plan in plans for family in families_of_plan(plan) for code in family.codes
    }
    for name in (name for name in search.statuses if name not in codes):
        message = f"--status {printable(name)}: no conduit here has a status of this name"
        near = next((f"did you mean `{code}`?" for code in codes if name in code), None)
        sink.report("E0806", message, help=suggest(name, sink, codes) or near)
    if search.since is not None and version_of(search.since) is None:
        message = f"--since {printable(search.since)}: this is not a version"
        sink.report("E0809", message, help="a version has numbers and dots, as 1.5.05")
    conduits = {name: None for plan in plans for name in _conduits(plan)}
    if search.via is not None and search.via not in conduits:
        message = f"--via {printable(search.via)}: no leaf here goes by a conduit of this name"
        hint = suggest(search.via, sink, conduits) or f"conduits are {', '.join(conduits)}"
        sink.report("E0803", message, help=hint if conduits else None)
    sink.stop_on_errors()


# -- what is said of the plans


def list_rows(plans: Sequence[Plan]) -> list[tuple[str, ...]]:
    """The head, then a row a wrapper: symbol, leaf, number, version, conduit, attempts, arguments.

    An argument with a star is a pointer.
    """
    rows: list[tuple[str, ...]] = [HEAD]
    for plan in plans:
        rows.append(
            (
                plan.symbol,
                plan.leaf,
                "-" if plan.number is None else show_number(plan.number),
                plan.version_parameter or str(plan.version),
                plan.conduit.name,
                str(plan.bound),
                ", ".join(show_argument(argument) for argument in plan.arguments) or "-",
            )
        )
    return rows


def plan_rows(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """The same and what one can look for, as data for JSON: an object a wrapper."""
    return [
        {
            "symbol": plan.symbol,
            "leaf": plan.leaf,
            "number": None if plan.number is None else hex_text(plan.number),
            "version": plan.version,
            "version_parameter": plan.version_parameter,
            "conduit": plan.conduit.name,
            "attempts": plan.bound,
            "arguments": [{"name": a.name, "kind": a.kind.value} for a in plan.arguments],
            "reads": list(registers_read(plan)),
            "writes": list(registers_written(plan)),
            "statuses": [code.name for code in statuses_mentioned(plan)],
            "alias_of": plan.documentation.alias_of,
            "effect": plan.documentation.effect,
            "since": plan.documentation.since,
            "requires": list(plan.documentation.requires),
            "deprecated": plan.documentation.deprecated,
        }
        for plan in plans
    ]


def show_argument(argument: Argument) -> str:
    """The name of an argument, with a star if it is a pointer."""
    return argument.name if argument.kind is ArgumentKind.VALUE else f"*{argument.name}"


def align(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> str:
    """The rows with their columns lined up, two spaces apart; those in `right` to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
