"""Options that several commands of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from seamir import compiler
from seamir.completion.values import (
    a_conduit,
    a_file,
    a_leaf,
    one_of,
    some_of,
    two_conduits,
)
from seamir.diagnostics import printable
from seamir.model.registers import REGISTERS
from seamir.targets import DEFAULT_TARGET, FEATURES, TARGETS

EFFECTS = ("global", "none")
Function = TypeVar("Function", bound=Callable[..., Any])


def separated(_context: click.Context, _option: click.Parameter, value: Any) -> tuple[str, ...]:
    """Several values separated by commas, from an option that may be repeated."""
    found: list[str] = []
    for text in value:
        words = [word.strip() for word in text.split(",")]
        if words == [""]:
            continue
        if "" in words:
            raise click.BadParameter(f"`{printable(text)}` has a comma too many")
        found += words
    return tuple(found)


def pairs(_context: click.Context, _option: click.Parameter, value: Any) -> dict[str, str]:
    """NAME=OTHER from an option that may be repeated."""
    pairs: dict[str, str] = {}
    for text in value:
        name, equals, other = text.partition("=")
        if not (name and equals and other):
            raise click.BadParameter(f"`{printable(text)}` is not NAME=OTHER")
        if pairs.setdefault(name, other) != other:
            raise click.BadParameter(f"`{printable(name)}` stands for two others")
    return pairs


def prefixes(_context: click.Context, _option: click.Parameter, value: Any) -> dict[str, str]:
    """OLD=NEW from an option that may be repeated; as for gcc, the last = divides the two."""
    pairs: dict[str, str] = {}
    for text in value:
        old, equals, new = text.rpartition("=")
        if not equals:
            raise click.BadParameter(f"`{printable(text)}` is not OLD=NEW")
        pairs.pop(old, None)  # what is said last is to be looked at first
        pairs[old] = new
    return pairs


def debugging(function: Function) -> Function:
    """The options about debug data."""
    mapping = click.option(
        "--debug-prefix-map",
        multiple=True,
        metavar="OLD=NEW",
        callback=prefixes,
        help="In debug data, begin file names with NEW instead of OLD (empty: all names). May be "
        "repeated; the last one that fits counts.",
    )
    without = click.option("--no-debug", is_flag=True, help="Leave out debug data.")
    return without(mapping(function))


naming = click.argument("names", metavar="FILE...", nargs=-1, required=True, shell_complete=a_file)

choosing = click.option(
    "--leaf",
    "leaves",
    multiple=True,
    metavar="GLOB",
    shell_complete=a_leaf,
    help="Only leaves or symbols that match, imported ones too; may be repeated. All of FILE if "
    "not given.",
)


as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs; errors in files too."
)


def loading(function: Function) -> Function:
    """The options of every command that loads descriptions."""
    options = (
        click.option(
            "-I",
            "include",
            multiple=True,
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="A further folder for imports and library paths; may be repeated.",
        ),
        click.option(
            "--conduit",
            "conduits",
            multiple=True,
            metavar="NAME=OTHER",
            callback=pairs,
            shell_complete=two_conduits,
            help="Let conduit OTHER stand in for NAME; may be repeated.",
        ),
        click.option(
            "--allow-call",
            "allow_calls",
            multiple=True,
            metavar="SYMBOL",
            help="Permit the description to call this function; may be repeated.",
        ),
        click.option(
            "--allow-instruction",
            "allow_instructions",
            multiple=True,
            metavar="HEX",
            help="Permit an instruction that seamir does not know; may be repeated.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def targeting(function: Function) -> Function:
    """The options of every command that generates code."""
    options = (
        click.option(
            "--target",
            default=DEFAULT_TARGET,
            show_default=True,
            metavar="NAME",
            shell_complete=one_of(TARGETS),
            help=f"What the code is for: {', '.join(TARGETS)}.",
        ),
        click.option(
            "--feature",
            "features",
            multiple=True,
            metavar="±X,...",
            callback=separated,
            shell_complete=some_of(sign + name for name in FEATURES for sign in "+-"),
            help=f"Switch target features, as in +ibt,-rethunk. Known: {', '.join(FEATURES)}.",
        ),
        click.option(
            "--deliver",
            default="pointers",
            show_default=True,
            metavar="|".join(compiler.DELIVERIES),
            shell_complete=one_of(compiler.DELIVERIES),
            help="How outputs reach the caller where a wrapper does not say it.",
        ),
        click.option("--symbol-prefix", default="", metavar="P", help="Begin every symbol with P."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def searching(function: Function) -> Function:
    """The options that say which wrappers one looks for."""
    register: dict[str, Any] = {"multiple": True, "shell_complete": one_of(REGISTERS)}
    conduit: dict[str, Any] = {"shell_complete": a_conduit}
    options: tuple[tuple[tuple[str, ...], str, str, dict[str, Any]], ...] = (
        (("--reads",), "REGISTER", "with an operand in REGISTER", register),
        (("--writes",), "REGISTER", "with an output in REGISTER", register),
        (("--status", "statuses"), "CODE", "that name the status CODE", {"multiple": True}),
        (("--effect",), "global|none", "with that effect", {"type": click.Choice(EFFECTS)}),
        (("--leaf-version",), "N", "of version N of a leaf", {"type": click.IntRange(0)}),
        (("--since",), "V", "of leaves that came with version V, such as 1.5.05, or later", {}),
        (("--via",), "NAME", "that go by conduit NAME or one that extends it", conduit),
    )
    for names, metavar, which, more in reversed(options):
        repeated = "; may be repeated" if "multiple" in more else ""
        help = f"Only wrappers {which}{repeated}."
        function = click.option(*names, metavar=metavar, help=help, **more)(function)
    return function
